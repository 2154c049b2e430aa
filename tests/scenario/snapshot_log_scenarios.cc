// Snapshots and the follower's log: which are taken, what they leave of the log, and what a crash
// makes of both (paper §7, figure 13).

#include <algorithm>
#include <memory>

#include <doctest/doctest.h>

#include "tests/scenario/snapshot_helpers.h"

namespace {

using namespace cairn::raft;
using namespace cairn::raft::testing;

// ---- What is behind, or not as it should be

TEST_CASE("snapshot: one of what is committed already is not taken, but answered") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    propose(cluster, 1, 5);
    const std::vector<Entry> state = cluster.applied(2);
    REQUIRE(state.size() == 6);
    for (const std::size_t size : {std::size_t{6}, std::size_t{3}}) {
        cluster.clear_sent();
        cluster.step(whole(1, 2, 1, {state.begin(), state.begin() + static_cast<int>(size)}));
        cluster.collect(2);
        CHECK(cluster.installed_count(2) == 0);
        CHECK(cluster.snapshot_index(2) == 0);
        CHECK_FALSE(last_reply(cluster).rejected);
        CHECK(last_reply(cluster).match_index == 6);
        CHECK(cluster.core(2).log().first_index() == 1);
    }
    // It was not committed yet when the chunk came, but is when it is durable.
    bool replaced = true;
    CHECK_FALSE(cluster.core(2).installed({4, 1, 0}, configuration_of({1, 2, 3}), replaced));
    CHECK_FALSE(replaced);
    CHECK(cluster.core(2).log().first_index() == 1);
    CHECK(cluster.core(2).statistics().rejected_messages == 0);
}

TEST_CASE("snapshot: one from a deposed leader is refused, with the term that deposed it") {
    CoreCluster cluster;
    const std::vector<Entry> state = entries_of_terms({1, 1, 1});
    cluster.start_from(1, {1, 0}, state, {});
    cluster.step(append(3, 2, 2, 0, 0, {}));
    cluster.settle();
    cluster.clear_sent();
    cluster.step(whole(1, 2, 1, state));
    cluster.collect(2);
    CHECK(cluster.installed_count(2) == 0);
    CHECK(cluster.core(2).leader_id() == 3);
    CHECK(last_reply(cluster).rejected);
    CHECK(last_reply(cluster).header.term == 2);
    CHECK(last_reply(cluster).header.to == 1);
}

TEST_CASE("snapshot: entries that lie inside one, or begin inside and go beyond") {
    CoreCluster cluster;
    const auto entries = [](std::vector<Index> indexes) {
        std::vector<Entry> some;
        for (const Index index : indexes) {
            some.push_back(make_entry(index, 2));
            some.back().stamp_ns = 100;
        }
        return some;
    };
    std::vector<Entry> state = entries({1, 2, 3, 4});
    cluster.start_from(2, {2, 0}, state, entries({5}));
    cluster.clear_sent();
    const std::uint64_t truncations = cluster.core(2).statistics().truncations;
    AppendEntries message = append(1, 2, 2, 1, 2, entries({2, 3}));
    Index last = 5;
    bool accepted = true;
    SUBCASE("inside") {}
    SUBCASE("up to its end") {
        message.entries = entries({2, 3, 4});
    }
    SUBCASE("a heartbeat inside") {
        message.entries.clear();
    }
    SUBCASE("from its end on") {
        message = append(1, 2, 2, 4, 2, entries({5, 6}));
        last = 6;
    }
    SUBCASE("from before its end, beyond ours") {
        message.entries = entries({2, 3, 4, 5, 6, 7});
        last = 7;
    }
    SUBCASE("another term at its end") {
        message = append(1, 2, 2, 3, 1, entries({4, 5, 6}));
        message.entries[0].term = 1;
        accepted = false;
    }
    SUBCASE("terms before the snapshot's") {
        message = append(1, 2, 2, 1, 1, entries({2, 3, 4, 5, 6}));
        for (Entry& entry : message.entries) {
            entry.term = 1;
        }
        accepted = false;
    }
    SUBCASE("stamps before the snapshot's") {
        cluster.start_from(2, {2, 0}, state, {});
        last = 4;
        message = append(1, 2, 2, 4, 2, entries({5}));
        message.entries[0].stamp_ns = 99;
        accepted = false;
    }
    SUBCASE("stamps before the snapshot's, beginning inside") {
        cluster.start_from(2, {2, 0}, state, {});
        last = 4;
        message.entries = entries({2, 3, 4, 5});
        for (Entry& entry : message.entries) {
            entry.stamp_ns = 99;
        }
        accepted = false;
    }
    cluster.step(message);
    cluster.collect(2);
    while (cluster.persist(2)) {
        cluster.collect(2);
    }
    CHECK(cluster.core(2).log().last_index() == last);
    CHECK(cluster.core(2).log().base().index == 4);
    CHECK(cluster.core(2).statistics().truncations == truncations);
    CHECK(cluster.core(2).statistics().rejected_messages == (accepted ? 0 : 1));
    if (accepted) {
        CHECK_FALSE(last_reply(cluster).rejected);
        const Index covered = message.prev_log_index + message.entries.size();
        CHECK(last_reply(cluster).match_index == std::max<Index>(covered, 4));
    }
}

