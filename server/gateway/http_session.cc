#include "server/gateway/http_session.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>

#include "server/api/router.h"
#include "server/api/server_timing.h"
#include "server/base/clock.h"

namespace cairn::server {
namespace {

using boost::system::error_code;

constexpr std::size_t input_bytes_first = 8 * 1024;
constexpr std::size_t output_bytes_max = 256 * 1024;
// Of each of the other buffers that are used again from request to request.
constexpr std::size_t buffer_bytes_kept = 16 * 1024;
constexpr std::size_t linger_bytes_max = std::size_t{8} << 20;

constexpr std::string_view continue_line = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace

void HttpSession::start(std::shared_ptr<GatewayState> gateway, Socket socket) {
    const Executor executor = gateway->executor;
    error_code error;
    socket.set_option(net::ip::tcp::no_delay(true), error);
    if (!error) {
        socket.non_blocking(true, error);
    }
    if (error) {
        return;  // the peer has gone already
    }
    auto session = std::make_shared<HttpSession>(std::move(gateway), std::move(socket));
    spawn(executor, run(std::move(session)), "HTTP session");
}

HttpSession::HttpSession(std::shared_ptr<GatewayState> gateway, Socket socket)
    : Connection(std::move(gateway)),
      socket_(std::move(socket)),
      wake_(gateway_->executor),
      reading_room_(gateway_->reading_room, [this] { wake_.notify(); }),
      working_room_(gateway_->working_room, [this] { wake_.notify(); }),
      operation_(std::make_shared<Operation>()) {
    count_address(socket_);
}

HttpSession::~HttpSession() {
    operation_->on_done = nullptr;
    end_wait(Failure::none);
    if (subscription_ && gateway_->hub) {
        gateway_->hub->unsubscribe(*subscription_);
    }
    gateway_->buffered_bytes -= charged_bytes_;
}

void HttpSession::close() {
    closed_ = true;
    error_code ignored;  // closed is closed
    socket_.close(ignored);
    wake_.notify();
}

// A request that doesn't become complete is told so, if the socket takes it at once.
void HttpSession::expire() {
    for (BodyRoom::Place* room : {&reading_room_, &working_room_}) {
        if (room->state() == BodyRoom::Place::State::waiting) {
            room->leave();  // answered as one that found no room
            wake_.notify();
            return;
        }
    }
    if (!idle_ && !finishing_ && !closed_ && output_.empty() && stage_ != Stage::ready) {
        HttpResponse response = refusal_response(408, "The request did not arrive in time.");
        append_cors_headers(exchange_.cors, response);
        append_standard_headers(gateway_->backend.view(), response);
        gateway_->statistics->count_request(0, 0, response.status, 0);
        gateway_->statistics->count_problem(Code::timeout);
        append_response(response, false, output_);
        error_code ignored;  // it is closed in any case
        socket_.write_some(net::buffer(output_), ignored);
        socket_.shutdown(net::socket_base::shutdown_send, ignored);
    }
    close();
}

void HttpSession::drain() {
    if (idle_) {
        close();
    }
    end_wait(Failure::draining);
}

Task HttpSession::run(std::shared_ptr<HttpSession> self) {
    HttpSession& session = *self;
    while (!session.closed_) {
        const Step step = session.advance();
        if (step == Step::operate) {
            session.submit();
        }
        // Earlier answers don't wait for this operation; if it is done already, they leave
        // together.
        const bool is_done = step == Step::operate && session.wake_.take();
        if (!session.output_.empty() && !is_done) {
            error_code error;
            const std::size_t sent =
                session.socket_.write_some(net::buffer(session.output_), error);
            if (error && error != net::error::would_block) {
                co_return;
            }
            if (sent < session.output_.size()) {
                const bool all_sent = co_await send_rest(session, error ? 0 : sent);
                if (!all_sent) {
                    co_return;
                }
            }
            session.output_.clear();
            if (session.output_.capacity() > buffer_bytes_kept) {
                session.output_.shrink_to_fit();
            }
        }
        if (step == Step::operate) {
            if (!is_done && !session.wake_.take()) {
                if (session.polling_) {
                    session.is_watched_ = true;
                    spawn(session.gateway_->executor, watch_client(self), "long poll");
                }
                co_await session.wake_.wait();
            }
            if (session.closed_) {
                co_return;
            }
            session.stop_watching();
            session.answer_operation();
            if (session.download_) {
                const bool all_sent = co_await send_download(session);
                if (!all_sent) {
                    co_return;
                }
            }
        } else if (step == Step::stream) {
            const bool upgraded = co_await become_stream(session);
            if (upgraded) {
                co_return;
            }
        } else if (step == Step::finish) {
            co_await linger(session);
            co_return;
        } else if (step == Step::read && session.reading_room_wanted() > 0) {
            const bool has_room = co_await wait_for_room(session, session.reading_room_,
                                                         session.reading_room_wanted());
            if (!has_room) {
                session.refuse_overloaded();
            }
        } else if (step == Step::enter) {
            const bool has_room = co_await wait_for_room(session, session.working_room_,
                                                         session.head_.request.body.size());
            if (!has_room) {
                session.respond_overloaded();
            }
        } else if (step == Step::read && session.prepare_read()) {
            const auto [error, bytes] =
                co_await session.socket_.async_read_some(session.input_.prepare(), token);
            session.idle_ = false;
            if (error) {
                co_return;
            }
            session.input_.commit(bytes);
            session.received_bytes_ += bytes;
            session.gateway_->statistics->received_bytes.add(bytes);
        }
    }
}

// The part of the output that the socket didn't take at once.
net::awaitable<bool, Executor> HttpSession::send_rest(HttpSession& session, std::size_t sent) {
    session.set_write_deadline();
    const auto [error, bytes] =
        co_await net::async_write(session.socket_, net::buffer(session.output_) + sent, token);
    session.clear_deadline();
    co_return !error;
}

// The body that follows the head in the output. The next piece is asked for when the socket has
// taken the one before, so the client's pace is the node's. What can't be had ends the connection:
// the client sees that the body is too short.
net::awaitable<bool, Executor> HttpSession::send_download(HttpSession& session) {
    Operation& operation = *session.operation_;
    operation.kind = Operation::Kind::next_piece;
    operation.download = std::exchange(session.download_, nullptr);
    const std::uint64_t piece_count = operation.download->piece_count;
    for (std::uint64_t number = 0; number < piece_count && !session.closed_; ++number) {
        operation.piece_number = number;
        session.submit();
        if (!session.wake_.take()) {
            co_await session.wake_.wait();
        }
        if (session.closed_ || operation.failure != Failure::none || !operation.error.empty()) {
            co_return false;
        }
        session.output_ += operation.piece;
        const bool all_sent = co_await send_rest(session, 0);
        if (!all_sent) {
            co_return false;
        }
        session.output_.clear();
    }
    operation.download.reset();
    operation.piece = {};
    co_return !session.closed_;
}

// Closing at once would reset the connection if the client is still sending, and a reset can
// overtake the answer. So: no more from us, and what still comes is thrown away for a while.
Task HttpSession::linger(HttpSession& session) {
    error_code error;
    session.socket_.shutdown(net::socket_base::shutdown_send, error);
    session.set_deadline(std::chrono::milliseconds(session.gateway_->options.linger_timeout_ms));
    session.input_.reserve(input_bytes_first);
    std::size_t thrown_away = 0;
    while (!error && thrown_away < linger_bytes_max) {
        session.input_.consume(session.input_.size());
        std::size_t bytes = 0;
        std::tie(error, bytes) =
            co_await session.socket_.async_read_some(session.input_.prepare(), token);
        thrown_away += bytes;
    }
}

HttpSession::Step HttpSession::advance() {
    while (!finishing_) {
        if (output_.size() >= output_bytes_max) {
            return Step::write;
        }
        if (stage_ == Stage::head) {
            if (!take_head()) {
                return Step::read;
            }
        } else if (stage_ == Stage::body) {
            if (!take_body()) {
                return Step::read;
            }
        } else if (wants_working_room()) {
            return Step::enter;
        } else {
            switch (decide(head_.request, gateway_->options.api, *operation_, exchange_)) {
                case Decision::respond:
                    respond(nullptr);
                    break;
                case Decision::operate:
                    return Step::operate;
                case Decision::stream:
                    return Step::stream;
            }
        }
    }
    return Step::finish;
}

bool HttpSession::take_head() {
    if (input_.empty() && gateway_->draining) {
        finishing_ = true;
        return true;
    }
    const std::string_view received = input_.view();
    if (scanned_bytes_ == 0) {
        // RFC 9112 §2.2: one empty line before a request is forgiven.
        if (received == "\r") {
            return false;
        }
        if (received.substr(0, 2) == "\r\n" && !std::exchange(skipped_line_, true)) {
            input_.consume(2);
            return true;
        }
    }
    const HeadScan scan = scan_head(received, scanned_bytes_, gateway_->options.gate);
    switch (scan.kind) {
        case HeadScan::Kind::need_more:
            return false;
        case HeadScan::Kind::refused:
            refuse(refusal_response(scan.refusal.status, scan.refusal.detail));
            return true;
        case HeadScan::Kind::complete:
            accept_head(scan.head_bytes);
            return true;
    }
    return false;
}

void HttpSession::accept_head(std::size_t head_bytes) {
    const std::string_view bytes = input_.view().substr(0, head_bytes);
    if (const auto refusal = check_head(bytes, gateway_->options.gate, head_)) {
        refuse(refusal_response(refusal->status, refusal->detail));
        return;
    }
    if (head_.has_body()) {
        // Its page is to see also what is answered before the request is complete.
        read_cors(head_.request, gateway_->options.api.origins, exchange_.cors);
    }
    const std::size_t limit = body_bytes_max(gateway_->options.api);
    if (head_.content_length.value_or(0) > limit) {
        refuse(body_too_large_response(head_.request, gateway_->options.api));
        return;
    }
    head_bytes_ = head_bytes;
    body_bytes_ = static_cast<std::size_t>(head_.content_length.value_or(0));
    head_is_stale_ = false;
    stage_is_timed_ = false;
    stage_ = Stage::body;
    waited_ = {};
    wants_continue_ = head_.has_body() && head_.expect_continue && input_.size() == head_bytes;
    if (head_.chunked) {
        chunked_head_.assign(bytes);
        chunked_body_ = std::make_unique<ChunkedBody>(chunked_head_, limit);
        input_.consume(head_bytes);
        head_bytes_ = 0;
        head_is_stale_ = true;
    }
}

bool HttpSession::take_body() {
    if (chunked_body_) {
        if (!take_chunks()) {
            return false;
        }
        if (finishing_) {
            return true;
        }
    } else if (input_.size() < head_bytes_ + body_bytes_) {
        head_is_stale_ = true;
        return false;
    }
    if (head_is_stale_) {
        const std::string_view bytes =
            chunked_body_ ? std::string_view(chunked_head_) : input_.view().substr(0, head_bytes_);
        if (const auto refusal = check_head(bytes, gateway_->options.gate, head_)) {
            refuse(refusal_response(refusal->status, refusal->detail));
            return true;
        }
    }
    head_.request.body = chunked_body_ ? std::string_view(chunked_body_->body())
                                       : input_.view().substr(head_bytes_, body_bytes_);
    received_ns_ = system_clock().steady_ns();
    trace_ = trace_of(head_.request);
    stage_ = Stage::ready;
    return true;
}

bool HttpSession::take_chunks() {
    std::size_t used = 0;
    const ChunkedBody::Status status = chunked_body_->put(input_.view(), used);
    input_.consume(used);
    switch (status) {
        case ChunkedBody::Status::complete:
            return true;
        case ChunkedBody::Status::need_more:
            return false;
        case ChunkedBody::Status::too_large:
            // The views of the head are stale; the answer needs the method.
            if (!check_head(chunked_head_, gateway_->options.gate, head_)) {
                refuse(body_too_large_response(head_.request, gateway_->options.api));
                return true;
            }
            break;
        case ChunkedBody::Status::malformed:
            break;
    }
    refuse(refusal_response(400, "The body is not what Transfer-Encoding: chunked stands for."));
    return true;
}

void HttpSession::submit() {
    wake_.take();
    clear_deadline();  // the operation has its own
    if (operation_->kind == Operation::Kind::write) {
        operation_->request_id = trace_.request_id;
        operation_->trace_id = trace_.trace_id;
    }
    operation_->on_done = [this] { wake_.notify(); };
    charge();
    if (gateway_->is_draining()) {
        // What is new is answered, else that there is nothing. Without a wait it would be no poll.
        operation_->wait_ms = std::min(operation_->wait_ms, 1);
    }
    if (waited_.count() > 0 && operation_->kind == Operation::Kind::write) {
        // The time for a request is for all of it; some is left always.
        const int left_ms = operation_->timeout_ms - static_cast<int>(waited_.count());
        operation_->timeout_ms = std::max(left_ms, std::min(operation_->timeout_ms, 1000));
    }
    polling_ = operation_->wait_ms > 0;
    gateway_->backend.submit(operation_);
}

void HttpSession::answer_operation() {
    render(*operation_, gateway_->backend.view(), exchange_);
    // Answers that clients are slow to take need memory, too. One that says that something was
    // written isn't held back.
    if (!charge() && exchange_.is_read) {
        std::ignore = std::exchange(exchange_.response, HttpResponse());
        exchange_.response.head_only = head_.request.method == "HEAD";
        ProblemExtras extras;
        extras.retry_after_s = 1;
        respond_problem(exchange_, Code::overloaded, too_much_buffered, extras);
    }
    if (exchange_.response.later_bytes) {
        download_ = operation_->download;
    }
    respond(operation_.get());
}

// Sends exchange_.response; `asked` is null when the node wasn't asked.
void HttpSession::respond(const Operation* asked) {
    append_standard_headers(gateway_->backend.view(), asked, exchange_);
    count_answer(exchange_.response.status);
    trace_answer(asked, exchange_.response.status);
    if (asked != nullptr && asked->kind == Operation::Kind::write) {
        WriteTiming timing = asked->timing;
        timing.received_ns = received_ns_;
        append_server_timing(timing, answered_ns_, exchange_.response.server_timing);
    }
    const bool keep_alive = head_.keep_alive && !gateway_->is_draining();
    append_response(exchange_.response, keep_alive, output_);
    finishing_ = !keep_alive || exchange_.response.close;
    end_request();
}

// Where the next request would begin isn't known: the last answer on this connection.
void HttpSession::refuse(HttpResponse response) {
    append_cors_headers(exchange_.cors, response);
    gateway_->statistics->count_request(0, 0, response.status, 0);
    if (gateway_->options.access_log) {
        // Of what was not understood nothing is said.
        head_.request = {};
        exchange_.reset();
        trace_ = {};
        received_ns_ = answered_ns_ = 0;
        const std::string id = gateway_->request_ids.next();
        log_answer(nullptr, response.status, id);
        response.add_header("X-Request-Id", id);
    }
    if (response.problem) {
        gateway_->statistics->count_problem(static_cast<Code>(*response.problem));
    }
    append_standard_headers(gateway_->backend.view(), response);
    append_response(response, false, output_);
    finishing_ = true;
    leave_rooms();
}

void HttpSession::count_answer(int status) {
    answered_ns_ = system_clock().steady_ns();
    gateway_->statistics->count_request(exchange_.route, exchange_.method, status,
                                        answered_ns_ - received_ns_);
    if (exchange_.response.problem) {
        gateway_->statistics->count_problem(static_cast<Code>(*exchange_.response.problem));
    }
}

void HttpSession::end_request() {
    const bool was_large = head_.request.body.size() > buffer_bytes_kept ||
                           exchange_.response.body.size() > buffer_bytes_kept;
    input_.consume(head_bytes_ + body_bytes_);
    head_bytes_ = body_bytes_ = scanned_bytes_ = received_bytes_ = 0;
    chunked_body_.reset();
    exchange_.cors.reset();  // until the next head says whose page it is
    trace_ = {};             // as it was sent: the buffer may move
    leave_rooms();
    stage_ = Stage::head;
    stage_is_timed_ = false;
    skipped_line_ = false;
    has_answered_ = true;
    // An idle connection keeps no values alive, and not the memory of its largest request.
    operation_->output = {};
    operation_->items.clear();
    if (was_large) {
        operation_ = std::make_shared<Operation>();
        std::ignore = std::exchange(exchange_, Exchange());  // an assigned string keeps its memory
    }
    input_.shrink(input_bytes_kept);
    charge();
}

// Makes the buffer ready for more; false when there is something to send first, or only.
bool HttpSession::prepare_read() {
    if (stage_ == Stage::body && !chunked_body_) {
        // For all of it: of many large bodies that each had some memory none would ever end.
        input_.reserve(head_bytes_ + body_bytes_);
    } else if (input_.size() == input_.capacity()) {
        input_.reserve(std::max(input_bytes_first, 2 * input_.capacity()));
    }
    if (!charge()) {
        refuse_overloaded();
        return false;
    }
    if (std::exchange(wants_continue_, false)) {
        output_ += continue_line;
        return false;  // sent first
    }
    idle_ = stage_ == Stage::head && input_.empty();
    set_read_deadline();
    return true;
}

// Accounts for this connection's memory; false when all connections together need too much.
bool HttpSession::charge() {
    std::size_t needed = input_.capacity() + output_.capacity() +
                         exchange_.response.body.capacity() + exchange_.put_body.value.capacity() +
                         operation_->command.capacity();
    if (chunked_body_) {
        needed += chunked_body_->body().size();
    }
    needed -= std::min(needed, input_bytes_kept);
    const std::size_t others = gateway_->buffered_bytes - charged_bytes_;
    const bool grows = needed > charged_bytes_;
    gateway_->buffered_bytes = others + needed;
    charged_bytes_ = needed;
    return !grows || gateway_->has_room_for(needed);
}

std::chrono::milliseconds HttpSession::time_for(std::size_t bytes) const {
    return std::chrono::milliseconds(1000 * bytes / gateway_->options.bytes_per_second_min);
}

void HttpSession::set_read_deadline() {
    const GatewayOptions& options = gateway_->options;
    if (idle_) {
        const int timeout_ms = has_answered_ ? options.idle_timeout_ms : options.head_timeout_ms;
        set_deadline(std::chrono::milliseconds(timeout_ms));
        return;
    }
    if (!std::exchange(stage_is_timed_, true)) {
        stage_began_ = gateway_->now;
        received_bytes_ = 0;
    }
    const auto spent =
        std::chrono::duration_cast<std::chrono::milliseconds>(gateway_->now - stage_began_);
    if (stage_ == Stage::head) {
        set_deadline(std::chrono::milliseconds(options.head_timeout_ms) - spent);
    } else {
        set_deadline(std::chrono::milliseconds(options.body_timeout_ms) +
                     time_for(received_bytes_) - spent);
    }
}

void HttpSession::set_write_deadline() {
    set_deadline(std::chrono::milliseconds(gateway_->options.write_timeout_ms) +
                 time_for(output_.size()));
}

}  // namespace cairn::server
