// Snapshots on a disk that fails: damage, cut ends, lost power, errors and no room.
#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "raft/disk/snapshot_store.h"
#include "tests/support/snapshot_testing.h"

namespace cairn::raft::test {
namespace {

namespace errc = boost::system::errc;

using Write =
    std::function<IoResult<void>(SnapshotStore&, const SnapshotMeta&, const std::string&)>;

// The snapshot of index 10 is damaged, its content was `bytes`: either the store knows at once, or
// all reading that touches the damage tells.
void check_damage_is_told(MemoryFileSystem& files, const std::string& bytes) {
    const auto store = open_snapshots(files);
    if (store->latest() == nullptr) {
        REQUIRE(store->damaged().size() == 1);
        REQUIRE(store->is_newest_damaged());
        REQUIRE(store->damaged()[0].detail.find(snapshot_path(10)) == 0);
        return;
    }
    SnapshotFailure failure;
    const auto reader = store->open_latest(failure);
    REQUIRE(reader != nullptr);
    const IoResult<void> verified = reader->verify();
    REQUIRE(verified.has_error());
    REQUIRE(verified.error() == errc::bad_message);
    REQUIRE(reader->damage().find(snapshot_path(10) + ": ") == 0);
    std::string read;
    REQUIRE(reader->read(0, bytes.size(), read).has_error());
    REQUIRE(read.empty());
    // Piece by piece: what is given out is right.
    std::size_t told = 0;
    for (std::size_t at = 0; at < bytes.size(); ++at) {
        if (reader->read(at, 1, read)) {
            REQUIRE(read == bytes.substr(at, 1));
        } else {
            ++told;
        }
    }
    REQUIRE(told > 0);
    REQUIRE(told <= 2 * 16);
}

// A disk whose reads fail with EIO from the given one on (the first is 1).
class UnreadableFile final : public File {
 public:
    UnreadableFile(std::unique_ptr<File> file, std::uint64_t& reads_left)
        : file_(std::move(file)), reads_left_(reads_left) {}
    IoResult<void> write_at(std::uint64_t offset,
                            std::span<const std::string_view> parts) override {
        return file_->write_at(offset, parts);
    }
    IoResult<void> read_at(std::uint64_t offset, std::size_t size, std::string& out) override {
        if (reads_left_ == 0) {
            return errc::make_error_code(errc::io_error);
        }
        --reads_left_;
        return file_->read_at(offset, size, out);
    }
    IoResult<void> sync() override { return file_->sync(); }
    IoResult<std::uint64_t> size() override { return file_->size(); }

 private:
    std::unique_ptr<File> file_;
    std::uint64_t& reads_left_;
};

class UnreadableFileSystem final : public MemoryFileSystem {
 public:
    IoResult<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
        IoResult<std::unique_ptr<File>> file = MemoryFileSystem::open(path, mode);
        if (!file) {
            return file.error();
        }
        return std::unique_ptr<File>(
            std::make_unique<UnreadableFile>(std::move(*file), reads_left));
    }

    std::uint64_t reads_left = ~std::uint64_t{0};
};

}  // namespace

TEST_CASE("snapshot file: every flipped bit is told") {
    MemoryFileSystem files;
    const std::string bytes = snapshot_bytes(40);
    REQUIRE(write_snapshot(*open_snapshots(files), snapshot_meta(10), bytes).has_value());
    const std::size_t bits = files.content(snapshot_path(10)).size() * 8;
    for (std::size_t bit = 0; bit < bits; ++bit) {
        CAPTURE(bit);
        files.flip_bit(snapshot_path(10), bit);
        check_damage_is_told(files, bytes);
        files.flip_bit(snapshot_path(10), bit);
    }
    CHECK(latest_bytes(*open_snapshots(files)) == bytes);
}

