#include "raft/core/node.h"

#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/core_cluster.h"

namespace {

using namespace cairn::raft;
using cairn::raft::testing::make_entry;
using cairn::raft::testing::small_options;

class FakeStorage : public Storage {
 public:
    void submit(PersistBatch batch) override { batches.push_back(std::move(batch)); }
    void release(GroupId /*group*/, Index /*first_needed*/) override {}
    void reset_log(GroupId /*group*/, Index /*log_start*/) override {}
    std::vector<PersistBatch> batches;
};

class FakeTransport : public Transport {
 public:
    void send(const Message& message) override {
        messages.push_back(message);
        unflushed = true;
    }
    bool send_application(NodeId /*to*/, std::string_view /*bytes*/) override { return false; }
    void flush() override { unflushed = false; }
    void set_members(std::span<const Member> /*members*/,
                     std::span<const NodeId> /*removed*/) override {}
    std::vector<PeerStatus> peers() const override { return {}; }

    std::vector<Message> messages;
    bool unflushed = false;
};

class FakeHandler : public NodeHandler {
 public:
    void on_committed(const Entry& entry) override { committed.push_back(entry); }
    void on_read(const ReadState& read) override {
        reads.push_back(read);
        committed_at_read = committed.size();
    }
    void on_leadership_changed() override { ++changes; }
    void on_configuration_changed() override { ++configuration_changes; }
    void on_snapshot_wanted(NodeId peer) override { snapshots_wanted.push_back(peer); }
    void on_snapshot_chunk(const InstallSnapshot& chunk) override { chunks.push_back(chunk); }
    void on_snapshot_reply(const InstallSnapshotReply& reply) override {
        snapshot_replies.push_back(reply);
    }

    std::vector<Entry> committed;
    std::vector<ReadState> reads;
    std::vector<NodeId> snapshots_wanted;
    std::vector<InstallSnapshot> chunks;
    std::vector<InstallSnapshotReply> snapshot_replies;
    std::size_t committed_at_read = 0;
    int changes = 0;
    int configuration_changes = 0;
};

// One node with what it talks to.
struct Rig {
    explicit Rig(std::vector<NodeId> voters, std::vector<Entry> log = {},
                 CoreOptions options = small_options())
        : node(Core(options, CoreStart{{},
                                       configuration_of(std::move(voters)),
                                       {log.empty() ? 0 : log.back().term, 0},
                                       log}),
               storage, transport, handler, 0) {}

    // Finishes the newest write and lets the node act on it.
    void finish_write() {
        REQUIRE_FALSE(storage.batches.empty());
        node.on_persisted(storage.batches.back().sequence);
        node.process();
    }
    void become_leader_alone() {
        for (int i = 0; i < 40 && !node.core().is_leader(); ++i) {
            node.on_tick(0);
            const std::size_t before = storage.batches.size();
            node.process();
            if (storage.batches.size() > before) {
                finish_write();
            }
        }
        REQUIRE(node.core().is_leader());
        finish_write();  // the no-op
        REQUIRE(node.core().commit_index() == 1);
    }
    ProposeResult propose(std::string_view text, std::int64_t steady_ns = 0) {
        const Payload payload = Payload::copy_of(text);
        return node.propose({&payload, 1}, steady_ns);
    }

