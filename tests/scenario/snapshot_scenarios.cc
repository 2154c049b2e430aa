// Snapshots between nodes: who needs one, what becomes of it when messages, disks and leaders fail,
// and how the log goes on after it (paper §7, thesis chapter 5).

#include <algorithm>

#include <doctest/doctest.h>

#include "raft/core/random.h"
#include "tests/scenario/snapshot_helpers.h"

namespace {

using namespace cairn::raft;
using namespace cairn::raft::testing;

using Ids = std::vector<NodeId>;

// ---- Getting one

TEST_CASE("snapshot: a member is restored by one and goes on from the log") {
    CoreCluster cluster;
    leave_behind(cluster, 10);
    cluster.hold_if(is_a<InstallSnapshot>);
    cluster.run(2);
    CHECK(progress_of(cluster, 1, 3).state == Progress::State::snapshot);
    CHECK(cluster.sends_snapshot(1, 3));
    propose(cluster, 1, 3);  // while it is on its way
    cluster.heal();
    cluster.release_held();
    cluster.settle();
    CHECK(progress_of(cluster, 1, 3).state == Progress::State::replicate);
    CHECK(progress_of(cluster, 1, 3).match_index == 14);
    CHECK(cluster.core(3).log().base().index == 11);
    CHECK(terms_of(cluster.core(3).log()) == std::vector<Term>{1, 1, 1});
    CHECK(cluster.snapshot_index(3) == 11);
    CHECK(cluster.snapshots_wanted(1) == Ids{3});
    CHECK_FALSE(cluster.sends_snapshot(1, 3));
    check_equal(cluster);
}

TEST_CASE("snapshot: one that a newer has followed meanwhile does, when the log reaches it") {
    CoreCluster cluster;
    leave_behind(cluster, 10);
    cluster.hold_if(is_a<InstallSnapshot>);
    cluster.run(2);
    propose(cluster, 1, 5);
    cluster.take_snapshot(1);
    CHECK(cluster.compact(1, 5) == 12);  // of 16, five are kept
    cluster.heal();
    cluster.release_held();
    cluster.settle();
    CHECK(cluster.core(3).log().base().index == 11);
    CHECK(cluster.snapshots_wanted(1) == Ids{3});
    CHECK(progress_of(cluster, 1, 3).state == Progress::State::replicate);
    check_equal(cluster);
}

TEST_CASE("snapshot: one that the log has left behind meanwhile is followed by a newer one") {
    CoreCluster cluster;
    leave_behind(cluster, 10);
    cluster.hold_if(is_a<InstallSnapshot>);
    cluster.run(2);
    propose(cluster, 1, 5);
    cluster.take_snapshot(1);
    CHECK(cluster.compact(1) == 17);
    cluster.heal();
    cluster.release_held();
    cluster.settle();  // without a tick: it needs no sender that gives up
    CHECK(cluster.snapshots_wanted(1) == Ids{3, 3});
    CHECK(cluster.installed_count(3) == 2);
    CHECK(cluster.core(3).log().base().index == 16);
    CHECK(progress_of(cluster, 1, 3).state == Progress::State::replicate);
    check_equal(cluster);
}

TEST_CASE("snapshot: a slow member is not stuck in probing after compaction") {
    ClusterOptions options;
    options.core.inflight_messages_max = 2;
    CoreCluster cluster(options);
    REQUIRE(cluster.elect(1));
    cluster.hold_if(to_node<AppendEntries>(3));
    propose(cluster, 1, 10);
    cluster.take_snapshot(1);
    cluster.compact(1);
    SUBCASE("its window is full and what was in it is lost") {
        CHECK(progress_of(cluster, 1, 3).state == Progress::State::replicate);
        cluster.forget_held();
    }
    SUBCASE("it is being probed and the probe is lost") {
        cluster.core(1).peer_unreachable(3);
        cluster.settle();
        cluster.forget_held();
    }
    SUBCASE("what was on its way comes while it gets a snapshot") {
        cluster.drop_if(is_a<InstallSnapshot>);
        cluster.run(2);
        CHECK(progress_of(cluster, 1, 3).state == Progress::State::snapshot);
    }
    cluster.heal();
    cluster.release_held();
    cluster.run(6);
    CHECK(progress_of(cluster, 1, 3).state == Progress::State::replicate);
    propose(cluster, 1, 1);
    check_equal(cluster);
}

TEST_CASE("snapshot: late acknowledgements up to the log's begin make one needless") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.hold_if(from_node<AppendEntriesReply>(3));
    propose(cluster, 1, 10);
    cluster.drop_if(to_node<AppendEntries>(3));
    cluster.drop_if(is_a<InstallSnapshot>);
    propose(cluster, 1, 2);
    CHECK(cluster.take_snapshot(1) == 13);  // newer than the log's begin
    CHECK(cluster.compact(1, 2) == 12);
    cluster.core(1).peer_unreachable(3);
    cluster.run(2);
    REQUIRE(progress_of(cluster, 1, 3).state == Progress::State::snapshot);
    const std::vector<Message> late = cluster.held();
    REQUIRE(late.size() > 3);
    cluster.step(late.front());
    CHECK(progress_of(cluster, 1, 3).state == Progress::State::snapshot);  // of too little
    for (const Message& message : late) {
        cluster.step(message);
    }
    CHECK(progress_of(cluster, 1, 3).match_index == 11);
    CHECK(progress_of(cluster, 1, 3).state == Progress::State::replicate);
    CHECK_FALSE(cluster.sends_snapshot(1, 3));
    cluster.heal();
    cluster.forget_held();
    cluster.run(4);
    CHECK(cluster.snapshots_wanted(1) == Ids{3});
    CHECK(cluster.installed_count(3) == 0);
    check_equal(cluster);
}

