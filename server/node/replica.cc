#include "server/node/replica.h"

#include <algorithm>
#include <cstdlib>

#include <spdlog/spdlog.h>

#include "fsm/command.h"
#include "server/node/cluster_view.h"
#include "server/node/hand_over.h"

namespace cairn::server {

namespace {

constexpr std::int64_t ns_per_ms = 1'000'000;
constexpr std::int64_t sweep_interval_ns = 20 * ns_per_ms;
// Streams hear how far the history has gone at least this often, also when nothing happens.
constexpr std::int64_t quiet_publish_interval_ns = 1000 * ns_per_ms;
// The time of day that people see may differ this much from the wall clock before it is corrected.
constexpr std::int64_t utc_tolerance_ns = 500 * ns_per_ms;
// A clock command that got lost with its leader is proposed again after this.
constexpr std::int64_t clock_retry_ns = 1000 * ns_per_ms;

}  // namespace

Replica::Replica(raft::Core core, fsm::StateMachine state, raft::Storage& storage,
                 raft::Transport& transport, SnapshotRunner& runner, const ReplicaOptions& options,
                 NodeView& view, Clock& clock, std::function<void()> request_turn)
    : storage_(storage),
      transport_(transport),
      options_(options),
      view_(view),
      clock_(clock),
      request_turn_(std::move(request_turn)),
      state_machine_(std::move(state)),
      history_(options.history, state_machine_.applied_index()),
      node_(std::move(core), storage, transport, *this, clock.steady_ns()),
      writes_(node_, transport, options.writes, options.random_seed >> 2U),
      reads_(node_, options.reads),
      polls_(options.long_polls_max),
      snapshots_(
          node_, storage, state_machine_, runner, options.snapshots, options.cluster_id,
          [this](fsm::StateMachine machine) { return install(std::move(machine)); },
          [this] { request_turn_(); }),
      backups_(snapshots_, runner, options.backups, options.cluster_id,
               [this] { request_turn_(); }),
      membership_(
          node_, transport, options.membership, [this] { return cluster_status(); },
          [this] { hand_over_leadership(); }, options.on_members),
      disk_watch_(options.disk_stall_ns),
      links_(transport, node_.core().id(), clock.steady_ns()),
      steady_ns_(clock.steady_ns()),
      leaderless_since_ns_(steady_ns_),
      started_utc_ns_(clock.utc_ns()) {
    note_overdue();
    view_.node = node_.core().id();
    writes_.on_peers_write = options_.on_peers_write;
    lacks_everything_ = node_.core().options().joined && node_.core().log().last_index() == 0;
}

void Replica::submit(std::shared_ptr<Operation> operation, Port& port) {
    if (stopped_) {
        operation->failure = Failure::draining;
        port.finished(std::move(operation));
        request_turn_();
        return;
    }
    switch (operation->kind) {
        case Operation::Kind::write:
            writes_.submit(std::move(operation), port, steady_ns_);
            break;
        case Operation::Kind::take_snapshot:
            take_snapshot(std::move(operation), port);
            break;
        case Operation::Kind::transfer_leadership:
            start_transfer(std::move(operation), port);
            break;
        case Operation::Kind::add_member:
        case Operation::Kind::remove_member:
            membership_.submit(std::move(operation), port, steady_ns_);
            break;
        case Operation::Kind::next_piece:
            backups_.read(std::move(operation), port, steady_ns_);
            break;
        case Operation::Kind::metrics:
            submit_metrics(std::move(operation), port);
            break;
        case Operation::Kind::get:
        case Operation::Kind::list:
        case Operation::Kind::cluster_status:
        case Operation::Kind::backup:
            submit_read(std::move(operation), port);
            break;
        case Operation::Kind::end_wait:
            end_wait(*operation);
            break;
    }
    request_turn_();
}

void Replica::add_listener(Port& port) {
    if (std::find(listeners_.begin(), listeners_.end(), &port) == listeners_.end()) {
        listeners_.push_back(&port);
    }
}

void Replica::add_port(Port& port) {
    ports_.push_back(&port);
}

void Replica::turn() {
    steady_ns_ = clock_.steady_ns();
    maybe_propose_clock();
    writes_.start_turn(steady_ns_, storage_.is_full());
    // Not the turn's time: a lease counts from after the last read came.
    reads_.start_turn(clock_.steady_ns());
    const bool more = node_.process();
    if (apply_began_ns_ != 0) {
        apply_durations_.observe(clock_.steady_ns() - std::exchange(apply_began_ns_, 0));
    }
    publish_events();
    snapshots_.turn(steady_ns_);
    membership_.turn(steady_ns_);
    serve_reads();
    answer_polls();
    backups_.turn(steady_ns_);
    finish_transfers();
    end_late_snapshot_requests();
    if (steady_ns_ - last_sweep_ns_ >= sweep_interval_ns) {
        last_sweep_ns_ = steady_ns_;
        sweep();
    }
    view_.leader.store(node_.core().leader_id(), std::memory_order_relaxed);
    view_.applied_index.store(state_machine_.applied_index(), std::memory_order_relaxed);
    transport_.flush();
    for (Port* port : ports_) {
        port->flush();
    }
    if (more) {
        request_turn_();
    }
    if (membership_.removed() && !removal_told_) {
        removal_told_ = true;
        options_.on_removed();
    }
}

void Replica::tick() {
    steady_ns_ = clock_.steady_ns();
    watch_disk();
    node_.on_tick(steady_ns_);
    if (links_.is_due(steady_ns_)) {
        links_.tick(node_.core().configuration().members(), node_.core().log().stable_index(),
                    steady_ns_);
        note_addresses();
    }
    request_turn_();
}

void Replica::on_persisted(raft::Sequence sequence) {
    node_.on_persisted(sequence);
    request_turn_();
}

// With a stalled disk a node can neither make anything durable nor become leader, so it doesn't
// stand in the way of those who can. The next who leads keeps the leadership when the disk is back.
void Replica::watch_disk() {
    const DiskWatch::Change change = disk_watch_.observe(node_.persisting(), steady_ns_);
    if (change == DiskWatch::Change::began) {
        spdlog::warn(
            "the disk is stalled: a write has not ended for {} ms; this node does not "
            "lead until it has",
            disk_watch_.stalled_ns() / ns_per_ms);
        node_.set_may_campaign(false);
        handed_to_ = 0;
    } else if (change == DiskWatch::Change::ended) {
        spdlog::warn("the disk answers again, after {} ms", disk_watch_.stalled_ns() / ns_per_ms);
        node_.set_may_campaign(true);
    }
    if (leads() && !node_.core().is_transferring() && disk_watch_.take_attempt(steady_ns_)) {
        handed_to_ = hand_over_leadership(handed_to_);
    }
}

// A leader moves log time on when a deadline has come and nobody writes, and says what time of day
// it is when that changed.
void Replica::maybe_propose_clock() {
    const raft::Core& core = node_.core();
    if (!core.leads_with_commit() || core.is_transferring()) {
        return;
    }
    const std::int64_t now_ns = node_.log_time_ns(steady_ns_);
    if (clock_pending_ && now_ns - clock_proposed_ns_ < clock_retry_ns) {
        return;
    }
    const std::int64_t offset_ns = clock_.utc_ns() - now_ns;
    const bool offset_changed =
        std::llabs(offset_ns - state_machine_.utc_offset_ns()) > utc_tolerance_ns;
    const std::int64_t deadline_ns = state_machine_.next_deadline_ns();
    const bool deadline_passed = deadline_ns != 0 && deadline_ns <= now_ns;
    if (!offset_changed && !deadline_passed) {
        return;
    }
    clock_command_.clear();
    fsm::encode_clock(offset_changed ? std::optional(offset_ns) : std::nullopt, clock_command_);
    writes_.submit_internal(clock_command_);
    clock_pending_ = true;
    clock_proposed_ns_ = now_ns;
}

void Replica::on_committed(const raft::Entry& entry) {
    if (apply_began_ns_ == 0) {
        apply_began_ns_ = clock_.steady_ns();
    }
    ++applied_entries_;
    const bool command = entry.kind == raft::EntryKind::command;
    const std::size_t events_before = events_.size();
    const fsm::Output output = state_machine_.apply(
        entry.index, entry.stamp_ns, command ? entry.payload.view() : std::string_view(), events_);
    note_overdue();
    if (command && output.kind == fsm::Output::Kind::none) {
        clock_pending_ = false;
    }
    if (options_.on_applied) {
        options_.on_applied(entry, output, std::span(events_).subspan(events_before));
    }
    writes_.on_committed(entry, output);
}

void Replica::on_read(const raft::ReadState& read) {
    reads_.on_read(read);
    if (!read.ok) {
        request_turn_();  // what failed is asked again
    }
}

void Replica::on_leadership_changed() {
    const raft::Core& core = node_.core();
    spdlog::info("{} in term {}, leader {}", role_text(core.role()), core.term(),
                 core.leader_id() == 0 ? std::string("unknown") : std::to_string(core.leader_id()));
    clock_pending_ = false;
    note_leader();
    membership_.on_change();
    // Elections that come to nothing don't make the wait begin anew.
    if (core.leader_id() != 0) {
        leaderless_since_ns_ = 0;
    } else if (leaderless_since_ns_ == 0) {
        leaderless_since_ns_ = steady_ns_;
    }
    request_turn_();
}

void Replica::on_configuration_changed() {
    membership_.on_change();
}

void Replica::on_snapshot_wanted(raft::NodeId peer) {
    snapshots_.on_wanted(peer);
}

void Replica::on_snapshot_chunk(const raft::InstallSnapshot& chunk) {
    snapshots_.on_chunk(chunk);
}

void Replica::on_snapshot_reply(const raft::InstallSnapshotReply& reply) {
    snapshots_.on_reply(reply);
}

// What happened between the old state and the new one nobody here has seen: streams say so.
fsm::StateMachine Replica::install(fsm::StateMachine state) {
    publish_events();
    std::swap(state_machine_, state);
    history_.reset(state_machine_.applied_index());
    note_overdue();
    polls_are_stale_ = true;
    writes_.on_installed(state_machine_.applied_index());
    auto batch = std::make_shared<EventBatch>();
    batch->history_lost = true;
    batch->applied_index = state_machine_.applied_index();
    batch->utc_offset_ns = state_machine_.utc_offset_ns();
    batch->history_oldest = history_.oldest();
    for (Port* listener : listeners_) {
        listener->published(batch);
    }
    return state;
}

std::int64_t Replica::leaderless_ns() const {
    return leaderless_since_ns_ == 0 ? 0 : steady_ns_ - leaderless_since_ns_;
}

// The exact time matters here: the log time that a message tells counts from its arrival.
void Replica::on_message(raft::Message message) {
    steady_ns_ = clock_.steady_ns();
    node_.on_message(std::move(message), steady_ns_);
}

void Replica::on_application(raft::NodeId from, std::string_view bytes) {
    if (!note_.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
        spdlog::warn("node {} sent a note that can't be read ({} bytes)", from, bytes.size());
        return;
    }
    if (note_.has_forward_request()) {
        writes_.on_forward_request(from, *note_.mutable_forward_request(), steady_ns_);
    } else if (note_.has_forward_reply()) {
        writes_.on_forward_reply(from, *note_.mutable_forward_reply(), steady_ns_);
    } else if (note_.has_membership_request()) {
        membership_.on_request(from, note_.membership_request(), steady_ns_);
    } else if (note_.has_membership_reply()) {
        membership_.on_reply(from, note_.membership_reply());
    } else if (note_.has_transfer_request()) {
        node_.transfer_leadership(note_.transfer_request().target());
    } else if (note_.has_ping()) {
        links_.on_ping(from, note_.ping(), clock_.steady_ns());
    } else if (note_.has_pong()) {
        links_.on_pong(from, note_.pong(), clock_.steady_ns());
    }
}

void Replica::on_receiving(raft::NodeId peer, bool entries) {
    if (node_.on_receiving(peer, entries, clock_.steady_ns())) {
        request_turn_();
    }
}

void Replica::on_peer_connected(raft::NodeId peer) {
    node_.on_peer_connected(peer);
    note_addresses();
    request_turn_();
}

void Replica::on_peer_disconnected(raft::NodeId peer) {
    node_.on_peer_disconnected(peer);
    writes_.on_peer_disconnected(peer);
    request_turn_();
}

void Replica::on_removed(raft::NodeId by) {
    membership_.on_removed(by);
    request_turn_();
}

void Replica::on_disk_replaced(raft::NodeId peer, std::uint64_t disk_id) {
    membership_.on_disk_replaced(peer, disk_id);
    request_turn_();
}

void Replica::on_delivered() {
    request_turn_();
}

void Replica::publish_events() {
    if (events_.empty() &&
        (listeners_.empty() || steady_ns_ - last_publish_ns_ < quiet_publish_interval_ns)) {
        return;
    }
    last_publish_ns_ = steady_ns_;
    polls_.take_changed(events_, polled_names_);
    history_.append(events_);
    if (!listeners_.empty()) {
        auto batch = std::make_shared<EventBatch>();
        batch->events = std::move(events_);
        batch->applied_index = state_machine_.applied_index();
        batch->utc_offset_ns = state_machine_.utc_offset_ns();
        batch->applied_ns = steady_ns_;
        batch->history_oldest = history_.oldest();
        const std::shared_ptr<const EventBatch> shared = std::move(batch);
        for (Port* listener : listeners_) {
            listener->published(shared);
        }
    }
    events_.clear();
}

void Replica::sweep() {
    writes_.sweep(steady_ns_, leaderless_ns());
    std::vector<Read> expired;
    std::vector<Read> leaderless;
    reads_.sweep(steady_ns_, leaderless_ns(), expired, leaderless);
    for (Read& read : expired) {
        fail_read(read, leaderless_ns() > 0 ? Failure::no_leader : Failure::timeout);
    }
    for (Read& read : leaderless) {
        fail_read(read, Failure::no_leader);
    }
    polls_.take_late(steady_ns_, taken_polls_);
    finish_polls(Failure::none);
}

raft::NodeId Replica::hand_over_leadership(raft::NodeId avoided) {
    const raft::NodeId target = hand_over_target(node_.core(), avoided);
    if (target == 0 || !node_.transfer_leadership(target)) {
        return 0;
    }
    spdlog::info("handing leadership to node {}", target);
    request_turn_();
    return target;
}

void Replica::stop() {
    stopped_ = true;
    writes_.fail_all();
    membership_.stop();
    std::vector<Read> all;
    reads_.take_all(all);
    for (Read& read : all) {
        fail_read(read, Failure::draining);
    }
    polls_.take_all(taken_polls_);
    finish_polls(Failure::draining);
    for (Transfer& transfer : transfers_) {
        transfer.operation->failure = Failure::draining;
        transfer.port->finished(std::move(transfer.operation));
    }
    transfers_.clear();
    backups_.stop();
    for (const std::shared_ptr<SnapshotRequest>& request : snapshot_requests_) {
        if (request->operation) {
            request->operation->failure = Failure::draining;
            request->port->finished(std::move(request->operation));
        }
    }
    snapshot_requests_.clear();
    for (Port* port : ports_) {
        port->flush();
    }
}

}  // namespace cairn::server
