// Our connection to one peer: dials, shakes hands, writes what is queued, and dials again when it
// breaks.
//
// Lives on the raft thread's io_context. Held by shared_ptr, since its coroutines keep it alive
// until they have seen stop(); `events` is not touched after that. While the connection is down
// everything sent is dropped, and so is what was queued when it broke: the frames of one connection
// arrive in order and whole, or not at all. A frame is written as soon as flush() is called, by the
// caller itself as far as the socket takes it without waiting.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "raft/base/log_once.h"
#include "raft/core/random.h"
#include "raft/peers/codec.h"
#include "raft/peers/handshake.h"
#include "raft/peers/outbox.h"
#include "raft/peers/tcp_transport.h"

namespace cairn::raft {

// Who is told what becomes of a link, from the event loop (never from within send or flush).
class PeerLinkEvents {
 public:
    virtual ~PeerLinkEvents() = default;
    virtual void on_link_up(NodeId peer, const std::string& http_address) = 0;
    virtual void on_link_down(NodeId peer) = 0;
    // The peer says that we are a member no more.
    virtual void on_link_refused_as_removed(NodeId peer) = 0;
};

class PeerLink : public std::enable_shared_from_this<PeerLink> {
 public:
    PeerLink(boost::asio::io_context& context, const TcpTransportOptions& options,
             const PeerAddress& peer, std::string raft_address, PeerLinkEvents& events);

    void start();
    void stop();

    // False: dropped.
    bool send(const Message& message);
    bool send_application(std::string_view bytes);
    void flush();

    NodeId peer() const { return peer_.id; }
    std::string peer_address() const { return address_; }
    bool is_up() const { return state_ == State::up; }
    std::uint64_t dropped_frames() const { return dropped_frames_; }
    std::uint64_t sent_bytes() const { return sent_bytes_; }
    const Outbox& outbox() const { return outbox_; }

 private:
    enum class State { down, up, broken };
    enum class DialOutcome { connected, failed, refused };
    enum class WriteOutcome { done, would_block, failed };

    static boost::asio::awaitable<void> run(std::shared_ptr<PeerLink> self);
    static boost::asio::awaitable<DialOutcome> dial(std::shared_ptr<PeerLink> self);
    static boost::asio::awaitable<bool> connect(std::shared_ptr<PeerLink> self);
    static boost::asio::awaitable<DialOutcome> shake_hands(std::shared_ptr<PeerLink> self);
    static boost::asio::awaitable<void> read_until_broken(std::shared_ptr<PeerLink> self);
    static boost::asio::awaitable<void> drain(std::shared_ptr<PeerLink> self,
                                              std::uint64_t connection);
    static boost::asio::awaitable<void> watch(std::shared_ptr<PeerLink> self);

    bool count(EncodeOutcome outcome);
    void begin_connection();
    void end_connection();
    void break_connection(std::string reason);
    WriteOutcome write_now();
    std::chrono::milliseconds next_backoff(DialOutcome outcome);
    void log_failure(DialOutcome outcome);
    void arm_watchdog(int timeout_ms);
    void disarm_watchdog();
    void close_socket();
    std::string failure_text(const char* step, const boost::system::error_code& error) const;

    // What it was told.
    const std::uint64_t cluster_id_;
    const NodeId node_id_;
    const std::string http_address_;
    const std::string raft_address_;
    const std::uint64_t disk_id_;
    const std::uint64_t replaced_disk_id_;
    const PeerAddress peer_;
    const std::string address_;
    const int connect_timeout_ms_;
    const int handshake_timeout_ms_;
    const int backoff_min_ms_;
    const int backoff_max_ms_;
    PeerLinkEvents& events_;

    boost::asio::ip::tcp::socket socket_;
    boost::asio::ip::tcp::resolver resolver_;
    boost::asio::steady_timer backoff_timer_;
    // Closes the socket when a step of the dialling takes too long.
    boost::asio::steady_timer watchdog_;
    std::chrono::steady_clock::time_point deadline_ = std::chrono::steady_clock::time_point::max();
    bool timed_out_ = false;

    State state_ = State::down;
    bool stopped_ = false;
    std::uint64_t connection_ = 0;  // which connection it is, for coroutines that outlive theirs
    bool draining_ = false;         // drain() waits until the socket takes more
    std::chrono::steady_clock::time_point up_since_{};
    int backoff_ms_;
    std::string failure_;
    std::string peer_http_address_;
    HandshakeBuffer reply_{HandshakeKind::hello_reply};
    FrameEncoder encoder_;
    Outbox outbox_;
    std::uint64_t dropped_frames_ = 0;
    std::uint64_t sent_bytes_ = 0;
    LogOnce log_once_;
    Random random_;
};

}  // namespace cairn::raft
