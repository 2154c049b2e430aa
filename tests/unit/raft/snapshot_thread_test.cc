#include "raft/disk/snapshot_thread.h"

#include <array>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
#include <pthread.h>

#include "tests/support/snapshot_testing.h"

namespace cairn::raft::test {
namespace {

// Holds the thread up in a job until told.
class Obstacle {
 public:
    explicit Obstacle(SnapshotThread& thread) {
        REQUIRE(thread.submit([this](SnapshotStore&) {
            reached_.set_value();
            gone_.get_future().wait();
        }));
        reached_.get_future().wait();
    }
    void remove() { gone_.set_value(); }

 private:
    std::promise<void> reached_;
    std::promise<void> gone_;
};

}  // namespace

TEST_CASE("snapshot thread: does jobs in order, on a thread of its own, with the store") {
    MemoryFileSystem files;
    const std::string bytes = snapshot_bytes(100);
    std::vector<int> order;
    std::string name;
    std::thread::id id;
    std::promise<std::string> finished;
    SnapshotThread thread(open_snapshots(files), 200);
    REQUIRE(thread.submit([&](SnapshotStore& store) {
        std::array<char, 16> text{};
        pthread_getname_np(pthread_self(), text.data(), text.size());
        name = text.data();
        id = std::this_thread::get_id();
        REQUIRE(store.writer().create(snapshot_meta(10)).has_value());
    }));
    for (int i = 0; i < 100; ++i) {
        REQUIRE(thread.submit([&order, &bytes, i](SnapshotStore& store) {
            order.push_back(i);
            REQUIRE(store.writer()
                        .append(std::string_view(bytes).substr(static_cast<std::size_t>(i), 1))
                        .has_value());
        }));
    }
    REQUIRE(thread.submit([&](SnapshotStore& store) {
        REQUIRE(store.writer().commit().has_value());
        finished.set_value(latest_bytes(store).value());
    }));
    CHECK(finished.get_future().get() == bytes);
    CHECK(name == "cairn-snap");
    CHECK(id != std::this_thread::get_id());
    REQUIRE(order.size() == 100);
    for (int i = 0; i < 100; ++i) {
        REQUIRE(order[static_cast<std::size_t>(i)] == i);
    }
}

TEST_CASE("snapshot thread: a full queue refuses at once, and takes jobs again") {
    MemoryFileSystem files;
    int done = 0;
    SnapshotThread thread(open_snapshots(files), 2);
    Obstacle obstacle(thread);
    const auto count = [&done](SnapshotStore&) { ++done; };
    CHECK(thread.submit(count));
    CHECK(thread.submit(count));
    CHECK_FALSE(thread.submit(count));
    obstacle.remove();
    std::promise<int> told;
    // Room comes when the thread takes a job.
    while (!thread.submit([&](SnapshotStore&) { told.set_value(done); })) {
        std::this_thread::yield();
    }
    CHECK(told.get_future().get() == 2);
}

TEST_CASE(
    "snapshot thread: stop lets the job that runs end, drops the others and what they wrote") {
    MemoryFileSystem files;
    const auto held = std::make_shared<int>(0);
    auto thread = std::make_unique<SnapshotThread>(open_snapshots(files), ~std::size_t{0});
    REQUIRE(thread->submit([](SnapshotStore& store) {
        REQUIRE(store.writer().create(snapshot_meta(10)).has_value());
        REQUIRE(store.receiver().begin(snapshot_meta(11), content_of("abc")).has_value());
    }));
    Obstacle obstacle(*thread);
    REQUIRE(thread->submit([held](SnapshotStore&) { ++*held; }));
    std::thread stopper([&] { thread->stop(); });
    // It is refused once stop() has begun: then the job that waits will not be run.
    while (thread->submit([](SnapshotStore&) {})) {
        std::this_thread::yield();
    }
    obstacle.remove();
    stopper.join();
    CHECK(*held == 0);
    CHECK(held.use_count() == 1);
    CHECK_FALSE(thread->submit([](SnapshotStore&) {}));
    thread->stop();
    CHECK(files.paths().size() == 2);
    thread.reset();
    CHECK(files.paths().empty());
}

}  // namespace cairn::raft::test
