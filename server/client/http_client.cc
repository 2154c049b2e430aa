#include "server/client/http_client.h"

#include <array>

#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include "server/base/coroutine.h"
#include "server/http/http_types.h"

namespace cairn::server {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;

using Stream = beast::basic_stream<net::ip::tcp, Executor>;
using Parser = http::response_parser<http::buffer_body>;

struct Asking {
    const Address& address;
    const HttpQuestion& question;
    const HttpPatience& patience;
    const BodySink& sink;
    HttpReply reply;
    bool is_over = false;  // as far as it was to go
};

Task connect(Stream& stream, Asking& asking) {
    net::ip::basic_resolver<net::ip::tcp, Executor> resolver(stream.get_executor());
    const auto [resolve_error, endpoints] = co_await resolver.async_resolve(
        asking.address.host, std::to_string(asking.address.port), token);
    if (resolve_error) {
        asking.reply.failure = resolve_error.message();
        co_return;
    }
    for (const auto& endpoint : endpoints) {
        const auto [connect_error] = co_await stream.async_connect(endpoint.endpoint(), token);
        asking.reply.failure = connect_error ? connect_error.message() : std::string();
        if (!connect_error) {
            break;
        }
    }
}

http::request<http::string_body> make_request(const Asking& asking) {
    const HttpQuestion& question = asking.question;
    http::request<http::string_body> request;
    request.version(11);
    request.method_string(question.method);
    request.target(question.target);
    request.set(http::field::host, asking.address.text());
    request.set(http::field::connection, "close");
    for (const auto& [name, value] : question.headers) {
        request.set(name, value);
    }
    if (question.has_body) {
        request.body() = question.body;
        request.content_length(question.body.size());
    }
    return request;
}

// Hands on what came of the body. False: no more is wanted.
bool take_piece(std::string_view piece, Asking& asking) {
    HttpReply& reply = asking.reply;
    if (asking.sink && reply.status == 200) {
        return piece.empty() || asking.sink(piece);
    }
    if (reply.body.size() + piece.size() > asking.patience.answer_bytes_max) {
        reply.failure = "the answer is too large";
        return false;
    }
    reply.body += piece;
    return true;
}

Task read_body(Stream& stream, beast::flat_buffer& buffer, Parser& parser, Asking& asking) {
    std::array<char, 16384> piece;
    while (!parser.is_done()) {
        parser.get().body().data = piece.data();
        parser.get().body().size = piece.size();
        if (asking.patience.silence.count() > 0) {
            stream.expires_after(asking.patience.silence);
        }
        const auto [error, size] = co_await http::async_read_some(stream, buffer, parser, token);
        const std::size_t got = piece.size() - parser.get().body().size;
        if (!take_piece({piece.data(), got}, asking)) {
            co_return;
        }
        if (error && error != http::error::need_buffer) {
            asking.reply.failure = error.message();
            co_return;
        }
    }
}

Task ask(Stream& stream, Asking& asking) {
    HttpReply& reply = asking.reply;
    stream.expires_after(asking.patience.timeout);
    co_await connect(stream, asking);
    if (!reply.failure.empty()) {
        co_return;
    }
    const http::request<http::string_body> request = make_request(asking);
    reply.may_have_arrived = true;
    const auto [write_error, written] = co_await http::async_write(stream, request, token);
    // Who doesn't want all of a body may have said why.
    beast::flat_buffer buffer;
    Parser parser;
    parser.body_limit(boost::none);
    const auto [read_error, read] = co_await http::async_read_header(stream, buffer, parser, token);
    if (read_error) {
        reply.failure = write_error ? write_error.message() : read_error.message();
        co_return;
    }
    reply.status = parser.get().result_int();
    for (const auto& field : parser.get()) {
        reply.headers.emplace_back(field.name_string(), field.value());
    }
    co_await read_body(stream, buffer, parser, asking);
    asking.is_over = true;
}

}  // namespace

std::string_view HttpReply::header(std::string_view name) const {
    for (const auto& [header_name, value] : headers) {
        if (equal_ignoring_case(header_name, name)) {
            return value;
        }
    }
    return {};
}

HttpReply http_ask(const Address& address, const HttpQuestion& question,
                   const HttpPatience& patience, const BodySink& sink) {
    Asking asking{address, question, patience, sink, {}, false};
    net::io_context context(1);
    Stream stream(context.get_executor());
    spawn(context.get_executor(), ask(stream, asking), "asking a node");
    context.run();
    if (asking.reply.failure.empty() && !asking.is_over) {
        asking.reply.failure = "no whole answer";  // an exception, of which spawn() tells
    }
    return std::move(asking.reply);
}

}  // namespace cairn::server
