#include "server/node/write_queue.h"

#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "tests/unit/server/replica_testing.h"

namespace {

using namespace cairn;
using namespace cairn::server;
using namespace cairn::server::test;

constexpr std::int64_t now = 1000 * ms;

// A queue over a node whose committed entries it hears of.
struct Rig {
    explicit Rig(std::vector<raft::NodeId> voters, WriteLimits limits = {},
                 raft::CoreOptions options = core_options())
        : node(std::move(voters), options), queue(node.node, node.transport, limits, 100) {
        node.committed_hook = [this](const raft::Entry& entry) {
            fsm::Output output;
            output.kind = fsm::Output::Kind::set;
            output.created = true;
            output.index = entry.index;
            queue.on_committed(entry, output);
        };
    }
    void submit(std::string command, int timeout_ms = 5000) {
        queue.submit(make_write(std::move(command), timeout_ms), port, now);
    }
    void forwarded_from(raft::NodeId peer, std::uint64_t id) {
        v1::ForwardRequest request;
        request.set_id(id);
        request.set_command("theirs");
        request.set_timeout_ms(1000);
        queue.on_forward_request(peer, request, now);
    }
    void reply(raft::NodeId from, std::uint64_t id, v1::ForwardReply::Outcome outcome) {
        v1::ForwardReply reply;
        reply.set_id(id);
        reply.set_outcome(outcome);
        queue.on_forward_reply(from, reply, now);
    }
    const v1::ForwardReply& only_reply() {
        REQUIRE(node.transport.notes.size() == 1);
        REQUIRE(node.transport.notes.front().note.has_forward_reply());
        return node.transport.notes.front().note.forward_reply();
    }

    TestNode node;
    FakePort port;
    WriteQueue queue;
};

TEST_CASE("writes: a burst is one proposal; each is answered with its own entry, in order") {
    Rig rig({1});
    rig.node.lead();
    for (const char* command : {"a", "b", "c"}) {
        rig.submit(command);
    }
    rig.queue.start_turn(now);
    CHECK(rig.port.done.empty());
    rig.node.settle();
    REQUIRE(rig.port.done.size() == 3);
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK(rig.port.done[i]->failure == Failure::none);
        CHECK(rig.port.done[i]->served_index == 2 + i);  // the no-op is 1
        CHECK(rig.port.done[i]->output.index == 2 + i);
    }
    CHECK(rig.port.done[0]->command == "a");
    CHECK(rig.node.committed.back().payload.view() == "c");
    CHECK(rig.queue.idle());
}

TEST_CASE("writes: another leader's entry in the place means certainly not applied") {
    Rig rig({1, 2, 3});
    rig.node.lead();
    rig.submit("a");
    rig.submit("b");
    rig.queue.start_turn(now);
    rig.node.settle();
    const raft::Term term = rig.node.node.core().term();
    // The new leader's log has only its own entry at the place of our no-op: not b's place, but
    // what is of an earlier term can't follow it.
    raft::AppendEntries append;
    append.header = rig.node.from(2, term + 1);
    append.leader_commit = 1;
    append.entries = {{1, term + 1, 1, raft::EntryKind::no_op, {}}};
    rig.node.step(append);
    REQUIRE(rig.port.done.size() == 2);
    CHECK(rig.port.done[0]->failure == Failure::dropped);
    CHECK(rig.port.done[1]->failure == Failure::dropped);
    CHECK(rig.queue.idle());
}

TEST_CASE("writes: a snapshot leaves open what it includes, whatever stands before it") {
    Rig rig({1, 2, 3});
    rig.node.lead();
    const raft::Term first = rig.node.node.core().term();
    for (const char* command : {"a", "b", "c", "d"}) {
        rig.submit(command);  // at 2, 3, 4, 5
    }
    rig.queue.start_turn(now);
    rig.node.settle();
    // Another leader's entry takes place 1, uncommitted; then this node leads again.
    raft::AppendEntries append;
    append.header = rig.node.from(2, first + 1);
    append.entries = {{1, first + 1, 1, raft::EntryKind::no_op, {}}};
    rig.node.step(append);
    rig.node.lead();
    rig.submit("e");  // at 3, behind the no-op at 2
    rig.queue.start_turn(now);
    rig.node.settle();
    REQUIRE(rig.node.node.core().log().last_index() == 3);
    CHECK(rig.port.done.empty());

    rig.queue.on_installed(3);
    // e may be part of it. (a and b, at 2 and 3, were overwritten; open is not wrong.)
    REQUIRE(rig.port.done.size() == 3);
    for (const auto& operation : rig.port.done) {
        CHECK(operation->failure == Failure::interrupted);
    }
    CHECK(rig.port.done[2]->command == "e");
    rig.queue.on_committed({4, first + 3, 1, raft::EntryKind::no_op, {}}, {});
    REQUIRE(rig.port.done.size() == 5);
    CHECK(rig.port.done[3]->failure == Failure::dropped);
    CHECK(rig.port.done[4]->failure == Failure::dropped);
}

