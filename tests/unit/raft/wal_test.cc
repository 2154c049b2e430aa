#include "raft/disk/wal.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <unistd.h>

#include "raft/disk/wal_format.h"
#include "tests/support/memory_file_system.h"
#include "tests/support/wal_model.h"

namespace cairn::raft::test {
namespace {

namespace errc = boost::system::errc;

std::size_t count_files(const MemoryFileSystem& files, const std::string& prefix) {
    const std::vector<std::string> paths = files.paths();
    return static_cast<std::size_t>(std::count_if(
        paths.begin(), paths.end(),
        [&](const std::string& path) { return path.starts_with(wal_directory + "/" + prefix); }));
}

// A log and its model; every append must succeed.
class Logged {
 public:
    explicit Logged(FileSystem& disk, const WalOptions& wal_options = small_wal_options())
        : files(disk), options(wal_options) {
        reopen();
    }
    void append(const std::vector<Part>& parts) {
        const IoResult<void> appended = append_parts(*opened.wal, parts);
        REQUIRE_MESSAGE(appended.has_value(), appended.error().message());
        model.apply(parts);
    }
    void release(GroupId group, Index first_needed) {
        REQUIRE(opened.wal->release(group, first_needed).has_value());
        model.groups[group].first_needed = first_needed;
    }
    void reopen() {
        opened = Opened();
        opened = open_wal(files, options);
        REQUIRE_MESSAGE(opened.wal != nullptr, opened.failure.detail);
        CHECK(model.difference(opened.recovered) == "");
    }

