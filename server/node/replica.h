// The replica: one node's copy of the values, kept by Raft. It takes operations from the gateways,
// gets writes through the log and reads confirmed, applies what is committed to the state machine
// and publishes the events.
//
// Lives on the raft thread. No awaiting, no sockets, no system clock: time comes from a Clock, and
// it asks for a turn through `request_turn`, so the simulation runs this very code. Whatever
// happens between two turns is handled by one turn: one proposal, one ReadIndex round, one batch of
// events.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "fsm/history.h"
#include "fsm/state_machine.h"
#include "raft/base/statistics.h"
#include "raft/core/node.h"
#include "raft/core/transport.h"
#include "server/base/clock.h"
#include "server/node/backend.h"
#include "server/node/backup_service.h"
#include "server/node/disk_watch.h"
#include "server/node/link_probe.h"
#include "server/node/long_polls.h"
#include "server/node/membership.h"
#include "server/node/port.h"
#include "server/node/read_queue.h"
#include "server/node/snapshot_service.h"
#include "server/node/write_queue.h"

namespace cairn::server {

struct ReplicaOptions {
    std::uint64_t cluster_id = 0;
    std::string http_address;
    std::string raft_address;
    WriteLimits writes;
    ReadLimits reads;
    std::size_t long_polls_max = 10'000;
    fsm::HistoryOptions history;
    SnapshotLimits snapshots;
    BackupLimits backups;
    // A disk that is at one write for so long is stalled: its node neither leads nor campaigns.
    std::int64_t disk_stall_ns = 1'000'000'000;
    std::uint64_t random_seed = 0;
    MembershipOptions membership;
    // On the raft thread: the members have changed; this node was removed.
    std::function<void(const Membership::Members&)> on_members = [](const auto&) {};
    std::function<void()> on_removed = [] {};
    // On the raft thread, for each entry: what it did. For the simulation; none: nobody listens.
    std::function<void(const raft::Entry&, const fsm::Output&, std::span<const fsm::Event>)>
        on_applied;
    // Hears of every write that other nodes passed on; none: nobody wants to know.
    std::function<void(const WriteQueue::Answered&)> on_peers_write;
    // Makes text of an operation's figures, without keeping the raft thread, and answers it.
    std::function<void(std::shared_ptr<Operation>, Port&)> on_metrics =
        [](std::shared_ptr<Operation> operation, Port& port) {
            port.finished(std::move(operation));
        };
};

class Replica final : public raft::NodeHandler, public raft::TransportReceiver {
 public:
    // `request_turn` asks that turn() be called soon; it may be called any number of times before.
    // `state` is what the core's log goes on from.
    Replica(raft::Core core, fsm::StateMachine state, raft::Storage& storage,
            raft::Transport& transport, SnapshotRunner& runner, const ReplicaOptions& options,
            NodeView& view, Clock& clock, std::function<void()> request_turn);

    // From the gateways.
    void submit(std::shared_ptr<Operation> operation, Port& port);
    void open_stream(std::shared_ptr<StreamOpen> open, Port& port);
    // Every gateway's port, before the first turn.
    void add_port(Port& port);
    // Another than the options have, for who knows it late. Before the first turn.
    void set_http_address(const std::string& address) { options_.http_address = address; }

    void turn();
    void tick();
    void on_persisted(raft::Sequence sequence);

    // Hands leadership to the voter that is furthest, if this node leads; to `avoided` only when
    // there is no other. Returns to whom, 0: to nobody.
    raft::NodeId hand_over_leadership(raft::NodeId avoided = 0);
    // Answers everything that waits; nothing is accepted afterwards.
    void stop();

    bool leads() const { return node_.core().is_leader(); }
    const fsm::StateMachine& state_machine() const { return state_machine_; }
    const raft::Node& node() const { return node_; }
    const fsm::History& history() const { return history_; }
    const WriteQueue& writes() const { return writes_; }
    const ReadQueue& reads() const { return reads_; }
    const Membership& membership() const { return membership_; }

    // raft::NodeHandler
    void on_committed(const raft::Entry& entry) override;
    void on_read(const raft::ReadState& read) override;
    void on_leadership_changed() override;
    void on_configuration_changed() override;
    void on_snapshot_wanted(raft::NodeId peer) override;
    void on_snapshot_chunk(const raft::InstallSnapshot& chunk) override;
    void on_snapshot_reply(const raft::InstallSnapshotReply& reply) override;
    // raft::TransportReceiver
    void on_message(raft::Message message) override;
    void on_application(raft::NodeId from, std::string_view bytes) override;
    void on_receiving(raft::NodeId peer, bool entries) override;
    void on_peer_connected(raft::NodeId peer) override;
    void on_peer_disconnected(raft::NodeId peer) override;
    void on_removed(raft::NodeId by) override;
    void on_disk_replaced(raft::NodeId peer, std::uint64_t disk_id) override;
    void on_delivered() override;