TEST_CASE("writes: nothing is said twice: a late commit after the deadline is silent") {
    Rig rig({1});
    rig.node.lead();
    rig.submit("a", 100);
    rig.queue.start_turn(now);
    rig.node.node.process();  // on its way to the disk
    rig.queue.sweep(now + 99 * ms, 0);
    CHECK(rig.port.done.empty());
    rig.queue.sweep(now + 100 * ms, 0);
    CHECK(rig.port.only_failure() == Failure::unknown);
    rig.node.node.on_persisted(rig.node.storage.batches.back().sequence);
    rig.node.storage.batches.clear();
    rig.node.settle();
    CHECK(rig.node.committed.size() == 2);
    CHECK(rig.port.done.size() == 1);
    CHECK(rig.queue.idle());
}

TEST_CASE("writes: what the core has no room for is refused, and not in the log") {
    raft::CoreOptions options = core_options();
    options.uncommitted_entries_max = 2;
    Rig rig({1}, {}, options);
    rig.node.lead();
    for (const char* command : {"a", "b", "c"}) {
        rig.submit(command);
    }
    rig.queue.start_turn(now);
    CHECK(rig.port.only_failure() == Failure::overloaded);
    CHECK(rig.port.done[0]->command == "c");
    CHECK(rig.node.node.core().log().last_index() == 3);
    rig.submit("d");  // no room at all
    rig.queue.start_turn(now);
    REQUIRE(rig.port.done.size() == 2);
    CHECK(rig.port.done[1]->failure == Failure::overloaded);
    rig.node.settle();
    REQUIRE(rig.port.done.size() == 4);
    CHECK(rig.port.done[3]->failure == Failure::none);
    CHECK(rig.port.done[3]->served_index == 3);
    CHECK(rig.queue.idle());
}

