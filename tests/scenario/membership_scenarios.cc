// Changes of membership: in force on append, joint consensus, what a change must wait for, what
// becomes of one whose leader is lost (thesis chapter 4).

#include <doctest/doctest.h>

#include "tests/scenario/membership_helpers.h"
#include "tests/support/core_cluster.h"

namespace {

using namespace cairn::raft;
using namespace cairn::raft::testing;

TEST_CASE("membership: grows from one to five with writes in between, and nothing is lost") {
    CoreCluster cluster = group(1, 5);
    std::vector<std::string> written;
    Ids voters = {1};
    for (NodeId id = 2; id <= 5; ++id) {
        written.push_back("before " + std::to_string(id));
        write(cluster, written.back());
        REQUIRE(add(cluster, 1, id) == ChangeError::none);
        written.push_back("while " + std::to_string(id));
        REQUIRE(cluster.propose(1, written.back()).error == ProposeError::none);
        voters.push_back(id);
        REQUIRE(run_until_voters(cluster, voters));
    }
    cluster.run(5);
    for (const NodeId id : cluster.ids()) {
        CHECK(cluster.applied_commands(id) == written);
        CHECK(configuration_of_node(cluster, id) == configuration_of_node(cluster, 1));
    }
    // The new members are a majority of themselves.
    cluster.isolate(1);
    cluster.isolate(2);
    REQUIRE(cluster.elect(4));
    write(cluster, "by the new");
    CHECK(cluster.applied_commands(4).size() == written.size() + 1);
}

TEST_CASE("membership: shrinks from five to one with writes in between, and nothing is lost") {
    CoreCluster cluster = group(5);
    std::vector<std::string> written;
    Ids voters = cluster.ids();
    for (NodeId id = 5; id >= 2; --id) {
        REQUIRE(remove(cluster, 1, id) == ChangeError::none);
        written.push_back("while " + std::to_string(id));
        REQUIRE(cluster.propose(1, written.back()).error == ProposeError::none);
        voters.pop_back();
        REQUIRE(run_until_voters(cluster, voters));
        written.push_back("after " + std::to_string(id));
        write(cluster, written.back());
        CHECK(cluster.core(1).configuration().was_removed(id));
    }
    CHECK(cluster.applied_commands(1) == written);
    cluster.crash(1);
    cluster.restart(1);
    cluster.isolate(1);
    cluster.run(30);
    REQUIRE(cluster.core(1).is_leader());
    CHECK(cluster.applied_commands(1) == written);
    CHECK(cluster.core(1).configuration().removed == Ids{2, 3, 4, 5});
}

TEST_CASE("membership: no change before an entry of the leader's own term is committed") {
    // Ongaro's bug of changes of one server at a time: the leader of a new term changes the
    // configuration beside one that an old leader had begun. With each pair of changes.
    using Change = ChangeError (*)(CoreCluster&, NodeId leader, NodeId id);
    const Change adds = [](CoreCluster& c, NodeId leader, NodeId id) { return add(c, leader, id); };
    struct Pair {
        Change first;
        NodeId first_id;
        Change second;
        NodeId second_id;
    };
    for (const Pair& pair : {Pair{adds, 5, adds, 6}, Pair{remove, 4, remove, 3},
                             Pair{adds, 5, remove, 4}, Pair{remove, 4, adds, 5}}) {
        CAPTURE(pair.first_id);
        CAPTURE(pair.second_id);
        CoreCluster cluster = group(4, 6);
        cluster.isolate(1);
        REQUIRE(pair.first(cluster, 1, pair.first_id) == ChangeError::none);  // on 1 alone
        REQUIRE(cluster.core(1).may_change_configuration() == ChangeError::pending);
        cluster.drop_if(is_a<AppendEntries>);
        REQUIRE(cluster.elect(2));
        CHECK(cluster.core(2).may_change_configuration() == ChangeError::not_ready);
        CHECK(pair.second(cluster, 2, pair.second_id) == ChangeError::not_ready);
        CHECK(cluster.core(2).configuration().voters == Ids{1, 2, 3, 4});
        cluster.heal();
        cluster.isolate(1);
        cluster.run(3);
        REQUIRE(cluster.core(2).may_change_configuration() == ChangeError::none);
        REQUIRE(pair.second(cluster, 2, pair.second_id) == ChangeError::none);
        cluster.run(6);
        write(cluster, "kept");
        cluster.heal();
        cluster.run(60);
        for (const NodeId id : cluster.core(cluster.leader()).configuration().members()) {
            CHECK(has_command(cluster, id, "kept"));
        }
        CHECK(configuration_of_node(cluster, 1) ==
              configuration_of_node(cluster, cluster.leader()));
    }
}

TEST_CASE("membership: one change at a time") {
    CoreCluster cluster = group(3, 5);
    CHECK(add(cluster, 2, 4) == ChangeError::not_leader);
    hold_answers(cluster);
    REQUIRE(add(cluster, 1, 4) == ChangeError::none);
    CHECK(add(cluster, 1, 5) == ChangeError::pending);
    CHECK(remove(cluster, 1, 3) == ChangeError::pending);
    cluster.settle();
    CHECK(add(cluster, 1, 5) == ChangeError::pending);
    cluster.heal();
    cluster.release_held();
    cluster.settle();
    REQUIRE(remove(cluster, 1, 3) == ChangeError::none);
    CHECK(cluster.core(1).configuration().is_joint());
    cluster.hold_if(from_node<AppendEntriesReply>(2));
    cluster.settle();
    CHECK(cluster.core(1).may_change_configuration() == ChangeError::pending);
    cluster.heal();
    // The first step is committed, the second isn't.
    for (std::size_t i = 0; i < cluster.held().size(); ++i) {
        cluster.step(cluster.held()[i]);
        if (!cluster.core(1).configuration().is_joint()) {
            break;
        }
    }
    REQUIRE_FALSE(cluster.core(1).configuration().is_joint());
    CHECK(last_configuration(cluster, 1) > cluster.core(1).commit_index());
    CHECK(cluster.core(1).may_change_configuration() == ChangeError::pending);
    cluster.settle();
    CHECK(cluster.core(1).may_change_configuration() == ChangeError::none);
    REQUIRE(cluster.transfer(1, 2));
    CHECK(cluster.core(1).may_change_configuration() == ChangeError::not_ready);
}

TEST_CASE("membership: a removal of voters that would not hear each other is refused") {
    CoreCluster cluster = group(3);
    const int timeout = cluster.core(1).options().election_timeout_ticks;
    cluster.isolate(2);
    for (int i = 0; i < timeout - 1; ++i) {
        cluster.run(1);
    }
    CHECK(cluster.core(1).is_leader());
    cluster.run(1);
    CHECK(remove(cluster, 1, 3) == ChangeError::no_quorum);
    CHECK_FALSE(cluster.core(1).configuration().is_joint());
    REQUIRE(remove(cluster, 1, 2) == ChangeError::none);
    REQUIRE(run_until_voters(cluster, {1, 3}));
    cluster.heal();
    cluster.run(5);
    REQUIRE(remove(cluster, 1, 3) == ChangeError::none);
    REQUIRE(run_until_voters(cluster, {1}));
}

TEST_CASE("membership: a new leader counts on nobody whom it hasn't heard") {
    CoreCluster cluster = group(3);
    cluster.isolate(3);
    REQUIRE(cluster.transfer(1, 2));
    cluster.settle();
    REQUIRE(cluster.core(2).may_change_configuration() == ChangeError::none);
    CHECK(remove(cluster, 2, 1) == ChangeError::no_quorum);
    REQUIRE(remove(cluster, 2, 3) == ChangeError::none);
}

TEST_CASE("membership: two become one and one becomes two") {
    CoreCluster cluster = group(2, 3);
    write(cluster, "a");
    REQUIRE(remove(cluster, 1, 2) == ChangeError::none);
    cluster.settle();
    REQUIRE(settled_with_voters(cluster, {1}));
    cluster.isolate(2);
    write(cluster, "b");
    REQUIRE(add(cluster, 1, 3) == ChangeError::none);
    REQUIRE(run_until_voters(cluster, {1, 3}));
    write(cluster, "c");
    CHECK(cluster.applied_commands(3) == std::vector<std::string>{"a", "b", "c"});
    cluster.isolate(3);
    cluster.propose(1, "d");
    cluster.run(3);
    CHECK_FALSE(has_command(cluster, 1, "d"));  // two must agree
}

TEST_CASE("membership: in force on a follower from its append, and gone with the truncation") {
    CoreCluster cluster = group(5);
    const Configuration before = configuration_of_node(cluster, 1);
    partition(cluster, {1, 2}, {3, 4, 5});
    REQUIRE(remove(cluster, 1, 5) == ChangeError::none);
    cluster.settle();
    for (const NodeId id : {1, 2}) {
        CHECK(cluster.core(id).configuration().is_joint());
        CHECK(cluster.core(id).committed_configuration() == before);
    }
    REQUIRE(cluster.elect(3));
    write(cluster, "kept");
    cluster.heal();
    cluster.run(30);
    for (const NodeId id : cluster.ids()) {
        CHECK(configuration_of_node(cluster, id) == before);
        CHECK(has_command(cluster, id, "kept"));
    }
    CHECK(cluster.core(1).statistics().truncations == 1);
    // And it can be made again.
    const NodeId leader = cluster.leader();
    REQUIRE(remove(cluster, leader, leader == 5 ? 4 : 5) == ChangeError::none);
    cluster.run(5);
    CHECK(cluster.core(leader).configuration().voters.size() == 4);
}

TEST_CASE("membership: an addition that is truncated leaves a node that disturbs nobody") {
    CoreCluster cluster = group(3, 4);
    partition(cluster, {1, 4}, {2, 3});
    REQUIRE(add(cluster, 1, 4) == ChangeError::none);
    for (int i = 0; i < 5; ++i) {
        cluster.tick(1);
        cluster.settle();
    }
    CHECK(cluster.core(4).configuration().is_learner(4));
    REQUIRE(cluster.elect(2));
    write(cluster, "kept");
    const Term term = cluster.core(2).term();
    cluster.heal();
    cluster.run(60);
    CHECK(cluster.leader() == 2);
    CHECK(cluster.core(2).term() == term);
    CHECK_FALSE(cluster.core(1).configuration().contains(4));
    REQUIRE(add(cluster, 2, 4) == ChangeError::none);
    REQUIRE(run_until_voters(cluster, {1, 2, 3, 4}));
    CHECK(has_command(cluster, 4, "kept"));
}

TEST_CASE("membership: a leader that crashes with a change is without it, or finishes it") {
    for (const bool durable : {false, true}) {
        CAPTURE(durable);
        CoreCluster cluster = group(3);
        cluster.drop_if(is_a<AppendEntries>);
        cluster.hold_disk(1);
        REQUIRE(remove(cluster, 1, 3) == ChangeError::none);
        cluster.collect(1);
        cluster.crash(1, durable ? 1 : 0);
        cluster.release_disk(1);
        cluster.heal();
        cluster.restart(1);
        CHECK(cluster.core(1).configuration().is_joint() == durable);
        REQUIRE(cluster.elect(1));
        cluster.run(5);
        CHECK(settled_with_voters(cluster, durable ? Ids{1, 2} : Ids{1, 2, 3}));
    }
}

TEST_CASE("membership: a new leader finishes a joint change that it inherited") {
    for (const bool committed : {false, true}) {
        CAPTURE(committed);
        CoreCluster cluster = group(3);
        hold_answers(cluster);
        REQUIRE(remove(cluster, 1, 3) == ChangeError::none);
        cluster.settle();
        if (committed) {
            // 1 learns that it is and says no more.
            cluster.drop_if(from_node<AppendEntries>(1));
            for (const Message& message : cluster.held()) {
                cluster.step(message);
            }
            REQUIRE_FALSE(cluster.core(1).configuration().is_joint());
            cluster.settle();
        }
        cluster.forget_held();
        cluster.crash(1);
        cluster.heal();
        REQUIRE(cluster.core(2).configuration().is_joint());
        CHECK_FALSE(cluster.elect(2));  // both majorities, so {1, 2} too, and 1 is down
        CHECK_FALSE(cluster.elect(3));
        cluster.restart(1);
        if (!committed) {
            REQUIRE(cluster.elect(2));
        }
        REQUIRE(run_until_voters(cluster, {1, 2}));
        cluster.run(5);
        CHECK_FALSE(cluster.core(1).configuration().contains(3));
    }
}

TEST_CASE("membership: followers that crash while a change is under way know it or not") {
    for (const bool durable : {false, true}) {
        CAPTURE(durable);
        CoreCluster cluster = group(3);
        cluster.hold_disk(2);
        cluster.isolate(3);
        REQUIRE(remove(cluster, 1, 3) == ChangeError::none);
        cluster.settle();
        REQUIRE(cluster.core(2).configuration().is_joint());
        CHECK(cluster.core(1).configuration().is_joint());  // not durable on 2
        cluster.crash(2, durable ? 1 : 0);
        cluster.release_disk(2);
        cluster.restart(2);
        CHECK(cluster.core(2).configuration().is_joint() == durable);
        REQUIRE(run_until_voters(cluster, {1, 2}));
    }
}

TEST_CASE("membership: while joint both majorities decide") {
    // Four become three: {1, 2, 3} and {1, 2, 3, 4}. Two of the first are not three of the second.
    CoreCluster cluster = group(4);
    hold_answers(cluster);
    REQUIRE(remove(cluster, 1, 4) == ChangeError::none);
    cluster.settle();
    cluster.forget_held();
    cluster.heal();
    REQUIRE(cluster.core(3).configuration().is_joint());
    partition(cluster, {1, 2}, {3, 4});
    SUBCASE("commitment") {
        const Index before = cluster.core(1).commit_index();
        cluster.propose(1, "x");
        cluster.run(4);
        CHECK(cluster.core(1).commit_index() == before);
        cluster.heal();
        cluster.run(4);
        CHECK(has_command(cluster, 1, "x"));
    }
    SUBCASE("reads") {
        const ReadId read = cluster.read_index(1);
        cluster.run(4);
        CHECK(cluster.read(1, read) == nullptr);
        cluster.heal();
        cluster.isolate(4);
        cluster.run(4);
        REQUIRE(cluster.read(1, read) != nullptr);
        CHECK(cluster.read(1, read)->ok);
    }
    SUBCASE("CheckQuorum") {
        cluster.run(25);
        CHECK_FALSE(cluster.core(1).is_leader());
    }
    SUBCASE("elections") {
        CHECK_FALSE(cluster.elect(2));
        cluster.heal();
        partition(cluster, {2, 4}, {1, 3});
        CHECK_FALSE(cluster.elect(2));
        cluster.heal();
        cluster.isolate(1);
        CHECK(cluster.elect(2));
    }
    SUBCASE("half of the incoming majority is none, whoever else agrees") {
        cluster.heal();
        CoreCluster two = group(3);
        hold_answers(two);
        REQUIRE(remove(two, 1, 3) == ChangeError::none);
        two.settle();
        two.forget_held();
        two.heal();
        partition(two, {1, 3}, {2});
        const Index before = two.core(1).commit_index();
        two.propose(1, "x");
        two.run(4);
        CHECK(two.core(1).commit_index() == before);
        CHECK_FALSE(two.elect(3));
        two.heal();
        two.run(40);
        CHECK(settled_with_voters(two, {1, 2}));
    }
}

TEST_CASE("membership: snapshots carry voters, learners, removed ids and data directories") {
    CoreCluster cluster = group(4, 6);
    REQUIRE(remove(cluster, 1, 4) == ChangeError::none);
    REQUIRE(run_until_voters(cluster, {1, 2, 3}));
    cluster.isolate(3);
    REQUIRE(add(cluster, 1, 5, true) == ChangeError::none);
    cluster.run(5);
    propose(cluster, 1, 5);
    cluster.take_snapshot(1);
    cluster.compact(1);
    const Configuration expected = configuration_of_node(cluster, 1);
    cluster.heal();
    cluster.run(5);
    CHECK(cluster.installed_count(3) == 1);
    CHECK(configuration_of_node(cluster, 3) == expected);
    CHECK(expected.is_learner(5));
    CHECK(expected.was_removed(4));
    CHECK(expected.detail(5)->stays_learner);
    for (const NodeId id : {1, 3}) {
        cluster.take_snapshot(id);
        cluster.compact(id);
        cluster.settle();
        cluster.crash(id);
        cluster.restart(id);
        CHECK(configuration_of_node(cluster, id) == expected);
        CHECK(cluster.core(id).committed_configuration() == expected);
    }
    cluster.run(60);
    const NodeId leader = cluster.leader();
    REQUIRE(leader != 0);
    CHECK(plan_addition(configuration_of_node(cluster, leader), cluster.newcomer(4)).error ==
          ChangeError::was_removed);
}

TEST_CASE("membership: a joint configuration in a snapshot is finished by who leads after it") {
    CoreCluster cluster = group(3);
    hold_answers(cluster);
    REQUIRE(remove(cluster, 1, 3) == ChangeError::none);
    cluster.settle();
    const Index joint = last_configuration(cluster, 1);
    const Term term = cluster.core(1).term();
    // The first step is committed and 2 hears so, but the second gets nowhere.
    cluster.heal();
    cluster.isolate(1);
    cluster.hold_disk(1);
    for (const Message& message : cluster.held()) {
        cluster.step(message);
    }
    REQUIRE(cluster.core(1).commit_index() == joint);
    AppendEntries heartbeat = append(1, 2, term, joint, term, {});
    heartbeat.leader_commit = joint;
    cluster.step(heartbeat);
    cluster.settle();
    REQUIRE(cluster.core(2).committed_configuration().is_joint());
    cluster.take_snapshot(2);
    cluster.compact(2);
    cluster.settle();
    cluster.crash(2);
    cluster.restart(2);
    CHECK(cluster.core(2).configuration().is_joint());
    CHECK(cluster.core(2).log().last_index() == cluster.core(2).log().base().index);
    cluster.crash(1);
    cluster.release_disk(1);
    cluster.restart(1);
    cluster.heal();
    REQUIRE(cluster.elect(2));
    REQUIRE(run_until_voters(cluster, {1, 2}));
}

TEST_CASE("membership: a snapshot in place of a log with a change takes the change with it") {
    CoreCluster cluster = group(5, 6);
    const Configuration before = configuration_of_node(cluster, 1);
    partition(cluster, {1, 2}, {3, 4, 5});
    propose(cluster, 1, 15);
    REQUIRE(remove(cluster, 1, 5) == ChangeError::none);
    cluster.settle();
    REQUIRE(cluster.core(2).configuration().is_joint());
    REQUIRE(cluster.elect(3));
    propose(cluster, 3, 10);
    cluster.take_snapshot(3);
    cluster.compact(3);
    REQUIRE(cluster.snapshot_index(3) < last_configuration(cluster, 2));
    cluster.heal();
    cluster.run(40);
    CHECK(cluster.installed_count(2) + cluster.installed_count(1) == 2);
    CHECK(configuration_of_node(cluster, 2) == before);
    CHECK(configuration_of_node(cluster, 1) == before);
}

}  // namespace
