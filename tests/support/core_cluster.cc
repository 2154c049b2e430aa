#include "tests/support/core_cluster.h"

#include <algorithm>
#include <utility>

#include "tests/support/require.h"

namespace cairn::raft::testing {

namespace {

constexpr int settle_rounds_max = 20000;

}  // namespace

CoreOptions small_options() {
    CoreOptions options;
    options.id = 1;
    options.election_timeout_ticks = 10;
    options.heartbeat_ticks = 2;
    return options;
}

Entry make_entry(Index index, Term term, std::string_view payload) {
    Entry entry;
    entry.index = index;
    entry.term = term;
    entry.kind = EntryKind::command;
    entry.payload = Payload::copy_of(payload);
    return entry;
}

std::vector<Entry> entries_of_terms(const std::vector<Term>& terms) {
    std::vector<Entry> entries;
    for (const Term term : terms) {
        entries.push_back(make_entry(entries.size() + 1, term));
    }
    return entries;
}

std::vector<Term> terms_of(const Log& log) {
    std::vector<Term> terms;
    for (Index index = log.first_index(); index <= log.last_index(); ++index) {
        terms.push_back(log.at(index).term);
    }
    return terms;
}

CoreCluster::CoreCluster(ClusterOptions options) : options_(std::move(options)) {
    members_.resize(options_.nodes);
    const std::size_t founders = options_.founders == 0 ? options_.nodes : options_.founders;
    for (const NodeId id : ids()) {
        member(id).disk_id = first_disk_id(id);
        member(id).joined = id > founders;
        if (id <= founders) {
            founders_.voters.push_back(id);
            if (options_.disks_noted) {
                founders_.details.push_back({id, {}, member(id).disk_id, false});
            }
        }
    }
    for (const NodeId id : ids()) {
        start(id);
    }
}

CoreCluster::Member& CoreCluster::member(NodeId id) {
    return members_.at(id - 1);
}
const CoreCluster::Member& CoreCluster::member(NodeId id) const {
    return members_.at(id - 1);
}

Core& CoreCluster::core(NodeId id) {
    REQUIRE(member(id).core != nullptr);
    return *member(id).core;
}

bool CoreCluster::is_up(NodeId id) const {
    return member(id).core != nullptr;
}
std::int64_t CoreCluster::steady_ns(NodeId id) const {
    return member(id).steady_ns;
}
void CoreCluster::pass_time(NodeId id, std::int64_t ns) {
    member(id).steady_ns += ns;
}
bool CoreCluster::holds_lease(NodeId id) const {
    return is_up(id) && member(id).core->holds_lease(member(id).steady_ns);
}
std::vector<NodeId> CoreCluster::ids() const {
    std::vector<NodeId> all;
    for (NodeId id = 1; id <= members_.size(); ++id) {
        all.push_back(id);
    }
    return all;
}
const std::vector<Entry>& CoreCluster::disk(NodeId id) const {
    return member(id).disk;
}
HardState CoreCluster::disk_hard_state(NodeId id) const {
    return member(id).disk_hard_state;
}
const std::vector<Entry>& CoreCluster::applied(NodeId id) const {
    return member(id).applied;
}
const std::vector<ReadState>& CoreCluster::reads(NodeId id) const {
    return member(id).reads;
}

NodeId CoreCluster::leader() const {
    NodeId newest = 0;
    Term term = 0;
    for (const NodeId id : ids()) {
        const Member& one = member(id);
        if (one.core != nullptr && one.core->is_leader() && one.core->term() > term) {
            newest = id;
            term = one.core->term();
        }
    }
    return newest;
}

void CoreCluster::start(NodeId id) {
    Member& one = member(id);
    CoreOptions options = options_.core;
    options.id = id;
    options.disk_id = one.disk_id;
    options.joined = one.joined;
    options.random_seed += id * 7919 + ++one.incarnation * 104729;
    // A snapshot can be durable before the term it was received in (raft/disk/recovered_log.h).
    if (one.disk_hard_state.term < one.snapshot.last_included.term) {
        one.disk_hard_state = {one.snapshot.last_included.term, 0};
    }
    one.core = std::make_unique<Core>(
        options, CoreStart{one.snapshot.last_included, configuration_behind(one.snapshot, one),
                           one.disk_hard_state, recover_log(one)});
    one.applied = state_of(one.snapshot);
    one.reads.clear();
    one.writes.clear();
    one.snapshot_writes.clear();
    one.outgoing.clear();
    one.incoming.reset();
    one.snapshots_wanted.clear();
    one.seen_term = one.disk_hard_state.term;
    one.seen_commit = 0;
    one.seen_leading = false;
}

void CoreCluster::start_from(NodeId id, HardState hard_state, std::vector<Entry> entries) {
    start_from(id, hard_state, {}, std::move(entries));
}

void CoreCluster::start_from(NodeId id, HardState hard_state, const std::vector<Entry>& snapshot,
                             std::vector<Entry> entries) {
    Member& one = member(id);
    one.disk_hard_state = hard_state;
    one.snapshot = snapshot.empty() ? Snapshot{} : snapshot_of(snapshot);
    one.disk = std::move(entries);
    one.disk_first = one.disk.empty() ? snapshot.size() + 1 : one.disk.front().index;
    while (committed_.size() < snapshot.size()) {
        committed_.push_back(snapshot[committed_.size()]);
        committed_in_.push_back(committed_.back().term);
    }
    start(id);
    check(id);
}

void CoreCluster::crash(NodeId id, std::size_t written) {
    Member& one = member(id);
    for (std::size_t i = 0; i < written && i < one.writes.size(); ++i) {
        write(one, one.writes[i]);
    }
    one.writes.clear();
    one.snapshot_writes.clear();
    one.core.reset();
}

void CoreCluster::restart(NodeId id) {
    REQUIRE(!is_up(id));
    start(id);
    check(id);
}

void CoreCluster::tick(NodeId id, int ticks) {
    for (int i = 0; i < ticks; ++i) {
        member(id).steady_ns += options_.tick_ns;
        core(id).set_steady_time(member(id).steady_ns);
        core(id).tick();
        check(id);
        tick_senders(id);
    }
}

void CoreCluster::step(Message message) {
    const NodeId to = header_of(message).to;
    core(to).step(std::move(message));
    check(to);
}

ProposeResult CoreCluster::propose(NodeId id, std::string_view payload) {
    const Payload copy = Payload::copy_of(payload);
    const ProposeResult result = core(id).propose({&copy, 1});
    check(id);
    return result;
}

ReadId CoreCluster::read_index(NodeId id) {
    return core(id).read_index();
}

// The newest among its entries, else what the group or this node began with.
Configuration CoreCluster::configuration_behind(const Snapshot& snapshot, const Member& one) const {
    Configuration newest = one.joined && snapshot.bytes == nullptr ? Configuration{} : founders_;
    for (const Entry& entry : state_of(snapshot)) {
        if (entry.kind == EntryKind::configuration) {
            REQUIRE(decode_configuration(entry.payload.view(), newest));
        }
    }
    return newest;
}

ChangeResult CoreCluster::change(NodeId id, const PlannedChange& planned) {
    REQUIRE(planned.error == ChangeError::none);
    const ChangeResult result = core(id).change_configuration(planned.next);
    check(id);
    return result;
}

std::uint64_t CoreCluster::lose_disk(NodeId id, bool as_founder) {
    Member& one = member(id);
    const std::uint64_t disk_id = one.disk_id + 1000;
    const std::uint64_t incarnation = one.incarnation;
    one.core.reset();
    lost_disks_.push_back(std::move(one));
    one = Member();
    one.incarnation = incarnation;
    one.disk_id = disk_id;
    one.joined = !as_founder;
    start(id);
    check(id);
    return disk_id;
}

void CoreCluster::bring_back_disk(NodeId id, std::uint64_t disk_id) {
    const auto found = std::find_if(lost_disks_.begin(), lost_disks_.end(),
                                    [&](const Member& lost) { return lost.disk_id == disk_id; });
    REQUIRE(found != lost_disks_.end());
    Member& one = member(id);
    found->incarnation = one.incarnation;
    one.core.reset();
    std::swap(one, *found);
    start(id);
    check(id);
}

raft::Member CoreCluster::newcomer(NodeId id) const {
    return {id, "host-" + std::to_string(id) + ":7000", disk_id(id), false};
}

bool CoreCluster::transfer(NodeId from, NodeId target) {
    return core(from).transfer_leadership(target);
}

void CoreCluster::collect(NodeId id) {
    Member& one = member(id);
    if (one.core == nullptr) {
        return;
    }
    one.core->take_ready(options_.overlapping_writes || one.writes.empty(), one.ready);
    for (const Message& message : one.ready.messages) {
        check_vouching(one, message);
        sent_.push_back(message);
        take_in(message);
    }
    if (one.ready.sequence != 0) {
        one.writes.push_back(
            {one.ready.sequence, one.ready.hard_state, std::nullopt, 0, one.ready.entries});
    }
    for (const Entry& entry : one.ready.committed) {
        REQUIRE(entry.index == one.applied.size() + 1);
        require(same(committed_.at(entry.index - 1), entry), "node ", id,
                " applied something else at ", entry.index);
        one.applied.push_back(entry);
    }
    one.reads.insert(one.reads.end(), one.ready.reads.begin(), one.ready.reads.end());
    check(id);
    handle_snapshots(id);
}

void CoreCluster::take_in(Message message) {
    const auto hits = [&](const std::vector<Predicate>& rules) {
        return std::any_of(rules.begin(), rules.end(),
                           [&](const Predicate& rule) { return rule(message); });
    };
    if (hits(drop_)) {
        return;
    }
    if (hits(hold_)) {
        held_.push_back(std::move(message));
    } else {
        in_transit_.push_back(std::move(message));
    }
}

void CoreCluster::hold_disk(NodeId id) {
    member(id).disk_held = true;
}
void CoreCluster::release_disk(NodeId id) {
    member(id).disk_held = false;
}
std::size_t CoreCluster::writes_under_way(NodeId id) const {
    return member(id).writes.size();
}

void CoreCluster::write(Member& one, const Write& batch) {
    if (batch.hard_state.has_value()) {
        REQUIRE(batch.hard_state->term >= one.disk_hard_state.term);
        one.disk_hard_state = *batch.hard_state;
    }
    if (batch.log_start.has_value()) {
        one.disk.clear();
        one.disk_first = *batch.log_start;
    }
    for (const Entry& entry : batch.entries) {
        REQUIRE(entry.index >= one.disk_first);
        REQUIRE(entry.index <= one.disk_first + one.disk.size());
        one.disk.resize(entry.index - one.disk_first);
        one.disk.push_back(entry);
    }
    while (one.disk_first < batch.release_to && !one.disk.empty()) {
        one.disk.erase(one.disk.begin());
        ++one.disk_first;
    }
}

bool CoreCluster::persist(NodeId id) {
    Member& one = member(id);
    if (one.core == nullptr || one.writes.empty()) {
        return false;
    }
    const Write batch = std::move(one.writes.front());
    one.writes.pop_front();
    write(one, batch);
    if (batch.sequence != 0) {
        one.core->persisted(batch.sequence);
        check(id);
    }
    return true;
}

void CoreCluster::drop_if(Predicate predicate) {
    drop_.push_back(std::move(predicate));
}
void CoreCluster::hold_if(Predicate predicate) {
    hold_.push_back(std::move(predicate));
}

void CoreCluster::cut(NodeId from, NodeId to) {
    drop_if([=](const Message& m) { return header_of(m).from == from && header_of(m).to == to; });
}

void CoreCluster::isolate(NodeId id) {
    drop_if([=](const Message& m) { return header_of(m).from == id || header_of(m).to == id; });
}

void CoreCluster::heal() {
    drop_.clear();
    hold_.clear();
}

void CoreCluster::release_held() {
    in_transit_.insert(in_transit_.end(), held_.begin(), held_.end());
    held_.clear();
}

void CoreCluster::forget_held() {
    held_.clear();
}

void CoreCluster::deliver(std::size_t position) {
    REQUIRE(position < in_transit_.size());
    const auto at = in_transit_.begin() + static_cast<std::ptrdiff_t>(position);
    Message message = std::move(*at);
    in_transit_.erase(at);
    if (is_up(header_of(message).to)) {
        step(std::move(message));
    }
}

bool CoreCluster::collect_and_persist() {
    bool moved = false;
    for (const NodeId id : ids()) {
        collect(id);
        moved = moved || (is_up(id) && core(id).has_more_committed());
        // What the driver makes of these it says in the next turn.
        const Ready& ready = member(id).ready;
        moved = moved ||
                (is_up(id) && (!ready.snapshots_wanted.empty() || !ready.snapshot_chunks.empty() ||
                               !ready.snapshot_replies.empty()));
        while (!member(id).disk_held && persist(id)) {
            moved = true;
        }
        while (!member(id).snapshots_held && persist_snapshot(id)) {
            moved = true;
        }
    }
    return moved;
}

void CoreCluster::settle() {
    for (int round = 0; round < settle_rounds_max; ++round) {
        const bool moved = collect_and_persist();
        if (!moved && in_transit_.empty()) {
            return;
        }
        for (std::size_t count = in_transit_.size(); count > 0; --count) {
            deliver(0);
        }
    }
    FAIL("the cluster does not come to rest");
}

void CoreCluster::run(int ticks) {
    for (int i = 0; i < ticks; ++i) {
        for (const NodeId id : ids()) {
            if (is_up(id)) {
                tick(id);
            }
        }
        settle();
    }
}

bool CoreCluster::elect(NodeId id) {
    settle();
    // Nobody hears anybody until every lease has lapsed. Who begins to campaign does so in vain.
    std::vector<Predicate> rules = drop_;
    drop_.push_back([](const Message&) { return true; });
    const int timeout = options_.core.election_timeout_ticks;
    for (const NodeId other : ids()) {
        if (is_up(other) && !core(other).is_leader()) {
            tick(other, timeout);
        }
        collect(other);
    }
    drop_ = std::move(rules);
    for (int i = 0; i < 2 * timeout && !core(id).is_leader(); ++i) {
        tick(id);
        settle();
    }
    return core(id).is_leader();
}

std::size_t CoreCluster::count_sent(const Predicate& predicate) const {
    return static_cast<std::size_t>(std::count_if(sent_.begin(), sent_.end(), predicate));
}

std::vector<std::string> CoreCluster::applied_commands(NodeId id) const {
    std::vector<std::string> commands;
    for (const Entry& entry : applied(id)) {
        if (entry.kind == EntryKind::command) {
            commands.emplace_back(entry.payload.view());
        }
    }
    return commands;
}

const ReadState* CoreCluster::read(NodeId id, ReadId read_id) const {
    for (const ReadState& state : reads(id)) {
        if (state.read_id == read_id) {
            return &state;
        }
    }
    return nullptr;
}

}  // namespace cairn::raft::testing