TEST_CASE("snapshot: a conflict below the log's begin leads to one, not to endless probes") {
    CoreCluster cluster;
    for (const NodeId id : {1, 2}) {
        cluster.start_from(id, {3, 0}, entries_of_terms({1, 3, 3, 3}), {make_entry(5, 3)});
    }
    SUBCASE("a longer log of an older term") {
        cluster.start_from(3, {3, 0}, entries_of_terms({1, 2, 2, 2, 2, 2, 2}));
    }
    SUBCASE("a log that ends at the begin, with another term") {
        cluster.start_from(3, {3, 0}, entries_of_terms({1, 2, 2, 2}));
    }
    SUBCASE("a shorter one") {
        cluster.start_from(3, {3, 0}, entries_of_terms({1, 2}));
    }
    SUBCASE("an empty one") {
        cluster.start_from(3, {3, 0}, {});
    }
    REQUIRE(cluster.elect(1));
    CHECK(cluster.snapshots_wanted(1) == Ids{3});
    CHECK(cluster.count_sent([](const Message& m) {
        const auto* reply = std::get_if<AppendEntriesReply>(&m);
        return reply != nullptr && reply->rejected && reply->header.from == 3;
    }) <= 3);
    CHECK(cluster.core(3).log().base() == cluster.core(1).log().base());
    CHECK(terms_of(cluster.core(3).log()) == terms_of(cluster.core(1).log()));
    REQUIRE(cluster.disk(3).size() == 2);
    CHECK(cluster.disk(3)[0].index == 5);
    CHECK(cluster.disk(3)[0].term == 3);
    check_equal(cluster);
}

TEST_CASE("snapshot: chunks lost, doubled and out of order are made good") {
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        CAPTURE(seed);
        ClusterOptions options;
        options.snapshot_chunk_bytes = 20;
        options.snapshot_give_up_ticks = 1000;
        CoreCluster cluster(options);
        leave_behind(cluster, 10);
        cluster.hold_if(is_a<InstallSnapshot>);
        cluster.hold_if(is_a<InstallSnapshotReply>);
        Random random(seed);
        for (int i = 0; i < 200; ++i) {
            cluster.run(1);
            std::vector<Message>& held = cluster.held();
            if (held.empty()) {
                continue;
            }
            const std::size_t at = random.next() % held.size();
            const Message message = held[at];
            if (random.next() % 3 != 0) {
                held.erase(held.begin() + static_cast<std::ptrdiff_t>(at));
            }
            if (random.next() % 4 != 0) {
                cluster.step(message);
            }
        }
        cluster.heal();
        cluster.release_held();
        cluster.run(10);
        CHECK(cluster.snapshots_wanted(1) == Ids{3});
        CHECK(cluster.installed_count(3) == 1);
        check_equal(cluster);
    }
}