TEST_CASE("snapshot: malformed ones are ignored and counted") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.core(1).set_clock(100);
    propose(cluster, 1, 2);
    Core& node = cluster.core(2);
    REQUIRE(node.commit_index() == 3);
    InstallSnapshot message = whole(1, 2, 1, entries_of_terms({1, 1, 1, 1, 1}));
    message.last_included.stamp_ns = 100;
    constexpr std::uint64_t huge = ~std::uint64_t{0};

    SUBCASE("of no term") {
        message.last_included.term = 0;
    }
    SUBCASE("of a future term") {
        message.last_included.term = 2;
    }
    SUBCASE("of nothing") {
        message.last_included.index = 0;
    }
    SUBCASE("of an index out of which nothing could be counted") {
        message.last_included.index = huge;
    }
    SUBCASE("of another term than what is committed there") {
        message.header.term = 2;
        message.last_included = {3, 2, 100};
    }
    SUBCASE("of a time before what is committed") {
        message.last_included.stamp_ns = 99;
    }
    SUBCASE("no voters") {
        message.configuration = {};
    }
    SUBCASE("too many voters") {
        for (NodeId id = 4; id <= voters_max + 1; ++id) {
            message.configuration.voters.push_back(id);
        }
    }
    SUBCASE("too many outgoing voters") {
        for (NodeId id = 1; id <= voters_max + 1; ++id) {
            message.configuration.outgoing_voters.push_back(id);
        }
    }
    SUBCASE("a voter twice") {
        message.configuration.voters = {1, 2, 2, 3};
    }
    SUBCASE("voters out of order") {
        message.configuration.voters = {2, 1, 3};
    }
    SUBCASE("nobody as a voter") {
        message.configuration.voters = {0, 1, 2, 3};
    }
    SUBCASE("a learner who votes") {
        message.configuration.learners = {3};
    }
    SUBCASE("an offset beyond the content") {
        message.offset = message.content_bytes + 1;
        message.data = {};
    }
    SUBCASE("a chunk beyond the content") {
        message.offset = 1;
    }
    SUBCASE("an offset that wraps around") {
        message.offset = huge - 1;
    }
    SUBCASE("a chunk of an empty content") {
        message.content_bytes = 0;
    }
    SUBCASE("from another than the leader") {
        message.header.from = 3;
    }
    SUBCASE("from a stranger") {
        message.header.from = 9;
    }
    const std::uint64_t before = node.statistics().rejected_messages;
    node.step(message);
    CHECK(node.statistics().rejected_messages == before + 1);
    cluster.collect(2);
    CHECK(cluster.installed_count(2) == 0);
    CHECK(cluster.snapshot_index(2) == 0);
    CHECK(node.log().first_index() == 1);
    CHECK(node.commit_index() == 3);
}

TEST_CASE("snapshot: one of a term before what is committed is ignored and counted") {
    Core node(small_options(), CoreStart{{}, configuration_of({1, 2, 3}), {1, 0}, {}});
    AppendEntries message = append(2, 1, 3, 0, 0, entries_of_terms({1, 3}));
    message.leader_commit = 2;
    node.step(message);
    REQUIRE(node.commit_index() == 2);
    node.step(whole(2, 1, 3, entries_of_terms({1, 1, 2})));
    CHECK(node.statistics().rejected_messages == 1);
    node.step(whole(2, 1, 3, entries_of_terms({1, 3, 3})));
    CHECK(node.statistics().rejected_messages == 1);
}

