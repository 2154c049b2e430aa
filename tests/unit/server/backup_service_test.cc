#include "server/node/backup_service.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "raft/base/crc32c.h"
#include "tests/support/snapshot_testing.h"
#include "tests/unit/server/replica_testing.h"

namespace {

using namespace cairn;
using namespace cairn::server;
using namespace cairn::server::test;

SnapshotLimits small_slices() {
    SnapshotLimits limits;
    limits.entries_between = 1'000'000;
    limits.slice_bytes = 256;
    return limits;
}

// The service behind a snapshot service, a state machine that applies what a leader commits, and a
// store whose jobs run when the test says so.
struct Rig {
    explicit Rig(const BackupLimits& limits = {})
        : store(raft::test::open_snapshots(files)),
          node({1}),
          snapshots(
              node.node, node.storage, state, runner, small_slices(), 77,
              [](fsm::StateMachine machine) { return machine; }, [this] { turn_wanted = true; }),
          service(snapshots, runner, limits, 77, [this] { turn_wanted = true; }) {
        node.committed_hook = [this](const raft::Entry& entry) {
            std::vector<fsm::Event> events;
            state.apply(entry.index, entry.stamp_ns, entry.payload.view(), events);
        };
        node.lead();
    }
    raft::Index write(const std::string& name) {
        const std::vector<raft::Payload> payloads{
            raft::Payload::copy_of(set_command(name, std::string(500, 'v')))};
        REQUIRE(node.node.propose(payloads, now).error == raft::ProposeError::none);
        node.settle();
        return state.applied_index();
    }
    void turn() {
        turn_wanted = false;
        snapshots.turn(now);
        service.turn(now);
    }
    // Turns and jobs until there are none.
    void settle() {
        turn_wanted = true;
        for (int i = 0; i < 100'000 && (turn_wanted || !runner.jobs.empty()); ++i) {
            turn();
            runner.run_all(*store);
        }
    }
    std::shared_ptr<Operation> open() {
        auto operation = std::make_shared<Operation>();
        operation->kind = Operation::Kind::backup;
        service.open(operation, port, state.applied_index(), now);
        return operation;
    }
    std::shared_ptr<Operation> ask(const std::shared_ptr<const Download>& download,
                                   std::uint64_t number) {
        auto operation = std::make_shared<Operation>();
        operation->kind = Operation::Kind::next_piece;
        operation->download = download;
        operation->piece_number = number;
        service.read(operation, port, now);
        return operation;
    }
    void run_one_job() {
        if (!runner.jobs.empty()) {
            const auto job = std::move(runner.jobs.front());
            runner.jobs.pop_front();
            job.first(*store);
            job.second();
        }
    }
    bool is_done(const std::shared_ptr<Operation>& operation) const {
        return std::ranges::find(port.done, operation) != port.done.end();
    }
    std::string all_of(const std::shared_ptr<const Download>& download) {
        std::string bytes;
        for (std::uint64_t number = 0; number < download->piece_count; ++number) {
            const auto operation = ask(download, number);
            settle();
            REQUIRE(is_done(operation));
            REQUIRE(operation->failure == Failure::none);
            REQUIRE(operation->error == "");
            bytes += operation->piece;
            port.done.clear();
        }
        return bytes;
    }

