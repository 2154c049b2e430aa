// Elections: PreVote, CheckQuorum, votes and their durability (paper §5.2, §5.4.1; thesis §6.2,
// §9.6).

#include <doctest/doctest.h>

#include "tests/support/core_cluster.h"

namespace {

using namespace cairn::raft;
using namespace cairn::raft::testing;

RequestVote vote_request(NodeId from, NodeId to, Term term, Index last_index, Term last_term) {
    RequestVote request;
    request.header = {1, from, to, term};
    request.last_log_index = last_index;
    request.last_log_term = last_term;
    return request;
}

// The only RequestVoteReply in transit from `from`; none: nullptr.
const RequestVoteReply* vote_in_transit(CoreCluster& cluster, NodeId from) {
    for (const Message& message : cluster.in_transit()) {
        const auto* reply = std::get_if<RequestVoteReply>(&message);
        if (reply != nullptr && reply->header.from == from) {
            return reply;
        }
    }
    return nullptr;
}

// Ticks `id` alone until it asks for pre-votes.
void tick_to_pre_candidacy(CoreCluster& cluster, NodeId id) {
    const int bound = 2 * cluster.core(id).options().election_timeout_ticks;
    for (int i = 0; i < bound && cluster.core(id).role() != RoleName::pre_candidate; ++i) {
        cluster.tick(id);
    }
    REQUIRE(cluster.core(id).role() == RoleName::pre_candidate);
}

TEST_CASE("election: a cluster elects one leader, whom all follow") {
    for (std::uint64_t seed = 0; seed < 50; ++seed) {
        CAPTURE(seed);
        ClusterOptions options;
        options.nodes = 3 + seed % 3;
        options.core.random_seed = seed;
        CoreCluster cluster(options);
        cluster.run(200);
        const NodeId leader = cluster.leader();
        REQUIRE(leader != 0);
        for (const NodeId id : cluster.ids()) {
            CHECK(cluster.core(id).leader_id() == leader);
            CHECK(cluster.core(id).term() == cluster.core(leader).term());
            CHECK(cluster.core(id).is_leader() == (id == leader));
            CHECK(cluster.core(id).commit_index() == 1);  // the no-op
        }
    }
}

TEST_CASE("election: without a fault the leader stays") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    const Term term = cluster.core(1).term();
    cluster.run(300);
    CHECK(cluster.leader() == 1);
    CHECK(cluster.core(2).term() == term);
    CHECK(cluster.core(2).statistics().elections_started == 0);
}

TEST_CASE("election: while a message arrives that takes long, nobody counts as silent") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    const Term term = cluster.core(1).term();
    const ProposeResult proposed = cluster.propose(1, "large");
    // It is on its way to the others, and before all that the leader sends later.
    cluster.hold_if([](const Message& message) { return header_of(message).from == 1; });
    const int timeout = cluster.core(1).options().election_timeout_ticks;
    for (int i = 0; i < 10 * timeout; ++i) {
        cluster.core(2).peer_is_sending(1, true);
        cluster.core(3).peer_is_sending(1, true);
        cluster.run(1);
    }
    CHECK(cluster.leader() == 1);
    CHECK(cluster.core(1).commit_index() < proposed.first_index);
    cluster.heal();
    cluster.release_held();
    cluster.settle();
    CHECK(cluster.core(1).term() == term);
    CHECK(cluster.core(1).commit_index() == proposed.first_index);
    // A follower that sends something as large has its heartbeats' answers wait behind it.
    cluster.hold_if([](const Message& message) { return header_of(message).to == 1; });
    for (int i = 0; i < 10 * timeout; ++i) {
        cluster.core(1).peer_is_sending(2, false);
        cluster.run(1);
    }
    CHECK(cluster.core(1).is_leader());
    CHECK(cluster.core(1).term() == term);
    // When nothing more comes, it is over; what doesn't come from a leader is no sign of one.
    for (int i = 0; i < 2 * timeout; ++i) {
        cluster.core(2).peer_is_sending(1, false);
        cluster.run(1);
    }
    CHECK_FALSE(cluster.core(1).is_leader());
    cluster.hold_if([](const Message& message) { return header_of(message).from == 1; });
    for (int i = 0; i < 4 * timeout; ++i) {
        cluster.core(2).peer_is_sending(1, false);
        cluster.core(3).peer_is_sending(1, false);
        cluster.run(1);
    }
    CHECK((cluster.core(2).is_leader() || cluster.core(3).is_leader()));
}

