// Learners and their promotion, removed members that come back, and nodes that a configuration
// doesn't know (thesis §4.2).

#include <doctest/doctest.h>

#include "tests/scenario/membership_helpers.h"
#include "tests/support/core_cluster.h"

namespace {

using namespace cairn::raft;
using namespace cairn::raft::testing;

TEST_CASE("learner: joins with an empty log, by entries, and becomes a voter") {
    CoreCluster cluster = group(3, 4);
    propose(cluster, 1, 10);
    cluster.run(60);
    CHECK(cluster.core(4).role() == RoleName::follower);  // it waits to be added
    CHECK(cluster.core(4).term() == 0);
    REQUIRE(add(cluster, 1, 4) == ChangeError::none);
    cluster.settle();
    CHECK(cluster.applied_commands(4).size() == 10);
    CHECK(cluster.core(1).configuration().is_learner(4));
    REQUIRE(run_until_voters(cluster, {1, 2, 3, 4}));
    CHECK(cluster.core(1).configuration().learners.empty());
    cluster.run(3);
    REQUIRE(cluster.elect(4));
}

TEST_CASE("learner: joins by a snapshot, and becomes a voter") {
    CoreCluster cluster = group(3, 4);
    propose(cluster, 1, 20);
    cluster.take_snapshot(1);
    cluster.compact(1);
    REQUIRE(add(cluster, 1, 4) == ChangeError::none);
    REQUIRE(run_until_voters(cluster, {1, 2, 3, 4}));
    CHECK(cluster.installed_count(4) == 1);
    cluster.run(3);
    check_equal(cluster);
    REQUIRE(cluster.elect(4));
}

TEST_CASE("learner: one that can't be reached costs no majority") {
    CoreCluster cluster = group(3, 6);
    for (const NodeId id : {4, 5, 6}) {
        cluster.isolate(id);
        REQUIRE(add(cluster, 1, id) == ChangeError::none);
        cluster.settle();
    }
    cluster.isolate(3);
    cluster.run(60);
    REQUIRE(cluster.leader() == 1);
    CHECK(cluster.core(1).statistics().quorum_losses == 0);
    CHECK(cluster.core(1).configuration().learners == Ids{4, 5, 6});
    write(cluster, "with two of three");
    const ReadId read = cluster.read_index(1);
    cluster.run(2);
    REQUIRE(cluster.read(1, read) != nullptr);
    CHECK(cluster.read(1, read)->ok);
    cluster.heal();
    for (const NodeId id : {1, 4, 5, 6}) {
        cluster.isolate(id);
    }
    CHECK(cluster.elect(2));
}

TEST_CASE("learner: one that hears no leader any more follows nobody, and reads fail at once") {
    CoreCluster cluster = group(3, 4);
    REQUIRE(add(cluster, 1, 4, true) == ChangeError::none);
    cluster.run(5);
    REQUIRE(cluster.core(4).leader_id() == 1);
    cluster.isolate(4);
    const Term term = cluster.core(4).term();
    const ReadId before = cluster.read_index(4);
    cluster.run(60);
    CHECK(cluster.core(4).leader_id() == 0);
    CHECK(cluster.core(4).role() == RoleName::follower);
    CHECK(cluster.core(4).term() == term);
    REQUIRE(cluster.read(4, before) != nullptr);
    CHECK_FALSE(cluster.read(4, before)->ok);
    cluster.heal();
    cluster.run(5);
    CHECK(cluster.core(4).leader_id() == 1);
}

TEST_CASE("learner: its answers count for nothing") {
    CoreCluster cluster = group(3, 5);
    for (const NodeId id : {4, 5}) {
        REQUIRE(add(cluster, 1, id, true) == ChangeError::none);
        cluster.run(3);
    }
    partition(cluster, {1, 4, 5}, {2, 3});
    const Index before = cluster.core(1).commit_index();
    const ReadId read = cluster.read_index(1);
    cluster.propose(1, "x");
    for (int i = 0; i < 6; ++i) {
        cluster.tick(1);
        cluster.settle();
    }
    CHECK(cluster.core(4).log().last_index() > before);
    CHECK(cluster.core(1).commit_index() == before);
    CHECK(cluster.read(1, read) == nullptr);
    cluster.run(25);
    CHECK_FALSE(cluster.core(1).is_leader());  // CheckQuorum
    CHECK_FALSE(cluster.elect(1));
    CHECK_FALSE(cluster.elect(4));
}

TEST_CASE("learner: one that lags is not promoted before it keeps up") {
    CoreCluster cluster = group(1, 2);
    const int timeout = cluster.core(1).options().election_timeout_ticks;
    REQUIRE(add(cluster, 1, 2) == ChangeError::none);
    cluster.settle();
    // It takes longer than an election timeout for each round.
    cluster.hold_if(from_node<AppendEntriesReply>(2));
    for (int round = 0; round < 4; ++round) {
        cluster.release_held();
        write(cluster, "x");  // 2 has acknowledged all before it
        cluster.run(timeout + 1);
        CHECK(progress_of(cluster, 1, 2).match_index + 1 == cluster.core(1).log().last_index());
        CHECK(cluster.core(1).configuration().is_learner(2));
    }
    cluster.heal();
    cluster.release_held();
    REQUIRE(run_until_voters(cluster, {1, 2}));
}

TEST_CASE("learner: one that caught up and fell silent is not promoted") {
    CoreCluster cluster = group(3, 4);
    const int timeout = cluster.core(1).options().election_timeout_ticks;
    REQUIRE(add(cluster, 1, 4) == ChangeError::none);
    cluster.settle();
    cluster.tick(1);  // a round begins
    cluster.settle();
    REQUIRE(cluster.core(1).configuration().is_learner(4));
    // Nothing can be changed for a while: leadership is being handed over, in vain.
    cluster.drop_if(is_a<TimeoutNow>);
    REQUIRE(cluster.transfer(1, 2));
    cluster.isolate(4);
    for (int i = 0; i < timeout + 5; ++i) {
        cluster.tick(1);
        cluster.settle();
    }
    CHECK_FALSE(cluster.core(1).is_transferring());
    CHECK(cluster.core(1).configuration().is_learner(4));
    cluster.heal();
    REQUIRE(run_until_voters(cluster, {1, 2, 3, 4}));
}

TEST_CASE("learner: is not promoted where too few voters would be heard") {
    CoreCluster cluster = group(1, 2);
    REQUIRE(add(cluster, 1, 2) == ChangeError::none);
    cluster.settle();
    cluster.tick(1);
    cluster.settle();
    cluster.isolate(2);
    cluster.run(40);
    // One of two would be no majority.
    CHECK((cluster.core(1).configuration().is_learner(2) ||
           cluster.core(1).configuration().is_joint()));
    cluster.heal();
    REQUIRE(run_until_voters(cluster, {1, 2}));
}

TEST_CASE("learner: is not promoted by a leader that hears no other voter") {
    CoreCluster cluster = group(3, 4);
    const int timeout = cluster.core(1).options().election_timeout_ticks;
    cluster.hold_if(from_node<AppendEntriesReply>(4));
    REQUIRE(add(cluster, 1, 4) == ChangeError::none);
    cluster.settle();
    // Right after a look at the quorum that found it.
    const std::uint64_t losses = cluster.core(1).statistics().quorum_losses;
    while (true) {
        bool looked = false;
        for (const Progress& progress : cluster.core(1).progress()) {
            looked = looked || (progress.id == 2 && !progress.recent_active);
        }
        if (looked) {
            break;
        }
        cluster.tick(1);
        cluster.collect(1);
    }
    cluster.settle();
    partition(cluster, {1, 4}, {2, 3});
    for (int i = 0; i < timeout + 1; ++i) {
        cluster.tick(1);
        cluster.settle();
    }
    cluster.heal();
    partition(cluster, {1, 4}, {2, 3});
    cluster.release_held();
    for (int i = 0; i < timeout / 2 && cluster.core(1).is_leader(); ++i) {
        cluster.settle();
        CHECK(cluster.core(1).configuration().is_learner(4));
        cluster.tick(1);
    }
    CHECK(cluster.core(1).statistics().quorum_losses == losses);
}

TEST_CASE("learner: one that is to stay one stays, until it is told otherwise") {
    CoreCluster cluster = group(3, 4);
    REQUIRE(add(cluster, 1, 4, true) == ChangeError::none);
    cluster.run(60);
    CHECK(cluster.core(1).configuration().is_learner(4));
    CHECK(cluster.core(4).role() == RoleName::follower);
    CHECK_FALSE(cluster.core(4).configuration().may_campaign(4));
    REQUIRE(promote(cluster, 1, 4) == ChangeError::none);
    REQUIRE(run_until_voters(cluster, {1, 2, 3, 4}));
}

TEST_CASE("learner: without a noted data directory it is not promoted") {
    CoreCluster cluster = group(3, 4);
    cairn::raft::Member member = cluster.newcomer(4);
    member.disk_id = 0;
    REQUIRE(cluster.change(1, plan_addition(cluster.core(1).configuration(), member)).error ==
            ChangeError::none);
    cluster.run(40);
    CHECK(cluster.core(1).configuration().is_learner(4));
    const std::vector<MemberDisk> disks = {{4, cluster.disk_id(4)}};
    REQUIRE(cluster.change(1, plan_disk_notes(cluster.core(1).configuration(), disks)).error ==
            ChangeError::none);
    REQUIRE(run_until_voters(cluster, {1, 2, 3, 4}));
    cluster.run(3);
    REQUIRE(cluster.elect(4));
}

TEST_CASE("learner: leadership is not handed to one, nor does it campaign when told to") {
    CoreCluster cluster = group(3, 4);
    REQUIRE(add(cluster, 1, 4, true) == ChangeError::none);
    cluster.run(5);
    CHECK_FALSE(cluster.transfer(1, 4));
    const Term term = cluster.core(4).term();
    cluster.step(TimeoutNow{{1, 1, 4, term}});
    cluster.settle();
    CHECK(cluster.core(4).role() == RoleName::follower);
    CHECK(cluster.core(4).term() == term);
    // Nor to a voter that a change under way takes away.
    cluster.hold_if(is_a<AppendEntriesReply>);
    REQUIRE(remove(cluster, 1, 3) == ChangeError::none);
    CHECK_FALSE(cluster.transfer(1, 3));
    CHECK(cluster.transfer(1, 2));
}

TEST_CASE("learner: a promoted one that doesn't know it yet gives its vote, so somebody leads") {
    CoreCluster cluster = group(2, 3);
    REQUIRE(add(cluster, 1, 3) == ChangeError::none);
    cluster.settle();
    // The promotion is committed without 3 having it.
    cluster.cut(1, 3);
    REQUIRE(promote(cluster, 1, 3) == ChangeError::none);
    REQUIRE(run_until_voters(cluster, {1, 2, 3}));
    cluster.run(3);
    REQUIRE(cluster.core(3).configuration().is_learner(3));
    REQUIRE(cluster.core(2).configuration().is_voter(3));
    write(cluster, "kept");
    cluster.crash(1);
    REQUIRE(cluster.elect(2));
    write(cluster, "with three");
    CHECK(has_command(cluster, 2, "kept"));
}

TEST_CASE("learner: one from whom a promotion hides gives no vote to who doesn't know of it") {
    CoreCluster cluster = group(3, 4);
    REQUIRE(add(cluster, 1, 4, true) == ChangeError::none);
    cluster.run(3);
    const Term term = cluster.core(4).term();
    RequestVote request;
    request.header = {1, 2, 4, term + 1};
    request.last_log_index = 100;
    request.last_log_term = term;
    request.leadership_transfer = true;
    cluster.step(request);
    CHECK(cluster.core(4).hard_state().voted_for == 0);
    request.voter_disk_id = cluster.disk_id(4) + 1;
    cluster.step(request);
    CHECK(cluster.core(4).hard_state().voted_for == 0);
    request.voter_disk_id = cluster.disk_id(4);
    cluster.step(request);
    CHECK(cluster.core(4).hard_state().voted_for == 2);
}

TEST_CASE("removed: a voter that doesn't know it can't disturb") {
    CoreCluster cluster = group(4);
    cluster.isolate(4);
    REQUIRE(remove(cluster, 1, 4) == ChangeError::none);
    REQUIRE(run_until_voters(cluster, {1, 2, 3}));
    write(cluster, "a");
    cluster.run(40);  // it asks for votes in vain
    const Term term = cluster.core(1).term();
    cluster.heal();
    cluster.run(100);
    CHECK(cluster.leader() == 1);
    CHECK(cluster.core(1).term() == term);
    CHECK(cluster.core(4).configuration().is_voter(4));
    CHECK_FALSE(cluster.elect(4));
    cluster.run(60);
    CHECK(cluster.leader() != 4);
    write(cluster, "b");
}

TEST_CASE("removed: one that was told is quiet") {
    CoreCluster cluster = group(3);
    cluster.hold_if([](const Message& m) {
        const auto* append = std::get_if<AppendEntries>(&m);
        return append != nullptr && append->header.to == 3 && append->entries.empty();
    });
    REQUIRE(remove(cluster, 1, 3) == ChangeError::none);
    REQUIRE(run_until_voters(cluster, {1, 2}));
    // As if the second step had come in time.
    const Log& log = cluster.core(1).log();
    const Index joint = cluster.core(3).log().last_index();
    std::vector<Entry> rest;
    for (Index index = joint + 1; index <= log.last_index(); ++index) {
        rest.push_back(log.at(index));
    }
    AppendEntries told =
        append(1, 3, cluster.core(1).term(), joint, log.at(joint).term, std::move(rest));
    told.leader_commit = log.last_index();
    cluster.step(told);
    cluster.settle();
    REQUIRE_FALSE(cluster.core(3).configuration().contains(3));
    cluster.clear_sent();
    cluster.run(100);
    CHECK(cluster.count_sent(from_node<RequestVote>(3)) == 0);
    CHECK(cluster.core(3).role() == RoleName::follower);
}

TEST_CASE("removed: its late answers change nothing and are no offence") {
    CoreCluster cluster = group(3);
    cluster.hold_if(from_node<AppendEntriesReply>(3));
    propose(cluster, 1, 3);
    REQUIRE(remove(cluster, 1, 3) == ChangeError::none);
    REQUIRE(run_until_voters(cluster, {1, 2}));
    cluster.heal();
    cluster.release_held();
    const Index commit = cluster.core(1).commit_index();
    cluster.run(3);
    CHECK(cluster.core(1).commit_index() == commit);
    CHECK(cluster.core(1).statistics().rejected_messages == 0);
}

TEST_CASE("unknown: a follower hears a leader and votes for a candidate it doesn't know") {
    // 3 has never heard of 4, which has become a voter and leads.
    CoreCluster cluster = group(3, 4);
    cluster.isolate(3);
    REQUIRE(add(cluster, 1, 4) == ChangeError::none);
    REQUIRE(run_until_voters(cluster, {1, 2, 3, 4}));
    REQUIRE(cluster.transfer(1, 4));
    cluster.settle();
    REQUIRE(cluster.leader() == 4);
    write(cluster, "by the unknown");
    REQUIRE_FALSE(cluster.core(3).configuration().contains(4));
    SUBCASE("its entries") {
        cluster.heal();
        cluster.run(3);
        CHECK(has_command(cluster, 3, "by the unknown"));
        CHECK(cluster.core(3).configuration().contains(4));
    }
    SUBCASE("its candidacy") {
        cluster.crash(1);
        cluster.crash(4);
        cluster.restart(4);
        cluster.heal();
        cluster.drop_if(from_node<AppendEntries>(4));
        REQUIRE(cluster.elect(4));
        CHECK(cluster.core(3).hard_state().voted_for == 4);
    }
}

TEST_CASE("unknown: configurations that come out of order and doubled are in force once") {
    CoreCluster cluster = group(4);
    cluster.hold_if([](const Message& m) {
        const auto* append = std::get_if<AppendEntries>(&m);
        return append != nullptr && append->header.to == 3 && !append->entries.empty();
    });
    REQUIRE(remove(cluster, 1, 4) == ChangeError::none);
    REQUIRE(run_until_voters(cluster, {1, 2, 3}));
    const Configuration expected = configuration_of_node(cluster, 1);
    std::vector<Message> held = cluster.held();
    REQUIRE(held.size() >= 2);
    cluster.forget_held();
    cluster.heal();
    for (auto message = held.rbegin(); message != held.rend(); ++message) {
        cluster.step(*message);
    }
    for (int again = 0; again < 2; ++again) {
        for (const Message& message : held) {
            cluster.step(message);
        }
        CHECK(configuration_of_node(cluster, 3) == expected);
    }
    CHECK(cluster.core(3).statistics().truncations == 0);
    cluster.run(5);
    CHECK(configuration_of_node(cluster, 3) == expected);
}

}  // namespace
