// Linearizable reads by ReadIndex (thesis §6.4).

#include <doctest/doctest.h>

#include "tests/support/core_cluster.h"

namespace {

using namespace cairn::raft;
using namespace cairn::raft::testing;

// A confirmed round: the read is answered, with this index.
bool confirmed_at(const CoreCluster& cluster, NodeId id, ReadId read, Index index) {
    const ReadState* state = cluster.read(id, read);
    return state != nullptr && state->ok && state->read_index == index;
}

bool failed(const CoreCluster& cluster, NodeId id, ReadId read) {
    const ReadState* state = cluster.read(id, read);
    return state != nullptr && !state->ok;
}

TEST_CASE("read: a leader confirms at its commit index, without a tick") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.propose(1, "a");
    cluster.settle();
    const ReadId read = cluster.read_index(1);
    REQUIRE(read != 0);
    cluster.collect(1);
    CHECK(cluster.read(1, read) == nullptr);  // nobody has confirmed
    cluster.settle();
    CHECK(confirmed_at(cluster, 1, read, 2));
    CHECK(cluster.core(1).log().last_index() == 2);  // reading writes nothing
}

TEST_CASE("read: a single node confirms by itself") {
    ClusterOptions options;
    options.nodes = 1;
    CoreCluster cluster(options);
    cluster.run(30);
    const ReadId read = cluster.read_index(1);
    cluster.collect(1);
    CHECK(confirmed_at(cluster, 1, read, 1));
}

TEST_CASE("read: nothing is confirmed before the no-op of the term is committed") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.propose(1, "a");
    cluster.settle();
    cluster.crash(1);
    // The new leader doesn't know yet that "a" is committed; its no-op reaches nobody.
    cluster.hold_if([](const Message& m) {
        const auto* append = std::get_if<AppendEntries>(&m);
        return append != nullptr && !append->entries.empty();
    });
    REQUIRE(cluster.elect(2));
    const ReadId read = cluster.read_index(2);
    REQUIRE(read != 0);
    cluster.run(3);
    CHECK(cluster.read(2, read) == nullptr);
    cluster.heal();
    cluster.release_held();
    cluster.settle();
    CHECK(confirmed_at(cluster, 2, read, 3));
}

TEST_CASE("read: all that wait share a round") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.settle();
    cluster.clear_sent();
    std::vector<ReadId> reads;
    for (int i = 0; i < 50; ++i) {
        reads.push_back(cluster.read_index(1));
    }
    cluster.settle();
    for (const ReadId read : reads) {
        CHECK(confirmed_at(cluster, 1, read, 1));
    }
    CHECK(cluster.count_sent(is_a<AppendEntries>) == 2);  // one to each follower
    // Later reads need a round of their own.
    const ReadId later = cluster.read_index(1);
    cluster.hold_if(is_a<AppendEntriesReply>);
    cluster.settle();
    CHECK(cluster.read(1, later) == nullptr);
}

TEST_CASE("read: an ordinary append sent after it confirms it") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.settle();
    cluster.clear_sent();
    const ReadId read = cluster.read_index(1);
    cluster.propose(1, "a");
    cluster.settle();
    CHECK(confirmed_at(cluster, 1, read, 1));
    // The append carried the round: two appends, and two that announce the commit.
    CHECK(cluster.count_sent([](const Message& m) {
        const auto* append = std::get_if<AppendEntries>(&m);
        return append != nullptr && append->entries.empty() && append->leader_commit == 1;
    }) == 0);
}

TEST_CASE("read: an append carries a round's confirmation before the follower's disk is done") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.settle();
    cluster.hold_disk(2);
    cluster.hold_disk(3);
    const ReadId read = cluster.read_index(1);
    cluster.propose(1, "a");
    cluster.settle();
    CHECK(confirmed_at(cluster, 1, read, 1));
    CHECK(cluster.core(1).commit_index() == 1);
}

TEST_CASE("read: an append sent before it does not confirm it") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.settle();
    cluster.hold_if(is_a<AppendEntriesReply>);
    cluster.propose(1, "a");
    cluster.settle();
    cluster.heal();
    // What is sent from now on is lost, the answers to what was sent before arrive.
    cluster.cut(1, 2);
    cluster.cut(1, 3);
    const ReadId read = cluster.read_index(1);
    cluster.collect(1);
    cluster.release_held();
    cluster.settle();
    CHECK(cluster.core(1).commit_index() == 2);
    CHECK(cluster.read(1, read) == nullptr);
    cluster.heal();
    cluster.run(2);  // the next heartbeat carries the round
    CHECK(confirmed_at(cluster, 1, read, 1));
}

TEST_CASE("read: a minority's answers don't confirm") {
    ClusterOptions options;
    options.nodes = 5;
    CoreCluster cluster(options);
    REQUIRE(cluster.elect(1));
    cluster.settle();
    cluster.crash(3);
    cluster.crash(4);
    cluster.crash(5);
    const ReadId read = cluster.read_index(1);
    cluster.run(5);
    CHECK(cluster.read(1, read) == nullptr);
    cluster.restart(3);
    cluster.run(3);
    CHECK(confirmed_at(cluster, 1, read, 1));
}

TEST_CASE("read: lost leadership fails what waits") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.cut(2, 1);
    cluster.cut(3, 1);
    const ReadId own = cluster.read_index(1);
    cluster.settle();
    AppendEntries append;
    append.header = {1, 2, 1, cluster.core(1).term() + 1};
    append.prev_log_index = 1;
    append.prev_log_term = cluster.core(1).log().last_term();
    cluster.core(1).step(append);
    cluster.collect(1);
    CHECK(failed(cluster, 1, own));
}