TEST_CASE("election: a single node elects itself and commits, after its disk") {
    ClusterOptions options;
    options.nodes = 1;
    CoreCluster cluster(options);
    cluster.hold_disk(1);
    cluster.tick(1, 2 * cluster.core(1).options().election_timeout_ticks - 1);
    cluster.settle();
    CHECK(cluster.core(1).role() == RoleName::candidate);  // its vote isn't durable yet
    REQUIRE(cluster.persist(1));
    cluster.settle();
    REQUIRE(cluster.core(1).is_leader());
    CHECK(cluster.propose(1, "a").first_index == 2);
    CHECK(cluster.core(1).commit_index() == 0);
    while (cluster.persist(1)) {
        cluster.collect(1);
    }
    cluster.settle();
    CHECK(cluster.core(1).commit_index() == 2);
    CHECK(cluster.applied_commands(1) == std::vector<std::string>{"a"});
    cluster.crash(1);
    cluster.restart(1);
    cluster.release_disk(1);
    cluster.run(30);
    CHECK(cluster.core(1).is_leader());
    CHECK(cluster.applied_commands(1) == std::vector<std::string>{"a"});
}

TEST_CASE("election: a node behind on the log can't disturb with pre-votes") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.isolate(3);
    cluster.propose(1, "a");
    cluster.settle();
    REQUIRE(cluster.core(2).log().last_index() == 2);
    const Term term = cluster.core(1).term();
    for (int i = 0; i < 100; ++i) {
        cluster.tick(3);
        cluster.settle();
    }
    CHECK(cluster.core(3).term() == term);  // asking doesn't raise the term
    // Even where nobody hears a leader it gets no pre-vote from a longer log.
    cluster.heal();
    cluster.crash(1);
    CHECK_FALSE(cluster.elect(3));
    CHECK(cluster.core(3).term() == term);
    CHECK(cluster.core(2).term() == term);
    CHECK(cluster.elect(2));
}

TEST_CASE("election: an up-to-date node can win once the leader is gone") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.propose(1, "a");
    cluster.settle();
    cluster.crash(1);
    REQUIRE(cluster.elect(3));
    CHECK(cluster.core(3).commit_index() == 3);
    CHECK(cluster.applied_commands(2) == std::vector<std::string>{"a"});
}

TEST_CASE("election: pre-votes are refused while a leader is heard, granted after the timeout") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.run(1);
    const Term term = cluster.core(2).term();
    RequestVote request = vote_request(3, 2, term + 1, cluster.core(3).log().last_index(), term);
    request.pre_vote = true;
    cluster.step(request);
    cluster.collect(2);
    CHECK(vote_in_transit(cluster, 2) == nullptr);
    // A whole election timeout without a word of the leader: the lease has lapsed, campaign or not.
    cluster.isolate(1);
    cluster.tick(2, cluster.core(2).options().election_timeout_ticks);
    cluster.in_transit().clear();
    cluster.step(request);
    cluster.collect(2);
    const RequestVoteReply* reply = vote_in_transit(cluster, 2);
    REQUIRE(reply != nullptr);
    CHECK(reply->granted);
    CHECK(reply->pre_vote);
    CHECK(reply->header.term == term + 1);
    CHECK(cluster.core(2).hard_state().term == term);
    CHECK(cluster.core(2).hard_state().voted_for != 3);
}

TEST_CASE("election: a real vote is refused too while a leader is heard") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    const Term term = cluster.core(2).term();
    cluster.step(vote_request(3, 2, term + 5, 100, term + 4));
    cluster.step(vote_request(3, 1, term + 5, 100, term + 4));
    cluster.settle();
    CHECK(cluster.core(2).term() == term);
    CHECK(cluster.leader() == 1);
    // A candidate the leader itself sent is heard (thesis §4.2.3).
    RequestVote transfer = vote_request(3, 2, term + 1, 100, term);
    transfer.leadership_transfer = true;
    cluster.step(transfer);
    CHECK(cluster.core(2).term() == term + 1);
    CHECK(cluster.core(2).hard_state().voted_for == 3);
}

