// Leases for reads (thesis §6.4.1): when a leader may answer without asking, and what makes that
// wrong. Time is each node's own; a tick moves it on by 10 ms.

#include <doctest/doctest.h>

#include "tests/support/core_cluster.h"

namespace {

using namespace cairn::raft;
using namespace cairn::raft::testing;

constexpr std::int64_t ms = 1'000'000;
constexpr int timeout = 10;                 // ticks
constexpr std::int64_t lease_ns = 72 * ms;  // (10 - 2) ticks less a tenth

ClusterOptions lease_options(std::size_t nodes = 3) {
    ClusterOptions options;
    options.nodes = nodes;
    options.core.election_timeout_ticks = timeout;
    options.core.vote_promise_ns = duration_of_ticks_ns(timeout, options.tick_ns);
    options.core.refuse_votes_at_start = true;
    return options;
}

// Node 1 leads and has just been answered a heartbeat.
void lead_with_lease(CoreCluster& cluster) {
    REQUIRE(cluster.elect(1));
    cluster.propose(1, "old");
    cluster.run(2);
    REQUIRE(cluster.holds_lease(1));
}

// Whether node `from`'s candidacy in the next term would get the vote of `to`, which it asks now.
bool votes(CoreCluster& cluster, NodeId to, NodeId from, Term term, bool transfer = false) {
    RequestVote request{{1, from, to, term}, 100, term - 1, false, transfer};
    cluster.clear_sent();
    cluster.step(request);
    cluster.collect(to);
    while (cluster.persist(to)) {
    }
    cluster.collect(to);
    return cluster.count_sent([&](const Message& m) {
        const auto* reply = std::get_if<RequestVoteReply>(&m);
        return reply != nullptr && reply->granted && reply->header.to == from;
    }) > 0;
}

TEST_CASE("lease: a leader that a quorum answers holds it, and heartbeats renew it") {
    CoreCluster cluster(lease_options());
    lead_with_lease(cluster);
    CHECK_FALSE(cluster.holds_lease(2));
    cluster.clear_sent();
    for (int i = 0; i < 50; ++i) {
        cluster.run(1);
        CHECK(cluster.holds_lease(1));
    }
    // It costs no message beside the heartbeats.
    CHECK(cluster.count_sent(is_a<AppendEntries>) == 50);
    cluster.crash(3);
    cluster.run(20);
    CHECK(cluster.holds_lease(1));
    cluster.crash(2);
    cluster.run(timeout - 1);
    CHECK(cluster.leader() == 1);
    CHECK_FALSE(cluster.holds_lease(1));
}

TEST_CASE("lease: a single node needs nobody's promise") {
    CoreCluster cluster(lease_options(1));
    cluster.run(2);
    REQUIRE(cluster.leader() == 1);
    CHECK(cluster.holds_lease(1));
    cluster.pass_time(1, 1'000'000 * ms);
    CHECK(cluster.holds_lease(1));
}

TEST_CASE("lease: it counts from before the heartbeat was sent, not from the answer") {
    CoreCluster cluster(lease_options());
    lead_with_lease(cluster);
    cluster.hold_if(is_a<AppendEntriesReply>);
    cluster.pass_time(1, 1000 * ms);  // what was granted so far is over
    cluster.clear_sent();
    while (cluster.count_sent(is_a<AppendEntries>) == 0) {
        cluster.tick(1);
        cluster.collect(1);
    }
    const std::int64_t sent_ns = cluster.steady_ns(1);
    cluster.settle();
    cluster.pass_time(1, lease_ns / 2);
    CHECK_FALSE(cluster.holds_lease(1));
    cluster.heal();
    cluster.release_held();
    cluster.settle();
    CHECK(cluster.holds_lease(1));
    CHECK(cluster.core(1).holds_lease(sent_ns + lease_ns - 1));
    CHECK_FALSE(cluster.core(1).holds_lease(sent_ns + lease_ns));
}

TEST_CASE("lease: an answer to an earlier heartbeat renews nothing") {
    CoreCluster cluster(lease_options());
    lead_with_lease(cluster);
    cluster.hold_if(is_a<AppendEntriesReply>);
    cluster.run(2);
    REQUIRE(cluster.held().size() >= 2);
    const std::int64_t end_ns = cluster.steady_ns(1) + lease_ns;
    // Later heartbeats are lost; the late answers are to the one before them.
    cluster.drop_if(is_a<AppendEntries>);
    for (int i = 0; i < 6; ++i) {
        cluster.tick(1);
        cluster.collect(1);
    }
    cluster.heal();
    cluster.release_held();
    cluster.settle();
    CHECK_FALSE(cluster.core(1).holds_lease(end_ns));
}

TEST_CASE("lease: none without the option, and none from nodes that promise nothing") {
    CoreCluster off;
    REQUIRE(off.elect(1));
    off.run(5);
    CHECK_FALSE(off.holds_lease(1));

    CoreCluster cluster(lease_options());
    lead_with_lease(cluster);
    cluster.pass_time(1, lease_ns);
    cluster.hold_if(is_a<AppendEntriesReply>);
    cluster.run(2);
    for (const std::int64_t promise : {std::int64_t{0}, std::int64_t{-1}, INT64_MIN, INT64_MAX}) {
        for (const Message& held : cluster.held()) {
            auto reply = std::get<AppendEntriesReply>(held);
            reply.vote_promise_ns = promise;
            cluster.step(reply);
        }
        CHECK_FALSE(cluster.holds_lease(1));
    }
    cluster.release_held();
    cluster.settle();
    CHECK(cluster.holds_lease(1));
}

TEST_CASE("lease: not before an entry of the leader's term is committed") {
    CoreCluster cluster(lease_options());
    lead_with_lease(cluster);
    cluster.crash(1);
    cluster.hold_if([](const Message& m) {
        const auto* append = std::get_if<AppendEntries>(&m);
        return append != nullptr && !append->entries.empty();
    });
    REQUIRE(cluster.elect(2));
    cluster.run(6);
    CHECK_FALSE(cluster.holds_lease(2));
    cluster.heal();
    cluster.release_held();
    cluster.settle();
    CHECK(cluster.holds_lease(2));
}

TEST_CASE("lease: a leader that stood still while another was elected has none when it goes on") {
    CoreCluster cluster(lease_options());
    lead_with_lease(cluster);
    // It handles nothing, and its ticks are skipped; its time goes on as everybody's.
    cluster.isolate(1);
    for (int i = 0; i < 100 && cluster.leader() == 1; ++i) {
        cluster.pass_time(1, 10 * ms);
        for (const NodeId id : {2, 3}) {
            cluster.tick(id);
        }
        for (int round = 0; round < 5; ++round) {
            for (const NodeId id : {2, 3}) {
                cluster.collect(id);
                while (cluster.persist(id)) {
                }
                cluster.collect(id);
            }
            while (!cluster.in_transit().empty()) {
                cluster.deliver(0);
            }
        }
    }
    REQUIRE(cluster.leader() != 1);
    const NodeId next = cluster.leader();
    REQUIRE(cluster.core(1).is_leader());  // it doesn't know yet
    CHECK_FALSE(cluster.holds_lease(1));
    cluster.propose(next, "new");
    cluster.settle();
    CHECK(cluster.applied_commands(next).back() == "new");
    CHECK(cluster.applied_commands(1).back() == "old");
    CHECK_FALSE(cluster.holds_lease(1));
    cluster.tick(1);  // the one tick after the pause
    cluster.collect(1);
    CHECK(cluster.core(1).is_leader());
    CHECK_FALSE(cluster.holds_lease(1));
}

TEST_CASE("lease: a follower whose clock runs a tenth fast outlasts it") {
    CoreCluster cluster(lease_options());
    lead_with_lease(cluster);
    cluster.clear_sent();
    while (cluster.count_sent(is_a<AppendEntries>) == 0) {
        cluster.run(1);
    }
    const Term term = cluster.core(1).term();
    const std::int64_t sent_ns = cluster.steady_ns(1);
    cluster.isolate(1);
    // It heard the heartbeat just before a tick that was late, so that the next came soon after.
    cluster.tick(2, 2);
    std::int64_t passed_ns = 0;
    for (int ticks = 2; !votes(cluster, 2, 3, term + 1); passed_ns += ms) {
        REQUIRE(cluster.core(1).is_leader());
        if (passed_ns * 11 / 10 >= (ticks - 1) * 10 * ms) {
            cluster.tick(2);
            ++ticks;
        }
    }
    CHECK_FALSE(cluster.core(1).holds_lease(sent_ns + passed_ns));
    CHECK(cluster.core(1).holds_lease(sent_ns + passed_ns - 3 * ms));  // nor is much given away
}

TEST_CASE("lease: a member that gets a snapshot promises too") {
    CoreCluster cluster(lease_options());
    lead_with_lease(cluster);
    cluster.crash(3);
    for (int i = 0; i < 5; ++i) {
        cluster.propose(1, "a");
        cluster.settle();
    }
    cluster.take_snapshot(1);
    cluster.compact(1);
    cluster.crash(2);
    cluster.drop_if(is_a<InstallSnapshot>);
    cluster.restart(3);
    cluster.pass_time(1, 1000 * ms);
    cluster.run(4);
    CHECK(cluster.core(3).log().last_index() < cluster.core(1).log().first_index());
    CHECK(cluster.holds_lease(1));
}

TEST_CASE("lease: what a follower promised binds it in a newer term too") {
    CoreCluster cluster(lease_options());
    lead_with_lease(cluster);
    const Term term = cluster.core(1).term();
    // Node 3 campaigned once, in vain; a late word of it tells node 2 of the term. That makes node
    // 2 forget its leader, who knows nothing of this.
    cluster.step(RequestVoteReply{{1, 3, 2, term + 1}, false, false});
    REQUIRE(cluster.core(2).term() == term + 1);
    REQUIRE(cluster.core(2).leader_id() == 0);
    CHECK_FALSE(votes(cluster, 2, 3, term + 1));
    CHECK_FALSE(votes(cluster, 2, 3, term + 2));
    CHECK(cluster.core(2).term() == term + 1);  // nor does the question get it into a newer term
    CHECK(cluster.holds_lease(1));
    cluster.tick(2, timeout - 1);
    CHECK_FALSE(votes(cluster, 2, 3, term + 2));
    cluster.tick(2);
    CHECK(votes(cluster, 2, 3, term + 2));
}

TEST_CASE("lease: a follower that starts anew keeps what it promised before") {
    CoreCluster cluster(lease_options());
    lead_with_lease(cluster);
    const Term term = cluster.core(1).term();
    cluster.isolate(1);
    cluster.crash(2);
    cluster.restart(2);
    CHECK(cluster.holds_lease(1));
    CHECK_FALSE(votes(cluster, 2, 3, term + 1));
    cluster.tick(2, timeout - 1);
    CHECK_FALSE(votes(cluster, 2, 3, term + 1));
    cluster.tick(2);
    CHECK(votes(cluster, 2, 3, term + 1));
    // Also one that promises nothing any more.
    ClusterOptions options = lease_options();
    options.core.vote_promise_ns = 0;
    CoreCluster off(options);
    REQUIRE(off.elect(1));
    off.run(2);
    off.crash(2);
    off.restart(2);
    CHECK_FALSE(votes(off, 2, 3, off.core(1).term() + 1));
}

TEST_CASE("lease: a node that never was in a term votes at once") {
    CoreCluster cluster(lease_options());
    CHECK(votes(cluster, 2, 3, 1));
    // A whole cluster that starts anew waits no longer than the usual timeouts of a candidate.
    CoreCluster again(lease_options());
    REQUIRE(again.elect(1));
    for (const NodeId id : again.ids()) {
        again.crash(id);
        again.restart(id);
    }
    again.run(2 * timeout);
    CHECK(again.leader() != 0);
}

TEST_CASE("lease: none while leadership is handed over, and again when nothing came of it") {
    CoreCluster cluster(lease_options());
    lead_with_lease(cluster);
    cluster.cut(1, 2);
    cluster.propose(1, "a");
    cluster.settle();
    REQUIRE(cluster.transfer(1, 2));  // node 2 lacks "a" and is never told to campaign
    CHECK_FALSE(cluster.holds_lease(1));
    cluster.run(timeout - 1);
    CHECK(cluster.core(1).is_transferring());
    CHECK_FALSE(cluster.holds_lease(1));
    cluster.run(1);
    CHECK_FALSE(cluster.core(1).is_transferring());
    CHECK(cluster.count_sent(is_a<TimeoutNow>) == 0);
    CHECK(cluster.holds_lease(1));
}

TEST_CASE("lease: none in a term in which somebody was told to campaign, however late that is") {
    CoreCluster cluster(lease_options());
    lead_with_lease(cluster);
    cluster.hold_if(is_a<TimeoutNow>);
    REQUIRE(cluster.transfer(1, 2));
    CHECK_FALSE(cluster.holds_lease(1));
    cluster.run(5 * timeout);
    CHECK(cluster.leader() == 1);
    CHECK_FALSE(cluster.core(1).is_transferring());
    CHECK_FALSE(cluster.holds_lease(1));
    // Now it arrives. Node 3 votes beside what it promised; node 1 hears nothing of it.
    cluster.heal();
    cluster.cut(2, 1);
    cluster.cut(3, 1);
    cluster.release_held();
    cluster.settle();
    REQUIRE(cluster.leader() == 2);
    REQUIRE(cluster.core(1).is_leader());
    cluster.propose(2, "new");
    cluster.settle();
    CHECK_FALSE(cluster.holds_lease(1));
    // A leadership of its own later starts with a clean slate.
    cluster.heal();
    cluster.run(3);
    REQUIRE(cluster.elect(1));
    cluster.run(3);
    CHECK(cluster.holds_lease(1));
}

// A core that leads in term 1 by the votes of all others.
Core leading_core(const Configuration& configuration) {
    CoreOptions options = lease_options().core;
    Core core(options, {{}, configuration, {}, {}});
    Ready ready;
    const auto turn = [&] {
        core.take_ready(true, ready);
        if (ready.sequence != 0) {
            core.persisted(ready.sequence);
        }
    };
    for (int i = 0; i < 2 * timeout && core.role() == RoleName::follower; ++i) {
        core.tick();
        turn();
    }
    for (const bool pre_vote : {true, false}) {
        for (const NodeId id : configuration.members()) {
            core.step(
                RequestVoteReply{{1, id, 1, pre_vote ? Term{1} : core.term()}, pre_vote, true});
        }
        turn();
    }
    REQUIRE(core.is_leader());
    turn();
    return core;
}

// The leader sends a heartbeat at `steady_ns`, and `who` answers.
void answer(Core& core, std::int64_t steady_ns, const std::vector<NodeId>& who,
            Index match_index = 0) {
    Ready ready;
    ReadId round = 0;
    core.set_steady_time(steady_ns);
    for (int i = 0; i < core.options().heartbeat_ticks; ++i) {
        core.tick();
    }
    core.take_ready(true, ready);
    for (const Message& message : ready.messages) {
        if (const auto* append = std::get_if<AppendEntries>(&message)) {
            round = std::max(round, append->read_id);
        }
    }
    for (const NodeId id : who) {
        AppendEntriesReply reply;
        reply.header = {1, id, 1, core.term()};
        reply.read_id = round;
        reply.match_index = match_index == 0 ? core.log().last_index() : match_index;
        reply.vote_promise_ns = 80 * ms;
        core.step(reply);
    }
    core.take_ready(true, ready);
}

TEST_CASE("lease: learners' promises count for nothing") {
    Configuration configuration = configuration_of({1, 2, 3});
    configuration.learners = {4, 5};
    Core core = leading_core(configuration);
    answer(core, 100 * ms, {2, 3});
    CHECK(core.holds_lease(110 * ms));
    answer(core, 200 * ms, {4, 5});
    CHECK_FALSE(core.holds_lease(210 * ms));
    answer(core, 300 * ms, {3, 4});
    CHECK(core.holds_lease(310 * ms));
}

TEST_CASE("lease: between two configurations it takes a majority of both") {
    Configuration configuration = configuration_of({1, 2, 3});
    configuration.learners = {4, 5};
    for (const NodeId id : configuration.members()) {
        configuration.details.push_back({id, {}, 0, true});  // nobody becomes a voter by itself
    }
    Core core = leading_core(configuration);
    answer(core, 50 * ms, {2, 3, 4, 5});
    const Index before = core.log().last_index();
    Configuration joint = configuration_of({1, 4, 5});
    joint.outgoing_voters = {1, 2, 3};
    REQUIRE(core.change_configuration(joint).error == ChangeError::none);
    // Nobody has the change yet, so that it stays as it is.
    answer(core, 100 * ms, {2, 4}, before);
    CHECK(core.holds_lease(110 * ms));
    answer(core, 200 * ms, {2, 3}, before);
    CHECK_FALSE(core.holds_lease(210 * ms));
    answer(core, 300 * ms, {4, 5}, before);
    CHECK_FALSE(core.holds_lease(310 * ms));
    answer(core, 400 * ms, {3, 5}, before);
    CHECK(core.holds_lease(410 * ms));
    REQUIRE(core.configuration() == joint);
}

TEST_CASE("lease: the members' promises need not begin together") {
    Core core = leading_core(configuration_of({1, 2, 3, 4, 5}));
    answer(core, 100 * ms, {2, 3});
    answer(core, 140 * ms, {4});
    CHECK(core.holds_lease(171 * ms));
    CHECK_FALSE(core.holds_lease(172 * ms));  // one of two that are needed ends
    answer(core, 150 * ms, {2});
    CHECK(core.holds_lease(171 * ms));
    CHECK(core.holds_lease(211 * ms));
    CHECK_FALSE(core.holds_lease(212 * ms));
}

}  // namespace