 private:
    void add_listener(Port& port);
    void maybe_propose_clock();
    void watch_disk();
    bool can_write() const { return !disk_watch_.is_stalled() && !storage_.is_full(); }
    struct Transfer {
        std::shared_ptr<Operation> operation;
        Port* port = nullptr;
        std::int64_t deadline_ns = 0;
    };
    struct SnapshotRequest {
        std::shared_ptr<Operation> operation;  // null: answered
        Port* port = nullptr;
        std::int64_t deadline_ns = 0;
    };
    void submit_read(std::shared_ptr<Operation> operation, Port& port);
    void take_snapshot(std::shared_ptr<Operation> operation, Port& port);
    void start_transfer(std::shared_ptr<Operation> operation, Port& port);
    void finish_transfers();
    void end_late_snapshot_requests();
    fsm::StateMachine install(fsm::StateMachine state);
    void serve_reads();
    void serve(Read& read);
    void serve_get(Read& read);
    void serve_list(Operation& operation);
    void note_overdue();
    bool look_at(Operation& operation) const;
    void finish_polls(Failure failure);
    void answer_polls();
    void end_wait(const Operation& end);
    void answer_open(StreamOpen& open);
    void fail_read(Read& read, Failure failure);
    void publish_events();
    void sweep();
    // replica_figures.cc
    void note_leader();
    void note_addresses();
    void submit_metrics(std::shared_ptr<Operation> operation, Port& port);
    void collect(NodeFigures& figures) const;
    std::int64_t leaderless_ns() const;
    ClusterStatus cluster_status() const;
    void add_told_indexes(ClusterStatus& status) const;

    raft::Storage& storage_;
    raft::Transport& transport_;
    ReplicaOptions options_;
    NodeView& view_;
    Clock& clock_;
    std::function<void()> request_turn_;
    fsm::StateMachine state_machine_;
    fsm::History history_;
    raft::Node node_;
    WriteQueue writes_;
    ReadQueue reads_;
    LongPolls polls_;
    SnapshotService snapshots_;
    BackupService backups_;
    Membership membership_;
    DiskWatch disk_watch_;
    LinkProbe links_;
    raft::NodeId handed_to_ = 0;  // last, because of a stalled disk
    std::vector<Transfer> transfers_;
    std::vector<std::shared_ptr<SnapshotRequest>> snapshot_requests_;
    std::int64_t steady_ns_;  // read at the beginning of whatever is being handled
    std::int64_t leaderless_since_ns_;
    std::int64_t last_sweep_ns_ = 0;
    std::int64_t last_publish_ns_ = 0;
    std::int64_t clock_proposed_ns_ = 0;  // log time at which the last clock command was proposed
    bool clock_pending_ = false;
    std::vector<fsm::Event> events_;
    std::vector<Read> ready_reads_;
    std::size_t looked_at_ = 0;              // in this turn: see serve_reads()
    std::vector<std::string> polled_names_;  // that have changed in this turn
    std::vector<LongPoll> taken_polls_;
    bool polls_are_stale_ = false;  // the state was replaced: any may have changed
    std::vector<Port*> ports_;
    std::vector<Port*> listeners_;
    v1::PeerNote note_;
    std::string clock_command_;
    const std::int64_t started_utc_ns_;
    raft::NodeId known_leader_ = 0;
    raft::Term known_term_ = 0;
    std::int64_t leader_since_utc_ns_ = 0;
    std::uint64_t leader_changes_ = 0;
    std::int64_t apply_began_ns_ = 0;  // in this turn; 0: nothing was applied
    raft::DurationHistogram apply_durations_;
    std::uint64_t applied_entries_ = 0;
    std::array<std::uint64_t, 3> reads_served_{};  // by Consistency
    std::uint64_t failed_reads_ = 0;
    bool removal_told_ = false;
    // Began empty in a cluster that has values, and has not caught up with it once: what it holds
    // is not a state that anybody should be shown.
    bool lacks_everything_ = false;
    bool stopped_ = false;
};

}  // namespace cairn::server
