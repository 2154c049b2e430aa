#include "server/node/read_queue.h"

#include <algorithm>
#include <vector>

#include <doctest/doctest.h>

#include "tests/unit/server/replica_testing.h"

namespace {

using namespace cairn;
using namespace cairn::server;
using namespace cairn::server::test;

Read make_read(bool linearizable, raft::Index needed_index = 0, std::int64_t deadline_ns = 100) {
    Read read;
    read.operation = std::make_shared<Operation>();
    read.linearizable = linearizable;
    read.needed_index = needed_index;
    read.deadline_ns = deadline_ns;
    return read;
}

struct Rig {
    explicit Rig(std::vector<raft::NodeId> voters, ReadLimits limits = {},
                 const raft::CoreOptions& options = core_options())
        : node(std::move(voters), options), queue(node.node, limits) {}

    std::size_t ready(raft::Index applied_index) {
        std::vector<Read> reads;
        queue.take_ready(applied_index, reads);
        return reads.size();
    }
    // The requests for a read index that went to the leader.
    std::vector<raft::ReadId> asked() const {
        std::vector<raft::ReadId> ids;
        for (const raft::Message& message : node.transport.messages) {
            if (const auto* request = std::get_if<raft::ReadIndexRequest>(&message)) {
                ids.push_back(request->read_id);
            }
        }
        return ids;
    }

