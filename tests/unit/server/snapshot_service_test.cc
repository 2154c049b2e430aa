#include "server/node/snapshot_service.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "raft/core/configuration_change.h"
#include "tests/support/snapshot_testing.h"
#include "tests/unit/server/replica_testing.h"

namespace {

using namespace cairn;
using namespace cairn::server;
using namespace cairn::server::test;

SnapshotLimits small_limits() {
    SnapshotLimits limits;
    limits.entries_between = 1'000'000;
    limits.entries_kept = 0;
    limits.slice_bytes = 64;
    limits.chunk_bytes = 64;
    limits.window_bytes = 128;
    return limits;
}

struct Taken {
    int count = 0;
    raft::Index index = 0;
    std::string error;
};

// The service over node 1, a state machine that applies what the node commits, and a store.
struct Rig {
    explicit Rig(std::vector<raft::NodeId> voters, const SnapshotLimits& service_limits = {})
        : limits(service_limits),
          store(raft::test::open_snapshots(files)),
          node(std::move(voters)),
          service(
              node.node, node.storage, state, runner, limits, 77,
              [this](fsm::StateMachine machine) {
                  ++installs;
                  std::swap(state, machine);
                  return machine;
              },
              [this] { turn_wanted = true; }) {
        node.committed_hook = [this](const raft::Entry& entry) {
            std::vector<fsm::Event> events;
            state.apply(entry.index, entry.stamp_ns, entry.payload.view(), events);
        };
    }
    void write(int count, int start = 0) {
        std::vector<raft::Payload> payloads;
        for (int i = start; i < start + count; ++i) {
            payloads.push_back(
                raft::Payload::copy_of(set_command("name" + std::to_string(i), "value")));
        }
        REQUIRE(node.node.propose(payloads, now).error == raft::ProposeError::none);
        node.settle();
        if (node.node.core().configuration().voters.size() > 1) {
            raft::AppendEntriesReply reply;
            reply.header = node.from(2, node.node.core().term());
            reply.match_index = node.node.core().log().last_index();
            node.step(reply);
        }
        REQUIRE(state.applied_index() == node.node.core().log().last_index());
    }
    // What the node heard goes to the service; turns and jobs until there are none.
    void settle() {
        turn_wanted = true;
        for (int i = 0; i < 10'000 && (turn_wanted || !runner.jobs.empty()); ++i) {
            turn_wanted = false;
            node.settle();
            for (const raft::NodeId peer : std::exchange(node.wanted, {})) {
                service.on_wanted(peer);
            }
            for (const auto& chunk : std::exchange(node.chunks, {})) {
                service.on_chunk(chunk);
            }
            for (const auto& reply : std::exchange(node.replies, {})) {
                service.on_reply(reply);
            }
            service.turn(now);
            runner.run_all(*store);
        }
        REQUIRE_FALSE(turn_wanted);
        node.settle();
    }
    void pass(std::int64_t ns) {
        now += ns;
        settle();
    }
    void ask() {
        service.take([this](raft::Index index, const std::string& error) {
            ++taken.count;
            taken.index = index;
            taken.error = error;
        });
    }
    std::vector<raft::InstallSnapshot> sent_chunks() {
        std::vector<raft::InstallSnapshot> chunks;
        for (const raft::Message& message : std::exchange(node.transport.messages, {})) {
            if (const auto* chunk = std::get_if<raft::InstallSnapshot>(&message)) {
                chunks.push_back(*chunk);
            }
        }
        return chunks;
    }
    std::vector<raft::InstallSnapshotReply> sent_replies() {
        std::vector<raft::InstallSnapshotReply> replies;
        for (const raft::Message& message : std::exchange(node.transport.messages, {})) {
            if (const auto* reply = std::get_if<raft::InstallSnapshotReply>(&message)) {
                replies.push_back(*reply);
            }
        }
        return replies;
    }
    // Leader of three whose log begins behind what node 3 has; node 3 is sent a snapshot.
    void lead_far_ahead() {
        node.lead();
        write(30);
        ask();
        settle();
        REQUIRE(taken.index == state.applied_index());
        REQUIRE(node.node.core().log().base().index == taken.index);
        beat();
    }
    // A heartbeat's time, with node 2 alive.
    void beat() {
        for (int i = 0; i < 2; ++i) {
            node.node.on_tick(now);
        }
        settle();
    }
    void acknowledge(const raft::InstallSnapshot& chunk, std::uint64_t next_offset) {
        node.step(raft::InstallSnapshotReply{node.from(3, node.node.core().term()),
                                             chunk.last_included.index, next_offset});
        settle();
    }

