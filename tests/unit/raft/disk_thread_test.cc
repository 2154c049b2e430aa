#include "raft/disk/disk_thread.h"

#include <array>
#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
#include <pthread.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/memory_file_system.h"
#include "tests/support/wal_model.h"

namespace cairn::raft::test {
namespace {

// Stands between the log and the disk in memory and can hold it up at a sync.
class Gate {
 public:
    void pass() {
        std::unique_lock lock(mutex_);
        ++waiting_;
        changed_.notify_all();
        changed_.wait(lock, [this] { return open_; });
        --waiting_;
    }
    void close() {
        const std::lock_guard lock(mutex_);
        open_ = false;
    }
    void open() {
        const std::lock_guard lock(mutex_);
        open_ = true;
        changed_.notify_all();
    }
    void await_waiting() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return waiting_ > 0; });
    }

 private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool open_ = true;
    int waiting_ = 0;
};

class GatedFile final : public File {
 public:
    GatedFile(std::unique_ptr<File> file, Gate& gate) : file_(std::move(file)), gate_(gate) {}
    IoResult<void> write_at(std::uint64_t offset,
                            std::span<const std::string_view> parts) override {
        return file_->write_at(offset, parts);
    }
    IoResult<void> read_at(std::uint64_t offset, std::size_t size, std::string& out) override {
        return file_->read_at(offset, size, out);
    }
    IoResult<void> sync() override {
        gate_.pass();
        return file_->sync();
    }
    IoResult<std::uint64_t> size() override { return file_->size(); }

 private:
    std::unique_ptr<File> file_;
    Gate& gate_;
};

class GatedFileSystem final : public MemoryFileSystem {
 public:
    IoResult<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
        IoResult<std::unique_ptr<File>> file = MemoryFileSystem::open(path, mode);
        if (!file) {
            return file.error();
        }
        return std::unique_ptr<File>(std::make_unique<GatedFile>(std::move(*file), gate));
    }

    Gate gate;
};

// Collects reports; waits for them.
class Reports {
 public:
    DiskThread::Report sink() {
        return [this](const std::vector<Persisted>& persisted) {
            std::array<char, 16> name{};
            pthread_getname_np(pthread_self(), name.data(), name.size());
            const std::lock_guard lock(mutex_);
            thread_name_ = name.data();
            for (const Persisted& one : persisted) {
                newest_[one.group] = one.sequence;
                all_.push_back(one);
            }
            changed_.notify_all();
        };
    }
    DiskThread::OnFailure failure_sink() {
        return [this](const std::string& message) {
            const std::lock_guard lock(mutex_);
            failures_.push_back(message);
            changed_.notify_all();
        };
    }
    void await(GroupId group, Sequence sequence) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return newest_[group] >= sequence; });
    }
    void await_failure() {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return !failures_.empty(); });
    }
    std::vector<Persisted> all() {
        const std::lock_guard lock(mutex_);
        return all_;
    }
    std::vector<std::string> failures() {
        const std::lock_guard lock(mutex_);
        return failures_;
    }
    std::string thread_name() {
        const std::lock_guard lock(mutex_);
        return thread_name_;
    }

 private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<GroupId, Sequence> newest_;
    std::vector<Persisted> all_;
    std::vector<std::string> failures_;
    std::string thread_name_;
};

PersistBatch batch(GroupId group, Sequence sequence, Index index, std::size_t bytes = 10) {
    return {.group = group,
            .sequence = sequence,
            .hard_state = HardState{.term = sequence},
            .entries = {make_entry(index, 1, std::string(bytes, 'x'))}};
}

std::unique_ptr<Wal> opened(FileSystem& files) {
    Opened result = open_wal(files);
    REQUIRE_MESSAGE(result.wal != nullptr, result.failure.detail);
    return std::move(result.wal);
}

}  // namespace

