// Reads one snapshot file, verifying what it reads.
//
// Used by one thread at a time (the snapshot thread); belongs to whoever opened it, and is
// destroyed on that thread too, because closing a removed file may take long. Keeps its file open:
// it goes on when the store removes or replaces the file meanwhile. It repairs nothing, and which
// snapshot to read is the store's and its user's affair.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "raft/disk/file_system.h"
#include "raft/disk/snapshot_format.h"

namespace cairn::raft {

enum class SnapshotError {
    io,       // the operating system refused something
    damaged,  // not the bytes that were written
    foreign,  // of another cluster or group, or of an unknown version
};

struct SnapshotFailure {
    SnapshotError error = SnapshotError::io;
    std::string detail;                                  // one line: which file, what
    std::optional<std::uint64_t> offset = std::nullopt;  // when the damage is at a certain place
};

// One snapshot's content. Keeps its file open, so it goes on when the store removes the file.
class SnapshotReader {
 public:
    // Checks header, footer and size. On failure returns null and fills `failure`.
    static std::unique_ptr<SnapshotReader> open(FileSystem& files, const std::string& path,
                                                SnapshotFailure& failure);

    const SnapshotMeta& meta() const { return header_.meta; }
    const SnapshotContent& content() const { return footer_.content; }
    std::uint64_t content_bytes() const { return footer_.content.bytes; }

    // Up to `size` bytes of the content at `offset` into `out`, less only at its end. They are
    // verified; after an error `out` is empty.
    IoResult<void> read(std::uint64_t offset, std::size_t size, std::string& out);
    // Reads and checks all of it.
    IoResult<void> verify();

    // The file itself, for copying it: header, chunks, footer, a piece each. What is read is
    // verified; after an error `out` is empty.
    std::uint64_t file_bytes() const;
    std::uint64_t piece_count() const { return footer_.chunk_count + 2; }
    IoResult<void> read_piece(std::uint64_t number, std::string& out);
    // What was damaged when an error was bad_message, in one line.
    const std::string& damage() const { return damage_; }
    // Where, when it is at a certain place.
    std::optional<std::uint64_t> damage_offset() const { return damage_offset_; }

 private:
    SnapshotReader(std::string path, std::unique_ptr<File> file);
    bool load(SnapshotFailure& failure);
    IoResult<void> load_chunk(std::uint64_t number);
    std::string_view chunk() const;

    const std::string path_;
    const std::unique_ptr<File> file_;
    SnapshotHeader header_;
    std::uint64_t header_bytes_ = 0;
    SnapshotFooter footer_;
    std::uint32_t seed_ = 0;
    std::string damage_;
    std::optional<std::uint64_t> damage_offset_;
    std::optional<std::uint64_t> loaded_;  // number of the chunk in buffer_, verified
    std::string buffer_;                   // with its header
};

}  // namespace cairn::raft
