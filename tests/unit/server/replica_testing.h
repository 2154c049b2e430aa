// What the tests of the replica and its parts share: one node's surroundings as fakes that record,
// and a node that can be made leader or follower by hand.
//
// Header only; one thread; no time of its own.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "cairn/server/v1/command.pb.h"
#include "fsm/command.h"
#include "raft/core/node.h"
#include "server/base/clock.h"
#include "server/node/port.h"
#include "server/node/snapshot_service.h"

namespace cairn::server::test {

constexpr std::int64_t ms = 1'000'000;

class FakeClock final : public Clock {
 public:
    std::int64_t steady_ns() override { return steady; }
    std::int64_t utc_ns() override { return utc; }
    // Both go on.
    void pass(std::int64_t ns) {
        steady += ns;
        utc += ns;
    }
    std::int64_t steady = 1000 * ms;
    std::int64_t utc = 1'700'000'000'000 * ms;
};

class FakeStorage final : public raft::Storage {
 public:
    void submit(raft::PersistBatch batch) override { batches.push_back(std::move(batch)); }
    void release(raft::GroupId /*group*/, raft::Index first_needed) override {
        released = first_needed;
    }
    void reset_log(raft::GroupId /*group*/, raft::Index log_start) override { reset = log_start; }
    bool is_full() const override { return full; }

    std::vector<raft::PersistBatch> batches;  // not yet reported durable
    raft::Index released = 0;
    raft::Index reset = 0;
    bool full = false;
};

class FakeTransport final : public raft::Transport {
 public:
    struct Note {
        raft::NodeId to = 0;
        v1::PeerNote note;
    };
    void send(const raft::Message& message) override { messages.push_back(message); }
    bool send_application(raft::NodeId to, std::string_view bytes) override {
        if (!takes_notes) {
            return false;
        }
        v1::PeerNote note;
        REQUIRE(note.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
        notes.push_back({to, std::move(note)});
        return true;
    }
    void flush() override {
        if (on_flush) {
            on_flush();
        }
    }
    void set_members(std::span<const raft::Member> new_members,
                     std::span<const raft::NodeId> new_removed) override {
        members.assign(new_members.begin(), new_members.end());
        removed.assign(new_removed.begin(), new_removed.end());
        ++times_told;
    }
    std::vector<raft::PeerStatus> peers() const override { return statuses; }

    std::function<void()> on_flush;
    bool takes_notes = true;
    std::vector<raft::Member> members;
    std::vector<raft::NodeId> removed;
    int times_told = 0;  // of the members
    std::vector<raft::PeerStatus> statuses;
    std::vector<raft::Message> messages;
    std::vector<Note> notes;
};

class FakePort final : public Port {
 public:
    void finished(std::shared_ptr<Operation> operation) override {
        REQUIRE(operation != nullptr);
        done.push_back(std::move(operation));
    }
    void opened(std::shared_ptr<StreamOpen> open) override {
        REQUIRE(open != nullptr);
        opens.push_back(std::move(open));
    }
    void published(const std::shared_ptr<const EventBatch>& batch) override {
        batches.push_back(batch);
    }
    void flush() override { ++flushes; }

    // How the one operation that is done ended.
    Failure only_failure() const {
        REQUIRE(done.size() == 1);
        return done.front()->failure;
    }