TEST_CASE("disk thread: what is reported is durable, in order, and stop finishes the rest") {
    MemoryFileSystem files;
    Reports reports;
    DiskThread disk(opened(files), reports.sink(), reports.failure_sink());
    for (Index index = 1; index <= 20; ++index) {
        disk.submit(batch(1, index, index, 500));
        disk.submit(batch(2, index, index, 500));
    }
    reports.await(1, 3);
    CHECK(reports.thread_name() == "cairn-disk");
    disk.stop();
    disk.stop();
    disk.submit(batch(1, 99, 21));
    std::map<GroupId, Sequence> newest;
    for (const Persisted& persisted : reports.all()) {
        CHECK(persisted.sequence > newest[persisted.group]);
        newest[persisted.group] = persisted.sequence;
    }
    CHECK(newest == std::map<GroupId, Sequence>{{1, 20}, {2, 20}});
    CHECK(disk.statistics().batches == 40);
    CHECK(disk.statistics().append_ns_total >= disk.statistics().append_ns_max);
    CHECK(reports.failures().empty());
    files.crash(MemoryFileSystem::Crash::drop, 1);
    const Opened again = open_wal(files);
    REQUIRE(again.wal != nullptr);
    CHECK(again.recovered.at(1).entries.size() == 20);
    CHECK(again.recovered.at(2).hard_state.term == 20);
}

TEST_CASE("disk thread: all that gathers during a sync is one append, reported once per group") {
    GatedFileSystem files;
    Reports reports;
    auto wal = opened(files);
    while (!wal->prepare_reserve(1U << 20).value()) {
    }
    DiskThread disk(std::move(wal), reports.sink(), reports.failure_sink());
    files.gate.close();
    disk.submit(batch(1, 1, 1));
    files.gate.await_waiting();
    for (Index index = 2; index <= 6; ++index) {
        disk.submit(batch(1, index, index));
        disk.submit(batch(2, index, index - 1));
    }
    CHECK(reports.all().empty());
    files.gate.open();
    reports.await(2, 6);
    disk.stop();
    CHECK(disk.statistics().appends == 2);
    CHECK(disk.statistics().batches == 11);
    const std::vector<Persisted> all = reports.all();
    REQUIRE(all.size() == 3);
    CHECK((all[1].group == 1 && all[1].sequence == 6));
    CHECK((all[2].group == 2 && all[2].sequence == 6));
}

TEST_CASE("disk thread: releases and new beginnings happen in order") {
    MemoryFileSystem files;
    Reports reports;
    {
        DiskThread disk(opened(files), reports.sink(), reports.failure_sink());
        for (Index index = 1; index <= 10; ++index) {
            disk.submit(batch(1, index, index, 1500));
        }
        disk.release(1, 10);
        disk.submit(batch(1, 11, 11, 10));
        disk.reset_log(1, 100);
        disk.submit(batch(1, 12, 100, 10));
        disk.release(1, 200);
        disk.submit(batch(1, 13, 200, 10));
        disk.reset_log(2, 7);
    }
    CHECK(reports.failures().empty());
    const Opened again = open_wal(files);
    REQUIRE(again.wal != nullptr);
    REQUIRE(again.recovered.at(1).entries.size() == 1);
    CHECK(again.recovered.at(1).entries[0].index == 200);
    CHECK(again.recovered.contains(2));
    std::size_t segments = 0;
    for (const std::string& path : files.paths()) {
        segments += path.find("segment-") != std::string::npos ? 1 : 0;
    }
    CHECK(segments <= 2);
}

TEST_CASE("disk thread: a failed sync is told once, and nothing is reported any more") {
    GatedFileSystem files;
    Reports reports;
    auto wal = opened(files);
    while (!wal->prepare_reserve(1U << 20).value()) {
    }
    DiskThread disk(std::move(wal), reports.sink(), reports.failure_sink());
    files.gate.close();
    disk.submit(batch(1, 1, 1));
    files.gate.await_waiting();
    files.fail_at(files.operations() + 1, boost::system::errc::io_error);
    disk.submit(batch(1, 2, 2));
    files.gate.open();
    reports.await_failure();
    disk.submit(batch(1, 3, 3));
    disk.stop();
    CHECK(reports.all().empty());
    REQUIRE(reports.failures().size() == 1);
    CHECK(reports.failures()[0].find("append failed: ") != std::string::npos);
}