// ---- Leaders, votes and reads meanwhile

TEST_CASE("snapshot: votes for logs that are up to date, with an empty log behind one") {
    const auto granted = [](Index last_index, Term last_term) {
        CoreCluster cluster;
        cluster.start_from(2, {3, 0}, entries_of_terms({1, 3, 3, 3}), {});
        RequestVote vote;
        vote.header = {1, 1, 2, 4};
        vote.last_log_index = last_index;
        vote.last_log_term = last_term;
        cluster.step(vote);
        cluster.settle();
        return std::any_of(cluster.sent().begin(), cluster.sent().end(), [](const Message& m) {
            const auto* reply = std::get_if<RequestVoteReply>(&m);
            return reply != nullptr && reply->granted;
        });
    };
    CHECK(granted(4, 3));
    CHECK(granted(5, 3));
    CHECK(granted(1, 4));
    CHECK_FALSE(granted(3, 3));
    CHECK_FALSE(granted(9, 2));
    CHECK_FALSE(granted(0, 0));
    // And it asks with what the snapshot includes.
    CoreCluster cluster;
    cluster.start_from(2, {3, 0}, entries_of_terms({1, 3, 3, 3}), {});
    REQUIRE(cluster.elect(2));
    CHECK(cluster.count_sent([](const Message& m) {
        const auto* vote = std::get_if<RequestVote>(&m);
        return vote != nullptr && vote->last_log_index == 4 && vote->last_log_term == 3;
    }) >= 2);
    CHECK(cluster.core(2).log().at(5).term == cluster.core(2).term());
    check_equal(cluster);
}

TEST_CASE("snapshot: the leader changes in the middle of a transfer") {
    ClusterOptions options;
    options.snapshot_chunk_bytes = 30;
    CoreCluster cluster(options);
    leave_behind(cluster, 10);
    cluster.hold_if([](const Message& m) {
        const auto* chunk = std::get_if<InstallSnapshot>(&m);
        return chunk != nullptr && chunk->header.from == 1 && chunk->offset >= 90;
    });
    cluster.run(2);
    REQUIRE(cluster.held().size() == 1);
    const Message late = cluster.held().front();
    SUBCASE("to one with the same snapshot") {
        cluster.take_snapshot(2);
        cluster.compact(2);
    }
    SUBCASE("to one with a newer snapshot") {
        cluster.isolate(3);
        propose(cluster, 1, 2);
        cluster.run(2);
        cluster.heal();
        cluster.take_snapshot(2);
        cluster.compact(2);
    }
    SUBCASE("to one whose log has it all") {}
    SUBCASE("and the old one stays silent") {
        cluster.take_snapshot(2);
        cluster.compact(2);
        cluster.isolate(1);
    }
    REQUIRE(cluster.elect(2));
    cluster.step(late);
    CHECK(cluster.core(3).leader_id() == 2);
    cluster.heal();
    cluster.forget_held();
    cluster.run(4);
    CHECK_FALSE(cluster.sends_snapshot(1, 3));
    CHECK_FALSE(cluster.sends_snapshot(2, 3));
    check_equal(cluster);
}