TEST_CASE("snapshot: answers that make no sense move nothing") {
    CoreCluster cluster;
    leave_behind(cluster, 5);
    cluster.drop_if(is_a<InstallSnapshot>);
    cluster.run(2);
    Core& node = cluster.core(1);
    for (const std::uint64_t number : {std::uint64_t{0}, std::uint64_t{6}, ~std::uint64_t{0}}) {
        for (const NodeId from : {2, 3}) {
            node.step(InstallSnapshotReply{{1, from, 1, 1}, number, number});
            cluster.step(InstallSnapshotReply{{1, from, 1, 1}, 6, number});
            cluster.collect(1);
            CHECK(progress_of(cluster, 1, 2).state == Progress::State::replicate);
            CHECK(progress_of(cluster, 1, 3).state == Progress::State::snapshot);
            CHECK(progress_of(cluster, 1, 3).match_index == 1);
        }
    }
    cluster.step(InstallSnapshotReply{{1, 3, 2, 1}, 6, 6});  // to one that doesn't lead
    cluster.heal();
    cluster.run(30);
    check_equal(cluster);
}

// ---- What becomes of the follower's log

TEST_CASE("snapshot: what follows an entry that matches it stays") {
    CoreCluster cluster;
    const std::vector<Entry> state = entries_of_terms({1, 1, 1});
    cluster.start_from(1, {2, 0}, state, {});
    cluster.start_from(3, {2, 0}, entries_of_terms({1, 1, 1, 2, 2}));
    cluster.step(whole(1, 3, 2, state));
    cluster.clear_sent();
    cluster.settle();
    const Log& log = cluster.core(3).log();
    CHECK(cluster.installed_count(3) == 1);
    CHECK(log.base() == LogPosition{3, 1, 0});
    CHECK(terms_of(log) == std::vector<Term>{2, 2});
    CHECK(log.stable_index() == 5);
    CHECK(cluster.core(3).commit_index() == 3);
    CHECK(last_reply(cluster).match_index == 3);  // the rest need not be the leader's
    cluster.crash(3);
    cluster.restart(3);
    CHECK(terms_of(cluster.core(3).log()) == std::vector<Term>{2, 2});
    CHECK(cluster.applied(3).size() == 3);
}

// The log of node 3 conflicts with the snapshot, and its writes are still under way.
struct Conflict {
    Conflict() {
        ClusterOptions options;
        options.overlapping_writes = true;
        cluster = std::make_unique<CoreCluster>(options);
        cluster->start_from(1, {3, 0}, state, {});
        cluster->hold_disk(3);
        cluster->step(append(2, 3, 2, 0, 0, entries_of_terms({2, 2, 2, 2, 2, 2})));
        cluster->collect(3);
        REQUIRE(cluster->writes_under_way(3) == 1);
        cluster->step(whole(1, 3, 3, state));
        cluster->collect(3);
        REQUIRE(cluster->installed_count(3) == 1);
        REQUIRE(cluster->core(3).log().base() == LogPosition{4, 3, 0});
        REQUIRE(cluster->core(3).log().last_index() == 4);
        cluster->clear_sent();
    }
    std::vector<Entry> state = entries_of_terms({1, 1, 3, 3});
    std::unique_ptr<CoreCluster> cluster;
};

TEST_CASE(
    "snapshot: a log that conflicts is lost, and what was being written of it counts for none") {
    Conflict conflict;
    CoreCluster& cluster = *conflict.cluster;
    cluster.step(append(1, 3, 3, 4, 3, {make_entry(5, 3), make_entry(6, 3)}));
    cluster.collect(3);
    REQUIRE(cluster.writes_under_way(3) >= 3);  // the old entries, the new begin, the new entries
    REQUIRE(cluster.persist(3));
    cluster.collect(3);
    CHECK(cluster.disk(3).size() == 6);  // all of the old log
    CHECK(cluster.core(3).log().stable_index() == 4);
    CHECK(cluster.core(3).log().last_index() == 6);
    while (cluster.persist(3)) {
        cluster.collect(3);
    }
    CHECK(cluster.core(3).log().stable_index() == 6);
    REQUIRE(cluster.disk(3).size() == 2);
    CHECK(cluster.disk(3)[0].term == 3);
    Index acknowledged = 0;
    for (const Message& message : cluster.sent()) {
        if (const auto* reply = std::get_if<AppendEntriesReply>(&message)) {
            CHECK((reply->header.term < 3 || reply->match_index == 4 || reply->match_index == 6));
            acknowledged = reply->match_index;
        }
    }
    CHECK(acknowledged == 6);
}

