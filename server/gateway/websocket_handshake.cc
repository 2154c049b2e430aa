#include "server/gateway/websocket_handshake.h"

#include <algorithm>

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/websocket/stream.hpp>

#include "server/base/optional_whitespace.h"

namespace cairn::server {
namespace {

namespace http = boost::beast::http;
namespace websocket = boost::beast::websocket;

constexpr Subprotocol subprotocols[] = {
    {"cairn.v1.json", StreamEncoding::json},
    {"cairn.v1.proto", StreamEncoding::protobuf},
};

// The first of a list that is ours.
Subprotocol choose(std::string_view list) {
    while (!list.empty()) {
        const std::size_t end = std::min(list.find(','), list.size());
        const std::string_view offered = trim(list.substr(0, end));
        for (const Subprotocol& ours : subprotocols) {
            if (offered == ours.name) {
                return ours;
            }
        }
        list.remove_prefix(std::min(end + 1, list.size()));
    }
    return {};
}

}  // namespace

Subprotocol choose_subprotocol(const HttpRequest& request) {
    for (const auto& [name, value] : request.headers) {
        if (equal_ignoring_case(name, "Sec-WebSocket-Protocol")) {
            const Subprotocol chosen = choose(value);
            if (!chosen.name.empty()) {
                return chosen;
            }
        }
    }
    return {};
}

net::awaitable<bool, Executor> accept_websocket(Socket& socket,
                                                std::unique_ptr<WebSocketHandshake> handshake) {
    // What was checked, in the form that Beast looks for: of several Connection fields it reads
    // one.
    http::request<http::empty_body> request(http::verb::get, "/", 11);
    request.set(http::field::host, "localhost");
    request.set(http::field::connection, "Upgrade");
    request.set(http::field::upgrade, "websocket");
    request.set(http::field::sec_websocket_version, "13");
    request.set(http::field::sec_websocket_key, handshake->key);
    // Without permessage-deflate.
    websocket::stream<Socket&, false> stream(socket);
    stream.set_option(
        websocket::stream_base::decorator([&handshake](websocket::response_type& response) {
            for (const auto& [name, value] : handshake->headers) {
                response.insert(boost::beast::string_view(name.data(), name.size()), value);
            }
            // Without one Beast would name itself.
            response.set(http::field::server, "cairn");
            const std::string_view subprotocol = handshake->subprotocol;
            if (!subprotocol.empty()) {
                response.set(http::field::sec_websocket_protocol,
                             boost::beast::string_view(subprotocol.data(), subprotocol.size()));
            }
        }));
    const auto [error] = co_await stream.async_accept(request, token);
    co_return !error;
}

}  // namespace cairn::server