TEST_CASE("snapshot: a sender that loses its leadership abandons the transfer") {
    CoreCluster cluster;
    leave_behind(cluster, 10);
    cluster.drop_if(is_a<InstallSnapshot>);
    cluster.run(2);
    REQUIRE(cluster.sends_snapshot(1, 3));
    cluster.isolate(1);
    SUBCASE("by itself") {
        cluster.run(20);
    }
    SUBCASE("to another") {
        cluster.heal();
        cluster.drop_if(is_a<InstallSnapshot>);
        REQUIRE(cluster.elect(2));
    }
    REQUIRE_FALSE(cluster.core(1).is_leader());
    CHECK_FALSE(cluster.sends_snapshot(1, 3));
    cluster.clear_sent();
    CHECK_FALSE(cluster.core(1).send_snapshot_chunk(3, {}));
    cluster.core(1).snapshot_failed(3);
    cluster.collect(1);
    CHECK(cluster.count_sent(is_a<InstallSnapshot>) == 0);
    cluster.heal();
    cluster.run(40);
    check_equal(cluster);
}

TEST_CASE("snapshot: nobody asks for one in the name of a leadership that has ended") {
    CoreCluster cluster;
    leave_behind(cluster, 10);
    cluster.core(1).tick();
    cluster.core(1).tick();  // a heartbeat: member 3 is found out, or will be by its answer
    AppendEntriesReply rejection;
    rejection.header = {1, 3, 1, 1};
    rejection.rejected = true;
    rejection.rejected_prev_log_index = progress_of(cluster, 1, 3).next_index - 1;
    rejection.hint_index = 1;
    rejection.hint_term = 1;
    cluster.step(rejection);
    cluster.tick(1, 2);
    REQUIRE(progress_of(cluster, 1, 3).state == Progress::State::snapshot);
    cluster.step(InstallSnapshotReply{{1, 3, 1, 1}, 11, 10});
    cluster.step(append(2, 1, 2, 0, 0, {}));
    Ready ready;
    cluster.core(1).take_ready(false, ready);
    CHECK(ready.snapshots_wanted.empty());
    CHECK(ready.snapshot_replies.empty());
}

TEST_CASE("snapshot: chunks go only from a leader to a member that needs them") {
    CoreCluster cluster;
    leave_behind(cluster, 5);
    cluster.drop_if(is_a<InstallSnapshot>);
    cluster.run(2);
    CHECK_FALSE(cluster.core(1).send_snapshot_chunk(2, {}));
    CHECK_FALSE(cluster.core(1).send_snapshot_chunk(9, {}));
    CHECK_FALSE(cluster.core(2).send_snapshot_chunk(3, {}));
    cluster.core(1).set_clock(77);
    CHECK(cluster.core(1).send_snapshot_chunk(3, {}));
    cluster.clear_sent();
    cluster.collect(1);
    REQUIRE(cluster.count_sent(is_a<InstallSnapshot>) == 1);
    const auto& chunk = std::get<InstallSnapshot>(cluster.sent().front());
    CHECK(chunk.header.group == 1);
    CHECK(chunk.header.from == 1);
    CHECK(chunk.header.to == 3);
    CHECK(chunk.header.term == 1);
    CHECK(chunk.leader_clock_ns == 77);
}

TEST_CASE("snapshot: a sender that crashes begins anew") {
    ClusterOptions options;
    options.snapshot_chunk_bytes = 30;
    CoreCluster cluster(options);
    leave_behind(cluster, 10);
    cluster.drop_if([](const Message& m) {
        const auto* chunk = std::get_if<InstallSnapshot>(&m);
        return chunk != nullptr && chunk->offset >= 90;
    });
    cluster.run(2);
    REQUIRE(cluster.sends_snapshot(1, 3));
    cluster.crash(1);
    cluster.restart(1);
    CHECK_FALSE(cluster.sends_snapshot(1, 3));
    cluster.heal();
    REQUIRE(cluster.elect(1));
    cluster.run(2);
    CHECK(cluster.snapshots_wanted(1) == Ids{3});
    CHECK(cluster.installed_count(3) == 1);
    check_equal(cluster);
}