TEST_CASE("election: an isolated leader steps down and its uncommitted writes never surface") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.propose(1, "kept");
    cluster.run(3);
    cluster.isolate(1);
    REQUIRE(cluster.propose(1, "lost").error == ProposeError::none);
    // The check looks at whole periods, so it takes more than one timeout and at most two.
    int ticks = 0;
    while (cluster.core(1).is_leader() && ticks < 100) {
        cluster.tick(1);
        cluster.collect(1);
        cluster.persist(1);
        ++ticks;
    }
    CHECK(ticks <= 2 * cluster.core(1).options().election_timeout_ticks);
    CHECK(cluster.core(1).statistics().quorum_losses == 1);
    CHECK(cluster.core(1).leader_id() == 0);
    REQUIRE(cluster.elect(2));
    cluster.propose(2, "new");
    cluster.settle();
    cluster.heal();
    cluster.run(50);
    for (const NodeId id : cluster.ids()) {
        CHECK(cluster.applied_commands(id) == std::vector<std::string>{"kept", "new"});
    }
}

TEST_CASE("election: a leader that hears a quorum stays, whichever member is silent") {
    ClusterOptions options;
    options.nodes = 5;
    CoreCluster cluster(options);
    REQUIRE(cluster.elect(1));
    cluster.isolate(4);
    cluster.isolate(5);
    cluster.run(100);
    CHECK(cluster.core(1).is_leader());
    cluster.isolate(3);
    cluster.run(2 * cluster.core(1).options().election_timeout_ticks);
    CHECK_FALSE(cluster.core(1).is_leader());
}

TEST_CASE("election: a node that rejoins with a higher term gets the group to its term") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.propose(1, "a");
    cluster.settle();
    cluster.crash(3);
    cluster.start_from(3, {40, 3}, {});
    cluster.run(100);
    const NodeId leader = cluster.leader();
    REQUIRE(leader != 0);
    CHECK(leader != 3);  // its log is behind
    CHECK(cluster.core(leader).term() > 40);
    CHECK(cluster.core(3).leader_id() == leader);
    CHECK(cluster.applied_commands(3) == std::vector<std::string>{"a"});
}

TEST_CASE("election: a stuck candidate with a higher term is freed by the leader's next message") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    const Term term = cluster.core(1).term();
    // It won the pre-vote of a moment ago, then everybody heard the leader again.
    cluster.cut(3, 1);
    cluster.cut(3, 2);
    cluster.step(TimeoutNow{{1, 1, 3, term}});
    cluster.settle();
    REQUIRE(cluster.core(3).role() == RoleName::candidate);
    REQUIRE(cluster.core(3).term() == term + 1);
    cluster.heal();
    cluster.run(60);
    const NodeId leader = cluster.leader();
    REQUIRE(leader != 0);
    CHECK(cluster.core(leader).term() > term);
    CHECK(cluster.core(3).leader_id() == leader);
}

TEST_CASE("election: after CheckQuorum made the leader step down somebody can win") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    // Followers hear the leader, the leader doesn't hear them: no lease may lock the group.
    cluster.cut(2, 1);
    cluster.cut(3, 1);
    cluster.run(3 * cluster.core(1).options().election_timeout_ticks);
    CHECK_FALSE(cluster.core(1).is_leader());
    cluster.run(6 * cluster.core(1).options().election_timeout_ticks);
    const NodeId leader = cluster.leader();
    REQUIRE(leader != 0);
    CHECK(leader != 1);
    REQUIRE(cluster.propose(leader, "go").error == ProposeError::none);
    cluster.settle();
    CHECK(cluster.applied_commands(leader) == std::vector<std::string>{"go"});
}

TEST_CASE("election: duelling candidates do not both win and one does in the end") {
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        CAPTURE(seed);
        ClusterOptions options;
        options.nodes = 4;
        options.core.random_seed = seed;
        CoreCluster cluster(options);
        // Two win their pre-votes at once and then split the votes.
        tick_to_pre_candidacy(cluster, 1);
        tick_to_pre_candidacy(cluster, 2);
        cluster.hold_if([](const Message& m) {
            const auto* vote = std::get_if<RequestVote>(&m);
            return vote != nullptr && !vote->pre_vote;
        });
        cluster.settle();
        CHECK(cluster.core(1).role() == RoleName::candidate);
        CHECK(cluster.core(2).role() == RoleName::candidate);
        CHECK(cluster.core(1).term() == cluster.core(2).term());
        cluster.heal();
        std::vector<Message> votes = std::move(cluster.held());
        cluster.held().clear();
        for (const Message& vote : votes) {
            const Header& header = header_of(vote);
            if ((header.from == 1 && header.to == 3) || (header.from == 2 && header.to == 4)) {
                cluster.in_transit().push_front(vote);
            } else {
                cluster.in_transit().push_back(vote);
            }
        }
        cluster.settle();
        CHECK(cluster.leader() == 0);
        cluster.run(200);
        CHECK(cluster.leader() != 0);
    }
}

