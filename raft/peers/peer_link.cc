#include "raft/peers/peer_link.h"

#include <algorithm>
#include <array>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/write.hpp>
#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include "raft/peers/peer_socket.h"

namespace cairn::raft {

namespace net = boost::asio;
using boost::system::error_code;
using std::chrono::steady_clock;

namespace {

constexpr auto as_value = net::as_tuple(net::deferred);

constexpr std::size_t buffers_per_write = 256;
constexpr std::uint64_t bytes_per_write = 1U << 20;
// What one flush may write before others get their turn.
constexpr std::uint64_t bytes_per_flush = 4U << 20;
constexpr std::size_t logged_failures_max = 8;

}  // namespace

PeerLink::PeerLink(net::io_context& context, const TcpTransportOptions& options,
                   const PeerAddress& peer, std::string raft_address, PeerLinkEvents& events)
    : cluster_id_(options.cluster_id),
      node_id_(options.node_id),
      http_address_(options.http_address),
      raft_address_(std::move(raft_address)),
      disk_id_(options.disk_id),
      replaced_disk_id_(options.replaced_disk_id),
      peer_(peer),
      address_(address_text(peer.host, peer.port)),
      connect_timeout_ms_(options.connect_timeout_ms),
      handshake_timeout_ms_(options.handshake_timeout_ms),
      backoff_min_ms_(std::max(options.reconnect_backoff_min_ms, 1)),
      backoff_max_ms_(std::max(options.reconnect_backoff_max_ms, backoff_min_ms_)),
      events_(events),
      socket_(context),
      resolver_(context),
      backoff_timer_(context),
      watchdog_(context),
      backoff_ms_(backoff_min_ms_),
      encoder_(options.frame_bytes_max),
      outbox_(options.outbox_bytes_max, options.outbox_frames_max),
      log_once_(logged_failures_max),
      random_(options.random_seed + peer.id) {}

void PeerLink::start() {
    net::co_spawn(socket_.get_executor(), run(shared_from_this()), TaskEnd{"a link to a peer"});
    net::co_spawn(socket_.get_executor(), watch(shared_from_this()), TaskEnd{"a link's watchdog"});
}

void PeerLink::stop() {
    stopped_ = true;
    state_ = State::down;
    dropped_frames_ += outbox_.clear();
    close_socket();
    resolver_.cancel();
    backoff_timer_.cancel();
    watchdog_.cancel();
}

bool PeerLink::send(const Message& message) {
    if (state_ != State::up) {
        ++dropped_frames_;
        return false;
    }
    return count(encoder_.encode(message, outbox_));
}

bool PeerLink::send_application(std::string_view bytes) {
    if (state_ != State::up) {
        ++dropped_frames_;
        return false;
    }
    return count(encoder_.encode_application(bytes, outbox_));
}

bool PeerLink::count(EncodeOutcome outcome) {
    if (outcome == EncodeOutcome::queued) {
        return true;
    }
    ++dropped_frames_;
    const bool too_large = outcome == EncodeOutcome::too_large;
    if (log_once_.admits(too_large ? "too large" : "full", steady_clock::now())) {
        spdlog::warn("a message for node {} was dropped: {}", peer_.id,
                     too_large ? "it is larger than a frame may be" : "its queue is full");
    }
    return false;
}

void PeerLink::flush() {
    if (state_ != State::up || draining_ || outbox_.empty()) {
        return;
    }
    if (write_now() == WriteOutcome::would_block) {
        draining_ = true;
        net::co_spawn(socket_.get_executor(), drain(shared_from_this(), connection_),
                      TaskEnd{"a link's writer"});
    }
}

// The socket's buffers nearly always have room, so that the common write costs one system call and
// no trip through the event loop.
PeerLink::WriteOutcome PeerLink::write_now() {
    std::array<iovec, buffers_per_write> buffers;
    std::uint64_t written_total = 0;
    while (!outbox_.empty()) {
        if (written_total >= bytes_per_flush) {
            return WriteOutcome::would_block;
        }
        msghdr what{};
        what.msg_iov = buffers.data();
        what.msg_iovlen = outbox_.gather(buffers, bytes_per_write);
        const ssize_t written =
            ::sendmsg(socket_.native_handle(), &what, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (written >= 0) {
            outbox_.consume(static_cast<std::uint64_t>(written));
            written_total += static_cast<std::uint64_t>(written);
            sent_bytes_ += static_cast<std::uint64_t>(written);
        } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
            return WriteOutcome::would_block;
        } else if (errno != EINTR) {
            break_connection(
                failure_text("write", error_code(errno, boost::system::system_category())));
            return WriteOutcome::failed;
        }
    }
    return WriteOutcome::done;
}

net::awaitable<void> PeerLink::drain(std::shared_ptr<PeerLink> self, std::uint64_t connection) {
    while (true) {
        const auto [error] =
            co_await self->socket_.async_wait(net::socket_base::wait_write, as_value);
        if (self->state_ != State::up || self->connection_ != connection) {
            co_return;
        }
        if (error) {
            self->break_connection(self->failure_text("write", error));
            co_return;
        }
        if (self->write_now() != WriteOutcome::would_block) {
            self->draining_ = false;
            co_return;
        }
    }
}

// Called within a turn of the node: only closes; run() sees it and tells.
void PeerLink::break_connection(std::string reason) {
    state_ = State::broken;
    failure_ = std::move(reason);
    dropped_frames_ += outbox_.clear();
    close_socket();
}

net::awaitable<void> PeerLink::run(std::shared_ptr<PeerLink> self) {
    while (!self->stopped_) {
        const DialOutcome outcome = co_await dial(self);
        if (self->stopped_) {
            co_return;
        }
        if (outcome == DialOutcome::connected) {
            self->begin_connection();
            co_await read_until_broken(self);
            if (self->stopped_) {
                co_return;
            }
            self->end_connection();
        } else {
            self->log_failure(outcome);
        }
        self->close_socket();
        if (self->stopped_) {  // by whom end_connection() told
            co_return;
        }
        self->backoff_timer_.expires_after(self->next_backoff(outcome));
        co_await self->backoff_timer_.async_wait(as_value);
    }
}

net::awaitable<PeerLink::DialOutcome> PeerLink::dial(std::shared_ptr<PeerLink> self) {
    self->timed_out_ = false;
    self->arm_watchdog(self->connect_timeout_ms_);
    const bool connected = co_await connect(self);
    DialOutcome outcome = DialOutcome::failed;
    if (connected && !self->stopped_) {
        self->arm_watchdog(self->handshake_timeout_ms_);
        outcome = co_await shake_hands(self);
    }
    self->disarm_watchdog();
    co_return outcome;
}

net::awaitable<bool> PeerLink::connect(std::shared_ptr<PeerLink> self) {
    error_code parse_error;
    const net::ip::address address = net::ip::make_address(self->peer_.host, parse_error);
    error_code error;
    if (!parse_error) {
        const net::ip::tcp::endpoint endpoint(address, self->peer_.port);
        const auto [connect_error] = co_await self->socket_.async_connect(endpoint, as_value);
        error = connect_error;
    } else {
        const std::string port = std::to_string(self->peer_.port);
        const auto [resolve_error, endpoints] = co_await self->resolver_.async_resolve(
            self->peer_.host, port, net::ip::resolver_base::numeric_service, as_value);
        if (resolve_error || self->stopped_ || self->timed_out_) {
            self->failure_ = self->failure_text("name lookup", resolve_error);
            co_return false;
        }
        const auto [connect_error, endpoint] =
            co_await net::async_connect(self->socket_, endpoints, as_value);
        error = connect_error;
    }
    if (error || self->stopped_ || self->timed_out_) {
        self->failure_ = self->failure_text("connect", error);
        co_return false;
    }
    tune_peer_socket(self->socket_);
    co_return true;
}

net::awaitable<PeerLink::DialOutcome> PeerLink::shake_hands(std::shared_ptr<PeerLink> self) {
    Hello hello;
    hello.protocol_version = protocol_version;
    hello.cluster_id = self->cluster_id_;
    hello.from = self->node_id_;
    hello.to = self->peer_.id;
    hello.http_address = self->http_address_;
    hello.raft_address = self->raft_address_;
    hello.disk_id = self->disk_id_;
    hello.replaced_disk_id = self->replaced_disk_id_;
    const std::string bytes = encode_hello(hello);
    const net::const_buffer hello_buffer = net::buffer(bytes);
    const auto [write_error, written] =
        co_await net::async_write(self->socket_, hello_buffer, as_value);
    if (write_error || self->stopped_) {
        self->failure_ = self->failure_text("handshake", write_error);
        co_return DialOutcome::failed;
    }
    self->reply_ = HandshakeBuffer(HandshakeKind::hello_reply);
    HandshakeStatus status = HandshakeStatus::incomplete;
    while (status == HandshakeStatus::incomplete) {
        const std::span<char> space = self->reply_.space();
        const net::mutable_buffer buffer(space.data(), space.size());
        const auto [error, bytes_read] = co_await self->socket_.async_read_some(buffer, as_value);
        if (error || self->stopped_) {
            self->failure_ = self->failure_text("handshake", error);
            co_return DialOutcome::failed;
        }
        status = self->reply_.commit(bytes_read);
    }
    HelloReply reply;
    if (status != HandshakeStatus::complete || !decode_hello_reply(self->reply_.body(), reply)) {
        self->failure_ =
            status == HandshakeStatus::complete ? "malformed handshake" : to_string(status);
        co_return DialOutcome::failed;
    }
    if (reply.reason != HandshakeReason::accepted) {
        self->failure_ = reply.text;
        if (reply.reason == HandshakeReason::removed) {
            self->events_.on_link_refused_as_removed(self->peer_.id);
        }
        co_return DialOutcome::refused;
    }
    if (self->timed_out_) {  // just after the last byte: the socket is closed already
        self->failure_ = self->failure_text("handshake", {});
        co_return DialOutcome::failed;
    }
    self->peer_http_address_ = reply.http_address;
    co_return DialOutcome::connected;
}

void PeerLink::begin_connection() {
    state_ = State::up;
    ++connection_;
    draining_ = false;
    failure_.clear();
    up_since_ = steady_clock::now();
    spdlog::info("connected to node {} at {}", peer_.id, address_);
    events_.on_link_up(peer_.id, peer_http_address_);
}

// The peer says nothing here; what it is read for is the end of the connection.
net::awaitable<void> PeerLink::read_until_broken(std::shared_ptr<PeerLink> self) {
    if (self->state_ != State::up) {
        co_return;
    }
    std::array<char, 16> bytes;
    const net::mutable_buffer buffer = net::buffer(bytes);
    const auto [error, size] = co_await self->socket_.async_read_some(buffer, as_value);
    if (!self->stopped_ && self->state_ == State::up) {
        self->break_connection(error ? error.message() : "the peer spoke out of turn");
    }
}

void PeerLink::end_connection() {
    state_ = State::down;
    spdlog::info("lost the connection to node {} at {}: {}", peer_.id, address_, failure_);
    events_.on_link_down(peer_.id);
}

// A connection that lived for a while starts the back-off anew. One that is accepted and broken at
// once, again and again, does not; who refuses us gets the longest pauses, but is asked again: the
// address may have passed to the right node.
std::chrono::milliseconds PeerLink::next_backoff(DialOutcome outcome) {
    const auto lived = steady_clock::now() - up_since_;
    if (outcome == DialOutcome::refused) {
        backoff_ms_ = backoff_max_ms_;
    } else if (outcome == DialOutcome::connected &&
               lived >= std::chrono::milliseconds(backoff_max_ms_)) {
        backoff_ms_ = backoff_min_ms_;
        log_once_.clear();
    }
    const int pause_max_ms = backoff_ms_;
    backoff_ms_ = std::min(backoff_ms_ > backoff_max_ms_ / 2 ? backoff_max_ms_ : backoff_ms_ * 2,
                           backoff_max_ms_);
    const auto low = static_cast<std::uint64_t>((pause_max_ms + 1) / 2);
    return std::chrono::milliseconds(
        random_.between(low, static_cast<std::uint64_t>(pause_max_ms)));
}

void PeerLink::log_failure(DialOutcome outcome) {
    if (!log_once_.admits(failure_, steady_clock::now())) {
        return;
    }
    if (outcome == DialOutcome::refused) {
        spdlog::error("node {} at {} refuses us: {}; trying again now and then", peer_.id, address_,
                      failure_);
    } else {
        spdlog::warn("can't reach node {} at {}: {}; trying again", peer_.id, address_, failure_);
    }
}

std::string PeerLink::failure_text(const char* step, const error_code& error) const {
    return std::string(step) + ": " + (timed_out_ ? "timed out" : error.message());
}

void PeerLink::arm_watchdog(int timeout_ms) {
    deadline_ = steady_clock::now() + std::chrono::milliseconds(timeout_ms);
    watchdog_.expires_at(deadline_);  // wakes watch(), which waits anew
}

// The timer stays: when it expires watch() finds that there is no deadline any more.
void PeerLink::disarm_watchdog() {
    deadline_ = steady_clock::time_point::max();
}

net::awaitable<void> PeerLink::watch(std::shared_ptr<PeerLink> self) {
    while (!self->stopped_) {
        self->watchdog_.expires_at(self->deadline_);
        co_await self->watchdog_.async_wait(as_value);
        if (!self->stopped_ && steady_clock::now() >= self->deadline_) {
            self->disarm_watchdog();
            self->timed_out_ = true;
            self->resolver_.cancel();
            self->close_socket();
        }
    }
}

void PeerLink::close_socket() {
    error_code ignored;  // closed is closed, whatever close() says
    socket_.close(ignored);
}

}  // namespace cairn::raft