    FakeStorage storage;
    FakeTransport transport;
    FakeHandler handler;
    Node node;
};

AppendEntries append(Term term, Index prev, Term prev_term, std::vector<Entry> entries) {
    AppendEntries message;
    message.header = {1, 2, 1, term};
    message.prev_log_index = prev;
    message.prev_log_term = prev_term;
    message.entries = std::move(entries);
    return message;
}

TEST_CASE("node: one batch is with the disk at a time; what gathers is one write") {
    Rig rig({1});
    rig.become_leader_alone();
    rig.storage.batches.clear();
    rig.propose("a");
    rig.node.process();
    REQUIRE(rig.storage.batches.size() == 1);
    CHECK(rig.storage.batches[0].group == 1);
    CHECK_FALSE(rig.storage.batches[0].hard_state.has_value());
    for (const char* text : {"b", "c", "d"}) {
        rig.propose(text);
        rig.node.process();
    }
    CHECK(rig.storage.batches.size() == 1);
    CHECK(rig.handler.committed.size() == 1);
    rig.finish_write();
    REQUIRE(rig.storage.batches.size() == 2);
    CHECK(rig.storage.batches[1].entries.size() == 3);
    CHECK(rig.storage.batches[1].sequence > rig.storage.batches[0].sequence);
    CHECK(rig.handler.committed.size() == 2);
    rig.finish_write();
    CHECK(rig.storage.batches.size() == 2);
    CHECK(rig.handler.committed.size() == 5);
}

TEST_CASE("node: committed entries come in order, each once") {
    Rig rig({1});
    rig.become_leader_alone();
    for (int i = 0; i < 5; ++i) {
        rig.propose(std::to_string(i));
        rig.node.process();
        rig.finish_write();
    }
    REQUIRE(rig.handler.committed.size() == 6);
    for (std::size_t i = 0; i < 6; ++i) {
        CHECK(rig.handler.committed[i].index == i + 1);
    }
    CHECK(rig.handler.committed[0].kind == EntryKind::no_op);
    CHECK(rig.handler.committed[5].payload.view() == "4");
}

TEST_CASE("node: more committed than one turn takes is said and comes next") {
    CoreOptions options = small_options();
    options.committed_entries_max = 2;
    Rig rig({1}, {}, options);
    rig.become_leader_alone();
    for (int i = 0; i < 5; ++i) {
        rig.propose("x");
    }
    rig.node.process();
    rig.node.on_persisted(rig.storage.batches.back().sequence);
    CHECK(rig.node.process());
    CHECK(rig.handler.committed.size() == 3);
    CHECK(rig.node.process());
    CHECK_FALSE(rig.node.process());
    CHECK(rig.handler.committed.size() == 6);
}

TEST_CASE("node: a read comes after the entries committed in its turn") {
    Rig rig({1});
    rig.become_leader_alone();
    rig.propose("a");
    rig.node.process();
    rig.node.on_persisted(rig.storage.batches.back().sequence);
    const ReadId read = rig.node.read_index();
    REQUIRE(read != 0);
    rig.node.process();
    REQUIRE(rig.handler.reads.size() == 1);
    CHECK(rig.handler.reads[0].ok);
    CHECK(rig.handler.reads[0].read_id == read);
    CHECK(rig.handler.reads[0].read_index == 2);
    CHECK(rig.handler.committed_at_read == 2);
}

TEST_CASE("node: messages leave flushed; a follower answers only after its disk") {
    Rig rig({1, 2, 3});
    rig.node.on_message(append(1, 0, 0, {make_entry(1, 1, "a")}), 10);
    rig.node.process();
    CHECK(rig.transport.messages.empty());
    REQUIRE(rig.storage.batches.size() == 1);
    CHECK(rig.storage.batches[0].hard_state == HardState{1, 0});
    CHECK(rig.storage.batches[0].entries.size() == 1);
    rig.finish_write();
    REQUIRE_FALSE(rig.transport.messages.empty());
    CHECK_FALSE(rig.transport.unflushed);
    const auto& reply = std::get<AppendEntriesReply>(rig.transport.messages.back());
    CHECK(reply.match_index == 1);
    CHECK_FALSE(reply.rejected);
}

TEST_CASE("node: tells of changes of role, term and leader, and of nothing else") {
    Rig rig({1, 2, 3});
    rig.node.process();
    CHECK(rig.handler.changes == 0);
    rig.node.on_message(append(1, 0, 0, {}), 0);
    rig.node.process();
    CHECK(rig.handler.changes == 1);
    rig.node.on_message(append(1, 0, 0, {}), 0);
    rig.node.process();
    CHECK(rig.handler.changes == 1);
    rig.node.on_message(append(2, 0, 0, {}), 0);
    rig.node.process();
    CHECK(rig.handler.changes == 2);
}

TEST_CASE("node: log time goes on from the last entry and follows the leader's") {
    Entry last = make_entry(1, 1);
    last.stamp_ns = 5000;
    Rig rig({1, 2, 3}, {last});
    CHECK(rig.node.log_time_ns(0) == 5000);
    CHECK(rig.node.log_time_ns(100) == 5100);
    AppendEntries heartbeat = append(1, 1, 1, {});
    heartbeat.leader_clock_ns = 9000;
    rig.node.on_message(heartbeat, 200);
    CHECK(rig.node.log_time_ns(210) == 9010);
}

// Or else a value that the one before stamped would expire early: sim seed 900145.
TEST_CASE("node: a follower whose clock is ahead of its leader's leads with the leader's") {
    Rig rig({1, 2});
    AppendEntries early = append(1, 0, 0, {});
    early.header.from = 2;
    early.leader_clock_ns = 9000;
    rig.node.on_message(early, 0);
    rig.node.on_tick(10);
    CHECK(rig.node.core().clock_ns() == 9010);
    Entry entry = make_entry(1, 2, "a");
    entry.stamp_ns = 5000;
    AppendEntries behind = append(2, 0, 0, {entry});
    behind.leader_clock_ns = 5000;
    rig.node.on_message(behind, 20);
    rig.node.on_tick(30);
    CHECK(rig.node.log_time_ns(30) == 5010);
    CHECK(rig.node.core().clock_ns() == 5010);
}

TEST_CASE("node: only its leader's clock counts") {
    Rig rig({1, 2, 3});
    rig.node.on_message(append(2, 0, 0, {}), 0);
    AppendEntries old = append(1, 0, 0, {});
    old.header.from = 3;
    old.leader_clock_ns = 1'000'000;
    rig.node.on_message(old, 10);
    CHECK(rig.node.log_time_ns(10) == 10);
    AppendEntries other = append(2, 0, 0, {});
    other.header.from = 3;
    other.leader_clock_ns = 1'000'000;
    rig.node.on_message(other, 20);
    CHECK(rig.node.log_time_ns(20) == 20);
}

TEST_CASE("node: entries carry the log time of their proposal") {
    Rig rig({1});
    rig.become_leader_alone();
    rig.propose("a", 700);
    rig.propose("b", 900);
    const Log& log = rig.node.core().log();
    CHECK(log.at(2).stamp_ns == 700);
    CHECK(log.at(3).stamp_ns == 900);
}

TEST_CASE("node: remembers when a peer was last heard") {
    Rig rig({1, 2, 3});
    CHECK(rig.node.last_heard_ns(2) == 0);
    rig.node.on_message(append(1, 0, 0, {}), 77);
    CHECK(rig.node.last_heard_ns(2) == 77);
    CHECK(rig.node.last_heard_ns(3) == 0);
    CHECK(rig.node.last_heard_ns(99) == 0);
}

InstallSnapshot chunk(Term term, const LogPosition& last_included) {
    InstallSnapshot message;
    message.header = {1, 2, 1, term};
    message.last_included = last_included;
    message.configuration = configuration_of({1, 2, 3});
    message.content_bytes = 5;
    message.data = Payload::copy_of("state");
    return message;
}

TEST_CASE("node: chunks from the leader reach the handler, and what it makes of them the leader") {
    Rig rig({1, 2, 3});
    InstallSnapshot message = chunk(1, {7, 1, 0});
    message.leader_clock_ns = 9000;
    rig.node.on_message(message, 10);
    CHECK(rig.node.log_time_ns(10) == 9000);  // a chunk tells the time as well
    rig.node.process();
    REQUIRE(rig.handler.chunks.size() == 1);
    CHECK(rig.handler.chunks[0].last_included == LogPosition{7, 1, 0});
    CHECK(rig.handler.chunks[0].data.view() == "state");
    rig.node.snapshot_received(7, 5);
    rig.finish_write();  // the term
    REQUIRE(rig.transport.messages.size() == 1);
    const auto& answer = std::get<InstallSnapshotReply>(rig.transport.messages[0]);
    CHECK(answer.header.to == 2);
    CHECK(answer.last_included_index == 7);
    CHECK(answer.next_offset == 5);
    bool replaced = false;
    REQUIRE(rig.node.installed({7, 1, 0}, configuration_of({1, 2, 3}), replaced));
    CHECK(replaced);
    rig.node.process();
    CHECK(rig.handler.chunks.size() == 1);
    CHECK(rig.handler.committed.empty());  // what a snapshot includes isn't handed over
    const auto& reply = std::get<AppendEntriesReply>(rig.transport.messages.back());
    CHECK(reply.match_index == 7);
    AppendEntries next = append(1, 7, 1, {make_entry(8, 1, "a")});
    next.leader_commit = 8;
    rig.node.on_message(next, 20);
    rig.node.process();
    REQUIRE(rig.handler.committed.size() == 1);
    CHECK(rig.handler.committed[0].index == 8);
}

TEST_CASE("node: a member that needs a snapshot is named, is sent chunks, and answers") {
    Rig rig({1, 2, 3}, {make_entry(1, 1), make_entry(2, 1)});
    CHECK_FALSE(rig.node.send_snapshot_chunk(2, chunk(1, {3, 2, 0})));
    for (int i = 0; i < 40 && rig.node.core().role() != RoleName::pre_candidate; ++i) {
        rig.node.on_tick(0);
    }
    rig.node.on_message(RequestVoteReply{{1, 3, 1, 2}, true, true}, 0);
    rig.node.process();
    rig.finish_write();
    rig.node.on_message(RequestVoteReply{{1, 3, 1, 2}, false, true}, 0);
    REQUIRE(rig.node.core().is_leader());
    rig.node.process();
    rig.finish_write();
    AppendEntriesReply matched;
    matched.header = {1, 3, 1, 2};
    matched.match_index = 3;
    rig.node.on_message(matched, 0);
    rig.node.process();
    CHECK(rig.node.compact(3) == 4);
    AppendEntriesReply behind;
    behind.header = {1, 2, 1, 2};
    behind.rejected = true;
    behind.rejected_prev_log_index = 2;
    rig.node.on_message(behind, 0);
    rig.node.process();
    CHECK(rig.handler.snapshots_wanted == std::vector<NodeId>{2});
    rig.transport.messages.clear();
    CHECK(rig.node.send_snapshot_chunk(2, chunk(1, {3, 2, 0})));
    CHECK_FALSE(rig.node.send_snapshot_chunk(3, chunk(1, {3, 2, 0})));
    rig.node.process();
    REQUIRE(rig.transport.messages.size() == 1);
    CHECK_FALSE(rig.transport.unflushed);
    const auto& sent = std::get<InstallSnapshot>(rig.transport.messages[0]);
    CHECK(sent.header.from == 1);
    CHECK(sent.header.to == 2);
    CHECK(sent.header.term == 2);
    rig.node.on_message(InstallSnapshotReply{{1, 2, 1, 2}, 3, 5}, 0);
    rig.node.process();
    REQUIRE(rig.handler.snapshot_replies.size() == 1);
    CHECK(rig.handler.snapshot_replies[0].next_offset == 5);
    rig.node.snapshot_failed(2);
    rig.node.process();
    CHECK(rig.handler.snapshots_wanted.size() == 1);
    for (int i = 0; i < 2; ++i) {
        rig.node.on_tick(0);
    }
    rig.node.process();
    CHECK(rig.handler.snapshots_wanted == std::vector<NodeId>{2, 2});
    CHECK(rig.handler.snapshot_replies.size() == 1);
}

TEST_CASE("node: a connection that breaks makes the leader probe, one that is back try at once") {
    Rig rig({1, 2, 3});
    for (int i = 0; i < 40 && rig.node.core().role() != RoleName::pre_candidate; ++i) {
        rig.node.on_tick(0);
    }
    rig.node.on_message(RequestVoteReply{{1, 2, 1, 1}, true, true}, 0);
    rig.node.process();
    rig.finish_write();
    rig.node.on_message(RequestVoteReply{{1, 2, 1, 1}, false, true}, 0);
    REQUIRE(rig.node.core().is_leader());
    rig.node.process();
    rig.finish_write();
    AppendEntriesReply reply;
    reply.header = {1, 2, 1, 1};
    reply.match_index = 1;
    rig.node.on_message(reply, 0);
    rig.node.process();
    const auto to_2 = [&] {
        return std::count_if(
            rig.transport.messages.begin(), rig.transport.messages.end(), [](const Message& m) {
                return std::holds_alternative<AppendEntries>(m) && header_of(m).to == 2;
            });
    };
    rig.node.on_peer_disconnected(2);
    rig.node.process();
    const auto before = to_2();
    rig.node.process();
    CHECK(to_2() == before);  // the probe waits for its answer
    rig.node.on_peer_connected(2);
    rig.node.process();
    CHECK(to_2() == before + 1);
}

}  // namespace
