#include "server/websocket_session.h"

#include <chrono>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

#include "server/request_gate.h"

namespace cairn::server {
namespace {

namespace http = boost::beast::http;
namespace websocket = boost::beast::websocket;
using boost::system::error_code;

constexpr auto unsupported_data = static_cast<websocket::close_code>(1003);

std::string_view trim(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) {
        text.remove_prefix(1);
    }
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) {
        text.remove_suffix(1);
    }
    return text;
}

bool list_has(std::string_view list, std::string_view item) {
    while (!list.empty()) {
        const std::size_t end = std::min(list.find(','), list.size());
        if (trim(list.substr(0, end)) == item) {
            return true;
        }
        list.remove_prefix(std::min(end + 1, list.size()));
    }
    return false;
}

}  // namespace

bool offers_subprotocol(const HttpRequest& request, std::string_view subprotocol) {
    for (const auto& [name, value] : request.headers) {
        if (equal_ignoring_case(name, "Sec-WebSocket-Protocol") && list_has(value, subprotocol)) {
            return true;
        }
    }
    return false;
}

void WebSocketSession::start(std::shared_ptr<GatewayState> gateway, Socket socket,
                             std::string_view head, Headers headers,
                             std::shared_ptr<Subscription> subscription) {
    const Executor executor = gateway->executor;
    auto session = std::make_shared<WebSocketSession>(std::move(gateway), std::move(socket),
                                                      std::move(subscription));
    spawn(executor, run(std::move(session), std::string(head), std::move(headers)), "WebSocket");
}

WebSocketSession::WebSocketSession(std::shared_ptr<GatewayState> gateway, Socket socket,
                                   std::shared_ptr<Subscription> subscription)
    : Connection(std::move(gateway)),
      socket_(std::move(socket)),
      wake_(gateway_->executor),
      subscription_(std::move(subscription)) {
    subscription_->on_ready = [this] { wake_.notify(); };
    count_address(socket_.next_layer());
}

WebSocketSession::~WebSocketSession() {
    if (gateway_->hub) {
        gateway_->hub->unsubscribe(*subscription_);
    }
}

void WebSocketSession::close() {
    ended_ = true;
    error_code ignored;  // closed is closed
    socket_.next_layer().close(ignored);
    wake_.notify();
}

void WebSocketSession::drain() {
    end({websocket::close_code::going_away, "this node is shutting down"});
}

void WebSocketSession::end(websocket::close_reason reason) {
    if (!reason_) {
        reason_ = std::move(reason);
        wake_.notify();
    }
}

websocket::close_reason WebSocketSession::too_slow() const {
    std::string text = subscription_->history_lost() ? "history lost" : "too slow";
    if (subscription_->cursor()) {
        text += "; cursor=" + subscription_->cursor()->format();
    }
    return {websocket::close_code::try_again_later, text};
}

void WebSocketSession::set_options(bool has_subprotocol, Headers headers) {
    const GatewayOptions& options = gateway_->options;
    websocket::stream_base::timeout timeout;
    timeout.handshake_timeout = std::chrono::milliseconds(options.head_timeout_ms);
    timeout.idle_timeout = std::chrono::milliseconds(options.websocket_idle_timeout_ms);
    timeout.keep_alive_pings = true;
    socket_.set_option(timeout);
    socket_.set_option(websocket::stream_base::decorator(
        [has_subprotocol, headers = std::move(headers)](websocket::response_type& response) {
            for (const auto& [name, value] : headers) {
                response.insert(boost::beast::string_view(name.data(), name.size()), value);
            }
            response.erase(http::field::server);
            if (has_subprotocol) {
                response.set(
                    http::field::sec_websocket_protocol,
                    boost::beast::string_view(json_subprotocol.data(), json_subprotocol.size()));
            }
        }));
    socket_.read_message_max(options.websocket_message_bytes_max);
    socket_.auto_fragment(false);
    socket_.text(true);
}

Task WebSocketSession::run(std::shared_ptr<WebSocketSession> self, std::string head,
                           Headers headers) {
    WebSocketSession& session = *self;
    http::request_parser<http::empty_body> parser;
    parser.header_limit(static_cast<std::uint32_t>(head.size()) + 1);
    error_code parse_error;
    parser.put(net::buffer(head), parse_error);
    RequestHead checked;
    const bool refused = check_head(head, session.gateway_->options.gate, checked).has_value();
    if (parse_error || refused) {
        spdlog::error("a WebSocket upgrade passed the gate but not the parser: {}",
                      parse_error.message());
        co_return;
    }
    session.set_options(offers_subprotocol(checked.request, json_subprotocol), std::move(headers));
    const auto [error] = co_await session.socket_.async_accept(parser.get(), token);
    if (error) {
        co_return;
    }
    spawn(session.gateway_->executor, read_loop(self), "WebSocket reader");
    co_await write_loop(session);
    session.close();  // which ends the reader too
}

std::chrono::milliseconds WebSocketSession::time_to_write(std::size_t bytes) const {
    const GatewayOptions& options = gateway_->options;
    return std::chrono::milliseconds(options.websocket_idle_timeout_ms) +
           std::chrono::milliseconds(1000 * bytes / options.bytes_per_second_min);
}

Task WebSocketSession::write_loop(WebSocketSession& session) {
    const GatewayOptions& options = session.gateway_->options;
    while (!session.ended_) {
        if (session.reason_) {
            // For the client's own close frame, and for its end of the connection.
            session.set_deadline(std::chrono::milliseconds(options.linger_timeout_ms));
            co_await session.socket_.async_close(*session.reason_, token);
            co_return;
        }
        const MessageText text = session.subscription_->next();
        if (text) {
            session.set_deadline(session.time_to_write(text->size()));
            const auto [error, bytes] =
                co_await session.socket_.async_write(net::buffer(*text), token);
            session.clear_deadline();
            if (error) {
                co_return;
            }
        } else if (session.subscription_->state() == Subscription::State::overflowed) {
            session.end(session.too_slow());
        } else if (!session.wake_.take()) {
            co_await session.wake_.wait();
        }
    }
}

// Answers pings and close frames (Beast does), and notices when the client has gone.
Task WebSocketSession::read_loop(std::shared_ptr<WebSocketSession> self) {
    boost::beast::flat_buffer buffer;
    const auto [error, bytes] = co_await self->socket_.async_read(buffer, token);
    if (error) {
        self->ended_ = true;
        self->wake_.notify();
    } else {
        self->end({unsupported_data, "this stream takes no messages"});
    }
}

}  // namespace cairn::server