TEST_CASE("read: an isolated leader never confirms, and fails them when it steps down") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.settle();
    cluster.isolate(1);
    REQUIRE(cluster.elect(2));
    cluster.propose(2, "newer");
    cluster.settle();
    std::vector<ReadId> reads;
    REQUIRE(cluster.core(1).is_leader());  // it doesn't know yet
    for (int i = 0; i < 40; ++i) {
        if (const ReadId read = cluster.read_index(1); read != 0) {
            reads.push_back(read);
        }
        cluster.run(1);
    }
    REQUIRE(reads.size() > 5);
    CHECK_FALSE(cluster.core(1).is_leader());
    for (const ReadId read : reads) {
        CHECK(failed(cluster, 1, read));
    }
    CHECK(cluster.read_index(1) == 0);  // it knows no leader
}

TEST_CASE("read: a deposed leader that hears late answers of its old term reads nothing old") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.settle();
    // Node 2 answers a round, then elects node 3; node 3 commits. The read began before: it may be
    // confirmed by node 2's answer, but only with an index from before.
    cluster.hold_if(from_node<AppendEntriesReply>(2));
    cluster.cut(1, 3);
    cluster.cut(3, 1);
    const ReadId before = cluster.read_index(1);
    cluster.settle();
    REQUIRE(cluster.elect(3));
    cluster.propose(3, "newer");
    cluster.settle();
    const ReadId after = cluster.core(1).is_leader() ? cluster.read_index(1) : 0;
    std::vector<Message> late = std::move(cluster.held());
    cluster.held().clear();
    for (const Message& message : late) {
        if (header_of(message).to == 1) {
            cluster.step(message);
        }
    }
    cluster.collect(1);
    CHECK(confirmed_at(cluster, 1, before, 1));
    CHECK((after == 0 || !confirmed_at(cluster, 1, after, 1)));
}

TEST_CASE("read: a follower reads through its leader") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.propose(1, "a");
    cluster.settle();
    const ReadId read = cluster.read_index(2);
    REQUIRE(read != 0);
    cluster.settle();
    CHECK(confirmed_at(cluster, 2, read, 2));
    CHECK(cluster.reads(1).empty());
}

TEST_CASE("read: a follower's read that the leader can't confirm is not answered with an index") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.settle();
    cluster.cut(1, 3);
    cluster.drop_if(is_a<AppendEntries>);
    const ReadId read = cluster.read_index(2);
    cluster.settle();
    CHECK(cluster.read(2, read) == nullptr);
    for (int i = 0; i < 40; ++i) {
        cluster.run(1);
    }
    CHECK(failed(cluster, 2, read));
}

TEST_CASE("read: a lost request or answer fails after an election timeout") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.settle();
    cluster.drop_if(is_a<ReadIndexReply>);
    const ReadId read = cluster.read_index(2);
    cluster.run(cluster.core(2).options().election_timeout_ticks);
    CHECK(cluster.read(2, read) == nullptr);
    cluster.run(1);
    CHECK(failed(cluster, 2, read));
}

TEST_CASE("read: who asks a node that does not lead is refused at once") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.settle();
    cluster.step(ReadIndexRequest{{1, 3, 2, cluster.core(2).term()}, 77});
    cluster.collect(2);
    REQUIRE(cluster.in_transit().size() == 1);
    const auto& reply = std::get<ReadIndexReply>(cluster.in_transit().front());
    CHECK(reply.refused);
    CHECK(reply.read_id == 77);
}

TEST_CASE("read: a late answer to another incarnation is not accepted") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.settle();
    cluster.hold_if(is_a<ReadIndexReply>);
    const ReadId old_read = cluster.read_index(2);
    cluster.settle();
    REQUIRE(cluster.held().size() == 1);
    cluster.crash(2);
    cluster.restart(2);
    cluster.run(2);
    cluster.propose(1, "newer");
    cluster.settle();
    const ReadId new_read = cluster.read_index(2);
    REQUIRE(new_read != 0);
    CHECK(new_read != old_read);
    cluster.step(cluster.held().front());
    cluster.collect(2);
    CHECK(cluster.reads(2).empty());
}

TEST_CASE("read: an answer by somebody else than the leader is not accepted") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.settle();
    const ReadId read = cluster.read_index(2);
    cluster.step(ReadIndexReply{{1, 3, 2, cluster.core(2).term()}, read, false, 1});
    cluster.collect(2);
    CHECK(cluster.read(2, read) == nullptr);
    cluster.settle();
    CHECK(confirmed_at(cluster, 2, read, 1));
    CHECK(cluster.reads(2).size() == 1);
}

TEST_CASE("read: a follower that changes its leader fails what it forwarded") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.settle();
    cluster.isolate(1);
    const ReadId read = cluster.read_index(2);
    cluster.settle();
    REQUIRE(cluster.elect(3));
    CHECK(failed(cluster, 2, read));
}

TEST_CASE("read: too many waiting are refused") {
    ClusterOptions options;
    options.core.pending_reads_max = 3;
    CoreCluster cluster(options);
    REQUIRE(cluster.elect(1));
    cluster.settle();
    for (const NodeId id : {1, 2}) {
        for (int i = 0; i < 3; ++i) {
            CHECK(cluster.read_index(id) != 0);
        }
        CHECK(cluster.read_index(id) == 0);
    }
    cluster.settle();
    CHECK(cluster.read_index(1) != 0);
    CHECK(cluster.read_index(2) != 0);
}

}  // namespace