TEST_CASE("snapshot: a receiver that crashes before its snapshot is durable gets it again") {
    CoreCluster cluster;
    leave_behind(cluster, 10);
    cluster.hold_snapshots(3);
    cluster.run(2);
    CHECK(cluster.core(3).commit_index() == 1);
    CHECK(progress_of(cluster, 1, 3).match_index == 1);
    bool durable = false;
    SUBCASE("before") {}
    SUBCASE("after, but before the leader knows") {
        durable = true;
        cluster.cut(3, 1);
        REQUIRE(cluster.persist_snapshot(3));
        cluster.settle();
    }
    cluster.crash(3);
    cluster.heal();
    cluster.release_snapshots(3);
    cluster.restart(3);
    CHECK(cluster.core(3).log().base().index == (durable ? 11 : 0));
    const std::uint64_t before = cluster.installed_count(3);
    cluster.run(20);
    CHECK(cluster.installed_count(3) == before + (durable ? 0 : 1));
    CHECK(cluster.snapshots_wanted(1) == Ids{3});
    check_equal(cluster);
}

TEST_CASE(
    "snapshot: a member that gets one confirms reads, counts as heard and does not campaign") {
    CoreCluster cluster;
    leave_behind(cluster, 10);
    cluster.drop_if(is_a<InstallSnapshot>);
    cluster.run(2);
    REQUIRE(progress_of(cluster, 1, 3).state == Progress::State::snapshot);
    cluster.crash(2);
    const ReadId read = cluster.read_index(1);
    cluster.settle();  // without a tick
    REQUIRE(cluster.read(1, read) != nullptr);
    CHECK(cluster.read(1, read)->ok);
    CHECK(cluster.read(1, read)->read_index == 11);
    const ReadId its = cluster.read_index(3);
    cluster.settle();
    REQUIRE(cluster.read(3, its) != nullptr);
    CHECK(cluster.read(3, its)->ok);
    cluster.run(100);
    CHECK(cluster.core(1).is_leader());
    CHECK(cluster.core(1).term() == 1);
    CHECK(cluster.core(3).role() == RoleName::follower);
    CHECK(cluster.core(3).statistics().elections_started == 0);
    CHECK(progress_of(cluster, 1, 3).state == Progress::State::snapshot);
}

TEST_CASE("snapshot: chunks alone keep the receiver's election timer quiet") {
    CoreCluster cluster;
    leave_behind(cluster, 10);
    cluster.drop_if(to_node<AppendEntries>(2));
    cluster.run(2);
    InstallSnapshot chunk = whole(1, 3, 1, cluster.applied(1));
    chunk.data = {};
    cluster.isolate(3);
    for (int i = 0; i < 100; ++i) {
        cluster.tick(3);
        cluster.core(3).step(chunk);
        CHECK(cluster.core(3).role() == RoleName::follower);
    }
}

TEST_CASE("snapshot: a receiver's answers alone keep it counted as heard") {
    CoreCluster cluster;
    leave_behind(cluster, 10);
    cluster.drop_if(is_a<InstallSnapshot>);
    cluster.run(2);
    cluster.crash(2);
    cluster.isolate(3);
    for (int i = 0; i < 50; ++i) {
        cluster.step(InstallSnapshotReply{{1, 3, 1, 1}, 11, 5});
        cluster.tick(1);
        cluster.collect(1);
    }
    CHECK(cluster.core(1).is_leader());
    cluster.tick(1, 20);
    CHECK_FALSE(cluster.core(1).is_leader());
}

TEST_CASE("snapshot: others commit while a member gets one") {
    ClusterOptions options;
    options.nodes = 5;
    CoreCluster cluster(options);
    leave_behind(cluster, 10);
    cluster.drop_if(is_a<InstallSnapshot>);
    cluster.run(2);
    REQUIRE(progress_of(cluster, 1, 3).state == Progress::State::snapshot);
    cluster.crash(5);
    cluster.clear_sent();
    propose(cluster, 1, 3);
    CHECK(cluster.core(1).commit_index() == 14);
    CHECK(cluster.core(3).commit_index() == 1);
    CHECK(cluster.count_sent([](const Message& m) {
        const auto* append = std::get_if<AppendEntries>(&m);
        return append != nullptr && append->header.to == 3 && !append->entries.empty();
    }) == 0);
    cluster.crash(4);  // no majority without the one that gets the snapshot
    CHECK(cluster.propose(1, "x").error == ProposeError::none);
    cluster.run(4);
    CHECK(cluster.core(1).commit_index() == 14);
    cluster.heal();
    cluster.run(4);
    CHECK(cluster.core(1).commit_index() == 15);
    CHECK(cluster.core(3).commit_index() == 15);
}

