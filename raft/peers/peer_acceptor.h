// The peers' connections to us: listens, shakes hands within a deadline, reads frames and delivers
// what is in them.
//
// Lives on the raft thread's io_context. Held by shared_ptr, since its coroutines keep it alive
// until they have seen stop(); neither `events` nor `receiver` is touched after that. The number of
// connections is bounded, a peer has at most one (a newer one replaces it), and a connection that
// sends anything but what its peer may say is closed. It only answers the handshake and never sends
// afterwards.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "raft/base/log_once.h"
#include "raft/peers/frame_reader.h"
#include "raft/peers/handshake.h"
#include "raft/peers/tcp_transport.h"

namespace cairn::raft {

class PeerAcceptorEvents {
 public:
    virtual ~PeerAcceptorEvents() = default;
    // A peer's connection is accepted, or a peer's accepted connection has ended.
    virtual void on_peer_heard(const Hello& hello) = 0;
    virtual void on_peer_lost(NodeId peer) = 0;
    // So many bytes came from it, for metrics.
    virtual void on_bytes_received(NodeId peer, std::size_t bytes) = 0;
};

class PeerAcceptor : public std::enable_shared_from_this<PeerAcceptor> {
 public:
    PeerAcceptor(boost::asio::io_context& context, const TcpTransportOptions& options,
                 PeerAcceptorEvents& events, TransportReceiver& receiver);

    // Returns an empty string, or why it could not listen.
    std::string listen();
    // Begins to accept; after listen().
    void start();
    void stop();
    // Who is welcome from now on; who isn't any more loses its connection.
    void set_members(std::span<const Member> members, std::span<const NodeId> removed);

    std::uint16_t port() const { return port_; }
    // What the peer said when its connection, which stands, was accepted; null: there is none.
    // Good until the next call.
    const Hello* hello_of(NodeId peer) const;

 private:
    struct Connection;
    using ConnectionPointer = std::shared_ptr<Connection>;

    static boost::asio::awaitable<void> accept_all(std::shared_ptr<PeerAcceptor> self);
    static boost::asio::awaitable<void> enforce_deadlines(std::shared_ptr<PeerAcceptor> self);
    static boost::asio::awaitable<void> serve(std::shared_ptr<PeerAcceptor> self,
                                              ConnectionPointer connection);
    static boost::asio::awaitable<bool> shake_hands(std::shared_ptr<PeerAcceptor> self,
                                                    ConnectionPointer connection);
    static boost::asio::awaitable<bool> receive_hello(std::shared_ptr<PeerAcceptor> self,
                                                      ConnectionPointer connection);
    static boost::asio::awaitable<void> receive_frames(std::shared_ptr<PeerAcceptor> self,
                                                       ConnectionPointer connection);

    void take(boost::asio::ip::tcp::socket socket);
    void adopt(const ConnectionPointer& connection);
    void remove(const ConnectionPointer& connection);
    void remove_connection_of(NodeId peer);
    HandshakeExpectation expectation() const;
    bool deliver(Connection& connection);
    FrameFault deliver_frame(const Frame& frame, NodeId peer);
    void refuse(const Connection& connection, std::string_view reason);

    const std::uint64_t cluster_id_;
    const NodeId node_id_;
    const std::string listen_host_;
    const std::uint16_t listen_port_;
    const std::string http_address_;
    const std::uint64_t frame_bytes_max_;
    const std::chrono::milliseconds handshake_timeout_;
    const std::size_t connections_max_;
    // Empty until set_members(): who has only been told where others are knows nothing of their
    // disks, and must not send away one that was given another.
    std::vector<Member> members_;
    std::vector<NodeId> removed_;
    PeerAcceptorEvents& events_;
    TransportReceiver& receiver_;

    boost::asio::ip::tcp::acceptor acceptor_;
    boost::asio::steady_timer accept_timer_;
    boost::asio::steady_timer deadline_timer_;
    std::uint16_t port_ = 0;
    bool stopped_ = false;
    std::vector<ConnectionPointer> connections_;
    LogOnce log_once_;
};

}  // namespace cairn::raft