TEST_CASE("disk thread: a full disk is waited out") {
    GatedFileSystem files;
    Reports reports;
    files.set_capacity_bytes(8192 + 100);
    DiskThread disk(opened(files), reports.sink(), reports.failure_sink());
    const auto await_disk_full = [&](bool full) {
        while (disk.statistics().disk_full != full) {
            std::this_thread::yield();
        }
    };
    await_disk_full(true);
    disk.submit(batch(1, 1, 1, 1800));
    reports.await(1, 1);
    CHECK(disk.statistics().disk_full);
    disk.submit(batch(1, 2, 2, 1800));
    reports.await(1, 2);
    disk.submit(batch(1, 3, 3, 1800));
    SUBCASE("until there is room") {
        files.set_capacity_bytes(1U << 20);
        reports.await(1, 3);
        await_disk_full(false);
        disk.stop();
        CHECK(reports.all().size() == 3);
    }
    SUBCASE("until the end") {
        disk.stop();
        CHECK(reports.all().size() == 2);
    }
    CHECK(reports.failures().empty());
}

TEST_CASE(
    "scenario 7: under load, without an idle moment, a full disk is told while there is room") {
    GatedFileSystem files;
    Reports reports;
    // Segments of 8 MiB; the disk takes one and a half.
    WalOptions options = small_wal_options();
    options.segment_bytes = 8U << 20;
    options.record_bytes_max = 1U << 20;
    std::map<GroupId, WalGroupState> recovered;
    WalOpenFailure failure;
    auto wal = Wal::open(files, wal_directory, options, recovered, failure);
    REQUIRE_MESSAGE(wal != nullptr, failure.detail);
    files.set_capacity_bytes(12U << 20);
    files.set_tells_free_bytes(true);
    files.gate.close();
    {
        // The thread's idle moment comes before the gate: it finds the disk full, or not yet.
        DiskThread disk(std::move(wal), reports.sink(), reports.failure_sink());
        SUBCASE("told by the file system") {}
        SUBCASE("found by writing") {
            files.set_tells_free_bytes(false);
        }
        // One batch behind another: the queue is never empty until the last is taken.
        constexpr Index count = 6;
        for (Index index = 1; index <= count; ++index) {
            disk.submit(batch(1, index, index, 900'000));
        }
        files.gate.open();
        reports.await(1, count);  // all of them fitted
        while (!disk.is_full()) {
            std::this_thread::yield();
        }
        disk.submit(batch(1, count + 1, count + 1, 100));
        reports.await(1, count + 1);
        CHECK(disk.is_full());
        files.set_capacity_bytes(64U << 20);
        while (disk.is_full()) {
            std::this_thread::yield();
        }
        disk.stop();
    }
    CHECK(reports.failures().empty());
    CHECK(reports.all().back().sequence == 7);
}

TEST_CASE(
    "scenario 7: the next segment is made, or missed, also when there is never an idle moment") {
    MemoryFileSystem files;
    WalOptions options = small_wal_options();
    options.segment_bytes = 8U << 20;
    options.record_bytes_max = 1U << 20;
    std::map<GroupId, WalGroupState> recovered;
    WalOpenFailure failure;
    auto wal = Wal::open(files, wal_directory, options, recovered, failure);
    REQUIRE_MESSAGE(wal != nullptr, failure.detail);
    while (!wal->prepare_reserve(1U << 20).value()) {
    }
    files.set_capacity_bytes(16U << 20);
    // Whatever is reported brings the next batch, as a busy node does. Two segments take 18.
    Reports reports;
    constexpr Sequence last = 17;
    std::atomic<DiskThread*> thread = nullptr;
    std::atomic<Sequence> told_at = 0;
    const auto feed = [&, note = reports.sink()](const std::vector<Persisted>& persisted) {
        const Sequence sequence = persisted.back().sequence;
        DiskThread& disk = *thread.load();
        if (told_at == 0 && disk.is_full()) {
            told_at = sequence;
        }
        if (sequence < last) {
            disk.submit(batch(1, sequence + 1, sequence + 1, 900'000));
        }
        note(persisted);
    };
    DiskThread disk(std::move(wal), feed, reports.failure_sink());
    thread = &disk;
    disk.submit(batch(1, 1, 1, 900'000));
    reports.await(1, last);
    disk.stop();
    // The second segment begins with batch 10.
    CHECK(told_at > 10);
    CHECK(told_at <= 13);
    CHECK(reports.failures().empty());
}

TEST_CASE("scenario 7: what large appends make of the next segment is in proportion to them") {
    MemoryFileSystem files;
    WalOptions options = small_wal_options();
    options.segment_bytes = 8U << 20;
    options.record_bytes_max = 4U << 20;
    std::map<GroupId, WalGroupState> recovered;
    WalOpenFailure failure;
    auto wal = Wal::open(files, wal_directory, options, recovered, failure);
    REQUIRE_MESSAGE(wal != nullptr, failure.detail);
    files.set_capacity_bytes(12U << 20);
    // Each batch behind the one before, so that there is no idle moment.
    Reports reports;
    constexpr Sequence last = 3;
    std::atomic<DiskThread*> thread = nullptr;
    std::atomic<Sequence> told_at = 0;
    const auto feed = [&, note = reports.sink()](const std::vector<Persisted>& persisted) {
        const Sequence sequence = persisted.back().sequence;
        if (told_at == 0 && thread.load()->is_full()) {
            told_at = sequence;
        }
        if (sequence < last) {
            thread.load()->submit(batch(1, sequence + 1, sequence + 1, 2'600'000));
        }
        note(persisted);
    };
    DiskThread disk(std::move(wal), feed, reports.failure_sink());
    thread = &disk;
    disk.submit(batch(1, 1, 1, 2'600'000));
    reports.await(1, last);
    disk.stop();
    CHECK(told_at.load() == 2);
}

TEST_CASE("scenario 7: a release goes before the append that waits for the room it makes") {
    MemoryFileSystem files;
    Reports reports;
    files.set_capacity_bytes(2 * 8192 + 100);
    DiskThread disk(opened(files), reports.sink(), reports.failure_sink());
    Sequence sequence = 0;
    const auto submit = [&] {
        ++sequence;
        disk.submit(batch(1, sequence, sequence, 1800));
    };
    for (int i = 0; i < 4; ++i) {
        submit();
    }
    reports.await(1, 4);  // two segments, full
    submit();
    SUBCASE("submitted before the append") {
        // In order, nothing has to be early.
        disk.release(1, 3);
        reports.await(1, 5);
    }
    SUBCASE("behind it, when it waits already") {
        while (!disk.is_full()) {
            std::this_thread::yield();
        }
        CHECK(reports.all().back().sequence == 4);
        submit();
        disk.release(1, 3);
        reports.await(1, 6);
    }
    disk.stop();
    CHECK(reports.failures().empty());
    const Opened again = open_wal(files);
    REQUIRE(again.wal != nullptr);
    CHECK(again.recovered.at(1).entries.front().index == 3);
    CHECK(again.recovered.at(1).entries.back().index == sequence);
}

TEST_CASE("scenario 1: a write or sync that fails ends the process, with a message and status 1") {
    std::array<int, 2> pipe_ends{};
    REQUIRE(::pipe(pipe_ends.data()) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ::dup2(pipe_ends[1], STDERR_FILENO);
        spdlog::set_default_logger(std::make_shared<spdlog::logger>(
            "child", std::make_shared<spdlog::sinks::stderr_sink_st>()));
        DiskThread::end_process("write-ahead log: append failed: Input/output error");
    }
    ::close(pipe_ends[1]);
    std::string said;
    std::array<char, 256> piece{};
    for (ssize_t size = 0; (size = ::read(pipe_ends[0], piece.data(), piece.size())) > 0;) {
        said.append(piece.data(), static_cast<std::size_t>(size));
    }
    ::close(pipe_ends[0]);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 1);
    CHECK(said.find("append failed: Input/output error; durability can't") != std::string::npos);
}

}  // namespace cairn::raft::test