TEST_CASE("snapshot file: every missing end, and a longer one, is told at once") {
    for (const std::size_t size : {0U, 16U, 40U}) {
        MemoryFileSystem files;
        REQUIRE(write_snapshot(*open_snapshots(files), snapshot_meta(10), snapshot_bytes(size))
                    .has_value());
        const std::string whole = files.content(snapshot_path(10));
        for (std::size_t kept = 0; kept < whole.size(); ++kept) {
            files.truncate(snapshot_path(10), kept);
            const auto store = open_snapshots(files);
            REQUIRE(store->latest() == nullptr);
            REQUIRE(store->damaged().size() == 1);
            files.set_content(snapshot_path(10), whole);
        }
        files.set_content(snapshot_path(10), whole + '\0');
        CHECK(open_snapshots(files)->is_newest_damaged());
        // The footer again, further behind.
        files.set_content(snapshot_path(10),
                          whole + whole.substr(whole.size() - snapshot_footer_bytes));
        CHECK(open_snapshots(files)->is_newest_damaged());
    }
}

TEST_CASE("snapshot file: a chunk of another place, of another file, or a file cut short is told") {
    MemoryFileSystem files;
    const std::string bytes(48, 'x');
    const auto store = open_snapshots(files);
    REQUIRE(write_snapshot(*store, snapshot_meta(10), bytes).has_value());
    const std::string first = files.content(snapshot_path(10));
    REQUIRE(write_snapshot(*store, snapshot_meta(10), bytes).has_value());
    std::string second = files.content(snapshot_path(10));
    REQUIRE(first.size() == second.size());
    const std::size_t header_bytes = snapshot_header_bytes(second).value();
    SUBCASE("swapped") {
        std::swap_ranges(second.begin() + static_cast<std::ptrdiff_t>(header_bytes),
                         second.begin() + static_cast<std::ptrdiff_t>(header_bytes + 24),
                         second.begin() + static_cast<std::ptrdiff_t>(header_bytes + 24));
    }
    SUBCASE("of the same snapshot, written at another time") {
        second.replace(header_bytes, 24, first, header_bytes, 24);
    }
    SUBCASE("the other's header") {
        second.replace(0, header_bytes, first, 0, header_bytes);
    }
    files.set_content(snapshot_path(10), second);
    check_damage_is_told(files, bytes);
}

TEST_CASE("snapshot file: a footer of other chunks is told by verify") {
    MemoryFileSystem files;
    REQUIRE(
        write_snapshot(*open_snapshots(files), snapshot_meta(10), snapshot_bytes(40)).has_value());
    std::string bytes = files.content(snapshot_path(10));
    SnapshotHeader header;
    const std::size_t header_bytes = snapshot_header_bytes(bytes).value();
    REQUIRE(decode_snapshot_header(bytes.substr(0, header_bytes), header) ==
            SnapshotHeaderVerdict::valid);
    const std::size_t footer_at = bytes.size() - snapshot_footer_bytes;
    SnapshotFooter footer =
        decode_snapshot_footer(bytes.substr(footer_at), snapshot_seed(header)).value();
    SUBCASE("content") {
        footer.content.crc ^= 1;
    }
    SUBCASE("chunks") {
        footer.chunk_crcs_crc ^= 1;
    }
    bytes.replace(footer_at, snapshot_footer_bytes,
                  encode_snapshot_footer(footer, snapshot_seed(header)));
    files.set_content(snapshot_path(10), bytes);
    const auto store = open_snapshots(files);
    SnapshotFailure failure;
    const auto reader = store->open_latest(failure);
    REQUIRE(reader != nullptr);
    CHECK(reader->verify().error() == errc::bad_message);
    CHECK(reader->damage().find("not those of the footer") != std::string::npos);
}