    const SnapshotLimits limits;
    raft::test::MemoryFileSystem files;
    std::unique_ptr<raft::SnapshotStore> store;
    TestNode node;
    HeldRunner runner;
    fsm::StateMachine state;
    bool turn_wanted = false;
    int installs = 0;
    std::int64_t now = 1000 * ms;
    Taken taken;
    SnapshotService service;
};

TEST_CASE("snapshots: one is taken when enough was applied; the log keeps what it should") {
    SnapshotLimits limits = small_limits();
    limits.entries_between = 50;
    limits.entries_kept = 10;
    Rig rig({1}, limits);
    rig.node.lead();
    rig.write(48);  // and the no-op
    rig.settle();
    CHECK(raft::test::latest_index(*rig.store) == 0);
    rig.write(1, 48);
    rig.settle();
    CHECK(raft::test::latest_index(*rig.store) == 50);
    CHECK(rig.service.last_index() == 50);
    CHECK(rig.service.taken_count() == 1);
    CHECK(rig.node.node.core().log().base().index == 40);
    CHECK(rig.node.storage.released == 41);
    std::string error;
    const auto loaded = load_state_machine(*rig.store, error);
    REQUIRE_MESSAGE(loaded.has_value(), error);
    CHECK(loaded->digest() == rig.state.digest());
}

TEST_CASE("snapshots: what is applied while one is taken isn't in it; askers share it") {
    Rig rig({1}, small_limits());
    rig.node.lead();
    rig.write(20);
    const std::uint64_t digest = rig.state.digest();
    rig.ask();
    rig.ask();
    rig.service.turn(rig.now);
    REQUIRE(rig.state.snapshot_in_progress());
    rig.write(20, 10);
    rig.settle();
    CHECK(rig.taken.count == 2);
    CHECK(rig.taken.index == 21);
    CHECK_FALSE(rig.state.snapshot_in_progress());
    std::string error;
    CHECK(load_state_machine(*rig.store, error)->digest() == digest);
}

TEST_CASE("snapshots: one holds the members at its index, not those of an entry behind it") {
    Rig rig({1, 2, 3}, small_limits());
    rig.node.lead();
    rig.write(3);
    const raft::Configuration before = rig.node.node.core().configuration();
    const raft::PlannedChange planned = raft::plan_addition(before, {4, "n4:1", 0, false});
    REQUIRE(planned.error == raft::ChangeError::none);
    REQUIRE(rig.node.node.change_configuration(planned.next, rig.now).error ==
            raft::ChangeError::none);
    rig.ask();
    rig.settle();
    REQUIRE(rig.taken.index == rig.state.applied_index());
    CHECK(rig.node.node.core().configuration() != before);
    CHECK(rig.store->latest()->meta.configuration == before);
}

TEST_CASE("snapshots: nothing newer to take is answered at once; askers are bounded") {
    SnapshotLimits limits = small_limits();
    limits.askers_max = 2;
    Rig rig({1}, limits);
    rig.node.lead();
    rig.write(3);
    for (int i = 0; i < 3; ++i) {
        rig.ask();
    }
    CHECK(rig.taken.count == 1);
    CHECK_FALSE(rig.taken.error.empty());
    rig.settle();
    CHECK(rig.taken.count == 3);
    CHECK(rig.taken.error.empty());
    rig.ask();
    CHECK(rig.taken.count == 4);
    CHECK(rig.taken.index == 4);
    CHECK(rig.service.taken_count() == 1);
}

TEST_CASE("snapshots: a full disk is said, leaves the log alone, and is tried again later") {
    SnapshotLimits limits = small_limits();
    limits.entries_between = 20;
    Rig rig({1}, limits);
    rig.node.lead();
    rig.files.set_capacity_bytes(300);
    rig.write(20);
    rig.ask();
    rig.settle();
    CHECK(rig.taken.count == 1);
    CHECK(rig.taken.index == 0);
    CHECK_FALSE(rig.taken.error.empty());
    CHECK_FALSE(rig.state.snapshot_in_progress());
    CHECK(rig.node.node.core().log().base().index == 0);
    rig.files.set_capacity_bytes(1U << 20);
    rig.pass(limits.retry_ns - 1);
    CHECK(rig.service.taken_count() == 0);
    rig.pass(1);
    CHECK(rig.service.taken_count() == 1);
    CHECK(raft::test::latest_index(*rig.store) == 21);
}

TEST_CASE("snapshots: a queue that is full puts one off or ends it, and a later one comes out") {
    Rig rig({1}, small_limits());
    rig.node.lead();
    rig.write(20);
    for (std::size_t jobs_max = 0; jobs_max < 4; ++jobs_max) {
        CAPTURE(jobs_max);
        rig.runner.jobs_max = jobs_max;
        rig.ask();
        for (int i = 0; i < 6; ++i) {
            rig.service.turn(rig.now);  // the disk does nothing meanwhile
        }
        rig.runner.jobs_max = 1024;
        rig.settle();
        CHECK(rig.taken.count == static_cast<int>(jobs_max) + 1);
        CHECK((rig.taken.index != 0) == rig.taken.error.empty());
        rig.write(1, 100 + static_cast<int>(jobs_max));
        rig.now += rig.limits.retry_ns;
    }
    rig.ask();
    rig.settle();
    CHECK(rig.taken.index == rig.state.applied_index());
}

TEST_CASE("snapshots: sent in a window; what gets lost comes again, also after the last byte") {
    Rig rig({1, 2, 3}, small_limits());
    rig.lead_far_ahead();
    const auto first = rig.sent_chunks();
    REQUIRE(first.size() == 2);  // the window
    CHECK(first[0].offset == 0);
    CHECK(first[1].offset == 64);
    CHECK(first[0].last_included.index == 31);
    rig.acknowledge(first[0], 64);
    const auto second = rig.sent_chunks();
    REQUIRE(second.size() == 1);
    CHECK(second[0].offset == 128);

    // Silence: what isn't acknowledged is sent again.
    rig.pass(rig.limits.resend_ns + 1);
    const auto again = rig.sent_chunks();
    REQUIRE(again.size() == 2);
    CHECK(again[0].offset == 64);

    // Everything has arrived but the installation isn't heard of: the last byte asks for it.
    const std::uint64_t bytes = first[0].content_bytes;
    rig.acknowledge(first[0], bytes);
    rig.sent_chunks();
    rig.pass(rig.limits.resend_ns + 1);
    const auto last = rig.sent_chunks();
    REQUIRE(last.size() == 1);
    CHECK(last[0].offset == bytes - 1);
}

TEST_CASE("snapshots: a member that begins anew for ever doesn't count as getting on") {
    Rig rig({1, 2, 3}, small_limits());
    rig.lead_far_ahead();
    const auto first = rig.sent_chunks();
    REQUIRE_FALSE(first.empty());
    rig.write(5, 50);  // the next snapshot may not trim beyond the first while it gets on
    bool ended = false;
    for (int i = 0; i < 40 && !ended; ++i) {
        rig.acknowledge(first[0], 64);
        rig.acknowledge(first[0], 0);
        rig.pass(1'000 * ms + 1);
        for (const raft::Progress& progress : rig.node.node.core().progress()) {
            ended =
                ended || (progress.id == 3 && progress.state != raft::Progress::State::snapshot);
        }
    }
    CHECK(ended);
}

TEST_CASE("snapshots: the log is kept for a member that gets one, as long as it isn't too large") {
    SnapshotLimits limits = small_limits();
    limits.kept_for_member_bytes_max = 1200;  // five entries, not ten
    Rig rig({1, 2, 3}, limits);
    rig.lead_far_ahead();
    REQUIRE(rig.sent_chunks().size() == 2);
    rig.write(5, 50);
    rig.ask();
    rig.settle();
    REQUIRE(rig.taken.index == 36);
    CHECK(rig.node.node.core().log().base().index == 31);
    rig.write(5, 60);
    rig.ask();
    rig.settle();
    REQUIRE(rig.taken.index == 41);
    CHECK(rig.node.node.core().log().base().index == 41);
}

// It checks what it got and makes a state of it, which takes its time where the state is large.
TEST_CASE("snapshots: the log is kept for a member that was sent all of one and is silent") {
    Rig rig({1, 2, 3}, small_limits());
    rig.lead_far_ahead();
    std::vector<raft::InstallSnapshot> chunks = rig.sent_chunks();
    REQUIRE_FALSE(chunks.empty());
    while (chunks.back().offset + chunks.back().data.size() < chunks.back().content_bytes) {
        rig.acknowledge(chunks.back(), chunks.back().offset + chunks.back().data.size());
        chunks = rig.sent_chunks();
        REQUIRE_FALSE(chunks.empty());
    }
    const auto next_snapshot = [&](int number) {
        rig.write(5, number);
        rig.ask();
        rig.settle();
        return rig.node.node.core().log().base().index;
    };
    for (int seconds = 0; seconds < 60; ++seconds) {
        rig.pass(1'000 * ms);
    }
    CHECK(next_snapshot(50) == 31);
    SUBCASE("for minutes") {
        rig.pass(rig.limits.install_ns);
        CHECK(next_snapshot(60) == 41);
    }
    SUBCASE("until it begins anew") {
        rig.acknowledge(chunks.back(), 0);
        rig.pass(rig.limits.keep_log_ns);
        CHECK(next_snapshot(60) == 41);
    }
}

TEST_CASE("snapshots: the log is kept for a member that is heard and lacks some of it") {
    SnapshotLimits limits = small_limits();
    limits.kept_for_member_bytes_max = 4000;
    Rig rig({1, 2, 3}, limits);
    rig.node.lead();
    rig.write(10);
    raft::AppendEntriesReply reply;
    reply.header = rig.node.from(3, rig.node.node.core().term());
    reply.match_index = 4;
    rig.node.step(reply);
    const auto base_after = [&rig](raft::Index expected) {
        rig.ask();
        rig.settle();
        REQUIRE(rig.taken.index == expected);
        return rig.node.node.core().log().base().index;
    };
    CHECK(base_after(11) == 4);
    rig.write(1);
    rig.now = 1000 * ms + limits.keep_log_ns;  // so long not heard
    CHECK(base_after(12) == 12);
    rig.now = 1000 * ms;
    reply.match_index = 12;
    rig.node.step(reply);
    rig.write(10);
    CHECK(base_after(22) == 12);
    rig.write(20);  // now it is too large
    CHECK(base_after(42) == 42);
}

TEST_CASE("snapshots: a log that is kept doesn't make one snapshot follow the other") {
    SnapshotLimits limits = small_limits();
    limits.log_bytes_max = 1000;
    limits.kept_bytes_max = 0;
    Rig rig({1, 2, 3}, limits);
    rig.node.lead();
    raft::AppendEntriesReply reply;
    reply.header = rig.node.from(3, rig.node.node.core().term());
    reply.match_index = 1;
    rig.node.step(reply);
    rig.write(100);
    rig.settle();
    REQUIRE(rig.service.taken_count() == 1);
    REQUIRE(rig.node.node.core().log().bytes() > 1000);
    rig.write(5);
    rig.settle();
    CHECK(rig.service.taken_count() == 1);
    rig.write(100);
    rig.settle();
    CHECK(rig.service.taken_count() == 2);
}

TEST_CASE("snapshots: wanted anew, the old one is not sent any more") {
    Rig rig({1, 2, 3}, small_limits());
    rig.lead_far_ahead();
    const auto first = rig.sent_chunks();
    REQUIRE(first.size() == 2);
    rig.write(5, 50);
    rig.ask();
    rig.settle();
    rig.sent_chunks();
    REQUIRE(rig.taken.index == 36);
    rig.service.on_reply({rig.node.from(3, rig.node.node.core().term()), 31, 64});  // reads on
    rig.service.on_wanted(3);
    rig.settle();
    const auto chunks = rig.sent_chunks();
    REQUIRE_FALSE(chunks.empty());
    for (const auto& chunk : chunks) {
        CHECK(chunk.last_included.index == 36);
    }
}

TEST_CASE("snapshots: received in any order and twice, installed once, with the same state") {
    Rig leader({1, 2, 3}, small_limits());
    leader.lead_far_ahead();
    Rig member({1, 2, 3}, small_limits());
    const raft::Term term = leader.node.node.core().term();
    member.node.follow(term);
    std::vector<raft::InstallSnapshot> chunks = leader.sent_chunks();
    int rounds = 0;
    for (; member.installs == 0 && rounds < 200; ++rounds) {
        std::uint64_t next_offset = 0;
        std::optional<raft::InstallSnapshot> some;
        for (auto chunk = chunks.rbegin(); chunk != chunks.rend(); ++chunk) {  // backwards
            for (int twice = 0; twice < 2; ++twice) {
                raft::InstallSnapshot copy = *chunk;
                copy.header = member.node.from(2, term);
                some = copy;
                member.node.step(std::move(copy));
                member.settle();
            }
        }
        for (const auto& reply : member.sent_replies()) {
            next_offset = std::max(next_offset, reply.next_offset);
        }
        if (some && next_offset > 0) {
            leader.acknowledge(*some, next_offset);
        }
        leader.pass(leader.limits.resend_ns + 1);
        chunks = leader.sent_chunks();
    }
    CHECK(rounds > 1);
    REQUIRE(member.installs == 1);
    CHECK(member.state.digest() == leader.state.digest());
    CHECK(member.node.node.core().commit_index() == 31);
    CHECK(member.node.storage.reset == 32);
    CHECK(member.node.storage.released == 32);  // for an append that waits for room
    CHECK(raft::test::latest_index(*member.store) == 31);
    CHECK(member.service.last_index() == 31);
}

// The chunks of one snapshot whose content is `bytes`, from node 2 as leader of term 1.
raft::InstallSnapshot chunk_of(const std::string& bytes, raft::Index index) {
    raft::InstallSnapshot chunk;
    chunk.header = {5, 2, 1, 1};
    chunk.last_included = {index, 1, 1};
    chunk.configuration = raft::configuration_of({1, 2, 3});
    chunk.content_bytes = bytes.size();
    chunk.content_crc = raft::crc32c(bytes);
    chunk.data = raft::Payload::copy_of(bytes);
    return chunk;
}

std::string state_bytes(raft::Index applied_index) {
    fsm::StateMachine state;
    std::vector<fsm::Event> events;
    state.apply(applied_index, 1, set_command("n", "v"), events);
    state.begin_snapshot();
    std::string bytes;
    while (state.read_snapshot(1000, bytes)) {
    }
    state.end_snapshot();
    return bytes;
}

TEST_CASE("snapshots: one that isn't what it says is not installed, and asked for from the start") {
    Rig rig({1, 2, 3}, small_limits());
    rig.node.follow(1);
    rig.node.transport.messages.clear();
    SUBCASE("another checksum") {
        raft::InstallSnapshot chunk = chunk_of(state_bytes(9), 9);
        chunk.content_crc ^= 1;
        rig.node.step(chunk);
    }
    SUBCASE("not a state") {
        rig.node.step(chunk_of("nonsense", 9));
    }
    SUBCASE("the state of another index") {
        rig.node.step(chunk_of(state_bytes(8), 9));
    }
    rig.settle();
    CHECK(rig.installs == 0);
    CHECK(rig.node.node.core().commit_index() == 0);
    const auto replies = rig.sent_replies();
    REQUIRE(replies.size() == 1);
    CHECK(replies[0].next_offset == 0);
    rig.node.step(chunk_of(state_bytes(10), 10));
    rig.settle();
    CHECK(rig.installs == 1);
    CHECK(rig.state.applied_index() == 10);
}

TEST_CASE("snapshots: who asked for one is answered by one that came from the leader") {
    Rig rig({1, 2, 3}, small_limits());
    rig.node.follow(1);
    raft::AppendEntries append;
    append.header = rig.node.from(2, 1);
    append.leader_commit = 1;
    append.entries = {{1, 1, 1, raft::EntryKind::no_op, {}}};
    rig.node.step(append);
    REQUIRE(rig.state.applied_index() == 1);
    rig.runner.jobs_max = 1;
    rig.node.step(chunk_of(state_bytes(9), 9));
    rig.service.on_chunk(std::exchange(rig.node.chunks, {}).at(0));
    rig.ask();
    rig.service.turn(rig.now);  // can't begin: the queue is full
    CHECK(rig.taken.count == 0);
    rig.runner.jobs_max = 1024;
    rig.settle();
    CHECK(rig.installs == 1);
    CHECK(rig.taken.count == 1);
    CHECK(rig.taken.index == 9);
}

TEST_CASE("snapshots: one that is being taken gives way to a newer one from the leader") {
    SnapshotLimits limits = small_limits();
    limits.slice_bytes = 8;
    Rig rig({1, 2, 3}, limits);
    rig.node.follow(1);
    raft::AppendEntries append;
    append.header = rig.node.from(2, 1);
    append.leader_commit = 1;
    append.entries = {{1, 1, 1, raft::EntryKind::no_op, {}}};
    rig.node.step(append);
    rig.ask();
    rig.service.turn(rig.now);
    REQUIRE(rig.state.snapshot_in_progress());
    rig.node.step(chunk_of(state_bytes(9), 9));
    rig.settle();
    CHECK(rig.installs == 1);
    CHECK(rig.taken.count == 1);
    CHECK(rig.taken.index == 9);
    CHECK_FALSE(rig.state.snapshot_in_progress());
    CHECK(raft::test::latest_index(*rig.store) == 9);
    CHECK(rig.service.last_index() == 9);
}

}  // namespace
