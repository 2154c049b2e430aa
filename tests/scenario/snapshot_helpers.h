// What the scenarios of snapshots share: how a member is left behind, and messages made by hand.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/core_cluster.h"

namespace cairn::raft::testing {

inline const Progress& progress_of(CoreCluster& cluster, NodeId leader, NodeId member) {
    const auto all = cluster.core(leader).progress();
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const Progress& one) { return one.id == member; });
    REQUIRE(found != all.end());
    return *found;
}

inline void propose(CoreCluster& cluster, NodeId leader, int count) {
    for (int i = 0; i < count; ++i) {
        REQUIRE(cluster.propose(leader, std::to_string(i)).error == ProposeError::none);
        cluster.settle();
    }
}

// Node 1 leads; node 3 misses `count` entries, which the leader's log has no more.
inline void leave_behind(CoreCluster& cluster, int count) {
    REQUIRE(cluster.elect(1));
    cluster.isolate(3);
    propose(cluster, 1, count);
    cluster.heal();
    cluster.take_snapshot(1);
    cluster.compact(1);
    REQUIRE(progress_of(cluster, 1, 3).match_index < cluster.core(1).log().base().index);
}

inline void check_equal(CoreCluster& cluster) {
    for (const NodeId id : cluster.ids()) {
        CHECK(cluster.applied(id).size() == cluster.committed().size());
    }
}

// What node `from`, leader of `term`, sends of a snapshot whose content is one chunk.
inline InstallSnapshot whole(NodeId from, NodeId to, Term term, const std::vector<Entry>& entries) {
    const Snapshot snapshot = snapshot_of(entries);
    InstallSnapshot message;
    message.header = {1, from, to, term};
    message.last_included = snapshot.last_included;
    message.configuration = configuration_of({1, 2, 3});
    message.content_bytes = snapshot.bytes->size();
    message.data = Payload::copy_of(*snapshot.bytes);
    return message;
}

inline AppendEntries append(NodeId from, NodeId to, Term term, Index prev, Term prev_term,
                            std::vector<Entry> entries) {
    AppendEntries message;
    message.header = {1, from, to, term};
    message.prev_log_index = prev;
    message.prev_log_term = prev_term;
    message.entries = std::move(entries);
    return message;
}

inline const AppendEntriesReply& last_reply(const CoreCluster& cluster) {
    const auto found = std::find_if(cluster.sent().rbegin(), cluster.sent().rend(),
                                    [](const Message& m) { return is_a<AppendEntriesReply>(m); });
    REQUIRE(found != cluster.sent().rend());
    return std::get<AppendEntriesReply>(*found);
}

}  // namespace cairn::raft::testing