TEST_CASE("snapshot file: what the disk doesn't give back is damaged at open, an error later") {
    UnreadableFileSystem files;
    const std::string bytes = snapshot_bytes(100);
    // Three reads to open one.
    for (std::uint64_t reads = 0; reads < 3; ++reads) {
        files.reads_left = ~std::uint64_t{0};
        REQUIRE(write_snapshot(*open_snapshots(files), snapshot_meta(10), bytes).has_value());
        files.reads_left = reads;
        const auto store = open_snapshots(files);
        REQUIRE(store->is_newest_damaged());
        CHECK(store->damaged()[0].detail.find(snapshot_path(10) + ": can't be read: ") == 0);
    }
    files.reads_left = ~std::uint64_t{0};
    const auto store = open_snapshots(files);
    SnapshotFailure failure;
    const auto reader = store->open_latest(failure);
    REQUIRE(reader != nullptr);
    std::string read;
    REQUIRE(reader->read(0, 20, read).has_value());
    files.reads_left = 0;
    CHECK(reader->verify().error() == errc::io_error);
    CHECK(reader->read(0, 20, read).error() == errc::io_error);
    CHECK(read.empty());
    CHECK(reader->damage().empty());
    files.reads_left = 1;
    CHECK(reader->read(0, 20, read).error() == errc::io_error);
    CHECK(read.empty());
    files.reads_left = 2;
    REQUIRE(reader->read(0, 20, read).has_value());
    CHECK(read == bytes.substr(0, 20));
}

TEST_CASE("snapshot receiver: what can't be read back is not committed") {
    UnreadableFileSystem files;
    const auto store = open_snapshots(files);
    const std::string bytes = snapshot_bytes(100);
    // Opening takes three, then there are seven chunks.
    for (std::uint64_t reads = 0; reads < 10; ++reads) {
        files.reads_left = reads;
        REQUIRE(receive_snapshot(*store, snapshot_meta(10), bytes).has_error());
        REQUIRE(store->latest() == nullptr);
        REQUIRE(files.paths().empty());
    }
    files.reads_left = 10;
    REQUIRE(receive_snapshot(*store, snapshot_meta(10), bytes).has_value());
}

TEST_CASE("snapshot store: whatever the crash, the old snapshot or the new, whole") {
    const std::string old_bytes = snapshot_bytes(70, 1);
    const std::string new_bytes = snapshot_bytes(90, 2);
    const std::vector<Write> ways{write_snapshot, receive_snapshot};
    // A newer one, and the same one once more.
    for (const Index new_index : {30U, 20U}) {
        for (std::size_t way = 0; way < ways.size(); ++way) {
            MemoryFileSystem prepared;
            {
                const auto store = open_snapshots(prepared);
                REQUIRE(write_snapshot(*store, snapshot_meta(10), old_bytes).has_value());
                REQUIRE(write_snapshot(*store, snapshot_meta(20), old_bytes).has_value());
            }
            prepared.crash(MemoryFileSystem::Crash::keep, 1);
            bool committed = false;
            std::size_t survived = 0;
            for (std::uint64_t operation = 1; !committed; ++operation) {
                for (std::uint64_t seed = 0; seed < 12; ++seed) {
                    CAPTURE(operation);
                    CAPTURE(seed);
                    const auto files = prepared.clone();
                    files->power_off_at(operation);
                    {
                        const auto store = open_snapshots(*files);
                        committed =
                            ways[way](*store, snapshot_meta(new_index), new_bytes).has_value();
                    }
                    files->crash(seed == 0   ? MemoryFileSystem::Crash::drop
                                 : seed == 1 ? MemoryFileSystem::Crash::keep
                                             : MemoryFileSystem::Crash::tear,
                                 seed);
                    const auto store = open_snapshots(*files);
                    REQUIRE(store->damaged().empty());
                    REQUIRE(store->latest() != nullptr);
                    const bool is_new = latest_bytes(*store) == new_bytes;
                    survived += is_new ? 1 : 0;
                    REQUIRE((is_new || latest_bytes(*store) == old_bytes));
                    REQUIRE(latest_index(*store) == (is_new ? new_index : 20));
                    REQUIRE((is_new || !committed));
                    REQUIRE(count_files(*files, "temporary-") == 0);
                    REQUIRE(count_files(*files, "snapshot-") == 2);
                    REQUIRE(ways[way](*store, snapshot_meta(40), new_bytes).has_value());
                    files->crash(MemoryFileSystem::Crash::drop, 1);
                    REQUIRE(latest_index(*open_snapshots(*files)) == 40);
                }
            }
            CHECK(survived > 0);
        }
    }
}