TEST_CASE("election: a vote is durable before it is answered") {
    CoreCluster cluster;
    cluster.hold_disk(2);
    cluster.step(vote_request(1, 2, 1, 0, 0));
    cluster.collect(2);
    CHECK(vote_in_transit(cluster, 2) == nullptr);
    CHECK(cluster.writes_under_way(2) == 1);
    SUBCASE("it leaves once it is durable, and survives a crash") {
        REQUIRE(cluster.persist(2));
        cluster.collect(2);
        const RequestVoteReply* reply = vote_in_transit(cluster, 2);
        REQUIRE(reply != nullptr);
        CHECK(reply->granted);
        cluster.in_transit().clear();
        cluster.crash(2);
        cluster.restart(2);
        cluster.step(vote_request(3, 2, 1, 0, 0));
        cluster.collect(2);
        reply = vote_in_transit(cluster, 2);
        REQUIRE(reply != nullptr);
        CHECK_FALSE(reply->granted);
    }
    SUBCASE("a crash before that loses it unsaid, so that another may have it") {
        cluster.crash(2);
        cluster.restart(2);
        cluster.release_disk(2);
        cluster.step(vote_request(3, 2, 1, 0, 0));
        cluster.collect(2);
        CHECK(vote_in_transit(cluster, 2) == nullptr);
        REQUIRE(cluster.persist(2));
        cluster.collect(2);
        const RequestVoteReply* reply = vote_in_transit(cluster, 2);
        REQUIRE(reply != nullptr);
        CHECK(reply->granted);
        CHECK(reply->header.to == 3);
    }
    SUBCASE("written but not answered: the same candidate gets it again, another doesn't") {
        cluster.crash(2, 1);
        cluster.restart(2);
        cluster.step(vote_request(3, 2, 1, 0, 0));
        cluster.collect(2);
        REQUIRE(vote_in_transit(cluster, 2) != nullptr);
        CHECK_FALSE(vote_in_transit(cluster, 2)->granted);
        cluster.in_transit().clear();
        cluster.step(vote_request(1, 2, 1, 0, 0));
        cluster.collect(2);
        REQUIRE(vote_in_transit(cluster, 2) != nullptr);
        CHECK(vote_in_transit(cluster, 2)->granted);
    }
}

TEST_CASE("election: a candidate asks nobody before its own vote is durable") {
    CoreCluster cluster;
    cluster.hold_disk(1);
    tick_to_pre_candidacy(cluster, 1);
    cluster.settle();
    REQUIRE(cluster.core(1).role() == RoleName::candidate);
    CHECK(cluster.disk_hard_state(1).term == 0);
    CHECK(cluster.core(2).term() == 0);
    CHECK(cluster.count_sent([](const Message& m) {
        const auto* vote = std::get_if<RequestVote>(&m);
        return vote != nullptr && !vote->pre_vote;
    }) == 0);
    // Votes nobody can have cast don't help.
    cluster.step(RequestVoteReply{{1, 2, 1, 1}, false, true});
    cluster.step(RequestVoteReply{{1, 3, 1, 1}, false, true});
    CHECK_FALSE(cluster.core(1).is_leader());
    cluster.release_disk(1);
    cluster.settle();
    CHECK(cluster.core(1).is_leader());
}

TEST_CASE("election: votes only for logs that are up to date") {
    struct Case {
        Index last_index;
        Term last_term;
        bool granted;
    };
    // The voter's log ends with index 3 of term 2.
    for (const Case& one : std::vector<Case>{{3, 2, true},
                                             {4, 2, true},
                                             {1, 3, true},
                                             {2, 2, false},
                                             {100, 1, false},
                                             {0, 0, false}}) {
        for (const bool pre_vote : {false, true}) {
            CAPTURE(one.last_index);
            CAPTURE(one.last_term);
            CAPTURE(pre_vote);
            CoreCluster cluster;
            cluster.start_from(2, {2, 0}, entries_of_terms({1, 2, 2}));
            RequestVote request = vote_request(1, 2, 4, one.last_index, one.last_term);
            request.pre_vote = pre_vote;
            cluster.step(request);
            cluster.collect(2);
            cluster.persist(2);
            cluster.collect(2);
            const RequestVoteReply* reply = vote_in_transit(cluster, 2);
            REQUIRE(reply != nullptr);
            CHECK(reply->granted == one.granted);
            CHECK(cluster.core(2).term() == (pre_vote ? 2 : 4));
        }
    }
}