TEST_CASE("snapshot: a crash before the old log is given up on disk does not bring it back") {
    Conflict conflict;
    CoreCluster& cluster = *conflict.cluster;
    std::size_t written = 0;
    SUBCASE("nothing written") {}
    SUBCASE("the old log written") {
        written = 1;
    }
    SUBCASE("the new begin too") {
        written = 2;
    }
    cluster.crash(3, written);
    cluster.release_disk(3);
    cluster.restart(3);
    CHECK(cluster.core(3).log().base() == LogPosition{4, 3, 0});
    CHECK(cluster.core(3).log().last_index() == 4);
    CHECK(cluster.core(3).term() >= 3);  // the snapshot vouches for it, if nothing else does
    CHECK(cluster.applied(3).size() == 4);
    cluster.step(append(1, 3, 3, 4, 3, {make_entry(5, 3)}));
    cluster.settle();
    REQUIRE(cluster.disk(3).size() == 1);
    CHECK(cluster.disk(3)[0].term == 3);
}

TEST_CASE("snapshot: a log that matches but is not durable yet is given up and comes again") {
    CoreCluster cluster;
    const std::vector<Entry> state = entries_of_terms({1, 1, 1, 1, 1});
    cluster.start_from(1, {1, 0}, state, {});
    cluster.step(append(1, 3, 1, 0, 0, {}));
    cluster.settle();
    cluster.hold_disk(3);
    cluster.step(append(1, 3, 1, 0, 0, entries_of_terms(std::vector<Term>(9, 1))));
    cluster.collect(3);
    cluster.step(whole(1, 3, 1, state));
    cluster.collect(3);
    const Log& log = cluster.core(3).log();
    REQUIRE(cluster.installed_count(3) == 1);
    CHECK(log.base().index == 5);
    // What had matched beyond it is not here any more: nothing commits, or vouches for, that.
    AppendEntries heartbeat = append(1, 3, 1, 5, 1, {});
    heartbeat.leader_commit = 8;
    cluster.step(heartbeat);
    CHECK(cluster.core(3).commit_index() <= log.last_index());
    cluster.collect(3);
    CHECK(last_reply(cluster).match_index == 5);
    cluster.release_disk(3);
    cluster.collect(3);
    while (cluster.persist(3)) {
        cluster.collect(3);
    }
    CHECK(log.stable_index() == log.last_index());
}

// A node asks for votes with entries that are not durable, as it may, gives them up for a snapshot,
// and is elected for what it had: it must not lead without them, since they may be committed.
TEST_CASE("snapshot: a candidate that gives up its log for one does not win with the old one") {
    CoreOptions options = small_options();
    options.persist_bytes_max = 1;
    Core node(options, CoreStart{{}, configuration_of({1, 2, 3}), {1, 0}, {}});
    node.step(append(2, 1, 1, 0, 0, entries_of_terms(std::vector<Term>(9, 1))));
    for (int i = 0; i < 2 * options.election_timeout_ticks; ++i) {
        node.tick();
    }
    node.step(RequestVoteReply{{1, 2, 1, 2}, true, true});
    REQUIRE(node.role() == RoleName::candidate);
    Ready ready;
    node.take_ready(true, ready);  // term and vote, and one entry
    node.persisted(ready.sequence);
    node.take_ready(false, ready);
    REQUIRE(std::count_if(ready.messages.begin(), ready.messages.end(), [](const Message& m) {
                const auto* vote = std::get_if<RequestVote>(&m);
                return vote != nullptr && !vote->pre_vote && vote->last_log_index == 9;
            }) == 2);
    bool replaced = false;
    REQUIRE(node.installed({5, 1, 0}, configuration_of({1, 2, 3}), replaced));
    CHECK(replaced);
    node.step(RequestVoteReply{{1, 2, 1, 2}, false, true});
    CHECK_FALSE(node.is_leader());
    CHECK(node.term() == 2);
}

