// The paper's figures 7 and 8 as executable scenarios.

#include <doctest/doctest.h>

#include "tests/support/core_cluster.h"

namespace {

using namespace cairn::raft;
using namespace cairn::raft::testing;

using Terms = std::vector<Term>;

// Figure 7: when the leader on top comes to power, any of (a) to (f) may be a follower's log.
TEST_CASE("figure 7: the leader of term 8 repairs every follower (a) to (f)") {
    const Terms leaders{1, 1, 1, 4, 4, 5, 5, 6, 6, 6};
    struct Follower {
        const char* name;
        Terms terms;
        Term current_term;
    };
    const std::vector<Follower> followers{
        {"(a)", {1, 1, 1, 4, 4, 5, 5, 6, 6}, 7},
        {"(b)", {1, 1, 1, 4}, 7},
        {"(c)", {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6}, 6},
        {"(d)", {1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7}, 7},
        {"(e)", {1, 1, 1, 4, 4, 4, 4}, 7},
        {"(f)", {1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3}, 7},
    };
    ClusterOptions options;
    options.nodes = 7;
    CoreCluster cluster(options);
    cluster.start_from(1, {7, 0}, entries_of_terms(leaders));
    for (NodeId id = 2; id <= 7; ++id) {
        const Follower& follower = followers[id - 2];
        cluster.start_from(id, {follower.current_term, 0}, entries_of_terms(follower.terms));
    }
    REQUIRE(cluster.elect(1));  // (a), (b), (e) and (f) vote for it; (c) and (d) must not
    REQUIRE(cluster.core(1).term() == 8);
    CHECK(cluster.count_sent([](const Message& m) {
        const auto* reply = std::get_if<RequestVoteReply>(&m);
        return reply != nullptr && !reply->pre_vote && !reply->granted &&
               (reply->header.from == 4 || reply->header.from == 5);
    }) == 2);
    Terms expected = leaders;
    expected.push_back(8);
    for (NodeId id = 2; id <= 7; ++id) {
        CAPTURE(followers[id - 2].name);
        CHECK(terms_of(cluster.core(id).log()) == expected);
        CHECK(cluster.core(id).commit_index() == 11);
        // One message for each term that differs, at most (§5.3).
        CHECK(cluster.count_sent([id](const Message& m) {
            const auto* reply = std::get_if<AppendEntriesReply>(&m);
            return reply != nullptr && reply->rejected && reply->header.from == id;
        }) <= 2);
        std::vector<Term> on_disk;
        for (const Entry& entry : cluster.disk(id)) {
            on_disk.push_back(entry.term);
        }
        CHECK(on_disk == expected);
    }
}

// Up to (c): S1 has led terms 2 and 4, S5 term 3; S1's entry of term 2 is on S1, S2 and S3, but not
// committed, and index 3 of term 4 (here the no-op of the term) is on S1 alone.
void play_until_c(CoreCluster& cluster) {
    // (a) S1 is leader of term 2 and partially replicates index 2.
    cluster.start_from(1, {2, 1}, entries_of_terms({1, 2}));
    cluster.start_from(2, {2, 1}, entries_of_terms({1, 2}));
    cluster.start_from(3, {2, 1}, entries_of_terms({1}));
    cluster.start_from(4, {2, 1}, entries_of_terms({1}));
    cluster.start_from(5, {2, 1}, entries_of_terms({1}));
    // (b) S1 crashes; S5 is elected in term 3 by S3, S4 and itself and keeps its entry to itself.
    cluster.crash(1);
    cluster.drop_if(from_node<AppendEntries>(5));
    REQUIRE(cluster.elect(5));
    REQUIRE(cluster.core(5).term() == 3);
    REQUIRE(terms_of(cluster.core(5).log()) == Terms{1, 3});
    // (c) S5 crashes; S1 restarts, is elected in term 4 and goes on replicating index 2.
    cluster.crash(5);
    cluster.heal();
    cluster.restart(1);
    // What is of term 4 goes nowhere.
    cluster.drop_if([](const Message& m) {
        const auto* append = std::get_if<AppendEntries>(&m);
        return append != nullptr && !append->entries.empty() && append->entries.back().term == 4;
    });
    for (int i = 0; i < 10 && !cluster.core(1).is_leader(); ++i) {
        cluster.elect(1);
    }
    REQUIRE(cluster.core(1).is_leader());
    REQUIRE(cluster.core(1).term() == 4);
    // S3 gets index 2 of term 2, by itself.
    AppendEntries append;
    append.header = {1, 1, 3, 4};
    append.prev_log_index = 1;
    append.prev_log_term = 1;
    append.entries = {make_entry(2, 2)};
    cluster.step(append);
    cluster.run(2);  // and S2 is asked by a heartbeat
    REQUIRE(terms_of(cluster.core(1).log()) == Terms{1, 2, 4});
    REQUIRE(terms_of(cluster.core(2).log()) == Terms{1, 2});
    REQUIRE(terms_of(cluster.core(3).log()) == Terms{1, 2});
    // Index 2 is durable on a majority and the leader knows it, yet it is not committed.
    int holders = 0;
    for (const Progress& progress : cluster.core(1).progress()) {
        holders += progress.match_index >= 2 ? 1 : 0;
    }
    CHECK(holders == 3);
    CHECK(cluster.core(1).commit_index() == 0);
    CHECK(cluster.committed().empty());
}

TEST_CASE("figure 8: (d) an entry of an old term on a majority is overwritten") {
    ClusterOptions options;
    options.nodes = 5;
    CoreCluster cluster(options);
    play_until_c(cluster);
    cluster.crash(1);
    cluster.restart(5);
    cluster.heal();
    REQUIRE(cluster.elect(5));
    CHECK(cluster.core(5).term() == 5);
    cluster.restart(1);
    cluster.run(10);
    for (const NodeId id : cluster.ids()) {
        CHECK(terms_of(cluster.core(id).log()) == Terms{1, 3, 5});
        CHECK(cluster.core(id).commit_index() == 3);
    }
}

TEST_CASE("figure 8: (e) an entry of the leader's own term on a majority commits the old one") {
    ClusterOptions options;
    options.nodes = 5;
    CoreCluster cluster(options);
    play_until_c(cluster);
    cluster.heal();
    cluster.crash(4);
    cluster.run(2);  // S1, S2 and S3 get index 3 of term 4
    CHECK(cluster.core(1).commit_index() == 3);
    CHECK(terms_of(cluster.core(3).log()) == Terms{1, 2, 4});
    // S5 can't win an election any more.
    cluster.crash(1);
    cluster.restart(4);
    cluster.restart(5);
    CHECK_FALSE(cluster.elect(5));
    REQUIRE(cluster.elect(2));
    cluster.restart(1);
    cluster.run(10);
    for (const NodeId id : cluster.ids()) {
        const Terms terms = terms_of(cluster.core(id).log());
        REQUIRE(terms.size() >= 4);
        CHECK(Terms(terms.begin(), terms.begin() + 3) == Terms{1, 2, 4});
    }
}

}  // namespace
