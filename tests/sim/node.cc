#include "tests/sim/node.h"

#include <algorithm>
#include <utility>

#include "raft/core/read_lease.h"
#include "raft/disk/wal_format.h"
#include "server/node/value_group.h"

namespace cairn::sim {

namespace {

const std::string wal_directory = "/data/wal";
const std::string snapshot_directory = "/data/snapshot";
constexpr std::int64_t begin_of_utc_ns = 1'700'000'000LL * second;

}  // namespace

SimNode::SimNode(Surroundings surroundings, raft::NodeId id, SimIdentity identity,
                 BatchListener& listener)
    : world_(surroundings),
      id_(id),
      identity_(std::move(identity)),
      listener_(listener),
      random_(world_.random.stream("node", id)),
      files_(std::make_unique<raft::test::MemoryFileSystem>()),
      drift_per_mille_(
          random_.between(-world_.swarm.drift_per_mille, world_.swarm.drift_per_mille)),
      clock_base_ns_(random_.between(1, 100) * second) {
    identity_.disk_id = random_.next() | 1;
    files_->set_tells_free_bytes(true);
}

SimNode::~SimNode() = default;

std::int64_t SimNode::rated(std::int64_t virtual_ns) const {
    return virtual_ns + virtual_ns / 1000 * drift_per_mille_;
}

std::int64_t SimNode::steady_ns() {
    return clock_base_ns_ + rated(world_.queue.now_ns());
}

std::int64_t SimNode::utc_ns() {
    return begin_of_utc_ns + world_.queue.now_ns() + utc_offset_ns_;
}

void SimNode::schedule(std::int64_t delay_ns, std::function<void()> action) {
    world_.queue.after(delay_ns, [this, generation = generation_, act = std::move(action)] {
        if (generation == generation_) {
            run(act);
        }
    });
}

void SimNode::run(const std::function<void()>& action) {
    if (paused_) {
        deferred_.push_back(action);
        return;
    }
    const std::uint64_t generation = generation_;
    action();
    if (generation == generation_ && replica_ != nullptr) {
        world_.observer.on_step(id_, *replica_, steady_ns());
    }
}

void SimNode::resume() {
    if (!std::exchange(paused_, false)) {
        return;
    }
    const std::uint64_t generation = generation_;
    std::deque<std::function<void()>> deferred = std::exchange(deferred_, {});
    for (const std::function<void()>& action : deferred) {
        if (generation == generation_) {
            run(action);
        }
    }
}

// As server/program/raft_thread.cc: from the last deadline; after a pause the missed ones are
// skipped.
void SimNode::arm_tick() {
    const std::int64_t interval_ns =
        std::int64_t{world_.swarm.tick_ms} * ms * 1000 / (1000 + drift_per_mille_);
    const std::int64_t now_ns = world_.queue.now_ns();
    tick_due_ns_ += interval_ns;
    if (tick_due_ns_ < now_ns) {
        tick_due_ns_ = now_ns + interval_ns;
    }
    schedule(tick_due_ns_ - now_ns, [this] {
        replica_->tick();
        arm_tick();
    });
}

void SimNode::request_turn() {
    if (!std::exchange(turn_requested_, true)) {
        schedule(random_.between(0, 30 * us), [this] {
            turn_requested_ = false;
            replica_->turn();
        });
    }
}

raft::CoreOptions SimNode::core_options() const {
    const Swarm& swarm = world_.swarm;
    raft::CoreOptions options;
    options.id = id_;
    options.group = server::value_group;
    options.disk_id = identity_.disk_id;
    options.joined = identity_.joined;
    options.heartbeat_ticks = swarm.heartbeat_ticks;
    options.election_timeout_ticks = swarm.election_ticks;
    options.append_entries_max = swarm.append_entries_max;
    options.append_bytes_max = swarm.append_bytes_max;
    options.inflight_messages_max = swarm.inflight_messages_max;
    options.uncommitted_entries_max = swarm.uncommitted_entries_max;
    options.uncommitted_bytes_max = swarm.uncommitted_bytes_max;
    options.pending_reads_max = swarm.pending_reads_max;
    options.committed_entries_max = swarm.committed_entries_max;
    if (swarm.lease_reads) {
        options.vote_promise_ns =
            raft::duration_of_ticks_ns(swarm.election_ticks, std::int64_t{swarm.tick_ms} * ms);
    }
    options.refuse_votes_at_start = true;
    options.random_seed = random_.stream("core", starts_).next();
    return options;
}

server::ReplicaOptions SimNode::replica_options() {
    const Swarm& swarm = world_.swarm;
    server::ReplicaOptions options;
    options.cluster_id = sim_cluster_id;
    options.http_address = http_address_of(id_);
    options.raft_address = raft_address_of(id_);
    options.writes.held_max = swarm.writes_held_max;
    options.writes.held_bytes_max = swarm.writes_held_bytes_max;
    options.writes.forwarded_max = swarm.writes_forwarded_max;
    options.reads.waiting_max = swarm.reads_waiting_max;
    options.history.events_max = swarm.history_events_max;
    options.history.bytes_max = swarm.history_bytes_max;
    options.snapshots.entries_between = swarm.snapshot_entries;
    options.snapshots.entries_kept = swarm.snapshot_entries / 10;
    options.snapshots.chunk_bytes = swarm.snapshot_chunk_bytes;
    options.snapshots.window_bytes = swarm.snapshot_window_bytes;
    options.snapshots.slice_bytes = swarm.snapshot_chunk_bytes;
    // As many pieces at a time as a real node has: one that took its snapshots in small pieces
    // would keep its disk from everything else.
    options.snapshots.unwritten_bytes_max = 64 * options.snapshots.slice_bytes;
    options.disk_stall_ns = std::max<std::int64_t>(
        1 * second, std::int64_t{2} * swarm.election_ticks * swarm.tick_ms * ms);
    options.random_seed = random_.stream("replica", starts_).next();
    options.membership.disk_id = identity_.disk_id;
    options.on_members = [this](const auto& members) { note_members(members); };
    options.on_applied = [this](const auto& entry, const auto& output, auto events) {
        world_.observer.on_applied(id_, entry, output, events, replica_->state_machine());
    };
    options.on_removed = [this] {
        world_.trace.note(id_, "removed");
        world_.trace.sometimes("removed node ended");
        retired_ = true;
        schedule(20 * ms, [this] { world_.queue.after(0, [this] { stop(); }); });
    };
    return options;
}

void SimNode::note_members(const server::Membership::Members& members) {
    identity_.peers.clear();
    for (const auto& [member, address] : members) {
        if (member != id_) {
            identity_.peers.push_back(member);
        }
    }
}

// As server/program/node_data.cc: snapshots, the newest one's state, the log, what they add up to.
SimNode::Found SimNode::open_data(Data& data, std::string& detail) {
    const std::uint64_t salt = random_.stream("salt", starts_).next();
    raft::SnapshotOptions snapshot_options;
    snapshot_options.cluster_id = sim_cluster_id;
    snapshot_options.group = server::value_group;
    snapshot_options.salt = salt;
    snapshot_options.chunk_bytes = 1024;
    snapshot_options.sync_interval_bytes = 16U << 10;
    raft::SnapshotFailure snapshot_failure;
    data.snapshots =
        raft::SnapshotStore::open(*files_, snapshot_directory, snapshot_options, snapshot_failure);
    if (data.snapshots == nullptr) {
        detail = snapshot_failure.detail;
        return Found::refused;
    }
    if (data.snapshots->is_newest_damaged()) {
        detail = data.snapshots->damaged().back().detail;
        return Found::damaged;
    }
    raft::LogPosition base;
    raft::Configuration configuration;
    if (const raft::SnapshotFile* latest = data.snapshots->latest()) {
        base = {latest->meta.last_included_index, latest->meta.last_included_term,
                latest->meta.last_included_stamp_ns};
        configuration = latest->meta.configuration;
        std::optional<fsm::StateMachine> state =
            server::load_state_machine(*data.snapshots, detail);
        if (!state) {
            return Found::damaged;
        }
        data.state = std::move(*state);
    } else if (!identity_.joined) {
        for (const raft::NodeId founder : identity_.founders) {
            configuration.voters.push_back(founder);
            configuration.details.push_back({founder, raft_address_of(founder), 0, false});
        }
    }
    raft::WalOptions wal_options;
    wal_options.cluster_id = sim_cluster_id;
    wal_options.node_id = id_;
    wal_options.record_bytes_max = world_.swarm.record_bytes_max;
    wal_options.segment_bytes = world_.swarm.segment_bytes;
    wal_options.salt = salt;
    wal_options.sync = world_.swarm.syncs;
    std::map<raft::GroupId, raft::WalGroupState> recovered;
    raft::WalOpenFailure wal_failure;
    const std::optional<std::string> newest = newest_segment();
    const std::string before = newest ? files_->content(*newest) : std::string();
    data.wal = raft::Wal::open(*files_, wal_directory, wal_options, recovered, wal_failure);
    if (newest && files_->content(*newest) != before) {
        world_.trace.sometimes("torn tail cut");
    }
    if (data.wal == nullptr) {
        detail = wal_failure.detail;
        return wal_failure.error == raft::WalOpenError::corruption ? Found::damaged
                                                                   : Found::refused;
    }
    raft::RecoveryFailure failure;
    std::optional<raft::RecoveredLog> log =
        raft::recover_log(base, configuration, std::move(recovered[server::value_group]), failure);
    if (!log) {
        detail = failure.text;
        return failure.is_damage ? Found::damaged : Found::refused;
    }
    data.log = std::move(*log);
    return Found::good;
}

// As raft/disk/data_directory.cc's start_afresh.
void SimNode::begin_afresh(const std::string& detail) {
    require(flipped_, "node ", id_, " finds damage that nobody did: ", detail);
    world_.trace.sometimes("damage found at start");
    if (identity_.replaced_disk_id == 0 || !identity_.joined) {
        identity_.replaced_disk_id = identity_.disk_id;
    }
    identity_.disk_id = random_.next() | 1;
    identity_.joined = true;
    world_.observer.on_disk_lost(id_, durable_);
    durable_ = {};
    files_ = std::make_unique<raft::test::MemoryFileSystem>();
    files_->set_tells_free_bytes(true);
}

void SimNode::start() {
    if (replica_ != nullptr || kept_down_) {
        return;
    }
    ++generation_;
    ++starts_;
    Data data;
    std::string detail;
    Found found = open_data(data, detail);
    if (found == Found::damaged) {
        world_.trace.note(id_, "damaged", hash_of(detail));
        data = {};
        begin_afresh(detail);
        found = open_data(data, detail);
    }
    flipped_ = false;
    if (found != Found::good) {
        world_.trace.note(id_, "start refused", hash_of(detail));
        world_.trace.sometimes("start refused");
        schedule(500 * ms, [this] { start(); });
        return;
    }
    world_.trace.note(id_, "starts", data.log.start.hard_state.term,
                      data.log.start.base.index + data.log.start.entries.size());
    build(std::move(data));
}

void SimNode::build(Data data) {
    const auto in_process = [this](std::int64_t delay_ns, std::function<void()> action) {
        schedule(delay_ns, std::move(action));
    };
    world_.observer.on_start(id_, data.log.start, durable_);
    const raft::CoreStart& start = data.log.start;
    durable_.hard_state = start.hard_state;
    durable_.snapshot_index = start.base.index;
    durable_.entries.clear();
    for (const raft::Entry& entry : start.entries) {
        durable_.entries[entry.index] = {entry.term, digest_of(entry)};
    }
    transport_ = std::make_unique<SimTransport>(
        world_.network, world_.trace, world_.swarm, random_.stream("transport", starts_),
        TransportOptions{id_, identity_.disk_id, identity_.replaced_disk_id, identity_.peers},
        in_process, [this](const raft::Message& message) {
            world_.observer.on_send(id_, replica_->node().core(), message);
        });
    storage_ = std::make_unique<SimStorage>(
        std::move(data.wal), durable_, world_.trace, world_.swarm,
        random_.stream("storage", starts_), in_process,
        [this](raft::Sequence sequence) { replica_->on_persisted(sequence); }, *this);
    if (broken_storage_) {
        storage_->report_too_early();
    }
    runner_ = std::make_unique<SimRunner>(std::move(data.snapshots), durable_, world_.swarm,
                                          random_.stream("runner", starts_), in_process);
    if (data.log.log_replaced) {
        world_.trace.sometimes("log on disk replaced at start");
        storage_->reset_log(server::value_group, data.log.start.base.index + 1);
    }
    turn_requested_ = false;
    replica_ = std::make_unique<server::Replica>(
        raft::Core(core_options(), std::move(data.log.start)), std::move(data.state), *storage_,
        *transport_, *runner_, replica_options(), view_, *this, [this] { request_turn(); });
    replica_->add_port(*this);
    if (!mischief_) {
        transport_->stop_mischief();
    }
    transport_->start(*replica_);
    world_.network.attach(id_, *this);
    tick_due_ns_ = world_.queue.now_ns();
    arm_tick();
    request_turn();
}

void SimNode::crash(End end) {
    if (replica_ == nullptr) {
        return;
    }
    world_.trace.note(id_, end == End::killed ? "killed" : "power lost");
    world_.trace.sometimes(end == End::killed ? "process killed" : "power lost");
    if (random_.chance(7000)) {  // in the middle of what the disk does
        files_->power_off_at(files_->operations() + 1 + random_.below(5));
    }
    if (random_.chance(5000)) {
        storage_->run_what_is_under_way();
        runner_->run_what_is_under_way();
    } else {
        runner_->run_what_is_under_way();
        storage_->run_what_is_under_way();
    }
    end_process();
    using Crash = raft::test::MemoryFileSystem::Crash;
    Crash kept = Crash::keep;
    if (end == End::power_lost) {
        kept = random_.chance(7000) ? Crash::tear : Crash::drop;
        clock_base_ns_ = random_.between(1, 100) * second - rated(world_.queue.now_ns());
    }
    files_->crash(kept, random_.next());
    world_.network.detach(id_, end == End::killed);
    listener_.on_down(id_);
}

void SimNode::stop() {
    if (replica_ == nullptr || dying_) {
        return;
    }
    world_.trace.note(id_, "stops");
    replica_->stop();
    end_process();
    files_->crash(raft::test::MemoryFileSystem::Crash::keep, random_.next());
    world_.network.detach(id_, true);
    listener_.on_down(id_);
}

void SimNode::end_process() {
    ++generation_;
    world_.observer.on_stop(id_);
    paused_ = false;
    dying_ = false;
    deferred_.clear();
    answers_.clear();
    replica_.reset();
    storage_.reset();
    runner_.reset();
    transport_.reset();
}

void SimNode::on_disk_failed() {
    world_.trace.note(id_, "disk failed");
    world_.trace.sometimes("disk failed");
    dying_ = true;
    ++generation_;  // nothing more happens in the process
    world_.queue.after(0, [this] { crash(End::power_lost); });
    world_.queue.after(random_.around(1 * second), [this] { start(); });
}

void SimNode::stall_disk(std::int64_t ns) {
    if (is_running()) {
        world_.trace.sometimes("disk stalled");
        storage_->stall(world_.queue.now_ns() + ns, world_.queue.now_ns());
    }
}

void SimNode::fail_disk_soon() {
    files_->fail_at(files_->operations() + 1 + random_.below(6), boost::system::errc::io_error);
}

void SimNode::fill_disk() {
    std::uint64_t bytes = 0;
    for (const std::string& path : files_->paths()) {
        bytes += files_->content(path).size();
    }
    files_->set_capacity_bytes(bytes + random_.below(world_.swarm.segment_bytes));
}

void SimNode::empty_disk() {
    files_->set_capacity_bytes(~std::uint64_t{0});
}

void SimNode::stop_mischief() {
    mischief_ = false;
    if (transport_ != nullptr) {
        transport_->stop_mischief();
    }
}

std::optional<std::string> SimNode::newest_segment() const {
    std::optional<std::string> newest;
    for (const std::string& path : files_->paths()) {
        const std::size_t slash = path.find_last_of('/');
        if (raft::parse_wal_segment_name(path.substr(slash + 1))) {
            newest = path;  // sorted by name
        }
    }
    return newest;
}

// Not within the log's last append: damage there can't be told from a write that the power cut.
bool SimNode::flip_bit() {
    std::vector<std::string> candidates;
    const std::optional<std::string> newest = newest_segment();
    for (const std::string& path : files_->paths()) {
        const bool is_segment = path.find("/segment-") != std::string::npos;
        const bool is_snapshot = path.starts_with(snapshot_directory);
        if ((is_segment || is_snapshot) && !files_->content(path).empty()) {
            candidates.push_back(path);
        }
    }
    if (candidates.empty()) {
        return false;
    }
    const std::string path = random_.pick(candidates);
    const std::string content = files_->content(path);
    std::size_t used = content.find_last_not_of('\0') + 1;
    if (path.find("/segment-") != std::string::npos) {
        const std::size_t spared = 2 * durable_.last_append_bytes + 4096;
        if (path == newest || used > content.size() - 8192) {
            used = used > spared ? used - spared : 0;
        }
    }
    if (used == 0) {
        return false;
    }
    files_->flip_bit(path, random_.below(8 * used));
    flipped_ = true;
    world_.trace.note(id_, "bit flipped", hash_of(path));
    world_.trace.sometimes("bit flipped");
    return true;
}

bool SimNode::submit(std::shared_ptr<server::Operation> operation) {
    if (!is_running()) {
        return false;
    }
    run([this, operation] { replica_->submit(operation, *this); });
    return true;
}

bool SimNode::open_stream(std::shared_ptr<server::StreamOpen> open) {
    if (!is_running()) {
        return false;
    }
    run([this, open] { replica_->open_stream(open, *this); });
    return true;
}

void SimNode::on_dialled(ConnectionId connection) {
    run([this, connection] { transport_->on_dialled(connection); });
}

void SimNode::on_bytes(ConnectionId connection, const std::string& bytes) {
    run([this, connection, bytes] { transport_->on_bytes(connection, bytes); });
}

void SimNode::on_writable(ConnectionId connection) {
    run([this, connection] { transport_->on_writable(connection); });
}

void SimNode::on_closed(ConnectionId connection) {
    run([this, connection] { transport_->on_closed(connection); });
}

void SimNode::finished(std::shared_ptr<server::Operation> operation) {
    answers_.emplace_back([answered = std::move(operation)] {
        if (const auto done = std::exchange(answered->on_done, nullptr)) {
            done();
        }
    });
}

void SimNode::opened(std::shared_ptr<server::StreamOpen> open) {
    answers_.emplace_back([answered = std::move(open)] {
        if (const auto done = std::exchange(answered->on_done, nullptr)) {
            done();
        }
    });
}

void SimNode::published(const std::shared_ptr<const server::EventBatch>& batch) {
    answers_.emplace_back([this, batch] { listener_.on_batch(id_, *batch); });
}

// All answers of a turn reach the clients at once, in order.
void SimNode::flush() {
    if (!answers_.empty()) {
        world_.queue.after(100 * us, [answers = std::exchange(answers_, {})] {
            for (const auto& answer : answers) {
                answer();
            }
        });
    }
}

}  // namespace cairn::sim
