#include "server/gateway/http_stream_session.h"

#include <cerrno>
#include <chrono>
#include <random>
#include <utility>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace cairn::server {
namespace {

using boost::system::error_code;

// After a node has ended, its clients come back over so long a time.
constexpr std::uint64_t retry_ms_min = 500;
constexpr std::uint64_t retry_ms_span = 2500;
// Of what a client sends and nobody reads.
constexpr std::size_t discarded_bytes_max = 64 * 1024;

std::string_view content_type_of(StreamTransport transport) {
    return transport == StreamTransport::event_stream ? "text/event-stream"
                                                      : "application/x-ndjson";
}

// Differs from stream to stream; nobody needs to be unable to guess it.
std::uint64_t draw_retry_ms() {
    const auto seed = std::chrono::steady_clock::now().time_since_epoch().count();
    std::minstd_rand random(static_cast<std::minstd_rand::result_type>(seed));
    return retry_ms_min + random() % retry_ms_span;
}

}  // namespace

void HttpStreamSession::start(std::shared_ptr<GatewayState> gateway, Socket socket,
                              HttpResponse response, bool chunked,
                              std::shared_ptr<Subscription> subscription) {
    const Executor executor = gateway->executor;
    // A client that vanished without a word would be found out only after a quarter of an hour.
    const auto timeout_ms = static_cast<unsigned>(gateway->options.websocket_idle_timeout_ms);
    if (::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms,
                     sizeof timeout_ms) != 0) {
        spdlog::debug("a stream's socket has no timeout of its own: errno {}", errno);
    }
    auto session = std::make_shared<HttpStreamSession>(std::move(gateway), std::move(socket),
                                                       chunked, std::move(subscription));
    session->begin_body(std::move(response), chunked);
    if (session->gateway_->draining) {
        session->drain();  // who was there when that began has been told
    }
    spawn(executor, read_loop(session), "HTTP stream reader");
    spawn(executor, run(std::move(session)), "HTTP stream");
}

HttpStreamSession::HttpStreamSession(std::shared_ptr<GatewayState> gateway, Socket socket,
                                     bool chunked, std::shared_ptr<Subscription> subscription)
    : Connection(std::move(gateway)),
      socket_(std::move(socket)),
      wake_(gateway_->executor),
      body_(subscription->request().transport, chunked) {
    set_subscription(std::move(subscription));
}

HttpStreamSession::~HttpStreamSession() {
    unsubscribe();
}

void HttpStreamSession::set_subscription(std::shared_ptr<Subscription> subscription) {
    subscription_ = std::move(subscription);
    subscription_->on_ready = [this] { wake_.notify(); };
}

void HttpStreamSession::unsubscribe() {
    if (subscription_ && gateway_->hub) {
        gateway_->hub->unsubscribe(*subscription_);
    }
    subscription_.reset();
}

void HttpStreamSession::close() {
    ended_ = true;
    error_code ignored;  // closed is closed
    socket_.close(ignored);
    wake_.notify();
}

void HttpStreamSession::drain() {
    is_draining_ = true;
    wake_.notify();
}

void HttpStreamSession::begin_body(HttpResponse response, bool chunked) {
    response.content_type = content_type_of(subscription_->request().transport);
    response.add_header("Cache-Control", "no-store");
    response.add_header("X-Content-Type-Options", "nosniff");
    response.add_header("X-Accel-Buffering", "no");  // nginx would gather it
    std::string head;
    append_endless_head(response, chunked, head);
    body_.add_head(head);
    body_.add_retry(draw_retry_ms());
}

Task HttpStreamSession::run(std::shared_ptr<HttpStreamSession> self) {
    HttpStreamSession& session = *self;
    bool goes_on = true;
    while (goes_on && !session.ended_) {
        goes_on = session.gather();
        if (!session.body_.empty()) {
            const bool all_sent = co_await send(session);
            if (!all_sent) {
                break;
            }
            // Others have their turn before the next part of a long replay.
            co_await net::post(session.gateway_->executor, token);
        } else if (goes_on && !session.wake_.take()) {
            co_await session.wake_.wait();
        }
    }
    if (!goes_on && !session.ended_) {
        co_await linger(session);
    }
    session.close();  // which ends the reader too
}

bool HttpStreamSession::gather() {
    bool goes_on = !is_draining_;
    while (goes_on && !body_.is_full()) {
        SharedMessage message = subscription_->next();
        if (message) {
            body_.add(std::move(message), *subscription_->cursor());
            continue;
        }
        const Subscription::State state = subscription_->state();
        if (state == Subscription::State::overflowed) {
            goes_on = continue_stream();
            continue;
        }
        goes_on = state != Subscription::State::failed;
        break;
    }
    if (!goes_on) {
        unsubscribe();
        body_.add_end();
    }
    return goes_on;
}

bool HttpStreamSession::continue_stream() {
    StreamRequest request = subscription_->request();
    request.cursor = subscription_->cursor();
    request.is_continued = true;
    unsubscribe();
    std::shared_ptr<Subscription> next =
        gateway_->hub ? gateway_->hub->subscribe(std::move(request)) : nullptr;
    if (!next) {
        return false;
    }
    set_subscription(std::move(next));
    return true;
}

// True when the socket has taken all of the body's bytes.
net::awaitable<bool, Executor> HttpStreamSession::send(HttpStreamSession& session) {
    session.body_.seal();
    while (!session.body_.empty()) {
        error_code error;
        const std::size_t sent = session.socket_.write_some(session.body_.unsent(), error);
        if (!error) {
            session.body_.consume(sent);
            continue;
        }
        if (error != net::error::would_block) {
            co_return false;
        }
        session.set_write_deadline();
        const auto [wait_error] = co_await session.socket_.async_wait(Socket::wait_write, token);
        if (wait_error || session.ended_) {
            co_return false;
        }
    }
    session.clear_deadline();
    co_return true;
}

// The client may still be sending, and closing at once could overtake the end of the body.
Task HttpStreamSession::linger(HttpStreamSession& session) {
    error_code error;
    session.socket_.shutdown(net::socket_base::shutdown_send, error);
    session.set_deadline(std::chrono::milliseconds(session.gateway_->options.linger_timeout_ms));
    while (!error && !session.ended_) {
        if (!session.wake_.take()) {
            co_await session.wake_.wait();
        }
    }
}

// A part that is under way has its time from its first byte, not anew with every byte taken.
void HttpStreamSession::set_write_deadline() {
    if (deadline() != TimePoint::max()) {
        return;
    }
    const GatewayOptions& options = gateway_->options;
    set_deadline(std::chrono::milliseconds(options.write_timeout_ms) +
                 std::chrono::milliseconds(1000 * body_.bytes() / options.bytes_per_second_min));
}

Task HttpStreamSession::read_loop(std::shared_ptr<HttpStreamSession> self) {
    while (!self->ended_) {
        const auto [error] = co_await self->socket_.async_wait(Socket::wait_read, token);
        if (error || self->ended_ || !self->discard_input()) {
            break;
        }
    }
    self->close();
}

bool HttpStreamSession::discard_input() {
    char thrown_away[4096];
    error_code error;
    discarded_bytes_ += socket_.read_some(net::buffer(thrown_away), error);
    return (!error || error == net::error::would_block) && discarded_bytes_ <= discarded_bytes_max;
}

}  // namespace cairn::server
