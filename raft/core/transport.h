// How a node's driver sends to its peers. Delivery is not promised: messages may be lost (a cut
// connection, a full outbox), never changed, and those that arrive over one connection keep order.
//
// Called on the raft thread, which also receives. Implementations: raft/peers/tcp_transport.h, the
// simulation's.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "raft/core/messages.h"
#include "raft/core/types.h"

namespace cairn::raft {

// What is known of a peer from its handshakes, for people.
struct PeerStatus {
    NodeId id = 0;
    std::string raft_address;
    std::string http_address;   // empty until the peer has told us
    std::uint64_t disk_id = 0;  // that it came with; 0: it has not told us
    bool connected = false;     // our connection to it
    bool heard = false;         // its connection to us
    std::uint64_t dropped_frames = 0;
    std::uint64_t sent_bytes = 0;      // since the link was made, whatever became of connections
    std::uint64_t received_bytes = 0;  // likewise
    std::uint64_t queued_bytes = 0;    // waiting to be sent
    std::uint64_t queued_frames = 0;
};

class Transport {
 public:
    virtual ~Transport() = default;

    // Queues a message for its header.to. Dropped when that outbox is full or there is no
    // connection.
    virtual void send(const Message& message) = 0;
    // Queues bytes that mean something to the program above Raft (forwarded commands). Returns
    // false when they were dropped at once.
    virtual bool send_application(NodeId to, std::string_view bytes) = 0;
    // End of a turn: everything queued goes out, one gathered write per peer.
    virtual void flush() = 0;

    // Who the members are from now on, and with which data directory each is welcome
    // (any_disk_id: with whichever): connections to others end, those to new ones are made. Who
    // is in `removed` is told so; who is in neither may speak to us and is answered. Ourselves
    // among them are passed over.
    virtual void set_members(std::span<const Member> members, std::span<const NodeId> removed) = 0;

    virtual std::vector<PeerStatus> peers() const = 0;
};

// Who hears what arrives, on the raft thread.
class TransportReceiver {
 public:
    virtual ~TransportReceiver() = default;
    virtual void on_message(Message message) = 0;
    virtual void on_application(NodeId from, std::string_view bytes) = 0;
    // Some of something large from `peer` has come, which may take long to arrive. `entries`: it is
    // of Raft's own messages, among which only a leader's are large.
    virtual void on_receiving(NodeId peer, bool entries) = 0;
    // The connection to `peer` came up or went down.
    virtual void on_peer_connected(NodeId peer) = 0;
    virtual void on_peer_disconnected(NodeId peer) = 0;
    // A member says that this node is one no more.
    virtual void on_removed(NodeId by) = 0;
    // A member lost its data directory and asks to be taken in with another. Until then it is not
    // listened to.
    virtual void on_disk_replaced(NodeId peer, std::uint64_t disk_id) = 0;
    // All that one read from the network brought has been delivered: a good moment to act on it.
    virtual void on_delivered() = 0;
};

}  // namespace cairn::raft