TEST_CASE("election: messages of an old term change nothing, and a question is answered") {
    CoreCluster cluster;
    cluster.start_from(2, {7, 0}, entries_of_terms({1, 2}));
    cluster.step(vote_request(1, 2, 6, 9, 6));
    AppendEntries append;
    append.header = {1, 3, 2, 6};
    append.leader_commit = 2;
    append.prev_log_index = 1;
    append.prev_log_term = 1;
    append.entries = {make_entry(2, 6)};
    cluster.step(append);
    cluster.step(RequestVoteReply{{1, 1, 2, 6}, false, true});
    cluster.step(TimeoutNow{{1, 3, 2, 6}});
    cluster.step(ReadIndexRequest{{1, 3, 2, 6}, 9});
    CHECK(cluster.core(2).hard_state() == HardState{7, 0});
    CHECK(terms_of(cluster.core(2).log()) == std::vector<Term>{1, 2});
    CHECK(cluster.core(2).commit_index() == 0);
    CHECK(cluster.core(2).leader_id() == 0);
    cluster.collect(2);
    REQUIRE(cluster.in_transit().size() == 2);
    const auto& vote = std::get<RequestVoteReply>(cluster.in_transit()[0]);
    CHECK_FALSE(vote.granted);
    CHECK(vote.header.term == 7);
    const auto& reply = std::get<AppendEntriesReply>(cluster.in_transit()[1]);
    CHECK(reply.rejected);
    CHECK(reply.header.term == 7);
}

TEST_CASE("election: a pre-vote that was granted for another term doesn't count") {
    CoreCluster cluster;
    tick_to_pre_candidacy(cluster, 1);
    cluster.step(RequestVoteReply{{1, 2, 1, 5}, true, true});
    CHECK(cluster.core(1).role() == RoleName::pre_candidate);
    CHECK(cluster.core(1).term() == 0);
    cluster.step(RequestVoteReply{{1, 2, 1, 1}, true, true});
    CHECK(cluster.core(1).role() == RoleName::candidate);
}

TEST_CASE("election: one voter's answers count once") {
    ClusterOptions options;
    options.nodes = 5;
    CoreCluster cluster(options);
    tick_to_pre_candidacy(cluster, 1);
    cluster.step(RequestVoteReply{{1, 2, 1, 1}, true, true});
    cluster.step(RequestVoteReply{{1, 2, 1, 1}, true, true});
    CHECK(cluster.core(1).role() == RoleName::pre_candidate);
    cluster.step(RequestVoteReply{{1, 3, 1, 1}, true, true});
    REQUIRE(cluster.core(1).role() == RoleName::candidate);
    cluster.collect(1);
    cluster.persist(1);
    cluster.collect(1);
    cluster.step(RequestVoteReply{{1, 4, 1, 1}, false, true});
    cluster.step(RequestVoteReply{{1, 4, 1, 1}, false, true});
    CHECK(cluster.core(1).role() == RoleName::candidate);
    cluster.step(RequestVoteReply{{1, 5, 1, 1}, false, true});
    CHECK(cluster.core(1).is_leader());
}

TEST_CASE("election: what waits for a stalled disk is bounded") {
    CoreCluster cluster;
    cluster.hold_disk(2);
    AppendEntries heartbeat;
    heartbeat.header = {1, 1, 2, 3};
    for (ReadId round = 1; round <= 20000; ++round) {
        heartbeat.read_id = round;
        cluster.core(2).step(heartbeat);
    }
    cluster.collect(2);
    CHECK(cluster.in_transit().empty());
    REQUIRE(cluster.persist(2));
    cluster.collect(2);
    CHECK(cluster.in_transit().size() > 0);
    CHECK(cluster.in_transit().size() <= 8192);
}

}  // namespace