// ---- Asking for one

TEST_CASE("snapshot: while one is under way no other is wanted") {
    ClusterOptions options;
    options.snapshot_give_up_ticks = 1000;
    CoreCluster cluster(options);
    leave_behind(cluster, 10);
    cluster.drop_if(is_a<InstallSnapshot>);
    cluster.run(50);
    cluster.core(1).peer_unreachable(3);
    cluster.core(1).peer_reachable(3);
    propose(cluster, 1, 2);
    cluster.take_snapshot(1);
    cluster.compact(1);
    cluster.run(50);
    CHECK(cluster.snapshots_wanted(1) == Ids{3});
    CHECK(progress_of(cluster, 1, 3).state == Progress::State::snapshot);
}

TEST_CASE("snapshot: one turn names a member once") {
    CoreCluster cluster;
    leave_behind(cluster, 10);
    cluster.drop_if(is_a<InstallSnapshot>);
    cluster.run(2);
    Core node = cluster.core(1);
    Ready ready;
    for (int i = 0; i < 3; ++i) {
        node.snapshot_failed(3);
        node.tick();
        node.tick();
    }
    node.take_ready(false, ready);
    CHECK(ready.snapshots_wanted == Ids{3});
}

TEST_CASE("snapshot: one that failed is wanted again with the next heartbeat, not at once") {
    CoreCluster cluster;
    leave_behind(cluster, 10);
    cluster.drop_if(is_a<InstallSnapshot>);
    cluster.run(2);
    for (std::size_t times = 1; times < 4; ++times) {
        CHECK(cluster.snapshots_wanted(1) == Ids(times, 3));
        cluster.give_up_snapshot(1, 3);
        CHECK(progress_of(cluster, 1, 3).state == Progress::State::probe);
        cluster.settle();
        cluster.settle();
        CHECK(cluster.snapshots_wanted(1) == Ids(times, 3));
        cluster.run(2);
        CHECK(progress_of(cluster, 1, 3).state == Progress::State::snapshot);
    }
    SUBCASE("or when it can be reached again") {
        cluster.give_up_snapshot(1, 3);
        cluster.core(1).peer_reachable(3);
        cluster.settle();
        CHECK(cluster.snapshots_wanted(1) == Ids(5, 3));
    }
    SUBCASE("unless it is not needed any more") {
        cluster.core(1).snapshot_failed(2);
        cluster.core(1).snapshot_failed(1);
        cluster.core(1).snapshot_failed(9);
        CHECK(progress_of(cluster, 1, 2).state == Progress::State::replicate);
        CHECK(progress_of(cluster, 1, 1).state == Progress::State::replicate);
    }
    cluster.heal();
    cluster.run(10);
    check_equal(cluster);
}

TEST_CASE("snapshot: a follower tells its leader how far it has come, and nobody else") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.clear_sent();
    cluster.core(2).snapshot_received(7, 100);
    cluster.core(1).snapshot_received(7, 100);  // leads itself
    cluster.collect(1);
    cluster.collect(2);
    REQUIRE(cluster.sent().size() == 1);
    const auto& reply = std::get<InstallSnapshotReply>(cluster.sent().front());
    CHECK(reply.header.from == 2);
    CHECK(reply.header.to == 1);
    CHECK(reply.last_included_index == 7);
    CHECK(reply.next_offset == 100);
    Core lost(small_options(), CoreStart{{}, configuration_of({1, 2, 3}), {}, {}});
    lost.snapshot_received(7, 100);
    Ready ready;
    lost.take_ready(true, ready);
    CHECK(ready.messages.empty());
}

}  // namespace