TEST_CASE("snapshot: a leader takes none, it has what another's includes") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.cut(2, 1);
    cluster.cut(3, 1);
    cluster.propose(1, "a");
    cluster.settle();
    REQUIRE(cluster.core(1).commit_index() == 1);
    bool replaced = true;
    CHECK_FALSE(cluster.core(1).installed({2, 1, 0}, configuration_of({1, 2, 3}), replaced));
    CHECK_FALSE(replaced);
    CHECK(cluster.core(1).is_leader());
    CHECK(cluster.core(1).commit_index() == 1);
    CHECK(cluster.core(1).log().last_index() == 2);
}

TEST_CASE("snapshot: restart from one, with and without a log behind it") {
    CoreCluster cluster;
    leave_behind(cluster, 5);
    cluster.take_snapshot(2);
    Index kept = 0;
    SUBCASE("no log at all") {}
    SUBCASE("a log that begins before it") {
        kept = 3;
    }
    cluster.compact(2, kept);
    std::size_t more = 0;
    SUBCASE("nothing behind it") {}
    SUBCASE("entries behind it") {
        more = 2;
    }
    cluster.isolate(3);
    propose(cluster, 1, static_cast<int>(more));
    cluster.run(2);
    for (const NodeId id : {1, 2}) {
        const Log before = cluster.core(id).log();
        cluster.crash(id);
        cluster.restart(id);
        const Log& log = cluster.core(id).log();
        CHECK(log.base().index == 6);
        CHECK(log.last_index() == before.last_index());
        CHECK(log.last_index() == 6 + more);
        CHECK(log.stable_index() == log.last_index());
        CHECK(cluster.core(id).commit_index() == 6);
        CHECK(cluster.applied(id).size() == 6);
    }
    cluster.heal();
    REQUIRE(cluster.elect(2));
    CHECK(cluster.propose(2, "after").error == ProposeError::none);
    cluster.run(4);
    check_equal(cluster);
}

TEST_CASE("snapshot: what is neither durable nor handed out is not given up") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    propose(cluster, 1, 2);
    cluster.hold_disk(2);
    propose(cluster, 1, 2);
    CHECK(cluster.core(2).commit_index() == 5);
    CHECK(cluster.core(2).log().stable_index() == 3);
    cluster.hold_snapshots(2);
    cluster.take_snapshot(2);
    CHECK(cluster.compact(2) == 1);  // not durable yet
    REQUIRE(cluster.persist_snapshot(2));
    CHECK(cluster.compact(2) == 4);  // the log lags behind its snapshot
    cluster.release_disk(2);
    cluster.settle();
    CHECK(cluster.compact(2) == 6);
    Core applied_too_little = cluster.core(1);
    CHECK(applied_too_little.compact(100) == 6);
    // Also when the log on disk ends before the snapshot.
    cluster.hold_disk(3);
    propose(cluster, 1, 3);
    cluster.take_snapshot(3);
    cluster.crash(3);
    cluster.release_disk(3);
    cluster.restart(3);
    CHECK(cluster.core(3).log().base().index == 8);
    CHECK(cluster.core(3).log().last_index() == 8);
    propose(cluster, 1, 1);
    cluster.run(2);
    check_equal(cluster);
}

TEST_CASE("snapshot: a configuration behind an entry that matches it stays in force") {
    ClusterOptions options;
    options.nodes = 4;
    options.founders = 3;
    CoreCluster cluster(options);
    REQUIRE(cluster.elect(1));
    // 2 has it all and doesn't hear that it is committed.
    cluster.hold_if([](const Message& m) {
        const auto* append = std::get_if<AppendEntries>(&m);
        return append != nullptr && append->header.to == 2 && append->entries.empty();
    });
    cluster.propose(1, "a");
    Member learner = cluster.newcomer(4);
    learner.stays_learner = true;
    REQUIRE(cluster.change(1, plan_addition(cluster.core(1).configuration(), learner)).error ==
            ChangeError::none);
    const Index change = cluster.core(1).log().last_index();
    cluster.settle();
    REQUIRE(cluster.core(2).configuration().is_learner(4));
    REQUIRE(cluster.core(2).commit_index() < change - 1);
    std::vector<Entry> before = cluster.applied(1);
    before.resize(change - 1);
    cluster.step(whole(1, 2, cluster.core(1).term(), before));
    cluster.settle();
    CHECK(cluster.installed_count(2) == 1);
    CHECK(cluster.core(2).log().base().index == change - 1);
    CHECK(cluster.core(2).configuration().is_learner(4));
    CHECK_FALSE(cluster.core(2).committed_configuration().contains(4));
}

}  // namespace