TEST_CASE("writes: a large command is not copied on its way to the log") {
    Rig rig({1});
    rig.node.lead();
    const auto operation = make_write(std::string(100'000, 'x'));
    const char* const bytes = operation->command.data();
    rig.queue.submit(operation, rig.port, now);
    rig.queue.start_turn(now);
    CHECK(rig.node.node.core().log().at(2).payload.view().data() == bytes);
    // One with much memory to spare is: the log must not keep that.
    const auto spare = make_write(std::string(100'000, 'y'));
    spare->command.reserve(300'000);
    const char* const spare_bytes = spare->command.data();
    rig.queue.submit(spare, rig.port, now);
    rig.queue.start_turn(now);
    const raft::Payload& payload = rig.node.node.core().log().at(3).payload;
    CHECK(payload.view().data() != spare_bytes);
    CHECK(payload.view() == std::string(100'000, 'y'));
    rig.node.settle();
    CHECK(rig.port.done.size() == 2);
}

TEST_CASE("writes: without a leader they are bounded in bytes; each end gives room again") {
    WriteLimits limits;
    limits.held_bytes_max = 10;
    Rig rig({1, 2, 3}, limits);
    rig.submit(std::string(11, 'a'));  // nothing else waits
    CHECK(rig.port.done.empty());
    rig.submit("b");
    CHECK(rig.port.only_failure() == Failure::overloaded);
    rig.queue.sweep(now + limits.hold_ns + 1, 0);
    CHECK(rig.port.done.size() == 2);
    CHECK(rig.queue.held_bytes() == 0);

    rig.submit("12345");
    rig.submit("1234");
    rig.submit("12");
    REQUIRE(rig.port.done.size() == 3);
    CHECK(rig.port.done[2]->failure == Failure::overloaded);
    rig.submit("1");
    CHECK(rig.port.done.size() == 3);
    CHECK(rig.queue.held_bytes() == 10);
    // As leader it proposes them: from here on the core's bounds hold.
    rig.node.lead();
    rig.queue.start_turn(now);
    CHECK(rig.queue.held_bytes() == 0);
    CHECK(rig.queue.waiting() == 3);
    rig.submit("1234567890");
    CHECK(rig.queue.held_bytes() == 10);
    rig.queue.fail_all();
    CHECK(rig.queue.held_bytes() == 0);
}

TEST_CASE("writes: what was passed on counts until it is answered, however that goes") {
    WriteLimits limits;
    limits.held_bytes_max = 10;
    Rig rig({1, 2, 3}, limits);
    rig.node.follow(1);
    rig.submit("1234");
    rig.submit("567890");
    rig.queue.start_turn(now);
    REQUIRE(rig.node.transport.notes.size() == 2);
    const std::uint64_t id = rig.node.transport.notes[0].note.forward_request().id();
    CHECK(rig.queue.held_bytes() == 10);
    rig.submit("x");
    CHECK(rig.port.only_failure() == Failure::overloaded);
    rig.reply(2, id, v1::ForwardReply::NOT_LEADER);  // waits again
    CHECK(rig.queue.held_bytes() == 10);
    rig.reply(2, id + 1, v1::ForwardReply::DROPPED);
    CHECK(rig.queue.held_bytes() == 4);
    rig.submit("y");
    rig.queue.start_turn(now + limits.pause_ns);
    rig.queue.on_peer_disconnected(2);
    CHECK(rig.port.done.size() == 4);
    CHECK(rig.queue.held_bytes() == 0);
    CHECK(rig.queue.idle());
}

TEST_CASE("writes: peers' count as well, and are told when there is no room") {
    WriteLimits limits;
    limits.held_bytes_max = 10;
    Rig rig({1}, limits);
    rig.node.lead();
    rig.forwarded_from(3, 70);  // "theirs"
    rig.forwarded_from(3, 71);
    CHECK(rig.only_reply().id() == 71);
    CHECK(rig.only_reply().outcome() == v1::ForwardReply::OVERLOADED);
    rig.queue.start_turn(now);
    CHECK(rig.queue.held_bytes() == 0);
    rig.node.settle();
    CHECK(rig.node.transport.notes.at(1).note.forward_reply().id() == 70);
    CHECK(rig.node.transport.notes.at(1).note.forward_reply().outcome() ==
          v1::ForwardReply::APPLIED);
    rig.forwarded_from(3, 72);
    CHECK(rig.queue.held_bytes() == 6);
    REQUIRE(rig.node.node.core().is_leader());
    Rig follower({1, 2, 3}, limits);
    follower.node.follow(1);
    follower.forwarded_from(3, 73);
    follower.queue.start_turn(now);  // sent back
    CHECK(follower.queue.held_bytes() == 0);
}

TEST_CASE("writes: without a leader they are held, bounded in number and time") {
    WriteLimits limits;
    limits.held_max = 2;
    Rig rig({1, 2, 3}, limits);
    rig.submit("a");
    rig.submit("b", 10);
    rig.submit("c");
    CHECK(rig.port.only_failure() == Failure::overloaded);
    rig.queue.start_turn(now);
    rig.queue.sweep(now + 10 * ms, 10 * ms);
    REQUIRE(rig.port.done.size() == 2);
    CHECK(rig.port.done[1]->command == "b");
    CHECK(rig.port.done[1]->failure == Failure::no_leader);
    rig.queue.sweep(now + limits.hold_ns, limits.hold_ns);
    CHECK(rig.port.done.size() == 2);
    rig.queue.sweep(now + limits.hold_ns + 1, limits.hold_ns + 1);
    REQUIRE(rig.port.done.size() == 3);
    CHECK(rig.port.done[2]->failure == Failure::no_leader);
    CHECK(rig.queue.idle());
}

TEST_CASE("writes: a leader that lost everybody leaves open what is in its log") {
    Rig rig({1, 2, 3});
    rig.node.lead();
    rig.submit("a");
    rig.queue.start_turn(now);
    rig.queue.sweep(now + 1, WriteLimits{}.hold_ns + 1);
    CHECK(rig.port.only_failure() == Failure::interrupted);
}

TEST_CASE("writes: a follower passes them on; every outcome of the leader arrives") {
    Rig rig({1, 2, 3});
    rig.node.follow(1);
    for (const char* command : {"a", "b", "c", "d", "e"}) {
        rig.submit(command, 700);
    }
    rig.queue.start_turn(now + 200 * ms);
    REQUIRE(rig.node.transport.notes.size() == 5);
    const v1::ForwardRequest& request = rig.node.transport.notes[0].note.forward_request();
    CHECK(rig.node.transport.notes[0].to == 2);
    CHECK(request.command() == "a");
    CHECK(request.timeout_ms() == 500);
    const std::uint64_t id = request.id();

    rig.reply(3, id, v1::ForwardReply::DROPPED);  // not from who was asked
    CHECK(rig.port.done.empty());
    rig.reply(2, id + 1, v1::ForwardReply::OVERLOADED);
    rig.reply(2, id + 2, v1::ForwardReply::DROPPED);
    rig.reply(2, id + 3, v1::ForwardReply::UNKNOWN);
    REQUIRE(rig.port.done.size() == 3);
    CHECK(rig.port.done[0]->failure == Failure::overloaded);
    CHECK(rig.port.done[1]->failure == Failure::dropped);
    CHECK(rig.port.done[2]->failure == Failure::unknown);
    rig.reply(2, id + 1, v1::ForwardReply::UNKNOWN);  // again
    CHECK(rig.port.done.size() == 3);

    v1::ForwardReply applied;
    applied.set_id(id);
    applied.set_outcome(v1::ForwardReply::APPLIED);
    applied.set_entry_index(42);
    fsm::Output output;
    output.kind = fsm::Output::Kind::set;
    output.index = 42;
    fsm::encode_output(output, *applied.mutable_output());
    rig.queue.on_forward_reply(2, applied, now);
    REQUIRE(rig.port.done.size() == 4);
    CHECK(rig.port.done[3]->failure == Failure::none);
    CHECK(rig.port.done[3]->served_index == 42);
    CHECK(rig.port.done[3]->output.index == 42);

    // An outcome that can't be read leaves it open.
    applied.set_id(id + 4);
    applied.mutable_output()->set_status(999);
    rig.queue.on_forward_reply(2, applied, now);
    REQUIRE(rig.port.done.size() == 5);
    CHECK(rig.port.done[4]->failure == Failure::interrupted);
    CHECK(rig.queue.idle());
}

TEST_CASE("writes: refused by one that doesn't lead, they are passed on again under a new id") {
    Rig rig({1, 2, 3});
    rig.node.follow(1);
    rig.submit("a");
    rig.queue.start_turn(now);
    const std::uint64_t id = rig.node.transport.notes.at(0).note.forward_request().id();
    rig.reply(2, id, v1::ForwardReply::NOT_LEADER);
    CHECK(rig.port.done.empty());
    rig.submit("b");
    rig.queue.start_turn(now + WriteLimits{}.pause_ns - 1);
    CHECK(rig.node.transport.notes.size() == 1);  // not as often as the network carries
    rig.queue.start_turn(now + WriteLimits{}.pause_ns);
    REQUIRE(rig.node.transport.notes.size() == 3);
    CHECK(rig.node.transport.notes[1].note.forward_request().command() == "a");
    CHECK(rig.node.transport.notes[1].note.forward_request().id() != id);
    rig.reply(2, id, v1::ForwardReply::DROPPED);  // of the first attempt: means nothing now
    CHECK(rig.port.done.empty());
}

TEST_CASE("writes: a lost connection or answer leaves open what was passed on") {
    Rig rig({1, 2, 3});
    rig.node.follow(1);
    rig.submit("a", 1000);
    rig.submit("b", 2000);
    rig.queue.start_turn(now);
    rig.queue.on_peer_disconnected(3);
    rig.queue.sweep(now + 1000 * ms, 0);
    CHECK(rig.port.only_failure() == Failure::unknown);
    rig.queue.on_peer_disconnected(2);
    REQUIRE(rig.port.done.size() == 2);
    CHECK(rig.port.done[1]->failure == Failure::interrupted);
    CHECK(rig.queue.idle());
}

TEST_CASE("writes: one that was passed to a leader whose time is over doesn't wait for it long") {
    Rig rig({1, 2, 3});
    rig.node.follow(1);
    rig.submit("a", 5000);
    rig.queue.start_turn(now);
    rig.queue.sweep(now, 0);
    raft::AppendEntries append;
    append.header = rig.node.from(3, 2);
    rig.node.step(append);
    // It may still know, and say, what became of it.
    rig.queue.sweep(now + 1000 * ms, 0);
    CHECK(rig.port.done.empty());
    rig.queue.sweep(now + 1000 * ms + WriteLimits{}.outlived_ns, 0);
    CHECK(rig.port.only_failure() == Failure::interrupted);
    CHECK(rig.queue.idle());
}

TEST_CASE("writes: what can't be sent waits its time and is certainly not applied") {
    Rig rig({1, 2, 3});
    rig.node.follow(1);
    rig.node.transport.takes_notes = false;
    rig.submit("a");
    rig.queue.start_turn(now);
    CHECK(rig.queue.has_queued());
    rig.queue.sweep(now + WriteLimits{}.hold_ns + 1, 0);
    CHECK(rig.port.only_failure() == Failure::no_leader);
}

TEST_CASE("writes: a peer's write is answered by a note; one that doesn't lead refuses") {
    Rig rig({1});
    rig.node.lead();
    rig.forwarded_from(3, 77);
    rig.queue.start_turn(now);
    CHECK(rig.node.transport.notes.empty());
    rig.node.settle();
    CHECK(rig.node.transport.notes.at(0).to == 3);
    CHECK(rig.only_reply().id() == 77);
    CHECK(rig.only_reply().outcome() == v1::ForwardReply::APPLIED);
    CHECK(rig.only_reply().entry_index() == 2);
    CHECK(fsm::decode_output(v1::CommandOutput(rig.only_reply().output())).has_value());

    Rig follower({1, 2, 3});
    follower.node.follow(1);
    follower.forwarded_from(3, 78);
    follower.queue.start_turn(now);
    CHECK(follower.only_reply().outcome() == v1::ForwardReply::NOT_LEADER);
    CHECK(follower.queue.idle());
}

TEST_CASE("writes: while leadership is handed over own ones wait and peers' are sent back") {
    Rig rig({1, 2, 3});
    rig.node.lead();
    REQUIRE(rig.node.node.transfer_leadership(2));
    rig.submit("a");
    rig.queue.submit_internal("clock");
    rig.forwarded_from(3, 79);
    rig.queue.start_turn(now);
    CHECK(rig.only_reply().outcome() == v1::ForwardReply::NOT_LEADER);
    CHECK(rig.port.done.empty());
    CHECK(rig.queue.has_queued());
    rig.node.follow(rig.node.node.core().term() + 1);
    rig.queue.start_turn(now);
    CHECK(rig.node.transport.notes.back().note.forward_request().command() == "a");
}

TEST_CASE(
    "scenario 7: a leader without room refuses what stores, and keeps it when it hands over") {
    Rig rig({1, 2, 3});
    rig.node.lead();
    std::string remove;
    fsm::encode_delete("a", 0, remove);
    rig.submit(set_command("a", "x"));
    rig.submit(remove);
    rig.forwarded_from(3, 81);
    rig.queue.start_turn(now, true);
    CHECK(rig.port.only_failure() == Failure::disk_full);
    CHECK(rig.only_reply().outcome() == v1::ForwardReply::DISK_FULL);
    CHECK(rig.node.node.core().log().last_index() == 2);
    CHECK(rig.queue.waiting() == 1);
    rig.submit(set_command("a", "x"));
    rig.queue.start_turn(now, true);  // nothing is left to propose
    CHECK(rig.node.node.core().log().last_index() == 2);
    // The next leader may have room.
    REQUIRE(rig.node.node.transfer_leadership(2));
    rig.submit(set_command("a", "y"));
    rig.queue.start_turn(now, true);
    CHECK(rig.port.done.size() == 2);
    CHECK(rig.queue.has_queued());
}

TEST_CASE("writes: at the end what was queued is not applied, what was begun is open") {
    Rig rig({1, 2, 3});
    rig.node.lead();
    rig.submit("logged");
    rig.forwarded_from(3, 80);
    rig.queue.start_turn(now);
    rig.submit("queued");
    rig.queue.fail_all();
    REQUIRE(rig.port.done.size() == 2);
    CHECK(rig.port.done[0]->command == "queued");
    CHECK(rig.port.done[0]->failure == Failure::draining);
    CHECK(rig.port.done[1]->failure == Failure::interrupted);
    CHECK(rig.only_reply().outcome() == v1::ForwardReply::UNKNOWN);
    CHECK(rig.queue.idle());
}

}  // namespace