    TestNode node;
    ReadQueue queue;
};

TEST_CASE("reads: those of a turn share a round and wait for the index that it names") {
    Rig rig({1, 2, 3});
    rig.node.follow(1);
    REQUIRE(rig.queue.submit(make_read(true)));
    REQUIRE(rig.queue.submit(make_read(true, 9)));
    rig.queue.start_turn(1000 * ms);
    rig.node.settle();
    REQUIRE(rig.asked().size() == 1);
    CHECK(rig.ready(100) == 0);
    rig.queue.on_read({rig.asked()[0] + 1, true, 1});  // somebody else's
    CHECK(rig.ready(100) == 0);
    rig.queue.on_read({rig.asked()[0], true, 5});
    CHECK(rig.ready(4) == 0);
    CHECK(rig.ready(5) == 1);
    CHECK(rig.ready(8) == 0);
    CHECK_FALSE(rig.queue.idle());
    CHECK(rig.ready(9) == 1);
    CHECK(rig.queue.idle());
}

TEST_CASE("reads: a local one asks nobody, and waits for the index it wants") {
    Rig rig({1, 2, 3});
    REQUIRE(rig.queue.submit(make_read(false)));
    REQUIRE(rig.queue.submit(make_read(false, 3)));
    rig.queue.start_turn(1000 * ms);
    CHECK(rig.ready(0) == 1);
    CHECK(rig.ready(2) == 0);
    CHECK(rig.ready(3) == 1);
    CHECK(rig.queue.idle());
}

TEST_CASE("reads: at most so many rounds are under way; what comes later gathers for the next") {
    Rig rig({1, 2, 3});
    rig.node.follow(1);
    for (int i = 0; i < 5; ++i) {
        REQUIRE(rig.queue.submit(make_read(true)));
        rig.queue.start_turn(1000 * ms);
        rig.node.settle();
    }
    REQUIRE(rig.asked().size() == 2);
    rig.queue.on_read({rig.asked()[1], true, 1});  // out of order is as good
    CHECK(rig.ready(1) == 1);
    rig.queue.start_turn(1000 * ms);
    rig.node.settle();
    REQUIRE(rig.asked().size() == 3);
    rig.queue.on_read({rig.asked()[2], true, 1});
    CHECK(rig.ready(1) == 3);
}

TEST_CASE("reads: a round that failed is asked again; without a leader nothing is asked") {
    Rig rig({1, 2, 3});
    REQUIRE(rig.queue.submit(make_read(true)));
    rig.queue.start_turn(1000 * ms);
    CHECK(rig.asked().empty());
    rig.node.follow(1);
    rig.queue.start_turn(1000 * ms);
    rig.node.settle();
    REQUIRE(rig.asked().size() == 1);
    rig.queue.on_read({rig.asked()[0], false, 0});
    CHECK(rig.ready(100) == 0);
    rig.queue.start_turn(1000 * ms);
    rig.node.settle();
    REQUIRE(rig.asked().size() == 2);
    rig.queue.on_read({rig.asked()[1], true, 1});
    CHECK(rig.ready(1) == 1);
}

TEST_CASE("reads: the number of all that wait is bounded, wherever they wait") {
    ReadLimits limits;
    limits.waiting_max = 3;
    Rig rig({1, 2, 3}, limits);
    rig.node.follow(1);
    REQUIRE(rig.queue.submit(make_read(true)));
    rig.queue.start_turn(1000 * ms);  // one in a round
    rig.node.settle();
    REQUIRE(rig.queue.submit(make_read(true)));      // one queued
    REQUIRE(rig.queue.submit(make_read(false, 9)));  // one waiting to be applied
    CHECK_FALSE(rig.queue.submit(make_read(false)));
    rig.queue.on_read({rig.asked()[0], true, 1});
    CHECK(rig.ready(1) == 1);
    CHECK(rig.queue.submit(make_read(false)));
}

TEST_CASE(
    "reads: the deadline finds them in every place; leaderless ends only what wants a leader") {
    ReadLimits limits;
    limits.rounds_max = 1;
    limits.hold_ns = 50;
    Rig rig({1, 2, 3}, limits);
    rig.node.follow(1);
    REQUIRE(rig.queue.submit(make_read(true)));
    rig.queue.start_turn(1000 * ms);
    rig.node.settle();
    REQUIRE(rig.queue.submit(make_read(true)));
    REQUIRE(rig.queue.submit(make_read(false, 9)));
    REQUIRE(rig.queue.submit(make_read(true, 0, 1000)));
    std::vector<Read> expired;
    std::vector<Read> leaderless;
    rig.queue.sweep(99, 50, expired, leaderless);
    CHECK(expired.empty());
    CHECK(leaderless.empty());
    rig.queue.sweep(100, 0, expired, leaderless);
    CHECK(expired.size() == 3);
    rig.queue.sweep(101, 51, expired, leaderless);
    CHECK(expired.size() == 3);
    CHECK(leaderless.size() == 1);
    CHECK(rig.queue.idle());
    rig.queue.on_read({rig.asked()[0], true, 1});  // of the empty round
    CHECK(rig.ready(100) == 0);
}

TEST_CASE("reads: take_all leaves nothing") {
    Rig rig({1, 2, 3});
    rig.node.follow(1);
    REQUIRE(rig.queue.submit(make_read(true)));
    rig.queue.start_turn(1000 * ms);
    REQUIRE(rig.queue.submit(make_read(true)));
    REQUIRE(rig.queue.submit(make_read(false, 9)));
    std::vector<Read> all;
    rig.queue.take_all(all);
    CHECK(all.size() == 3);
    CHECK(rig.queue.idle());
    rig.node.settle();
    rig.queue.on_read({rig.asked().at(0), true, 1});
    CHECK(rig.ready(100) == 0);
}

// Node 1 leads three and node 2 has promised it 80 ms in answer to its last heartbeat.
struct LeaseRig : Rig {
    static raft::CoreOptions options() {
        raft::CoreOptions options = core_options();
        options.vote_promise_ns = 80 * ms;
        return options;
    }
    LeaseRig() : Rig({1, 2, 3}, {}, options()) {
        node.lead();
        for (int i = 0; i < options().heartbeat_ticks; ++i) {
            node.node.on_tick(1000 * ms);
        }
        node.settle();
        raft::AppendEntriesReply reply;
        for (const raft::Message& message : node.transport.messages) {
            if (const auto* append = std::get_if<raft::AppendEntries>(&message)) {
                reply.read_id = std::max(reply.read_id, append->read_id);
            }
        }
        reply.header = node.from(2, node.node.core().term());
        reply.match_index = node.node.core().log().last_index();
        reply.vote_promise_ns = 80 * ms;
        node.step(reply);
        REQUIRE(node.node.core().commit_index() == 1);
    }
    // Lets the leader apply at most `applied_index`; what is then served.
    std::vector<Read> served(raft::Index applied_index) {
        std::vector<Read> reads;
        queue.take_ready(applied_index, reads);
        return reads;
    }
};

Read make_lease_read(raft::Index needed_index = 0) {
    Read read = make_read(true, needed_index);
    read.lease = true;
    return read;
}

TEST_CASE("reads: by the lease without a round, once what is committed is applied") {
    LeaseRig rig;
    REQUIRE(rig.queue.submit(make_lease_read()));
    REQUIRE(rig.queue.submit(make_lease_read(4)));
    CHECK(rig.served(100).empty());  // nothing before it is decided
    rig.queue.start_turn(1071 * ms);
    CHECK(rig.served(0).empty());
    const std::vector<Read> reads = rig.served(1);
    REQUIRE(reads.size() == 1);
    CHECK(reads.front().lease);
    CHECK(rig.served(3).empty());
    CHECK(rig.served(4).size() == 1);
    CHECK(rig.queue.idle());
    rig.node.settle();
    CHECK(rig.node.reads.empty());
}

TEST_CASE("reads: without a lease one that asked for it is linearizable") {
    LeaseRig rig;
    REQUIRE(rig.queue.submit(make_lease_read()));
    rig.queue.start_turn(1072 * ms);  // ended
    CHECK(rig.served(100).empty());
    rig.node.settle();
    CHECK(rig.served(100).empty());
    raft::ReadId round = 0;
    for (const raft::Message& message : rig.node.transport.messages) {
        if (const auto* append = std::get_if<raft::AppendEntries>(&message)) {
            round = std::max(round, append->read_id);
        }
    }
    raft::AppendEntriesReply reply;
    reply.header = rig.node.from(3, rig.node.node.core().term());
    reply.read_id = round;
    rig.node.step(reply);
    REQUIRE(rig.node.reads.size() == 1);
    rig.queue.on_read(rig.node.reads.front());
    const std::vector<Read> reads = rig.served(1);
    REQUIRE(reads.size() == 1);
    CHECK_FALSE(reads.front().lease);
    CHECK(rig.queue.idle());
}

TEST_CASE("reads: a follower has no lease and asks its leader") {
    Rig rig({1, 2, 3}, {}, LeaseRig::options());
    rig.node.follow(1);
    REQUIRE(rig.queue.submit(make_lease_read()));
    rig.queue.start_turn(1000 * ms);
    rig.node.settle();
    CHECK(rig.ready(100) == 0);
    REQUIRE(rig.asked().size() == 1);
    rig.queue.on_read({rig.asked()[0], true, 5});
    CHECK(rig.ready(5) == 1);
}

TEST_CASE("reads: what asked for a lease and is not decided yet ends with the rest") {
    LeaseRig rig;
    std::vector<Read> out;
    std::vector<Read> leaderless;
    REQUIRE(rig.queue.submit(make_lease_read()));
    rig.queue.sweep(99, 0, out, leaderless);
    CHECK(out.empty());
    rig.queue.sweep(100, 0, out, leaderless);
    CHECK(out.size() == 1);
    REQUIRE(rig.queue.submit(make_lease_read()));
    rig.queue.take_all(out);
    CHECK(out.size() == 2);
    CHECK(rig.queue.idle());
}

}  // namespace