    FileSystem& files;
    WalOptions options;
    WalModel model;
    Opened opened;
};

std::vector<Entry> entries_of(Index first, std::size_t count, Term term, std::size_t bytes) {
    std::vector<Entry> entries;
    for (std::size_t i = 0; i < count; ++i) {
        const char letter = static_cast<char>('a' + (first + i) % 26);
        entries.push_back(make_entry(first + i, term, std::string(bytes, letter)));
    }
    return entries;
}

}  // namespace

TEST_CASE("wal: a fresh log is empty, what is appended is recovered, for all groups") {
    MemoryFileSystem files;
    Logged log(files);
    CHECK(log.opened.recovered.empty());
    log.append({{.group = 1, .hard_state = HardState{.term = 1, .voted_for = 2}}});
    log.append(
        {{.group = 1, .entries = entries_of(1, 3, 1, 10)},
         {.group = 2, .hard_state = HardState{.term = 5}, .entries = entries_of(1, 1, 5, 0)}});
    log.append({{.group = 2, .entries = entries_of(2, 2, 5, 700)}});
    log.append({});
    log.reopen();
    CHECK(log.opened.recovered.at(1).entries.size() == 3);
    CHECK(log.opened.recovered.at(2).entries.size() == 3);
    log.append({{.group = 1, .entries = entries_of(4, 1, 1, 1)}});
    log.reopen();
}

TEST_CASE("wal: an entry replaces what the group had at its index and above") {
    MemoryFileSystem files;
    Logged log(files);
    log.append({{.group = 1, .entries = entries_of(1, 5, 1, 10)}});
    log.append({{.group = 1, .entries = entries_of(3, 1, 2, 20)}});
    log.reopen();
    CHECK(log.opened.recovered.at(1).entries.size() == 3);
    CHECK(log.opened.recovered.at(1).entries.back().term == 2);
    log.append({{.group = 1, .entries = entries_of(1, 1, 3, 20)}});
    log.reopen();
    CHECK(log.opened.recovered.at(1).entries.size() == 1);
}

TEST_CASE("wal: a gap is refused, and everything after it") {
    MemoryFileSystem files;
    Logged log(files);
    log.append({{.group = 1, .entries = entries_of(1, 2, 1, 10)}});
    const IoResult<void> gap =
        append_parts(*log.opened.wal, {{.group = 1, .entries = entries_of(4, 1, 1, 10)}});
    REQUIRE(gap.has_error());
    CHECK(gap.error() == errc::invalid_argument);
    CHECK(log.opened.wal->failed());
    CHECK(append_parts(*log.opened.wal, {{.group = 2, .entries = entries_of(1, 1, 1, 1)}})
              .has_error());
    log.reopen();
}

TEST_CASE("wal: a log that begins again after a snapshot") {
    MemoryFileSystem files;
    Logged log(files);
    log.append({{.group = 1, .entries = entries_of(1, 5, 1, 10)}});
    SUBCASE("said so") {
        log.append({{.group = 1, .log_start = 101}});
        log.reopen();
        CHECK(log.opened.recovered.at(1).entries.empty());
        log.append({{.group = 1, .entries = entries_of(101, 2, 3, 10)}});
    }
    SUBCASE("said so together with entries, at a lower index") {
        log.append({{.group = 1, .log_start = 3, .entries = entries_of(3, 1, 3, 10)}});
    }
    SUBCASE("known from release") {
        log.release(1, 101);
        log.append({{.group = 1, .entries = entries_of(101, 2, 3, 10)}});
    }
    log.reopen();
    CHECK(log.opened.recovered.at(1).entries.front().term == 3);
}

TEST_CASE("wal: rolls over segments, and hard states survive the recycling of theirs") {
    MemoryFileSystem files;
    Logged log(files);
    log.append({{.group = 1, .hard_state = HardState{.term = 9, .voted_for = 1}},
                {.group = 2, .hard_state = HardState{.term = 4, .voted_for = 3}}});
    Index index = 1;
    for (int round = 0; round < 60; ++round) {
        log.append({{.group = 1, .entries = entries_of(index, 3, 9, 300)}});
        index += 3;
        if (round % 5 == 4) {
            log.release(1, index - 4);
            CHECK(count_files(files, "segment-") <= 2);
            CHECK(count_files(files, "reserve-") <= 2);
        }
        if (round % 7 == 6) {
            log.reopen();
        }
    }
    log.reopen();
    CHECK(log.opened.recovered.at(2).hard_state.term == 4);
    CHECK(log.opened.recovered.at(1).entries.front().index > 100);
}

TEST_CASE("wal: one group's needs keep segments, whatever others released") {
    MemoryFileSystem files;
    Logged log(files);
    log.append({{.group = 2, .entries = entries_of(1, 1, 1, 10)}});
    for (Index index = 1; index <= 40; ++index) {
        log.append({{.group = 1, .entries = entries_of(index, 1, 1, 1000)}});
    }
    log.release(1, 41);
    CHECK(count_files(files, "segment-") > 10);
    log.reopen();
    log.release(1, 41);
    log.release(2, 2);
    CHECK(count_files(files, "segment-") == 1);
    CHECK(count_files(files, "reserve-") == 2);
    log.reopen();
}

TEST_CASE("wal: in the steady state an append is one write and one sync") {
    MemoryFileSystem files;
    Logged log(files);
    log.append({{.group = 1, .entries = entries_of(1, 1, 1, 10)}});
    const std::uint64_t before = files.operations();
    log.append(
        {{.group = 1, .hard_state = HardState{.term = 2}, .entries = entries_of(2, 2, 2, 800)},
         {.group = 2, .entries = entries_of(1, 3, 1, 30)}});
    CHECK(files.operations() == before + 2);
}

TEST_CASE("wal: an append that exceeds the rest of the segment goes whole into the next") {
    MemoryFileSystem files;
    Logged log(files);
    log.append({{.group = 1, .entries = entries_of(1, 2, 1, 1000)}});
    log.append({{.group = 1, .entries = entries_of(3, 3, 1, 1000)}});
    CHECK(count_files(files, "segment-") == 2);
    log.reopen();
    log.release(1, 3);
    CHECK(count_files(files, "segment-") == 1);
    log.reopen();
}

TEST_CASE("wal: an append larger than a segment is split, a record larger than allowed refused") {
    MemoryFileSystem files;
    Logged log(files);
    log.append(
        {{.group = 1, .hard_state = HardState{.term = 1}, .entries = entries_of(1, 30, 1, 900)},
         {.group = 2, .entries = entries_of(1, 5, 1, 2048)}});
    log.reopen();
    const IoResult<void> refused =
        append_parts(*log.opened.wal, {{.group = 3, .entries = entries_of(1, 1, 1, 2049)}});
    REQUIRE(refused.has_error());
    CHECK(refused.error() == errc::message_size);
    log.reopen();
}

// A node that was told of smaller values than another has to take what the cluster's log holds.
TEST_CASE("wal: a record larger than a segment gets one of its own size") {
    MemoryFileSystem files;
    Logged log(files);
    log.options.record_bytes_max = 100'000;
    log.reopen();
    REQUIRE(log.opened.wal->prepare_reserve(8192).has_value());
    log.append({{.group = 1, .entries = entries_of(1, 2, 1, 1000)}});
    log.append({{.group = 1, .hard_state = HardState{.term = 2}},
                {.group = 1, .entries = entries_of(3, 2, 2, 50'000)},
                {.group = 1, .entries = entries_of(5, 1, 2, 100'000)}});
    log.append({{.group = 1, .entries = entries_of(6, 1, 2, 1000)}});
    log.reopen();
    log.append({{.group = 1, .entries = entries_of(7, 1, 2, 100'000)}});
    log.release(1, 7);
    CHECK(count_files(files, "segment-") == 1);
    log.reopen();
    const IoResult<void> refused =
        append_parts(*log.opened.wal, {{.group = 1, .entries = entries_of(8, 1, 2, 100'001)}});
    REQUIRE(refused.has_error());
    CHECK(refused.error() == errc::message_size);
}

TEST_CASE("wal: a larger segment that finds no room leaves the log as it was") {
    MemoryFileSystem files;
    Logged log(files);
    log.options.record_bytes_max = 100'000;
    log.reopen();
    log.append({{.group = 1, .entries = entries_of(1, 1, 1, 1000)}});
    files.set_capacity_bytes(40'000);
    const std::vector<Part> large{{.group = 1, .entries = entries_of(2, 1, 1, 100'000)}};
    CHECK(append_parts(*log.opened.wal, large).has_error());
    CHECK_FALSE(log.opened.wal->failed());
    files.set_capacity_bytes(1'000'000);
    log.append(large);
    log.reopen();
}

TEST_CASE("wal: a reserve that was prepared is used, in steps and across a restart") {
    MemoryFileSystem files;
    Logged log(files);
    const IoResult<bool> half = log.opened.wal->prepare_reserve(4096);
    REQUIRE(half.has_value());
    CHECK_FALSE(*half);
    const IoResult<bool> whole = log.opened.wal->prepare_reserve(4096);
    REQUIRE(whole.has_value());
    CHECK(*whole);
    CHECK(count_files(files, "reserve-") == 1);
    log.reopen();
    CHECK(count_files(files, "reserve-") == 1);
    log.append({{.group = 1, .entries = entries_of(1, 3, 1, 1000)}});
    log.append({{.group = 1, .entries = entries_of(4, 3, 1, 1000)}});
    CHECK(count_files(files, "reserve-") == 0);
    REQUIRE(log.opened.wal->prepare_reserve(4096).has_value());
    log.reopen();
    CHECK(count_files(files, "reserve-") == 0);  // the half-filled one is gone
}

TEST_CASE("wal: a full disk refuses the append that needs a segment, and clears by itself") {
    MemoryFileSystem files;
    Logged log(files);
    log.append({{.group = 1, .entries = entries_of(1, 3, 1, 1000)}});
    files.set_capacity_bytes(8192 + 4000);
    const std::vector<Part> parts{{.group = 1, .entries = entries_of(4, 3, 1, 1000)}};
    for (int attempt = 0; attempt < 2; ++attempt) {
        const IoResult<void> refused = append_parts(*log.opened.wal, parts);
        REQUIRE(refused.has_error());
        CHECK(is_disk_full(refused.error()));
        CHECK_FALSE(log.opened.wal->failed());
        CHECK(count_files(files, "reserve-") == 0);
    }
    log.append({{.group = 2, .hard_state = HardState{.term = 3}}});  // fits the current segment
    log.reopen();
    files.set_capacity_bytes(1U << 20);
    log.append(parts);
    log.reopen();
}

TEST_CASE("scenario 7: where there is no room for a segment nothing is written to find that out") {
    MemoryFileSystem files;
    files.set_tells_free_bytes(true);
    Logged log(files);
    files.set_capacity_bytes(2 * 8192 - 1);
    const std::uint64_t operations = files.operations();
    for (int attempt = 0; attempt < 3; ++attempt) {
        const IoResult<bool> refused = log.opened.wal->prepare_reserve(1024);
        REQUIRE(refused.has_error());
        CHECK(is_disk_full(refused.error()));
    }
    CHECK(files.operations() == operations);
    CHECK_FALSE(log.opened.wal->failed());
    files.set_capacity_bytes(2 * 8192);
    while (!log.opened.wal->prepare_reserve(1024).value()) {
    }
    // What was begun goes on though there is less room than at its beginning.
    CHECK(count_files(files, "reserve-") == 1);
    // A full disk has no room for one more, and doesn't need it now.
    CHECK(log.opened.wal->prepare_reserve(1024).value());
}

TEST_CASE("wal: after a failed write or sync everything is refused, and a restart has the rest") {
    for (std::uint64_t operation = 1; operation <= 2; ++operation) {
        MemoryFileSystem files;
        Logged log(files);
        log.append({{.group = 1, .entries = entries_of(1, 1, 1, 10)}});
        files.fail_at(files.operations() + operation, errc::io_error);
        const std::vector<Part> parts{{.group = 1, .entries = entries_of(2, 1, 1, 10)}};
        CHECK(append_parts(*log.opened.wal, parts).has_error());
        CHECK(log.opened.wal->failed());
        const std::uint64_t before = files.operations();
        CHECK(append_parts(*log.opened.wal, parts).has_error());
        CHECK(log.opened.wal->release(1, 2).has_error());
        CHECK(log.opened.wal->prepare_reserve(1).has_error());
        CHECK(files.operations() == before);
        if (operation == 2) {
            // The page cache still shows what the failed sync lost. A restart may count it, but
            // must make it durable then.
            log.model.apply(parts);
        }
        log.reopen();
        log.opened = Opened();
        files.crash(MemoryFileSystem::Crash::drop, 1);
        log.reopen();
    }
}

TEST_CASE("wal: options that can't work are refused") {
    MemoryFileSystem files;
    WalOptions options = small_wal_options();
    SUBCASE("records too large") {
        options.record_bytes_max = std::uint64_t{1} << 31U;
    }
    SUBCASE("segments too small at all") {
        options.segment_bytes = 4096;
    }
    SUBCASE("odd segments") {
        options.segment_bytes = 8200;
    }
    const Opened opened = open_wal(files, options);
    CHECK(opened.wal == nullptr);
    CHECK(opened.failure.error == WalOpenError::io);
    CHECK(opened.failure.detail.find("_bytes") != std::string::npos);
}

TEST_CASE("wal: segments of another size go on being read, and are not reused") {
    MemoryFileSystem files;
    Logged log(files);
    log.append({{.group = 1, .entries = entries_of(1, 20, 1, 1000)}});
    REQUIRE(log.opened.wal->prepare_reserve(8192).has_value());
    log.options.segment_bytes = 16384;
    log.reopen();
    CHECK(count_files(files, "reserve-") == 0);
    log.append({{.group = 1, .entries = entries_of(21, 20, 1, 1000)}});
    log.release(1, 41);
    log.reopen();
    log.append({{.group = 1, .entries = entries_of(41, 20, 1, 1000)}});
    log.reopen();
}

TEST_CASE("wal: on the operating system's files, with segments and entries of a real size") {
    const std::filesystem::path scratch =
        std::filesystem::temp_directory_path() / ("cairn-wal-test-" + std::to_string(::getpid()));
    std::filesystem::remove_all(scratch);
    WalOptions options = small_wal_options();
    options.segment_bytes = 8U << 20;
    options.record_bytes_max = 2U << 20;
    WalModel model;
    for (Index round = 0; round < 3; ++round) {
        std::map<GroupId, WalGroupState> recovered;
        WalOpenFailure failure;
        const auto wal = Wal::open(posix_file_system(), (scratch / "a" / "wal").string(), options,
                                   recovered, failure);
        REQUIRE_MESSAGE(wal != nullptr, failure.detail);
        CHECK(model.difference(recovered) == "");
        const Index first = 1 + round * 2012;
        // Big ones, which are not copied, and more small ones than one gathered write has parts.
        const std::vector<Part> big{{.group = 1,
                                     .hard_state = HardState{.term = round + 1},
                                     .entries = entries_of(first, 12, 1, (1U << 20) + 3)}};
        const std::vector<Part> small{
            {.group = 1, .entries = entries_of(first + 12, 2000, 1, 600)}};
        for (const auto& parts : {big, small}) {
            REQUIRE(append_parts(*wal, parts).has_value());
            model.apply(parts);
        }
        REQUIRE(wal->release(1, first + 12).has_value());
        model.groups[1].first_needed = first + 12;
    }
    std::filesystem::remove_all(scratch);
}

}  // namespace cairn::raft::test
