// How an HTTP session becomes a stream.
#include <memory>
#include <utility>

#include "server/api/router.h"
#include "server/gateway/http_session.h"
#include "server/gateway/http_stream_session.h"
#include "server/gateway/websocket_session.h"
#include "server/streams/stream_multiplexer.h"

namespace cairn::server {

// True when the connection has been handed over; otherwise the request has been answered.
net::awaitable<bool, Executor> HttpSession::become_stream(HttpSession& session) {
    GatewayState& gateway = *session.gateway_;
    const NodeView& view = gateway.backend.view();
    const bool is_websocket = session.exchange_.stream.transport == StreamTransport::websocket;
    if (is_websocket && (session.input_.size() > session.head_bytes_ || session.chunked_body_)) {
        // A client has to wait for our part of the handshake (RFC 6455 §4.1).
        session.refuse(refusal_response(400, "There is something behind the request to upgrade."));
        co_return false;
    }
    if (is_websocket) {
        session.exchange_.stream.encoding = choose_subprotocol(session.head_.request).encoding;
    }
    if (session.exchange_.is_multiplexed) {
        append_standard_headers(view, nullptr, session.exchange_);
        session.count_answer(101);
        session.trace_answer(nullptr, 101);
        session.become_websocket(std::make_unique<StreamMultiplexer>(
            *gateway.hub, gateway.backend, gateway.options.api, gateway.options.multiplex,
            session.exchange_.stream.encoding));
        co_return true;
    }
    session.subscription_ = gateway.hub->subscribe(session.exchange_.stream);
    if (!session.subscription_) {
        render_failure(Failure::overloaded, view.leader.load(), session.exchange_);
        session.respond(nullptr);
        co_return false;
    }
    session.subscription_->on_ready = [&session] { session.wake_.notify(); };
    session.set_deadline(std::chrono::milliseconds(gateway.options.head_timeout_ms));
    while (session.subscription_->state() == Subscription::State::opening) {
        if (!session.wake_.take()) {
            co_await session.wake_.wait();
        }
        if (session.closed_) {
            co_return true;
        }
    }
    session.clear_deadline();
    session.subscription_->on_ready = nullptr;
    session.wake_.take();
    if (session.subscription_->state() == Subscription::State::failed) {
        const Failure failure = session.subscription_->failure();
        gateway.hub->unsubscribe(*session.subscription_);
        session.subscription_.reset();
        render_failure(failure, view.leader.load(), session.exchange_);
        session.respond(nullptr);
        co_return false;
    }
    append_standard_headers(view, nullptr, session.exchange_);
    const int status = is_websocket ? 101 : 200;
    session.count_answer(status);
    session.trace_answer(nullptr, status);
    if (is_websocket) {
        session.become_websocket(std::make_unique<SingleStream>(
            std::move(session.subscription_), gateway.options.websocket_message_bytes_max));
    } else {
        HttpStreamSession::start(session.gateway_, std::move(session.socket_),
                                 std::move(session.exchange_.response),
                                 session.head_.minor_version > 0, std::move(session.subscription_));
    }
    co_return true;
}

void HttpSession::become_websocket(std::unique_ptr<StreamSource> source) {
    auto handshake = std::make_unique<WebSocketHandshake>();
    handshake->key = head_.request.header("Sec-WebSocket-Key");
    handshake->subprotocol = choose_subprotocol(head_.request).name;
    handshake->headers = std::move(exchange_.response.headers);
    WebSocketSession::start(gateway_, std::move(socket_), std::move(handshake), std::move(source));
}

}  // namespace cairn::server
