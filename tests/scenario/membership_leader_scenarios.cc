// What a change of membership means to the leader that makes it, inherits it or is removed by it
// (thesis §4.2.2, §4.3).

#include <doctest/doctest.h>

#include "tests/scenario/membership_helpers.h"
#include "tests/support/core_cluster.h"

namespace {

using namespace cairn::raft;
using namespace cairn::raft::testing;

TEST_CASE("membership: a leader doesn't remove itself, it hands over and another does") {
    CoreCluster cluster = group(3);
    CHECK(remove(cluster, 1, 1) == ChangeError::leader_itself);
    REQUIRE(cluster.transfer(1, 2));
    cluster.settle();
    REQUIRE(cluster.leader() == 2);
    REQUIRE(remove(cluster, 2, 1) == ChangeError::none);
    REQUIRE(run_until_voters(cluster, {2, 3}));
}

TEST_CASE("membership: who has the end of its own removal alone is elected to spread it") {
    // Thesis, figure 4.6. 2 removes 1; 1 is elected, commits the first step and has the second
    // alone: 2 needs its vote and doesn't get it, since its log is longer.
    for (const std::size_t nodes : {2, 4}) {
        CAPTURE(nodes);
        CoreCluster cluster = group(nodes);
        REQUIRE(cluster.transfer(1, 2));
        cluster.settle();
        hold_answers(cluster);
        REQUIRE(remove(cluster, 2, 1) == ChangeError::none);
        cluster.settle();
        cluster.crash(2);
        cluster.restart(2);
        cluster.forget_held();
        REQUIRE(cluster.elect(1));
        cluster.settle();
        cluster.heal();
        cluster.drop_if(from_node<AppendEntries>(1));
        cluster.release_held();
        cluster.settle();
        REQUIRE_FALSE(cluster.core(1).configuration().contains(1));
        REQUIRE(cluster.core(1).log().stable_index() == cluster.core(1).log().last_index());
        REQUIRE(cluster.core(2).configuration().is_joint());
        cluster.crash(1);
        cluster.restart(1);
        if (nodes == 4) {
            cluster.crash(4);  // {2, 3} are a majority without 1, but not of the old four
        }
        cluster.heal();
        cluster.run(60);
        const NodeId leader = cluster.leader();
        REQUIRE(leader != 0);
        CHECK(leader != 1);
        CHECK(cluster.core(leader).committed_configuration().voters ==
              (nodes == 2 ? Ids{2} : Ids{2, 3, 4}));
        write(cluster, "goes on");
        // Once it knows that the end is committed it is quiet.
        cluster.clear_sent();
        cluster.run(60);
        CHECK(cluster.leader() == leader);
        CHECK(cluster.count_sent(from_node<RequestVote>(1)) == 0);
    }
}

TEST_CASE("membership: the second step waits for the first to be committed") {
    CoreCluster cluster = group(3);
    hold_answers(cluster);
    REQUIRE(cluster.propose(1, "x").error == ProposeError::none);
    cluster.settle();
    REQUIRE(remove(cluster, 1, 3) == ChangeError::none);
    const Index joint = last_configuration(cluster, 1);
    cluster.settle();
    cluster.heal();
    for (const Message& message : std::vector<Message>(cluster.held())) {
        if (std::get<AppendEntriesReply>(message).match_index < joint) {
            cluster.step(message);
        }
    }
    REQUIRE(cluster.core(1).commit_index() == joint - 1);
    CHECK(cluster.core(1).configuration().is_joint());
    CHECK(last_configuration(cluster, 1) == joint);
    cluster.release_held();
    cluster.settle();
    CHECK(settled_with_voters(cluster, {1, 2}));
}

TEST_CASE("membership: a leader that an inherited change removes steps down, and another leads") {
    for (const bool somebody_has_all : {true, false}) {
        CAPTURE(somebody_has_all);
        // 2 removes 1, and 1 is elected before that is done.
        CoreCluster cluster = group(3);
        REQUIRE(cluster.transfer(1, 2));
        cluster.settle();
        REQUIRE(cluster.leader() == 2);
        hold_answers(cluster);
        REQUIRE(remove(cluster, 2, 1) == ChangeError::none);
        cluster.settle();
        cluster.crash(2);
        cluster.restart(2);
        cluster.forget_held();
        REQUIRE(cluster.elect(1));
        REQUIRE(cluster.propose(1, "by the removed").error == ProposeError::none);
        cluster.clear_sent();
        if (somebody_has_all) {
            cluster.heal();
            cluster.forget_held();
            cluster.run(4);
        } else {
            // The step that ends it is committed, but 1 has appended more by then.
            cluster.settle();
            cluster.heal();
            cluster.release_held();
            while (!cluster.in_transit().empty()) {
                cluster.deliver(0);
            }
            REQUIRE_FALSE(cluster.core(1).configuration().is_joint());
            REQUIRE(cluster.propose(1, "too late").error == ProposeError::none);
            cluster.hold_if([](const Message& m) {
                const auto* append = std::get_if<AppendEntries>(&m);
                return append != nullptr && !append->entries.empty() &&
                       append->entries.back().kind == EntryKind::command;
            });
            // The two are sent as one message otherwise.
            cluster.collect(1);
            for (const Message& message : std::vector<Message>(cluster.held())) {
                AppendEntries first = std::get<AppendEntries>(message);
                first.entries.pop_back();
                REQUIRE(first.entries.back().kind == EntryKind::configuration);
                cluster.step(first);
            }
            cluster.forget_held();
            cluster.heal();
            cluster.settle();
        }
        CHECK_FALSE(cluster.core(1).is_leader());
        CHECK_FALSE(cluster.core(1).configuration().contains(1));
        CHECK(cluster.core(1).committed_configuration().voters == Ids{2, 3});
        CHECK(cluster.count_sent(from_node<TimeoutNow>(1)) == (somebody_has_all ? 1 : 0));
        if (somebody_has_all) {
            CHECK(cluster.leader() != 0);  // without waiting for an election timeout
        }
        cluster.run(40);
        const NodeId next = cluster.leader();
        CHECK((next == 2 || next == 3));
        write(cluster, "by another");
        CHECK(has_command(cluster, next, "by the removed"));
        cluster.run(60);
        CHECK(cluster.leader() == next);
    }
}

}  // namespace
