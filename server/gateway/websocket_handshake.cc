#include "server/gateway/websocket_handshake.h"

#include <algorithm>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
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
    http::request_parser<http::empty_body> parser;
    parser.header_limit(static_cast<std::uint32_t>(handshake->head.size()) + 1);
    boost::system::error_code parse_error;
    parser.put(net::buffer(handshake->head), parse_error);
    RequestHead checked;
    const bool refused = check_head(handshake->head, handshake->gate, checked).has_value();
    if (parse_error || refused) {
        spdlog::error("a WebSocket upgrade passed the gate but not the parser: {}",
                      parse_error.message());
        co_return false;
    }
    const Subprotocol subprotocol = choose_subprotocol(checked.request);
    // Without permessage-deflate.
    websocket::stream<Socket&, false> stream(socket);
    stream.set_option(websocket::stream_base::decorator(
        [subprotocol, &handshake](websocket::response_type& response) {
            for (const auto& [name, value] : handshake->headers) {
                response.insert(boost::beast::string_view(name.data(), name.size()), value);
            }
            // Without one Beast would name itself.
            response.set(http::field::server, "cairn");
            if (!subprotocol.name.empty()) {
                response.set(
                    http::field::sec_websocket_protocol,
                    boost::beast::string_view(subprotocol.name.data(), subprotocol.name.size()));
            }
        }));
    const auto [error] = co_await stream.async_accept(parser.get(), token);
    co_return !error;
}

}  // namespace cairn::server