    std::vector<std::shared_ptr<Operation>> done;
    std::vector<std::shared_ptr<StreamOpen>> opens;
    std::vector<std::shared_ptr<const EventBatch>> batches;
    int flushes = 0;
};

// Keeps jobs until it is told to run them.
class HeldRunner final : public SnapshotRunner {
 public:
    bool run(std::function<void(raft::SnapshotStore&)> work, std::function<void()> done) override {
        if (jobs.size() >= jobs_max) {
            return false;
        }
        jobs.emplace_back(std::move(work), std::move(done));
        return true;
    }
    void run_all(raft::SnapshotStore& store) {
        while (!jobs.empty()) {
            const auto job = std::move(jobs.front());
            jobs.pop_front();
            job.first(store);
            job.second();
        }
    }
    std::size_t jobs_max = 1024;
    std::deque<std::pair<std::function<void(raft::SnapshotStore&)>, std::function<void()>>> jobs;
};

inline std::string set_command(std::string_view name, std::string_view value,
                               std::optional<std::int64_t> ttl_ns = std::nullopt) {
    std::string command;
    fsm::encode_set(name, value, ttl_ns, false, command);
    return command;
}

inline std::shared_ptr<Operation> make_write(std::string command, int timeout_ms = 5000) {
    auto operation = std::make_shared<Operation>();
    operation->kind = Operation::Kind::write;
    operation->command = std::move(command);
    operation->timeout_ms = timeout_ms;
    return operation;
}

inline raft::CoreOptions core_options() {
    raft::CoreOptions options;
    options.id = 1;
    options.group = 5;
    options.election_timeout_ticks = 10;
    options.heartbeat_ticks = 2;
    options.random_seed = 7;
    return options;
}

// Node 1 of `voters`, without a replica around it.
class TestNode final : public raft::NodeHandler {
 public:
    explicit TestNode(std::vector<raft::NodeId> voters, raft::CoreOptions options = core_options())
        : TestNode(raft::configuration_of(std::move(voters)), options) {}
    explicit TestNode(raft::Configuration configuration, raft::CoreOptions options = core_options())
        : node(raft::Core(options, {{}, std::move(configuration), {}, {}}), storage, transport,
               *this, 1000 * ms) {}

    // One turn, and everything handed to the disk is durable.
    void settle() {
        node.process();
        while (!storage.batches.empty()) {
            const std::vector<raft::PersistBatch> written = std::exchange(storage.batches, {});
            node.on_persisted(written.back().sequence);
            node.process();
        }
    }
    void step(raft::Message message) {
        node.on_message(std::move(message), 1000 * ms);
        settle();
    }
    raft::Header from(raft::NodeId peer, raft::Term term) const { return {5, peer, 1, term}; }

    // Leader by the votes of node 2 as well, if there is one.
    void lead() {
        for (int i = 0; i < 100 && !node.core().is_leader(); ++i) {
            node.on_tick(1000 * ms);
            settle();
            const raft::Term term = node.core().term();
            if (node.core().role() == raft::RoleName::pre_candidate) {
                step(raft::RequestVoteReply{from(2, term + 1), true, true});
                step(raft::RequestVoteReply{from(2, node.core().term()), false, true});
            }
        }
        REQUIRE(node.core().is_leader());
    }
    // Hears node 2 as leader of `term`.
    void follow(raft::Term term) {
        raft::AppendEntries append;
        append.header = from(2, term);
        step(append);
        REQUIRE(node.core().leader_id() == 2);
    }

    void on_committed(const raft::Entry& entry) override {
        committed.push_back(entry);
        if (committed_hook) {
            committed_hook(entry);
        }
    }
    void on_read(const raft::ReadState& read) override { reads.push_back(read); }
    void on_leadership_changed() override {}
    void on_configuration_changed() override { ++configuration_changes; }
    void on_snapshot_wanted(raft::NodeId peer) override { wanted.push_back(peer); }
    void on_snapshot_chunk(const raft::InstallSnapshot& chunk) override { chunks.push_back(chunk); }
    void on_snapshot_reply(const raft::InstallSnapshotReply& reply) override {
        replies.push_back(reply);
    }

    FakeStorage storage;
    FakeTransport transport;
    int configuration_changes = 0;
    std::function<void(const raft::Entry&)> committed_hook;
    std::vector<raft::Entry> committed;
    std::vector<raft::ReadState> reads;
    std::vector<raft::NodeId> wanted;
    std::vector<raft::InstallSnapshot> chunks;
    std::vector<raft::InstallSnapshotReply> replies;
    raft::Node node;
};

}  // namespace cairn::server::test