TEST_CASE("snapshot store: whichever operation fails, nothing is lost and the next one works") {
    const std::string old_bytes = snapshot_bytes(70, 1);
    const std::string new_bytes = snapshot_bytes(90, 2);
    const std::vector<Write> ways{write_snapshot, receive_snapshot};
    for (const Index new_index : {30U, 20U}) {
        for (const errc::errc_t error : {errc::io_error, errc::no_space_on_device}) {
            for (std::size_t way = 0; way < ways.size(); ++way) {
                bool untouched = false;
                std::size_t failures = 0;
                for (std::uint64_t operation = 1; !untouched; ++operation) {
                    CAPTURE(operation);
                    MemoryFileSystem files;
                    const auto store = open_snapshots(files);
                    REQUIRE(write_snapshot(*store, snapshot_meta(10), old_bytes).has_value());
                    REQUIRE(write_snapshot(*store, snapshot_meta(20), old_bytes).has_value());
                    const std::uint64_t before = files.operations();
                    files.fail_at(before + operation, error);
                    const IoResult<void> written =
                        ways[way](*store, snapshot_meta(new_index), new_bytes);
                    untouched = files.operations() < before + operation;
                    REQUIRE((written || written.error() == error));
                    failures += written ? 0 : 1;
                    REQUIRE(count_files(files, "temporary-") == 0);
                    REQUIRE_FALSE(store->writer().is_writing());
                    REQUIRE_FALSE(store->receiver().is_receiving());
                    // Of one that takes another's place either may be there.
                    REQUIRE(latest_index(*store) == (written ? new_index : 20));
                    const std::optional<std::string> kept = latest_bytes(*store);
                    REQUIRE((kept == new_bytes || (!written && kept == old_bytes)));
                    REQUIRE((written || new_index == 20 || kept == old_bytes));
                    if (untouched) {
                        break;
                    }
                    REQUIRE(ways[way](*store, snapshot_meta(40), new_bytes).has_value());
                    REQUIRE(latest_index(*store) == 40);
                    REQUIRE(count_files(files, "snapshot-") == 2);
                    files.crash(MemoryFileSystem::Crash::drop, 1);
                    REQUIRE(latest_bytes(*open_snapshots(files)) == new_bytes);
                }
                CHECK(failures >= 10);
            }
        }
    }
}

TEST_CASE("snapshot writer: a full disk at any byte is an error, gives the room back, and passes") {
    const std::string bytes = snapshot_bytes(200);
    bool fitted = false;
    for (std::uint64_t room = 0; !fitted; room += 5) {
        MemoryFileSystem files;
        files.set_content("/data/log", "something else");
        files.set_capacity_bytes(14 + room);
        const auto store = open_snapshots(files);
        const IoResult<void> written = write_snapshot(*store, snapshot_meta(10), bytes);
        fitted = written.has_value();
        REQUIRE((fitted || written.error() == errc::no_space_on_device));
        if (!fitted) {
            REQUIRE(files.paths().size() == 1);
            const IoResult<void> refused = store->writer().append("x");
            REQUIRE(refused.has_error());
            REQUIRE(refused.error() == errc::operation_not_permitted);
            REQUIRE(store->writer().commit().has_error());
            REQUIRE(store->latest() == nullptr);
            files.set_capacity_bytes(1U << 20);
            REQUIRE(write_snapshot(*store, snapshot_meta(10), bytes).has_value());
        }
    }
}

}  // namespace cairn::raft::test
