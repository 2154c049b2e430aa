// What a session does while it waits for something other than the network: room for a large body,
// and news for a long poll.
#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include <sys/socket.h>

#include "server/gateway/http_session.h"

namespace cairn::server {

using boost::system::error_code;

// How much room the body needs that it has not got, 0: none. How long chunks will go on isn't
// known: as much as a value may have.
std::size_t HttpSession::reading_room_wanted() const {
    if (stage_ != Stage::body || reading_room_.state() != BodyRoom::Place::State::none) {
        return 0;
    }
    const std::size_t known = chunked_body_ ? chunked_body_->body().size() : body_bytes_;
    if (known <= input_bytes_kept) {
        return 0;
    }
    return chunked_body_ ? std::max(known, gateway_->options.api.max_value_bytes) : known;
}

bool HttpSession::wants_working_room() const {
    return head_.request.body.size() > input_bytes_kept &&
           working_room_.state() == BodyRoom::Place::State::none;
}

void HttpSession::leave_rooms() {
    reading_room_.leave();
    working_room_.leave();
}

// Nothing is read meanwhile. False when there was none in time.
net::awaitable<bool, Executor> HttpSession::wait_for_room(HttpSession& session,
                                                          BodyRoom::Place& room,
                                                          std::size_t bytes) {
    using State = BodyRoom::Place::State;
    session.wake_.take();
    if (room.enter(bytes) == State::waiting) {
        const TimePoint began = std::chrono::steady_clock::now();
        session.set_deadline(
            std::chrono::milliseconds(session.gateway_->options.large_body_wait_ms));
        while (room.state() == State::waiting && !session.closed_) {
            if (!session.wake_.take()) {
                co_await session.wake_.wait();
            }
        }
        session.clear_deadline();
        session.wake_.take();
        session.waited_ += std::chrono::duration_cast<std::chrono::milliseconds>(
            std::chrono::steady_clock::now() - began);
        session.stage_is_timed_ = false;  // what was not read could not arrive
    }
    co_return room.state() == State::inside;
}

// The body was not read: the last answer on this connection.
void HttpSession::refuse_overloaded() {
    ProblemExtras extras;
    extras.outcome = Outcome::not_applied;
    extras.retry_after_s = 1;
    HttpResponse response = problem(Code::overloaded, too_much_buffered, extras);
    response.close = true;
    refuse(std::move(response));
}

// The request is complete.
void HttpSession::respond_overloaded() {
    exchange_.reset();
    exchange_.response.head_only = head_.request.method == "HEAD";
    read_cors(head_.request, gateway_->options.api.origins, exchange_.cors);
    ProblemExtras extras;
    extras.outcome = Outcome::not_applied;
    extras.retry_after_s = 1;
    respond_problem(exchange_, Code::overloaded, too_much_buffered, extras);
    respond(nullptr);
}

// While a long poll waits nothing is read, so this sees whether the client is still there. One that
// has sent another request behind it is taken to be: its wait has an end.
Task HttpSession::watch_client(std::shared_ptr<HttpSession> self) {
    const auto [error] = co_await self->socket_.async_wait(Socket::wait_read, token);
    if (error || !self->polling_) {
        co_return;
    }
    char byte = 0;
    error_code peeked;
    self->socket_.receive(net::buffer(&byte, 1), MSG_PEEK, peeked);
    if (peeked && peeked != net::error::would_block) {
        self->end_wait(Failure::none);
    }
}

// The node answers the long poll at once, if it hasn't yet; one whose client has gone costs it no
// more.
void HttpSession::end_wait(Failure failure) {
    if (!polling_ || !gateway_->hub) {  // without a hub the gateway has ended
        return;
    }
    stop_watching();
    auto end = std::make_shared<Operation>();
    end->kind = Operation::Kind::end_wait;
    end->failure = failure;
    end->ended = operation_;
    gateway_->backend.submit(std::move(end));
}

void HttpSession::stop_watching() {
    polling_ = false;
    // Without a watcher there may be an answer that is still being sent.
    if (std::exchange(is_watched_, false)) {
        error_code ignored;  // there may be nothing to cancel
        socket_.cancel(ignored);
    }
}

}  // namespace cairn::server
