// The driver of one core: turns what happened (messages, ticks, finished writes, proposals) into
// calls of raft::Core and carries out what the core asks for, in the order that safety needs.
//
// Lives on the raft thread. No awaiting and no clock of its own: it is told the steady time, so the
// simulation runs this very code. Once per turn process() takes one Ready: messages leave at once
// (beside the leader's own disk write), the batch to persist goes to the disk when the last one is
// done, so that what gathers meanwhile is one write (natural group commit), then committed entries
// and reads go to the handler. It doesn't know what an entry means.
#pragma once

#include <cstdint>
#include <span>

#include "raft/core/cluster_clock.h"
#include "raft/core/core.h"
#include "raft/core/storage.h"
#include "raft/core/transport.h"

namespace cairn::raft {

// Who is told of a node's results, during process().
class NodeHandler {
 public:
    virtual ~NodeHandler() = default;
    // In index order, each once per run of the program.
    virtual void on_committed(const Entry& entry) = 0;
    virtual void on_read(const ReadState& read) = 0;
    // Role, term or leader changed.
    virtual void on_leadership_changed() = 0;
    // Another configuration is in force, or another one is committed.
    virtual void on_configuration_changed() = 0;
    // A member needs the newest snapshot.
    virtual void on_snapshot_wanted(NodeId peer) = 0;
    // A chunk of a snapshot from the leader, and a member's answer to one of ours.
    virtual void on_snapshot_chunk(const InstallSnapshot& chunk) = 0;
    virtual void on_snapshot_reply(const InstallSnapshotReply& reply) = 0;
};

class Node {
 public:
    // Log time goes on from the last entry of the core's log.
    Node(Core core, Storage& storage, Transport& transport, NodeHandler& handler,
         std::int64_t steady_ns);

    void on_message(Message message, std::int64_t steady_ns);
    // See TransportReceiver. Returns whether there is something to send now.
    bool on_receiving(NodeId peer, bool entries, std::int64_t steady_ns);
    void on_tick(std::int64_t steady_ns);
    void on_persisted(Sequence sequence);
    void on_peer_connected(NodeId peer);
    void on_peer_disconnected(NodeId peer);

    ProposeResult propose(std::span<const Payload> payloads, std::int64_t steady_ns);
    ReadId read_index() { return core_.read_index(); }
    bool holds_lease(std::int64_t steady_ns) const { return core_.holds_lease(steady_ns); }
    bool transfer_leadership(NodeId target) { return core_.transfer_leadership(target); }
    ChangeResult change_configuration(const Configuration& next, std::int64_t steady_ns);

    // See Core's functions of these names.
    void set_may_campaign(bool may_campaign) { core_.set_may_campaign(may_campaign); }
    Index compact(Index index) { return core_.compact(index); }
    bool installed(const LogPosition& last_included, const Configuration& configuration,
                   bool& log_replaced) {
        return core_.installed(last_included, configuration, log_replaced);
    }
    bool send_snapshot_chunk(NodeId to, InstallSnapshot chunk) {
        return core_.send_snapshot_chunk(to, std::move(chunk));
    }
    void snapshot_failed(NodeId peer) { core_.snapshot_failed(peer); }
    void snapshot_received(Index last_included_index, std::uint64_t next_offset) {
        core_.snapshot_received(last_included_index, next_offset);
    }

    // Carries out what this turn asks for. Returns whether more committed entries wait, so that the
    // caller comes back soon but lets others work in between.
    bool process();

    const Core& core() const { return core_; }
    // The batch that the disk is busy with; 0: none.
    Sequence persisting() const { return persisting_; }
    std::int64_t log_time_ns(std::int64_t steady_ns) { return clock_.now_ns(steady_ns); }
    // Steady time at which `peer` was last heard; 0: never.
    std::int64_t last_heard_ns(NodeId peer) const;

 private:
    struct Heard {
        NodeId id = 0;
        std::int64_t steady_ns = 0;
    };
    void note_heard(NodeId peer, std::int64_t steady_ns);
    void note_members();
    void tell_configuration();

    Core core_;
    Storage& storage_;
    Transport& transport_;
    NodeHandler& handler_;
    ClusterClock clock_;
    Ready ready_;
    Sequence persisting_ = 0;
    std::vector<Heard> heard_;
    Term seen_term_ = 0;
    NodeId seen_leader_ = 0;
    RoleName seen_role_ = RoleName::follower;
    std::uint64_t seen_configuration_ = 0;
    bool seen_configuration_committed_ = false;
};

}  // namespace cairn::raft
