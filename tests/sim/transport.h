// raft::Transport over the simulated network, as raft/peers/tcp_transport.h has it over sockets:
// one connection to every peer that only sends, connections from peers that only receive, the real
// handshake, the real frames. A node that is no member here may be heard and is answered.
//
// Belongs to one process; its owner calls it as the network calls the host, but later when the
// process stands still.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "raft/core/transport.h"
#include "raft/peers/codec.h"
#include "raft/peers/frame_reader.h"
#include "raft/peers/handshake.h"
#include "tests/sim/network.h"

namespace cairn::sim {

std::string raft_address_of(raft::NodeId id);
std::string http_address_of(raft::NodeId id);
raft::NodeId node_of_address(std::string_view raft_address);

inline constexpr std::uint64_t sim_cluster_id = 0x5151;

struct TransportOptions {
    raft::NodeId node_id = 0;
    std::uint64_t disk_id = 0;
    std::uint64_t replaced_disk_id = 0;
    std::vector<raft::NodeId> peers;
};

class SimTransport final : public raft::Transport {
 public:
    // Runs something in the process, after a time.
    using Schedule = std::function<void(std::int64_t delay_ns, std::function<void()> action)>;
    // Sees every message that is to leave.
    using OnSend = std::function<void(const raft::Message& message)>;

    SimTransport(Network& network, Trace& trace, const Swarm& swarm, Random random,
                 TransportOptions options, Schedule schedule, OnSend on_send);

    void start(raft::TransportReceiver& receiver);

    void send(const raft::Message& message) override;
    bool send_application(raft::NodeId to, std::string_view bytes) override;
    void flush() override;
    void set_members(std::span<const raft::Member> members,
                     std::span<const raft::NodeId> removed) override;
    std::vector<raft::PeerStatus> peers() const override;

    void on_dialled(ConnectionId connection);
    void on_bytes(ConnectionId connection, const std::string& bytes);
    void on_writable(ConnectionId connection);
    void on_closed(ConnectionId connection);

    // Raft's messages are lost, doubled and overtake each other only until then.
    void stop_mischief() { mischief_ = false; }

 private:
    enum class State : std::uint8_t { down, dialling, up };
    struct Link {  // ours to a peer
        raft::NodeId peer = 0;
        bool is_guest = false;
        State state = State::down;
        ConnectionId connection = 0;
        std::int64_t backoff_ns = 0;
        std::uint64_t attempt = 0;
        std::string http_address;
        std::uint64_t disk_id = 0;
        std::uint64_t dropped_frames = 0;
        std::unique_ptr<raft::HandshakeBuffer> reply;
        std::unique_ptr<raft::FrameEncoder> encoder;
        std::unique_ptr<raft::Outbox> outbox;
    };
    struct Incoming {
        bool accepted = false;
        raft::Hello hello;
        raft::HandshakeBuffer handshake{raft::HandshakeKind::hello};
        std::unique_ptr<raft::FrameReader> reader;
    };

    Link* link_to(raft::NodeId peer);
    void add_link(raft::NodeId peer, bool is_guest);
    void end_link(Link& link);
    void dial(raft::NodeId peer);
    void dial_later(Link& link);
    void on_reply_bytes(Link& link, const std::string& bytes);
    void on_reply(raft::NodeId peer, const raft::HelloReply& reply);
    void on_frames(ConnectionId connection, const std::string& bytes);
    void shake_hands(ConnectionId connection, const std::string& bytes);
    bool hears(raft::NodeId peer) const;
    void on_lost(raft::NodeId peer);
    void close_incoming_of(raft::NodeId peer);
    raft::HandshakeExpectation expectation() const;
    void encode(Link& link, const raft::Message& message);

    Network& network_;
    Trace& trace_;
    const Swarm& swarm_;
    Random random_;
    const TransportOptions options_;
    Schedule schedule_;
    OnSend on_send_;
    raft::TransportReceiver* receiver_ = nullptr;
    std::vector<raft::Member> members_;
    std::vector<raft::NodeId> removed_;
    std::map<raft::NodeId, Link> links_;
    std::map<ConnectionId, Incoming> incoming_;
    bool mischief_ = true;
};

}  // namespace cairn::sim
