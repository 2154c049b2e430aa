// One replica with everything around it in the hand of the test: clock, disk, transport, port.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "server/node/replica.h"
#include "tests/support/snapshot_testing.h"
#include "tests/unit/server/replica_testing.h"

namespace cairn::server::test {

struct Rig {
    explicit Rig(std::vector<raft::NodeId> voters = {1}, fsm::HistoryOptions history = {},
                 const raft::CoreOptions& core = core_options())
        : store(raft::test::open_snapshots(files)),
          replica(raft::Core(core, {{}, raft::configuration_of(voters), {}, {}}), {}, storage,
                  transport, runner, options(history), view, clock,
                  [this] { turn_wanted = true; }) {
        replica.add_port(port);
        if (voters.size() == 1) {
            pass(200 * ms);
            REQUIRE(replica.leads());
        }
    }
    static ReplicaOptions options(const fsm::HistoryOptions& history) {
        ReplicaOptions options;
        options.cluster_id = 77;
        options.history = history;
        options.snapshots.entries_between = 1'000'000;
        return options;
    }
    // Turns until nobody wants one; the disk answers at once.
    void settle() {
        for (int i = 0; i < 1000 && (turn_wanted || !storage.batches.empty()); ++i) {
            turn_wanted = false;
            replica.turn();
            if (!storage.batches.empty()) {
                const auto written = std::exchange(storage.batches, {});
                replica.on_persisted(written.back().sequence);
            }
        }
        REQUIRE_FALSE(turn_wanted);
    }
    void pass(std::int64_t ns) {
        for (const std::int64_t end = clock.steady + ns; clock.steady < end;) {
            clock.pass(10 * ms);
            replica.tick();
            settle();
        }
    }
    std::shared_ptr<Operation> submit(Operation::Kind kind, const std::string& name = {}) {
        auto operation = std::make_shared<Operation>();
        operation->kind = kind;
        operation->name = name;
        replica.submit(operation, port);
        return operation;
    }
    void write(std::string command) {
        replica.submit(make_write(std::move(command)), port);
        settle();
    }
    fsm::Status get(const std::string& name) {
        const auto operation = submit(Operation::Kind::get, name);
        settle();
        REQUIRE(port.done.back() == operation);
        REQUIRE(operation->failure == Failure::none);
        return operation->output.status;
    }
    std::shared_ptr<Operation> poll(const std::string& name, std::uint64_t known, int wait_ms) {
        auto operation = std::make_shared<Operation>();
        operation->name = name;
        operation->known_index = known;
        operation->wait_ms = wait_ms;
        replica.submit(operation, port);
        settle();
        return operation;
    }
    bool is_done(const std::shared_ptr<Operation>& operation) const {
        return std::count(port.done.begin(), port.done.end(), operation) == 1;
    }
    // Of everything, or of one name.
    std::shared_ptr<StreamOpen> open(std::optional<std::uint64_t> after_index,
                                     const std::string& name = "",
                                     std::uint32_t after_position = UINT32_MAX) {
        auto stream = std::make_shared<StreamOpen>();
        stream->name = name;
        stream->prefix = name.empty();
        stream->wants_present = true;
        stream->after_index = after_index;
        stream->after_position = after_position;
        replica.open_stream(stream, port);
        settle();
        return stream;
    }

    FakeClock clock;
    FakeStorage storage;
    FakeTransport transport;
    FakePort port;
    NodeView view;
    HeldRunner runner;
    bool turn_wanted = false;
    raft::test::MemoryFileSystem files;
    std::unique_ptr<raft::SnapshotStore> store;
    Replica replica;
};

}  // namespace cairn::server::test