    std::int64_t now = 1000 * ms;
    raft::test::MemoryFileSystem files;
    std::unique_ptr<raft::SnapshotStore> store;
    TestNode node;
    fsm::StateMachine state;
    HeldRunner runner;
    FakePort port;
    bool turn_wanted = false;
    SnapshotService snapshots;
    BackupService service;
};

// Takes what was opened away from the port and the operation, as a session does.
std::shared_ptr<const Download> take(Rig& rig, std::shared_ptr<Operation> operation) {
    REQUIRE(rig.is_done(operation));
    REQUIRE(operation->failure == Failure::none);
    REQUIRE_MESSAGE(operation->download != nullptr, operation->error);
    rig.port.done.clear();
    return operation->download;
}

TEST_CASE("backup: the bytes are a snapshot of all that was applied, whatever happens meanwhile") {
    Rig rig;
    for (int i = 0; i < 30; ++i) {
        rig.write("name" + std::to_string(i));
    }
    const raft::Index index = rig.state.applied_index();
    const auto operation = rig.open();
    rig.settle();
    const auto download = take(rig, operation);
    CHECK(download->index == index);
    CHECK(download->cluster_id == 77);
    CHECK(operation->served_index == index);
    // Two newer snapshots remove the file.
    for (int i = 0; i < 3; ++i) {
        rig.write("later");
        rig.snapshots.take([](raft::Index, const std::string&) {});
        rig.settle();
    }
    const std::string bytes = rig.all_of(download);
    CHECK(bytes.size() == download->bytes);
    CHECK(raft::crc32c(bytes) == download->crc);
    raft::test::MemoryFileSystem elsewhere;
    elsewhere.set_content("/x/file", bytes);
    std::string error;
    raft::SnapshotFailure failure;
    const auto reader = raft::SnapshotReader::open(elsewhere, "/x/file", failure);
    REQUIRE_MESSAGE(reader != nullptr, failure.detail);
    REQUIRE(reader->verify().has_value());
    CHECK(reader->meta().last_included_index == index);
    const auto state = load_state_machine(*reader, error);
    REQUIRE_MESSAGE(state.has_value(), error);
    CHECK(state->get("name29") != nullptr);
    CHECK(state->get("later") == nullptr);
}

TEST_CASE("backup: a snapshot that had begun before is too old") {
    Rig rig;
    rig.write("before");
    raft::Index taken = 0;
    rig.snapshots.take([&](raft::Index index, const std::string&) { taken = index; });
    rig.turn();  // it has begun
    const raft::Index needed = rig.write("acknowledged");
    const auto operation = rig.open();
    rig.settle();
    CHECK(taken < needed);
    CHECK(take(rig, operation)->index >= needed);
}

TEST_CASE("backup: only so many at a time; one that nobody has any more makes room") {
    Rig rig;
    rig.write("name");
    auto first_operation = rig.open();
    auto second_operation = rig.open();
    rig.settle();
    const auto third = rig.open();
    CHECK(third->failure == Failure::overloaded);
    CHECK(rig.service.size() == 2);
    rig.port.done.clear();
    auto piece = rig.ask(first_operation->download, 0);
    first_operation.reset();
    rig.turn();
    CHECK(rig.service.size() == 2);  // one is being read
    rig.settle();
    rig.port.done.clear();
    piece.reset();
    rig.settle();
    CHECK(rig.service.size() == 1);
    const auto fourth = rig.open();
    rig.settle();
    CHECK(take(rig, fourth) != nullptr);
    second_operation.reset();
}

TEST_CASE("backup: a client that is gone before it was opened leaves nothing") {
    Rig rig;
    rig.write("name");
    rig.open();
    rig.settle();
    rig.port.done.clear();
    rig.settle();
    CHECK(rig.service.size() == 0);
}

TEST_CASE("backup: damage on the disk is an error before it is sent, and one while it is") {
    Rig rig;
    for (int i = 0; i < 30; ++i) {
        rig.write("name" + std::to_string(i));
    }
    rig.snapshots.take([](raft::Index, const std::string&) {});
    rig.settle();
    std::string path;
    for (const std::string& one : rig.files.paths()) {
        path = one.find("/snapshot-") == std::string::npos ? path : one;
    }
    const auto good = rig.open();
    rig.settle();
    const auto download = take(rig, good);
    rig.files.flip_bit(path, rig.files.content(path).size() * 4);
    const auto bad = rig.open();
    rig.settle();
    REQUIRE(rig.is_done(bad));
    CHECK(bad->failure == Failure::none);
    CHECK(bad->download == nullptr);
    CHECK(bad->error.find("damaged chunk") != std::string::npos);
    bool seen = false;
    for (std::uint64_t number = 0; number < download->piece_count && !seen; ++number) {
        const auto piece = rig.ask(download, number);
        rig.settle();
        REQUIRE(rig.is_done(piece));
        seen = !piece->error.empty();
    }
    CHECK(seen);
    CHECK(rig.service.size() == 0);
    const auto after = rig.ask(download, 0);
    CHECK(after->failure == Failure::interrupted);
}

TEST_CASE("backup: a full queue delays, and nothing getting on is late in the end") {
    Rig rig;
    rig.write("name");
    rig.runner.jobs_max = 0;
    const auto operation = rig.open();
    rig.turn();
    rig.now += 4000 * ms;
    rig.turn();
    CHECK_FALSE(rig.is_done(operation));
    rig.runner.jobs_max = 1024;
    rig.settle();
    const auto download = take(rig, operation);
    rig.runner.jobs_max = 0;
    const auto piece = rig.ask(download, 0);
    rig.turn();
    CHECK_FALSE(rig.is_done(piece));
    rig.now += 61'000 * ms;
    rig.turn();
    REQUIRE(rig.is_done(piece));
    CHECK(piece->failure == Failure::timeout);
    rig.turn();
    CHECK(rig.service.size() == 1);  // its file is not closed yet
    rig.runner.jobs_max = 1024;
    rig.settle();
    CHECK(rig.service.size() == 0);
}

TEST_CASE("backup: the deadline counts from the last progress") {
    Rig rig;
    for (int i = 0; i < 200; ++i) {
        rig.write("name" + std::to_string(i));
    }
    const auto operation = rig.open();
    for (int i = 0; i < 20; ++i) {  // longer than the timeout of 5 s, together
        rig.turn();
        rig.run_one_job();
        rig.now += 1000 * ms;
    }
    CHECK_FALSE(rig.is_done(operation));
    rig.now += 6000 * ms;
    rig.turn();
    rig.now += 6000 * ms;
    rig.turn();
    REQUIRE(rig.is_done(operation));
    CHECK(operation->failure == Failure::timeout);
    rig.settle();
    CHECK(rig.service.size() == 0);
}

TEST_CASE("backup: a node that stops answers what waits") {
    Rig rig;
    rig.write("name");
    const auto waiting = rig.open();
    rig.service.stop();
    CHECK(waiting->failure == Failure::draining);
    CHECK(rig.is_done(waiting));
}

}  // namespace
