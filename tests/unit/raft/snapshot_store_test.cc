#include "raft/disk/snapshot_store.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <unistd.h>

#include "raft/disk/data_directory.h"
#include "tests/support/snapshot_testing.h"

namespace cairn::raft::test {
namespace {

namespace errc = boost::system::errc;

bool has_file(const MemoryFileSystem& files, const std::string& path) {
    const std::vector<std::string> paths = files.paths();
    return std::find(paths.begin(), paths.end(), path) != paths.end();
}

}  // namespace

TEST_CASE("snapshot store: a fresh one is empty") {
    MemoryFileSystem files;
    const auto store = open_snapshots(files);
    CHECK(store->latest() == nullptr);
    CHECK(store->damaged().empty());
    CHECK_FALSE(store->is_newest_damaged());
    SnapshotFailure failure;
    CHECK(store->open_latest(failure) == nullptr);
    CHECK(failure.detail.find("there is no snapshot") != std::string::npos);
}

TEST_CASE("snapshot store: what is committed is read back, any piece of it, also after a restart") {
    for (const std::size_t size : {0U, 1U, 15U, 16U, 17U, 32U, 100U}) {
        CAPTURE(size);
        const std::string bytes = snapshot_bytes(size);
        MemoryFileSystem files;
        {
            const auto store = open_snapshots(files);
            REQUIRE(write_snapshot(*store, snapshot_meta(10), bytes).has_value());
            CHECK(store->latest()->meta == snapshot_meta(10));
            CHECK(latest_bytes(*store) == bytes);
        }
        files.crash(MemoryFileSystem::Crash::drop, 1);
        const auto store = open_snapshots(files);
        REQUIRE(store->latest() != nullptr);
        CHECK(store->latest()->meta == snapshot_meta(10));
        CHECK(store->latest()->content == content_of(bytes));
        CHECK(latest_bytes(*store) == bytes);
        SnapshotFailure failure;
        const auto reader = store->open_latest(failure);
        REQUIRE(reader != nullptr);
        std::string read;
        for (std::size_t offset = 0; offset <= size; ++offset) {
            for (std::size_t count = 0; count <= size - offset + 2; ++count) {
                REQUIRE(reader->read(offset, count, read).has_value());
                REQUIRE(read == bytes.substr(offset, count));
            }
        }
        const IoResult<void> beyond = reader->read(size + 1, 1, read);
        REQUIRE(beyond.has_error());
        CHECK(beyond.error() == errc::invalid_argument);
        CHECK(reader->read(~std::uint64_t{0}, ~std::size_t{0}, read).has_error());
    }
}

TEST_CASE("snapshot writer: the content is what was appended, however it was cut") {
    MemoryFileSystem files;
    const auto store = open_snapshots(files);
    const std::string bytes = snapshot_bytes(200);
    Index index = 1;
    for (const std::size_t piece : {1U, 3U, 15U, 16U, 17U, 31U, 48U, 100U, 200U}) {
        CAPTURE(piece);
        REQUIRE(store->writer().create(snapshot_meta(index++)).has_value());
        for (std::size_t at = 0; at < bytes.size(); at += piece) {
            REQUIRE(store->writer().append(std::string_view(bytes).substr(at, piece)).has_value());
            CHECK(store->writer().content().bytes == std::min(at + piece, bytes.size()));
        }
        REQUIRE(store->writer().append({}).has_value());
        REQUIRE(store->writer().commit().has_value());
        CHECK(latest_bytes(*store) == bytes);
    }
    REQUIRE(store->writer().create(snapshot_meta(100)).has_value());
    REQUIRE(store->writer().append(bytes.substr(0, 5)).has_value());
    REQUIRE(store->writer().append(bytes.substr(5)).has_value());
    REQUIRE(store->writer().commit().has_value());
    CHECK(latest_bytes(*store) == bytes);
}

TEST_CASE("snapshot writer: an abandoned or replaced one leaves nothing") {
    MemoryFileSystem files;
    auto store = open_snapshots(files);
    REQUIRE(store->writer().create(snapshot_meta(10)).has_value());
    REQUIRE(store->writer().append(snapshot_bytes(100)).has_value());
    CHECK(count_files(files, "temporary-") == 1);
    SUBCASE("abandoned") {
        store->writer().abandon();
        CHECK_FALSE(store->writer().is_writing());
        CHECK(store->writer().commit().error() == errc::operation_not_permitted);
    }
    SUBCASE("replaced") {
        REQUIRE(write_snapshot(*store, snapshot_meta(11), "abc").has_value());
        CHECK(latest_bytes(*store) == "abc");
    }
    SUBCASE("by an impossible one") {
        CHECK(store->writer().create({}).error() == errc::invalid_argument);
    }
    SUBCASE("with the store") {
        store.reset();
    }
    CHECK(count_files(files, "temporary-") == 0);
}

TEST_CASE("snapshot store: keeps the newest and its predecessor") {
    MemoryFileSystem files;
    const auto store = open_snapshots(files);
    for (Index index = 1; index <= 5; ++index) {
        REQUIRE(
            write_snapshot(*store, snapshot_meta(index), snapshot_bytes(30, index)).has_value());
        CHECK(latest_bytes(*store) == snapshot_bytes(30, index));
        CHECK(count_files(files, "snapshot-") == std::min<std::size_t>(index, 2));
    }
    CHECK(has_file(files, snapshot_path(4)));
    CHECK(has_file(files, snapshot_path(5)));
}

TEST_CASE(
    "scenario 7: a snapshot that found the disk full gives up the last but one, never the last") {
    MemoryFileSystem files;
    const auto store = open_snapshots(files);
    const std::string bytes = snapshot_bytes(500);
    REQUIRE(write_snapshot(*store, snapshot_meta(1), bytes).has_value());
    REQUIRE(write_snapshot(*store, snapshot_meta(2), bytes).has_value());
    std::uint64_t used = 0;
    for (const std::string& path : files.paths()) {
        used += files.content(path).size();
    }
    files.set_capacity_bytes(used + 100);
    CHECK(write_snapshot(*store, snapshot_meta(3), bytes).error() == errc::no_space_on_device);
    CHECK(latest_index(*store) == 2);
    CHECK(latest_bytes(*store) == bytes);
    CHECK(files.paths().size() == 1);
    REQUIRE(write_snapshot(*store, snapshot_meta(3), bytes).has_value());
    CHECK(latest_bytes(*open_snapshots(files)) == bytes);
    // Without room for a second one it stays as it is.
    files.set_capacity_bytes(used / 2 + 100);
    CHECK(files.paths().size() == 2);
    for (int attempt = 0; attempt < 3; ++attempt) {
        CHECK(write_snapshot(*store, snapshot_meta(4), bytes).has_error());
        CHECK(latest_index(*store) == 3);
        CHECK(latest_bytes(*open_snapshots(files)) == bytes);
    }
}

TEST_CASE("snapshot store: open removes leftovers of its own, and touches nothing else") {
    MemoryFileSystem files;
    std::string third;
    {
        const auto store = open_snapshots(files);
        REQUIRE(write_snapshot(*store, snapshot_meta(1), "one").has_value());
        third = files.content(snapshot_path(1));
        REQUIRE(write_snapshot(*store, snapshot_meta(2), "two").has_value());
        REQUIRE(write_snapshot(*store, snapshot_meta(3), "three").has_value());
    }
    files.set_content(snapshot_path(1), third);
    files.set_content(snapshot_directory + "/" + snapshot_temporary_name(7, 1), "half");
    files.set_content(snapshot_directory + "/temporary-note", "by hand");
    files.set_content(snapshot_directory + "/snapshot-old", "by hand");
    files.set_content("/data/identity", "x");
    const auto store = open_snapshots(files);
    CHECK(files.paths() == std::vector<std::string>{"/data/identity", snapshot_path(2),
                                                    snapshot_path(3),
                                                    snapshot_directory + "/snapshot-old",
                                                    snapshot_directory + "/temporary-note"});
}

TEST_CASE("snapshot store: a damaged newest one is told beside its predecessor") {
    MemoryFileSystem files;
    {
        const auto store = open_snapshots(files);
        REQUIRE(write_snapshot(*store, snapshot_meta(10), "ten").has_value());
        REQUIRE(write_snapshot(*store, snapshot_meta(20), "twenty").has_value());
    }
    files.flip_bit(snapshot_path(20), 100);
    const auto store = open_snapshots(files);
    CHECK(latest_bytes(*store) == "ten");
    CHECK(store->is_newest_damaged());
    REQUIRE(store->damaged().size() == 1);
    CHECK(store->damaged()[0].id == SnapshotId{.index = 20, .term = 3});
    CHECK(store->damaged()[0].detail == snapshot_path(20) + ": damaged header");
    SUBCASE("it stays through a restart") {
        CHECK(open_snapshots(files)->is_newest_damaged());
    }
    SUBCASE("an older one does not hide it") {
        REQUIRE(write_snapshot(*store, snapshot_meta(15), "fifteen").has_value());
        CHECK(store->is_newest_damaged());
        CHECK(has_file(files, snapshot_path(20)));
    }
    SUBCASE("the same one replaces it") {
        REQUIRE(receive_snapshot(*store, snapshot_meta(20), "TWENTY").has_value());
        CHECK(store->damaged().empty());
        CHECK(latest_bytes(*store) == "TWENTY");
        CHECK(count_files(files, "snapshot-") == 2);
    }
    SUBCASE("a newer one removes it and keeps the valid predecessor") {
        REQUIRE(write_snapshot(*store, snapshot_meta(30), "thirty").has_value());
        CHECK(store->damaged().empty());
        CHECK_FALSE(has_file(files, snapshot_path(20)));
        CHECK(has_file(files, snapshot_path(10)));
    }
    SUBCASE("removed on request") {
        REQUIRE(store->remove_damaged().has_value());
        CHECK_FALSE(store->is_newest_damaged());
        files.crash(MemoryFileSystem::Crash::drop, 1);
        const auto again = open_snapshots(files);
        CHECK(again->damaged().empty());
        CHECK(latest_bytes(*again) == "ten");
    }
    SUBCASE("removed on request, in vain") {
        files.fail_at(files.operations() + 1, errc::io_error);
        CHECK(store->remove_damaged().has_error());
        CHECK(store->is_newest_damaged());
    }
}

TEST_CASE("snapshot store: damage that shows later is marked") {
    MemoryFileSystem files;
    const auto store = open_snapshots(files);
    REQUIRE(write_snapshot(*store, snapshot_meta(10), "ten").has_value());
    REQUIRE(write_snapshot(*store, snapshot_meta(20), "twenty").has_value());
    store->mark_damaged({.index = 20, .term = 4}, "no such snapshot");
    CHECK(latest_index(*store) == 20);
    store->mark_damaged({.index = 20, .term = 3}, "chunk 0");
    CHECK(latest_index(*store) == 10);
    CHECK(store->is_newest_damaged());
    store->mark_damaged({.index = 10, .term = 3}, "chunk 1");
    CHECK(store->latest() == nullptr);
    REQUIRE(store->damaged().size() == 2);
    CHECK(store->damaged()[0].detail == "chunk 1");
    REQUIRE(write_snapshot(*store, snapshot_meta(20), "again").has_value());
    CHECK(store->damaged().empty());
    CHECK(count_files(files, "snapshot-") == 1);
}

TEST_CASE("snapshot store: one under another's name is damaged") {
    MemoryFileSystem files;
    REQUIRE(write_snapshot(*open_snapshots(files), snapshot_meta(10), "ten").has_value());
    REQUIRE(files.rename(snapshot_path(10), snapshot_path(11)).has_value());
    const auto store = open_snapshots(files);
    CHECK(store->latest() == nullptr);
    REQUIRE(store->is_newest_damaged());
    CHECK(store->damaged()[0].detail.find("than its name says") != std::string::npos);
}

TEST_CASE("snapshot store: a foreign snapshot is refused, not removed") {
    MemoryFileSystem files;
    REQUIRE(write_snapshot(*open_snapshots(files), snapshot_meta(10), "ten").has_value());
    SnapshotOptions options = small_snapshot_options();
    SUBCASE("cluster") {
        options.cluster_id = 78;
    }
    SUBCASE("group") {
        options.group = 6;
    }
    SUBCASE("version") {
        std::string bytes = files.content(snapshot_path(10));
        const std::size_t header_bytes = snapshot_header_bytes(bytes).value();
        bytes[8] = 2;
        const std::string_view header(bytes.data(), header_bytes);
        const std::uint32_t crc = crc32c(header.substr(16), crc32c(header.substr(0, 12)));
        for (std::size_t i = 0; i < 4; ++i) {
            bytes[12 + i] = static_cast<char>(crc >> (8 * i));
        }
        files.set_content(snapshot_path(10), bytes);
    }
    SnapshotFailure failure;
    CHECK(SnapshotStore::open(files, snapshot_directory, options, failure) == nullptr);
    CHECK(failure.error == SnapshotError::foreign);
    CHECK(failure.detail.find(snapshot_path(10) + ": ") == 0);
    CHECK(has_file(files, snapshot_path(10)));
}

TEST_CASE("snapshot store: chunks of impossible size are refused") {
    MemoryFileSystem files;
    SnapshotOptions options = small_snapshot_options();
    SnapshotFailure failure;
    for (const std::uint32_t chunk_bytes : {std::uint32_t{0}, snapshot_chunk_bytes_max + 1}) {
        options.chunk_bytes = chunk_bytes;
        CHECK(SnapshotStore::open(files, snapshot_directory, options, failure) == nullptr);
        CHECK(failure.error == SnapshotError::io);
    }
}

TEST_CASE("snapshot store: what it can't be is refused, an older one when it comes too late") {
    MemoryFileSystem files;
    const auto store = open_snapshots(files);
    REQUIRE(store->writer().create(snapshot_meta(10)).has_value());
    REQUIRE(store->writer().append("ten").has_value());
    REQUIRE(receive_snapshot(*store, snapshot_meta(20), "twenty").has_value());
    const IoResult<void> late = store->writer().commit();
    REQUIRE(late.has_error());
    CHECK(late.error() == errc::file_exists);
    CHECK(store->writer().create(snapshot_meta(19)).error() == errc::file_exists);
    CHECK(store->writer().create(snapshot_meta(20, 4)).error() == errc::invalid_argument);
    SnapshotMeta foreign = snapshot_meta(30);
    foreign.cluster_id = 1;
    CHECK(store->writer().create(foreign).error() == errc::invalid_argument);
    CHECK(store->receiver().begin(foreign, {}).error() == errc::invalid_argument);
    CHECK(latest_bytes(*store) == "twenty");
    CHECK(files.paths().size() == 1);
}

TEST_CASE("snapshot store: writing and receiving the same one at once") {
    MemoryFileSystem files;
    const auto store = open_snapshots(files);
    REQUIRE(store->writer().create(snapshot_meta(10)).has_value());
    REQUIRE(store->receiver().begin(snapshot_meta(10), content_of("from the leader")).has_value());
    REQUIRE(store->writer().append("from here").has_value());
    REQUIRE(store->receiver().accept(0, "from the leader").has_value());
    REQUIRE(store->writer().commit().has_value());
    CHECK(latest_bytes(*store) == "from here");
    REQUIRE(store->receiver().finish().has_value());
    CHECK(latest_bytes(*store) == "from the leader");
    CHECK(files.paths().size() == 1);
}

TEST_CASE("snapshot receiver: takes pieces in order only, and goes on where it was") {
    MemoryFileSystem files;
    const auto store = open_snapshots(files);
    SnapshotReceiver& receiver = store->receiver();
    const std::string bytes = snapshot_bytes(100);
    CHECK(receiver.accept(0, "x").error() == errc::operation_not_permitted);
    CHECK(receiver.finish().error() == errc::operation_not_permitted);
    CHECK(receiver.begin(snapshot_meta(10), content_of(bytes)).value() == 0);
    CHECK(receiver.accept(40, bytes.substr(40, 10)).value() == 0);
    CHECK(receiver.accept(0, bytes.substr(0, 40)).value() == 40);
    CHECK(receiver.accept(0, bytes.substr(0, 40)).value() == 40);
    CHECK(receiver.accept(30, bytes.substr(30, 40)).value() == 40);
    CHECK(receiver.accept(41, bytes.substr(41)).value() == 40);
    CHECK(receiver.accept(~std::uint64_t{0}, "x").value() == 40);
    CHECK(receiver.accept(40, {}).value() == 40);
    CHECK(receiver.finish().error() == errc::invalid_argument);
    CHECK(receiver.begin(snapshot_meta(10), content_of(bytes)).value() == 40);
    CHECK_FALSE(receiver.is_complete());
    CHECK(receiver.accept(40, bytes.substr(40)).value() == 100);
    CHECK(receiver.is_complete());
    REQUIRE(receiver.finish().has_value());
    CHECK_FALSE(receiver.is_receiving());
    CHECK(latest_bytes(*store) == bytes);
    CHECK(store->latest()->meta == snapshot_meta(10));
}

TEST_CASE("snapshot receiver: another snapshot replaces the one under way") {
    MemoryFileSystem files;
    const auto store = open_snapshots(files);
    SnapshotReceiver& receiver = store->receiver();
    const std::string bytes = snapshot_bytes(100);
    REQUIRE(receiver.begin(snapshot_meta(10), content_of(bytes)).value() == 0);
    REQUIRE(receiver.accept(0, bytes.substr(0, 60)).value() == 60);
    SnapshotMeta meta = snapshot_meta(10);
    std::string other = bytes;
    SUBCASE("a newer one") {
        meta = snapshot_meta(11);
    }
    SUBCASE("of another term") {
        meta = snapshot_meta(10, 4);
    }
    SUBCASE("the same state in other bytes") {
        other = snapshot_bytes(100, 2);
    }
    SUBCASE("longer") {
        other = snapshot_bytes(101);
    }
    REQUIRE(receiver.begin(meta, content_of(other)).value() == 0);
    CHECK(count_files(files, "temporary-") == 1);
    REQUIRE(receiver.accept(0, other).has_value());
    REQUIRE(receiver.finish().has_value());
    CHECK(latest_bytes(*store) == other);
    CHECK(store->latest()->meta == meta);
}

TEST_CASE("snapshot receiver: other bytes than announced are never committed") {
    MemoryFileSystem files;
    const auto store = open_snapshots(files);
    SnapshotReceiver& receiver = store->receiver();
    const std::string bytes = snapshot_bytes(100);
    REQUIRE(receiver.begin(snapshot_meta(10), content_of(bytes)).has_value());
    SUBCASE("too many") {
        CHECK(receiver.accept(0, bytes + "x").error() == errc::invalid_argument);
    }
    SUBCASE("changed") {
        REQUIRE(receiver.accept(0, bytes.substr(0, 99)).has_value());
        REQUIRE(receiver.accept(99, "\x01").has_value());
        CHECK(receiver.finish().error() == errc::bad_message);
    }
    SUBCASE("changed on the disk") {
        REQUIRE(receiver.accept(0, bytes).has_value());
        REQUIRE(files.paths().size() == 1);
        files.flip_bit(files.paths()[0], 8 * 250);
        CHECK(receiver.finish().error() == errc::bad_message);
    }
    CHECK_FALSE(receiver.is_receiving());
    CHECK(store->latest() == nullptr);
    CHECK(files.paths().empty());
}

TEST_CASE("snapshot reader: goes on after its file was replaced and removed") {
    MemoryFileSystem files;
    const auto store = open_snapshots(files);
    const std::string bytes = snapshot_bytes(100);
    REQUIRE(write_snapshot(*store, snapshot_meta(10), bytes).has_value());
    SnapshotFailure failure;
    const auto reader = store->open_latest(failure);
    REQUIRE(reader != nullptr);
    REQUIRE(write_snapshot(*store, snapshot_meta(10), "other bytes").has_value());
    REQUIRE(write_snapshot(*store, snapshot_meta(20), "newer").has_value());
    REQUIRE(write_snapshot(*store, snapshot_meta(30), "newest").has_value());
    CHECK_FALSE(has_file(files, snapshot_path(10)));
    std::string read;
    REQUIRE(reader->read(0, 100, read).has_value());
    CHECK(read == bytes);
    CHECK(reader->verify().has_value());
}

TEST_CASE("snapshot writer: syncs as it goes, so that little is left for the end") {
    MemoryFileSystem files;
    SnapshotOptions options = small_snapshot_options();
    options.sync_interval_bytes = 24 * 4;
    const auto store = open_snapshots(files, options);
    REQUIRE(store->writer().create(snapshot_meta(10)).has_value());
    const std::uint64_t before = files.operations();
    REQUIRE(store->writer().append(snapshot_bytes(16 * 12)).has_value());
    CHECK(files.operations() == before + 12 + 3);
}

TEST_CASE("snapshot store: without syncs there is none") {
    MemoryFileSystem files;
    SnapshotOptions options = small_snapshot_options();
    options.sync = false;
    const auto store = open_snapshots(files, options);
    REQUIRE(write_snapshot(*store, snapshot_meta(10), snapshot_bytes(100)).has_value());
    // The file, header, 7 chunks, footer, rename.
    CHECK(files.operations() == 1 + 1 + 7 + 1 + 1);
    CHECK(latest_bytes(*store) == snapshot_bytes(100));
}

TEST_CASE("snapshot store: on the real disk, in a node's directory") {
    std::string scratch =
        (std::filesystem::temp_directory_path() / "cairn-snapshot-test-XXXXXX").string();
    REQUIRE(::mkdtemp(scratch.data()) != nullptr);
    {
        std::string error;
        auto directory = DataDirectory::open(posix_file_system(), scratch + "/data", error);
        REQUIRE_MESSAGE(directory != nullptr, error);
        CHECK(directory->snapshot_directory() == scratch + "/data/snapshot");
        SnapshotOptions options = small_snapshot_options();
        options.chunk_bytes = SnapshotOptions().chunk_bytes;
        options.sync_interval_bytes = 1U << 20;
        const std::string bytes = snapshot_bytes(3'000'000);
        for (int restart = 0; restart < 2; ++restart) {
            SnapshotFailure failure;
            const auto store = SnapshotStore::open(
                posix_file_system(), directory->snapshot_directory(), options, failure);
            REQUIRE_MESSAGE(store != nullptr, failure.detail);
            if (restart == 0) {
                for (const Index index : {10U, 20U, 30U}) {
                    REQUIRE(store->writer().create(snapshot_meta(index)).has_value());
                    REQUIRE(store->writer().append(bytes).has_value());
                    REQUIRE(store->writer().commit(content_of(bytes)).has_value());
                }
                REQUIRE(store->writer().create(snapshot_meta(40)).has_value());
            }
            CHECK(latest_index(*store) == 30);
            CHECK(latest_bytes(*store) == bytes);
        }
        const auto entries = std::filesystem::directory_iterator(directory->snapshot_directory());
        CHECK(std::distance(begin(entries), end(entries)) == 2);
        // Without its identity such a directory is nobody's, but it is not fresh either.
        directory.reset();
        CHECK(DataDirectory::open(posix_file_system(), scratch + "/data", error) == nullptr);
        CHECK(error.find("missing, though there is " + scratch + "/data/snapshot") !=
              std::string::npos);
    }
    std::filesystem::remove_all(scratch);
}

}  // namespace cairn::raft::test
