// Members that lost their data directory, or have one that the group doesn't expect. What a
// directory acknowledged and voted for is lost with it, so that a node with another one must have
// no part in any majority before the group has taken it in again.

#include <doctest/doctest.h>

#include "tests/scenario/membership_helpers.h"
#include "tests/support/core_cluster.h"

namespace {

using namespace cairn::raft;
using namespace cairn::raft::testing;

// "kept" is committed on 1 and 3 alone; 3 loses its disk.
CoreCluster committed_on_one_and_three(bool as_founder) {
    CoreCluster cluster = group(3);
    cluster.isolate(2);
    write(cluster, "kept");
    cluster.heal();
    cluster.lose_disk(3, as_founder);
    return cluster;
}

TEST_CASE("disk: with a new one a node gives no vote, so that nothing acknowledged is lost") {
    for (const bool as_founder : {false, true}) {
        CAPTURE(as_founder);
        CoreCluster cluster = committed_on_one_and_three(as_founder);
        cluster.isolate(1);
        CHECK_FALSE(cluster.elect(2));
        cluster.clear_sent();
        cluster.run(100);
        CHECK(cluster.leader() != 2);
        CHECK(cluster.leader() != 3);
        CHECK(cluster.count_sent([](const Message& m) {
            const auto* reply = std::get_if<RequestVoteReply>(&m);
            return reply != nullptr && reply->header.from == 3 && reply->granted;
        }) == 0);
        // Asked past all politeness too.
        RequestVote request;
        request.header = {1, 2, 3, cluster.core(3).term() + 5};
        request.last_log_index = 100;
        request.last_log_term = request.header.term - 1;
        request.leadership_transfer = true;
        const std::uint64_t lost = 1003;
        for (const std::uint64_t named : {std::uint64_t{0}, lost}) {
            request.voter_disk_id = named;
            if (named == 0 && as_founder) {
                continue;  // its own first configuration names the lost one
            }
            cluster.step(request);
            CHECK(cluster.core(3).hard_state().voted_for == 0);
        }
        cluster.heal();
        cluster.run(60);
        REQUIRE(cluster.leader() == 1);
        CHECK(has_command(cluster, 2, "kept"));
    }
}

TEST_CASE("disk: the same with founders that were noted later, in the log") {
    for (const bool as_founder : {false, true}) {
        CAPTURE(as_founder);
        ClusterOptions options;
        options.disks_noted = false;
        CoreCluster cluster(options);
        REQUIRE(cluster.elect(1));
        std::vector<MemberDisk> disks;
        for (const NodeId id : cluster.ids()) {
            disks.push_back({id, cluster.disk_id(id)});
        }
        REQUIRE(cluster.change(1, plan_disk_notes(cluster.core(1).configuration(), disks)).error ==
                ChangeError::none);
        cluster.run(3);
        cluster.isolate(2);
        write(cluster, "kept");
        cluster.heal();
        cluster.lose_disk(3, as_founder);
        cluster.isolate(1);
        CHECK_FALSE(cluster.elect(2));
        cluster.heal();
        cluster.run(60);
        REQUIRE(cluster.leader() == 1);
        CHECK(has_command(cluster, 2, "kept"));
    }
}

TEST_CASE("disk: with a new one a node doesn't commit for a leader that was deposed with the old") {
    for (const bool noted : {true, false}) {
        for (const bool as_founder : {false, true}) {
            if (!noted && as_founder) {
                continue;  // nobody could tell
            }
            CAPTURE(noted);
            CAPTURE(as_founder);
            ClusterOptions options;
            options.disks_noted = noted;
            CoreCluster cluster(options);
            // 1 leads and nobody has anything of it.
            cluster.drop_if(is_a<AppendEntries>);
            REQUIRE(cluster.elect(1));
            cluster.heal();
            cluster.isolate(1);
            REQUIRE(cluster.elect(2));
            write(cluster, "kept");
            cluster.heal();
            cluster.isolate(2);
            cluster.lose_disk(3, as_founder);
            REQUIRE(cluster.core(1).is_leader());
            cluster.propose(1, "never");
            for (int i = 0; i < 6; ++i) {
                cluster.tick(1);
                cluster.settle();
            }
            CHECK(cluster.core(1).commit_index() == 0);
            cluster.heal();
            cluster.run(60);
            CHECK(has_command(cluster, 1, "kept"));
            CHECK_FALSE(has_command(cluster, 1, "never"));
        }
    }
}

TEST_CASE("disk: with a new one a node doesn't confirm reads of a leader deposed with the old") {
    CoreCluster cluster = group(3);
    cluster.isolate(1);
    REQUIRE(cluster.elect(2));
    write(cluster, "newer");
    cluster.heal();
    cluster.isolate(2);
    cluster.lose_disk(3);
    REQUIRE(cluster.core(1).is_leader());
    const ReadId read = cluster.read_index(1);
    REQUIRE(read != 0);
    for (int i = 0; i < 6; ++i) {
        cluster.tick(1);
        cluster.settle();
    }
    CHECK(cluster.read(1, read) == nullptr);
    cluster.heal();
    cluster.run(20);
    REQUIRE(cluster.read(1, read) != nullptr);
    CHECK_FALSE(cluster.read(1, read)->ok);
}

TEST_CASE("disk: of five, two new ones make no majority with a leader that was deposed") {
    CoreCluster cluster(ClusterOptions{.nodes = 5});
    cluster.drop_if(is_a<AppendEntries>);
    REQUIRE(cluster.elect(1));
    cluster.heal();
    cluster.isolate(1);
    cluster.isolate(5);
    REQUIRE(cluster.elect(2));
    write(cluster, "kept");
    cluster.lose_disk(3);
    cluster.lose_disk(4);
    cluster.heal();
    cluster.isolate(2);
    cluster.isolate(5);
    for (int i = 0; i < 6; ++i) {
        cluster.tick(1);
        cluster.settle();
    }
    CHECK(cluster.core(1).commit_index() == 0);
    // Neither do they elect 5, which has nothing.
    cluster.heal();
    cluster.isolate(2);
    CHECK_FALSE(cluster.elect(5));
    cluster.heal();
    cluster.run(60);
    REQUIRE(cluster.leader() == 2);
    for (const NodeId id : {3, 4}) {
        REQUIRE(take_new_disk(cluster, 2, id) == ChangeError::none);
        REQUIRE(run_until_voters(cluster, {1, 2, 3, 4, 5}));
    }
    cluster.isolate(1);
    cluster.isolate(5);
    write(cluster, "with three and four");
}

TEST_CASE("disk: a new one is taken in by the group, and its node votes again") {
    for (const std::size_t nodes : {2, 3, 4, 5}) {
        for (const bool as_founder : {false, true}) {
            CAPTURE(nodes);
            CAPTURE(as_founder);
            CoreCluster cluster = group(nodes);
            const Ids everyone = cluster.ids();
            write(cluster, "kept");
            cluster.lose_disk(nodes, as_founder);
            cluster.run(3);
            REQUIRE(take_new_disk(cluster, 1, nodes) == ChangeError::none);
            CHECK(cluster.core(1).configuration().is_joint());
            CHECK(cluster.core(1).configuration().is_learner(nodes));
            CHECK(cluster.core(1).configuration().is_voter(nodes));
            CHECK(progress_of(cluster, 1, nodes).match_index == 0);
            REQUIRE(run_until_voters(cluster, everyone));
            CHECK(cluster.core(1).configuration().detail(nodes)->disk_id == cluster.disk_id(nodes));
            CHECK(has_command(cluster, nodes, "kept"));
            cluster.run(5);
            // Its vote, and its candidacy, count.
            REQUIRE(cluster.transfer(1, nodes));
            cluster.settle();
            REQUIRE(cluster.leader() == nodes);
            write(cluster, "by it");
            if (nodes == 3) {
                REQUIRE(cluster.transfer(3, 1));
                cluster.settle();
                cluster.isolate(1);
                REQUIRE(cluster.elect(2));
                write(cluster, "with it");
            }
        }
    }
}

TEST_CASE("disk: a new one is taken in although none was noted before it") {
    ClusterOptions options;
    options.disks_noted = false;
    CoreCluster cluster(options);
    REQUIRE(cluster.elect(1));
    propose(cluster, 1, 5);
    cluster.lose_disk(3);
    cluster.run(3);
    REQUIRE(take_new_disk(cluster, 1, 3) == ChangeError::none);
    CHECK(progress_of(cluster, 1, 3).match_index == 0);
    REQUIRE(run_until_voters(cluster, {1, 2, 3}));
    cluster.run(3);
    check_equal(cluster);
}

TEST_CASE("disk: the notes of founders' disks leave what is known of them") {
    ClusterOptions options;
    options.disks_noted = false;
    CoreCluster cluster(options);
    REQUIRE(cluster.elect(1));
    propose(cluster, 1, 5);
    std::vector<MemberDisk> disks;
    for (const NodeId id : cluster.ids()) {
        disks.push_back({id, cluster.disk_id(id)});
    }
    const Index known = progress_of(cluster, 1, 2).match_index;
    REQUIRE(cluster.change(1, plan_disk_notes(cluster.core(1).configuration(), disks)).error ==
            ChangeError::none);
    CHECK(progress_of(cluster, 1, 2).match_index == known);
    CHECK(progress_of(cluster, 1, 2).disk_id == cluster.disk_id(2));
    cluster.settle();
    CHECK(cluster.core(1).may_change_configuration() == ChangeError::none);
}

// As a directory restored from a copy: nothing of the sort is expected, but it must not cost much.
TEST_CASE("disk: one that forgot what it had acknowledged is not asked without end") {
    CoreCluster cluster = group(3);
    propose(cluster, 1, 5);
    cluster.start_from(3, cluster.disk_hard_state(3), {});
    cluster.core(1).peer_unreachable(3);
    cluster.clear_sent();
    cluster.run(10);
    CHECK(cluster.count_sent(to_node<AppendEntries>(3)) < 20);
    write(cluster, "without it");
}

TEST_CASE("disk: taken in through a snapshot") {
    CoreCluster cluster = group(3);
    propose(cluster, 1, 20);
    cluster.take_snapshot(1);
    cluster.compact(1);
    cluster.lose_disk(3);
    cluster.run(3);
    REQUIRE(take_new_disk(cluster, 1, 3) == ChangeError::none);
    REQUIRE(run_until_voters(cluster, {1, 2, 3}));
    CHECK(cluster.installed_count(3) == 1);
    cluster.run(5);
    check_equal(cluster);
    cluster.isolate(1);
    REQUIRE(cluster.elect(3));
}

TEST_CASE("disk: acknowledgements of the lost one that come late don't count for the new") {
    CoreCluster cluster = group(3);
    cluster.hold_if(from_node<AppendEntriesReply>(3));
    propose(cluster, 1, 5);
    cluster.heal();
    const std::vector<Message> late = cluster.held();
    REQUIRE(!late.empty());
    cluster.forget_held();
    cluster.lose_disk(3);
    cluster.cut(3, 1);
    REQUIRE(take_new_disk(cluster, 1, 3) == ChangeError::none);
    cluster.settle();
    REQUIRE_FALSE(cluster.core(1).configuration().is_joint());
    for (const Message& message : late) {
        cluster.step(message);
    }
    CHECK(progress_of(cluster, 1, 3).match_index == 0);
    for (int i = 0; i < 30; ++i) {
        cluster.run(1);
        for (const Message& message : late) {
            cluster.step(message);
        }
        CHECK(cluster.core(1).configuration().is_learner(3));
    }
    cluster.heal();
    REQUIRE(run_until_voters(cluster, {1, 2, 3}));
    check_equal(cluster);
}

TEST_CASE("disk: the old one that comes back when another has its place has no voice") {
    CoreCluster cluster = group(3);
    const std::uint64_t old_disk = cluster.disk_id(3);
    cluster.lose_disk(3);
    cluster.run(3);
    REQUIRE(take_new_disk(cluster, 1, 3) == ChangeError::none);
    REQUIRE(run_until_voters(cluster, {1, 2, 3}));
    cluster.run(3);
    cluster.isolate(2);
    write(cluster, "kept");  // on 1 and the new disk of 3
    cluster.heal();
    cluster.bring_back_disk(3, old_disk);
    SUBCASE("no vote") {
        cluster.isolate(1);
        CHECK_FALSE(cluster.elect(2));
        CHECK_FALSE(cluster.elect(3));
    }
    SUBCASE("no candidacy, when it has heard who took its place") {
        cluster.run(40);
        REQUIRE(cluster.leader() != 3);
        cluster.isolate(1);
        CHECK_FALSE(cluster.elect(3));
    }
    SUBCASE("no acknowledgement") {
        cluster.isolate(2);
        const Index before = cluster.core(1).commit_index();
        cluster.propose(1, "alone");
        for (int i = 0; i < 6; ++i) {
            cluster.tick(1);
            cluster.settle();
        }
        CHECK(cluster.core(1).commit_index() == before);
    }
    cluster.heal();
    cluster.run(60);
    REQUIRE(cluster.leader() != 0);
    CHECK(has_command(cluster, 2, "kept"));
}

TEST_CASE("disk: while a new one is being taken in its node is no voice of the outgoing voters") {
    CoreCluster cluster = group(4);
    cluster.lose_disk(4);
    cluster.run(3);
    cluster.hold_if(is_a<AppendEntriesReply>);
    REQUIRE(take_new_disk(cluster, 1, 4) == ChangeError::none);
    cluster.settle();
    cluster.forget_held();
    cluster.heal();
    REQUIRE(cluster.core(2).configuration().is_joint());
    cluster.isolate(1);
    CHECK_FALSE(cluster.elect(2));  // three of four, and 4 is none of them
    CHECK_FALSE(cluster.elect(4));
    cluster.heal();
    REQUIRE(run_until_voters(cluster, {1, 2, 3, 4}));
}

TEST_CASE("disk: lost again before the first new one was taken in") {
    CoreCluster cluster = group(3);
    cluster.lose_disk(3);
    cluster.run(3);
    cluster.cut(1, 3);
    REQUIRE(take_new_disk(cluster, 1, 3) == ChangeError::none);
    cluster.run(5);
    CHECK(cluster.core(1).configuration().is_learner(3));
    cluster.lose_disk(3);
    cluster.heal();
    cluster.run(40);
    CHECK(cluster.core(1).configuration().is_learner(3));  // it isn't the one that was noted
    REQUIRE(take_new_disk(cluster, 1, 3) == ChangeError::none);
    REQUIRE(run_until_voters(cluster, {1, 2, 3}));
    CHECK(cluster.core(1).configuration().detail(3)->disk_id == cluster.disk_id(3));
}

TEST_CASE("disk: a learner that lost it after it had caught up is not promoted") {
    CoreCluster cluster = group(1, 3);
    REQUIRE(add(cluster, 1, 2) == ChangeError::none);
    cluster.settle();
    cluster.tick(1);  // a round begins
    cluster.settle();
    REQUIRE(cluster.core(1).configuration().is_learner(2));
    cluster.hold_disk(1);
    cluster.lose_disk(2);
    // Nothing can be changed while the leader waits for its disk.
    REQUIRE(add(cluster, 1, 3, true) == ChangeError::none);
    for (int i = 0; i < 15; ++i) {
        cluster.tick(1);
        cluster.settle();
    }
    cluster.release_disk(1);
    cluster.run(20);
    CHECK(cluster.core(1).configuration().is_learner(2));
    REQUIRE(take_new_disk(cluster, 1, 2) == ChangeError::none);
    REQUIRE(run_until_voters(cluster, {1, 2}));
}

TEST_CASE("disk: voters with new ones don't make up for one that is to be removed") {
    for (const bool new_leader : {false, true}) {
        CAPTURE(new_leader);
        CoreCluster cluster = group(5);
        cluster.run(3);
        cluster.lose_disk(2);
        cluster.lose_disk(5);
        if (new_leader) {
            REQUIRE(cluster.transfer(1, 3));
        }
        cluster.run(3);
        const NodeId leader = cluster.leader();
        CHECK(remove(cluster, leader, 4) == ChangeError::no_quorum);
        REQUIRE(take_new_disk(cluster, leader, 5) == ChangeError::none);
        REQUIRE(run_until_voters(cluster, {1, 2, 3, 4, 5}));
        REQUIRE(remove(cluster, leader, 4) == ChangeError::none);
        REQUIRE(run_until_voters(cluster, {1, 2, 3, 5}));
    }
}

TEST_CASE("disk: the leader's own is another's to change") {
    CoreCluster cluster = group(3);
    const PlannedChange planned = plan_new_disk(cluster.core(1).configuration(), 1, 9);
    CHECK(cluster.change(1, planned).error == ChangeError::leader_itself);
    cluster.lose_disk(1);
    cluster.run(40);
    REQUIRE(cluster.leader() != 0);
    REQUIRE(cluster.leader() != 1);
    REQUIRE(take_new_disk(cluster, cluster.leader(), 1) == ChangeError::none);
    REQUIRE(run_until_voters(cluster, {1, 2, 3}));
}

TEST_CASE("disk: a change of it is refused when too few others are heard") {
    CoreCluster cluster = group(3);
    cluster.lose_disk(3);
    cluster.isolate(2);
    for (int i = 0; i < 9; ++i) {
        cluster.run(1);
    }
    REQUIRE(cluster.core(1).is_leader());
    cluster.tick(1);
    CHECK(take_new_disk(cluster, 1, 3) == ChangeError::no_quorum);
}

}  // namespace
