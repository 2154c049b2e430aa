// CoreCluster's snapshots: the driver's part of InstallSnapshot, as simple as it can be.

#include <algorithm>
#include <cstring>

#include "tests/support/core_cluster.h"
#include "tests/support/require.h"

namespace cairn::raft::testing {

namespace {

template <class T>
void put(std::string& bytes, T value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <class T>
T get(std::string_view& bytes) {
    T value{};
    require(bytes.size() >= sizeof value, "a snapshot that is not whole");
    std::memcpy(&value, bytes.data(), sizeof value);
    bytes.remove_prefix(sizeof value);
    return value;
}

LogPosition position_of(const Entry& entry) {
    return {entry.index, entry.term, entry.stamp_ns};
}

}  // namespace

Snapshot snapshot_of(const std::vector<Entry>& entries) {
    std::string bytes;
    for (const Entry& entry : entries) {
        put(bytes, entry.term);
        put(bytes, entry.stamp_ns);
        put(bytes, entry.kind);
        put(bytes, entry.payload.size());
        bytes += entry.payload.view();
    }
    return {position_of(entries.back()), std::make_shared<const std::string>(std::move(bytes))};
}

std::vector<Entry> state_of(const Snapshot& snapshot) {
    std::vector<Entry> entries;
    if (snapshot.bytes == nullptr) {
        return entries;
    }
    std::string_view bytes = *snapshot.bytes;
    while (!bytes.empty()) {
        Entry entry;
        entry.index = entries.size() + 1;
        entry.term = get<Term>(bytes);
        entry.stamp_ns = get<std::int64_t>(bytes);
        entry.kind = get<EntryKind>(bytes);
        const auto size = get<std::size_t>(bytes);
        require(bytes.size() >= size, "a snapshot that is not whole");
        entry.payload = Payload::copy_of(bytes.substr(0, size));
        bytes.remove_prefix(size);
        entries.push_back(std::move(entry));
    }
    return entries;
}

const Entry* CoreCluster::on_disk(const Member& one, Index index) {
    const bool there = index >= one.disk_first && index - one.disk_first < one.disk.size();
    return there ? &one.disk[index - one.disk_first] : nullptr;
}

// What a node may go on with after its newest snapshot. A crash can come between a leader's
// snapshot and the replacement of the log that it contradicts.
std::vector<Entry> CoreCluster::recover_log(Member& one) {
    const LogPosition& base = one.snapshot.last_included;
    const Entry* at_base = on_disk(one, base.index);
    const bool goes_on =
        one.disk_first == base.index + 1 || (at_base != nullptr && at_base->term == base.term);
    if (!goes_on) {
        one.disk.clear();
        one.disk_first = base.index + 1;
    }
    const auto skipped = static_cast<std::ptrdiff_t>(base.index + 1 - one.disk_first);
    return {one.disk.begin() + skipped, one.disk.end()};
}

Index CoreCluster::take_snapshot(NodeId id) {
    Member& one = member(id);
    if (one.applied.empty()) {
        return 0;
    }
    one.snapshot_writes.push_back({snapshot_of(one.applied), false});
    if (!one.snapshots_held) {
        while (persist_snapshot(id)) {
        }
    }
    return one.applied.back().index;
}

Index CoreCluster::compact(NodeId id, Index kept) {
    Member& one = member(id);
    const Index included = one.snapshot.last_included.index;
    const Index first = core(id).compact(included - std::min(included, kept));
    one.writes.push_back({0, std::nullopt, std::nullopt, first, {}});
    check(id);
    return first;
}

void CoreCluster::hold_snapshots(NodeId id) {
    member(id).snapshots_held = true;
}
void CoreCluster::release_snapshots(NodeId id) {
    member(id).snapshots_held = false;
}
Index CoreCluster::snapshot_index(NodeId id) const {
    return member(id).snapshot.last_included.index;
}
bool CoreCluster::sends_snapshot(NodeId from, NodeId to) const {
    return member(from).outgoing.contains(to);
}
const std::vector<NodeId>& CoreCluster::snapshots_wanted(NodeId id) const {
    return member(id).snapshots_wanted;
}

std::uint64_t CoreCluster::installed_count(NodeId id) const {
    return member(id).installed_count;
}

bool CoreCluster::persist_snapshot(NodeId id) {
    Member& one = member(id);
    if (one.core == nullptr || one.snapshot_writes.empty()) {
        return false;
    }
    const SnapshotWrite written = std::move(one.snapshot_writes.front());
    one.snapshot_writes.pop_front();
    if (written.snapshot.last_included.index > one.snapshot.last_included.index) {
        one.snapshot = written.snapshot;
    }
    if (written.received) {
        install(id, written.snapshot);
    }
    return true;
}

void CoreCluster::install(NodeId id, const Snapshot& snapshot) {
    Member& one = member(id);
    const LogPosition& included = snapshot.last_included;
    bool log_replaced = false;
    const bool leads = one.core->is_leader();
    const bool wanted = included.index > one.core->commit_index() && !leads;
    const bool installed =
        one.core->installed(included, configuration_behind(snapshot, one), log_replaced);
    require(installed == wanted, "node ", id, " and its snapshot of ", included.index);
    require(installed || !log_replaced, "node ", id, " gave up its log for nothing");
    if (installed) {
        ++one.installed_count;
        one.applied = state_of(snapshot);
        require(one.applied.size() == included.index, "a snapshot of another index");
        for (const Entry& entry : one.applied) {
            require(same(committed_.at(entry.index - 1), entry), "node ", id,
                    " installed something else at ", entry.index);
        }
        const Index first = one.core->log().first_index();
        require(first == included.index + 1, "node ", id, " has not gone on after its snapshot");
        if (log_replaced) {
            one.writes.push_back({0, std::nullopt, first, 0, {}});
        } else {
            one.writes.push_back({0, std::nullopt, std::nullopt, first, {}});
        }
    }
    check(id);
}

// What the core asked for in this turn.
void CoreCluster::handle_snapshots(NodeId id) {
    const Ready& ready = member(id).ready;
    for (const NodeId peer : ready.snapshots_wanted) {
        begin_sending(id, peer);
    }
    for (const InstallSnapshot& chunk : ready.snapshot_chunks) {
        on_chunk(id, chunk);
    }
    for (const InstallSnapshotReply& reply : ready.snapshot_replies) {
        on_snapshot_reply(id, reply);
    }
}

void CoreCluster::begin_sending(NodeId id, NodeId to) {
    Member& one = member(id);
    require(one.core->is_leader(), "node ", id, " wants to send a snapshot and doesn't lead");
    require(one.snapshot.last_included.index >= one.core->log().base().index, "node ", id,
            " has no snapshot that reaches its log");
    one.snapshots_wanted.push_back(to);
    require(!one.outgoing.contains(to), "node ", id, " is asked for a snapshot for ", to,
            " while one is under way");
    one.outgoing.emplace(to, Outgoing{one.snapshot, 0, 0, 0});
    send_chunk(id, to);
}

void CoreCluster::send_chunk(NodeId id, NodeId to) {
    Member& one = member(id);
    const Outgoing& outgoing = one.outgoing.at(to);
    const std::string_view rest =
        std::string_view(*outgoing.snapshot.bytes).substr(outgoing.offset);
    InstallSnapshot chunk;
    chunk.last_included = outgoing.snapshot.last_included;
    chunk.configuration = configuration_behind(outgoing.snapshot, one);
    chunk.content_bytes = outgoing.snapshot.bytes->size();
    chunk.offset = outgoing.offset;
    chunk.data = Payload::copy_of(rest.substr(0, options_.snapshot_chunk_bytes));
    if (!one.core->send_snapshot_chunk(to, std::move(chunk))) {
        one.outgoing.erase(to);  // it has caught up since it was named
    }
}

void CoreCluster::on_snapshot_reply(NodeId id, const InstallSnapshotReply& reply) {
    const auto found = member(id).outgoing.find(reply.header.from);
    if (found == member(id).outgoing.end()) {
        return;
    }
    Outgoing& outgoing = found->second;
    const bool sound = reply.last_included_index == outgoing.snapshot.last_included.index &&
                       reply.next_offset <= outgoing.snapshot.bytes->size();
    if (!sound || reply.next_offset == outgoing.offset) {
        return;
    }
    outgoing.offset = reply.next_offset;
    outgoing.idle_ticks = 0;
    outgoing.silent_ticks = 0;
    if (outgoing.offset < outgoing.snapshot.bytes->size()) {
        send_chunk(id, reply.header.from);
    }
}

void CoreCluster::on_chunk(NodeId id, const InstallSnapshot& chunk) {
    Member& one = member(id);
    if (!one.incoming.has_value() || one.incoming->last_included != chunk.last_included ||
        one.incoming->content_bytes != chunk.content_bytes) {
        one.incoming = Incoming{chunk.last_included, chunk.content_bytes, {}};
    }
    Incoming& incoming = *one.incoming;
    if (chunk.offset == incoming.bytes.size() && chunk.data.size() > 0) {
        incoming.bytes += chunk.data.view();
        if (incoming.bytes.size() == incoming.content_bytes) {
            one.snapshot_writes.push_back(
                {{incoming.last_included, std::make_shared<const std::string>(incoming.bytes)},
                 true});
        }
    }
    core(id).snapshot_received(incoming.last_included.index, incoming.bytes.size());
    if (!one.snapshots_held) {
        while (persist_snapshot(id)) {
        }
    }
}

void CoreCluster::resend_snapshot(NodeId from, NodeId to) {
    require(sends_snapshot(from, to), "node ", from, " sends no snapshot to ", to);
    send_chunk(from, to);
    check(from);
}

void CoreCluster::give_up_snapshot(NodeId from, NodeId to) {
    require(member(from).outgoing.erase(to) == 1, "node ", from, " sends no snapshot to ", to);
    core(from).snapshot_failed(to);
    check(from);
}

// A transfer ends when its member needs no snapshot any more, or its sender doesn't lead.
void CoreCluster::drop_ended_transfers(Member& one) {
    const auto progress = one.core->progress();
    std::erase_if(one.outgoing, [&](const auto& outgoing) {
        return std::none_of(progress.begin(), progress.end(), [&](const Progress& its) {
            return its.id == outgoing.first && its.state == Progress::State::snapshot;
        });
    });
}

void CoreCluster::tick_senders(NodeId id) {
    std::vector<NodeId> repeated;
    std::vector<NodeId> given_up;
    for (auto& [to, outgoing] : member(id).outgoing) {
        ++outgoing.silent_ticks;
        if (outgoing.silent_ticks >= options_.snapshot_give_up_ticks) {
            given_up.push_back(to);
        } else if (++outgoing.idle_ticks >= options_.snapshot_resend_ticks) {
            outgoing.idle_ticks = 0;
            repeated.push_back(to);
        }
    }
    for (const NodeId to : repeated) {
        resend_snapshot(id, to);
    }
    for (const NodeId to : given_up) {
        give_up_snapshot(id, to);
    }
}

}  // namespace cairn::raft::testing
