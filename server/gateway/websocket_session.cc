#include "server/gateway/websocket_session.h"

#include <algorithm>
#include <chrono>
#include <tuple>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>

namespace cairn::server {
namespace {

using boost::system::error_code;
using std::chrono::milliseconds;

// What leaves with one system call; a larger message leaves alone.
constexpr std::size_t gathered_frames_max = 32;
constexpr std::size_t gathered_bytes_max = 64 * 1024;
constexpr std::size_t read_bytes_max = 64 * 1024;
// What a connection may keep for itself, of messages not heard yet and answers not taken yet.
constexpr std::size_t kept_bytes_max = 64 * 1024;

}  // namespace

void WebSocketSession::start(std::shared_ptr<GatewayState> gateway, Socket socket,
                             std::unique_ptr<WebSocketHandshake> handshake,
                             std::unique_ptr<StreamSource> source) {
    const Executor executor = gateway->executor;
    auto session = std::make_shared<WebSocketSession>(std::move(gateway), std::move(socket),
                                                      std::move(source));
    if (session->gateway_->draining) {
        session->drain();  // who was there when that began has been told
    }
    spawn(executor, run(std::move(session), std::move(handshake)), "WebSocket");
}

WebSocketSession::WebSocketSession(std::shared_ptr<GatewayState> gateway, Socket socket,
                                   std::unique_ptr<StreamSource> source)
    : Connection(std::move(gateway)),
      socket_(std::move(socket)),
      source_(std::move(source)),
      parser_(source_->frame_limits()),
      heard_at_(gateway_->now) {
    source_->on_ready = [this] {
        charge();
        wake();
    };
    count_address(socket_);
}

WebSocketSession::~WebSocketSession() {
    source_->detach(gateway_->hub ? &*gateway_->hub : nullptr);
    gateway_->buffered_bytes -= charged_bytes_;
}

void WebSocketSession::close() {
    stage_ = Stage::closed;
    error_code ignored;  // closed is closed
    socket_.close(ignored);
    if (paused_) {
        // Whoever closes all connections goes through them, so none may vanish meanwhile.
        net::post(gateway_->executor, [self = std::move(paused_)] {});
    }
}

void WebSocketSession::drain() {
    // What is in work is answered first, as far as there is time.
    is_draining_ = true;
    if (stage_ == Stage::handshake) {
        end_as_drained();
    } else {
        wake();
    }
}

void WebSocketSession::end_as_drained() {
    end({close_code::going_away, "this node is shutting down"}, false);
}

void WebSocketSession::expire() {
    const TimePoint now = gateway_->now;
    if (stage_ != Stage::open || write_deadline_ <= now) {
        close();
    } else if (message_deadline_ <= now) {
        end({close_code::policy, "a message did not arrive in time"}, true);
        update_deadline();
    } else if (is_pinged_) {
        close();
    } else {
        is_pinged_ = true;
        ping_due_ = true;
        update_deadline();
        wake();
    }
}

Task WebSocketSession::run(std::shared_ptr<WebSocketSession> self,
                           std::unique_ptr<WebSocketHandshake> handshake) {
    WebSocketSession& session = *self;
    session.set_deadline(milliseconds(session.gateway_->options.head_timeout_ms));
    const bool accepted = co_await accept_websocket(session.socket_, std::move(handshake));
    if (!accepted || session.stage_ == Stage::closed) {
        co_return;
    }
    session.stage_ = session.close_frame_ ? Stage::closing : Stage::open;
    session.heard_at_ = session.gateway_->now;
    session.update_deadline();
    session.wake();
    session.wait_readable();
}

// Keeps the session alive until it is closed. No coroutine: thousands of them wait here.
void WebSocketSession::wait_readable() {
    is_reading_ = true;
    socket_.async_wait(Socket::wait_read,
                       token)([self = shared_from_this()](const std::tuple<error_code>& result) {
        self->end_reading(!std::get<0>(result) && self->read());
    });
}

void WebSocketSession::hear_rest() {
    is_reading_ = true;
    net::post(gateway_->executor, [self = shared_from_this()] {
        std::vector<char> rest = std::exchange(self->unheard_, {});
        self->received(rest);
        self->end_reading(self->stage_ != Stage::closed);
    });
}

void WebSocketSession::end_reading(bool goes_on) {
    is_reading_ = false;
    if (goes_on) {
        read_on();
    } else {
        close();
    }
}

void WebSocketSession::read_on() {
    if (is_reading_ || stage_ == Stage::closed) {
        return;
    }
    if (stage_ == Stage::open && source_->is_full()) {
        // Too much waits to be sent. Nobody else keeps a session that waits for nothing.
        paused_ = shared_from_this();
        message_deadline_ = TimePoint::max();  // that its end isn't read is not the client's fault
        update_deadline();
    } else {
        unheard_.empty() ? wait_readable() : hear_rest();
        paused_.reset();
    }
}

bool WebSocketSession::read() {
    std::vector<char>& buffer = gateway_->read_buffer;
    buffer.resize(read_bytes_max);
    error_code error;
    const std::size_t bytes = socket_.read_some(net::buffer(buffer), error);
    if (error) {
        return error == net::error::would_block;
    }
    received({buffer.data(), bytes});
    return stage_ != Stage::closed;
}

void WebSocketSession::received(std::span<char> bytes) {
    heard_at_ = gateway_->now;
    is_pinged_ = false;
    for (std::size_t heard = 0; !bytes.empty() && stage_ < Stage::over && !close_is_last_;
         ++heard) {
        if (heard == messages_per_turn || (stage_ == Stage::open && source_->is_full())) {
            unheard_.assign(bytes.begin(), bytes.end());
            break;
        }
        std::size_t used = 0;
        const FrameParser::Outcome outcome = parser_.parse(bytes, used);
        bytes = bytes.subspan(used);
        switch (outcome) {
            case FrameParser::Outcome::need_more:
                break;
            case FrameParser::Outcome::message:
                received_message();
                break;
            case FrameParser::Outcome::ping:
                received_ping();
                break;
            case FrameParser::Outcome::pong:
                counts_control_frame();
                break;
            case FrameParser::Outcome::close:
                received_close();
                break;
            case FrameParser::Outcome::failed:
                end(parser_.reason(), true);
                break;
        }
    }
    time_message();
    charge();
    update_deadline();
}

// A message that has begun may take so long, and longer as far as it keeps up the rate.
void WebSocketSession::time_message() {
    if (!parser_.is_inside_message()) {
        parser_.release_memory();
        message_deadline_ = TimePoint::max();
        return;
    }
    if (message_deadline_ == TimePoint::max()) {
        message_began_ = gateway_->now;
    }
    const GatewayOptions& options = gateway_->options;
    message_deadline_ =
        message_began_ + milliseconds(options.body_timeout_ms) +
        milliseconds(1000 * parser_.received_bytes() / options.bytes_per_second_min);
}

void WebSocketSession::received_message() {
    message_deadline_ = TimePoint::max();  // the next one has a time of its own
    if (stage_ != Stage::open || is_draining_) {
        return;  // it is too late for it
    }
    if (const auto reason = source_->receive(parser_.payload(), parser_.is_text())) {
        end(*reason, false);
    }
}

// False when there were too many of them, which has ended the connection.
bool WebSocketSession::counts_control_frame() {
    if (gateway_->now - window_began_ >= std::chrono::seconds(1)) {
        window_began_ = gateway_->now;
        control_frames_ = 0;
    }
    if (++control_frames_ <= gateway_->options.websocket_control_frames_max) {
        return true;
    }
    end({close_code::policy, "too many pings"}, true);
    return false;
}

void WebSocketSession::received_ping() {
    if (counts_control_frame()) {
        pong_ = std::make_shared<const StreamMessage>(Opcode::pong, parser_.payload());
        wake();
    }
}

void WebSocketSession::received_close() {
    // The answer is the code alone.
    end({parser_.reason().code, {}}, true);
}

// Nothing is sent any more. Who closes now, with something unread, could make the client lose the
// close frame: so the client goes first, or its time runs out.
void WebSocketSession::finish() {
    stage_ = Stage::over;
    error_code ignored;  // it is over in any case
    socket_.shutdown(Socket::shutdown_send, ignored);
}

void WebSocketSession::end(const CloseReason& reason, bool is_last) {
    if (stage_ == Stage::closed_by_us && is_last) {
        finish();
    }
    if (stage_ > Stage::closing) {
        return;
    }
    close_is_last_ = close_is_last_ || is_last;
    if (!close_frame_) {
        close_frame_ = std::make_shared<const StreamMessage>(Opcode::close, close_payload(reason));
    }
    if (stage_ == Stage::open) {
        stage_ = Stage::closing;
        let_go_of_source();
        wake();
    }
    if (stage_ == Stage::closing) {
        read_on();
    }
}

// Later: it may be what brought the end about.
void WebSocketSession::let_go_of_source() {
    net::post(gateway_->executor, [self = shared_from_this()] {
        self->source_->detach(self->gateway_->hub ? &*self->gateway_->hub : nullptr);
        self->charge();
    });
}

void WebSocketSession::wake() {
    if ((stage_ == Stage::open || stage_ == Stage::closing) && !is_blocked_) {
        gateway_->turns.line_up(*this);
    }
}

void WebSocketSession::send() {
    if ((stage_ != Stage::open && stage_ != Stage::closing) || is_blocked_) {
        return;
    }
    std::vector<OutgoingFrame>& frames = gateway_->outgoing_frames;
    frames.clear();
    if (unsent_.empty()) {
        gather(frames);
    } else {
        std::vector<OutgoingFrame> unsent = std::exchange(unsent_, {});
        std::move(unsent.begin(), unsent.end(), std::back_inserter(frames));
    }
    if (!frames.empty()) {
        write(frames);
    }
    frames.clear();
    charge();
    read_on();
}

void WebSocketSession::gather(std::vector<OutgoingFrame>& frames) {
    if (pong_) {
        frames.emplace_back(std::exchange(pong_, nullptr));
    }
    if (std::exchange(ping_due_, false)) {
        static const auto ping = std::make_shared<const StreamMessage>(Opcode::ping, "");
        frames.emplace_back(ping);
    }
    if (is_draining_ && !source_->is_busy()) {
        end_as_drained();
    }
    has_more_ = true;
    std::size_t bytes = 0;
    while (stage_ == Stage::open && frames.size() < gathered_frames_max &&
           bytes < gathered_bytes_max) {
        std::optional<OutgoingFrame> frame = source_->take();
        has_more_ = frame.has_value();
        if (!frame) {
            if (const auto reason = source_->end_reason()) {
                end(*reason, false);
            } else if (is_draining_ && !source_->is_busy()) {
                end_as_drained();
            }
            break;
        }
        bytes += frame->size();
        frames.push_back(std::move(*frame));
    }
    if (stage_ == Stage::closing) {
        frames.emplace_back(close_frame_);
    }
}

void WebSocketSession::write(std::vector<OutgoingFrame>& frames) {
    std::vector<net::const_buffer>& buffers = gateway_->outgoing_buffers;
    buffers.clear();
    std::size_t skipped = sent_bytes_;
    std::size_t bytes = 0;
    for (const OutgoingFrame& frame : frames) {
        for (const std::string_view part : {frame.own(), frame.shared()}) {
            const std::size_t cut = std::min(skipped, part.size());
            skipped -= cut;
            if (cut < part.size()) {
                buffers.emplace_back(part.data() + cut, part.size() - cut);
                bytes += part.size() - cut;
            }
        }
    }
    error_code error;
    const std::size_t sent = socket_.write_some(buffers, error);
    if (error && error != net::error::would_block) {
        close();
    } else if (sent == bytes) {
        all_sent(frames);
    } else {
        keep_unsent(frames, sent_bytes_ + sent);
    }
}

void WebSocketSession::all_sent(const std::vector<OutgoingFrame>& frames) {
    sent_bytes_ = 0;
    write_deadline_ = TimePoint::max();
    if (stage_ == Stage::open) {
        if (has_more_) {
            wake();  // but the others come first
        }
    } else if (frames.back().is(close_frame_)) {
        stage_ = Stage::closed_by_us;
        if (close_is_last_) {
            finish();
        }
        set_deadline(milliseconds(gateway_->options.linger_timeout_ms));
        return;
    } else {
        wake();
    }
    update_deadline();
}

void WebSocketSession::keep_unsent(std::vector<OutgoingFrame>& frames, std::size_t sent_bytes) {
    std::size_t first = 0;
    while (sent_bytes >= frames[first].size()) {
        sent_bytes -= frames[first].size();
        ++first;
    }
    unsent_.reserve(frames.size() - first);
    std::size_t left = 0;
    for (std::size_t i = first; i < frames.size(); ++i) {
        left += frames[i].size();
        unsent_.push_back(std::move(frames[i]));
    }
    sent_bytes_ = sent_bytes;
    is_blocked_ = true;
    has_more_ = true;  // meanwhile wake() does nothing
    if (write_deadline_ == TimePoint::max()) {
        const GatewayOptions& options = gateway_->options;
        write_deadline_ = gateway_->now + milliseconds(options.websocket_idle_timeout_ms) +
                          milliseconds(1000 * left / options.bytes_per_second_min);
    }
    update_deadline();
    spawn(gateway_->executor, wait_writable(shared_from_this()), "WebSocket writer");
}

Task WebSocketSession::wait_writable(std::shared_ptr<WebSocketSession> self) {
    const auto [error] = co_await self->socket_.async_wait(Socket::wait_write, token);
    self->is_blocked_ = false;
    if (error) {
        self->close();
        co_return;
    }
    self->heard_at_ = self->gateway_->now;  // it takes what is sent, so it lives
    self->update_deadline();
    self->wake();
}

void WebSocketSession::update_deadline() {
    if (stage_ != Stage::open && stage_ != Stage::closing) {
        return;  // the time to end has a deadline of its own
    }
    const int idle_ms = gateway_->options.websocket_idle_timeout_ms;
    const TimePoint quiet = heard_at_ + milliseconds(is_pinged_ ? idle_ms : idle_ms / 2);
    set_deadline_at(std::min({quiet, message_deadline_, write_deadline_}));
}

// Accounts for the memory of what isn't heard yet and of answers that aren't taken. What is too
// much ends the connection.
void WebSocketSession::charge() {
    const std::size_t kept = unheard_.capacity() + source_->held_bytes();
    const std::size_t needed = parser_.memory() + kept - std::min(kept, kept_bytes_max);
    gateway_->buffered_bytes += needed - charged_bytes_;
    const bool grows = needed > charged_bytes_;
    charged_bytes_ = needed;
    // Many answers are no single one that could never pass otherwise.
    const bool has_room = source_->is_full()
                              ? gateway_->buffered_bytes <= gateway_->options.buffered_bytes_max
                              : gateway_->has_room_for(needed);
    if (grows && !has_room) {
        end({close_code::try_again_later,
             "this node holds as many large messages and answers as it can"},
            true);
    }
}

}  // namespace cairn::server
