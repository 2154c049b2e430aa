// The files of one group's snapshots: writing one, receiving one from the leader, which there are.
//
// Everything here belongs to one thread at a time: whoever opens the store, afterwards the snapshot
// thread (raft/disk/snapshot_thread.h). Not thread-safe.
//
// A snapshot is written to a temporary file, synced, renamed to the name that says its index and
// term, and the directory is synced; only then is it there, whole, whatever happens. The newest one
// and one predecessor are kept; when the disk was full in the middle of another one the predecessor
// is given up as well, so that the next attempt finds its room. Errors are values and no reason to
// end the process: nothing relied on a snapshot that was not committed, and what it left is
// removed, now or by the next open().
//
// Error codes of its own: bad_message, the bytes are damaged; file_exists, a newer snapshot is
// there already; invalid_argument, no such snapshot, offset or piece can be;
// operation_not_permitted, nothing is under way (any more). All others are the operating system's.
//
// It doesn't know what is in a snapshot and doesn't decide which one to start from: a damaged
// newest one is reported, because the log may have been trimmed to it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "raft/core/types.h"
#include "raft/disk/file_system.h"
#include "raft/disk/snapshot_format.h"
#include "raft/disk/snapshot_reader.h"

namespace cairn::raft {

struct SnapshotOptions {
    std::uint64_t cluster_id = 0;  // a snapshot of another cluster or group is refused
    GroupId group = 0;
    // What clients can't guess, and new at each start (tests and the simulation give a fixed one).
    std::uint64_t salt = 0;
    std::uint32_t chunk_bytes = 256U << 10;  // at most snapshot_chunk_bytes_max
    // A sync after so much, so that a large snapshot doesn't reach the disk as one burst in the way
    // of the write-ahead log.
    std::uint64_t sync_interval_bytes = 8U << 20;
    bool sync = true;  // false: --unsafe-no-fsync
};

class SnapshotDirectory;

// Writes one snapshot at a time.
class SnapshotWriter {
 public:
    explicit SnapshotWriter(SnapshotDirectory& directory) : directory_(directory) {}
    ~SnapshotWriter() { abandon(); }
    SnapshotWriter(const SnapshotWriter&) = delete;
    SnapshotWriter& operator=(const SnapshotWriter&) = delete;

    // Begins a snapshot; one under way is abandoned. After an error of this or any function below
    // nothing is under way and no file is left.
    IoResult<void> create(const SnapshotMeta& meta);
    IoResult<void> append(std::string_view bytes);
    // Makes it the group's snapshot, durably, and removes what it makes superfluous. With
    // `expected` the content must be that, and the file is read back and verified before.
    IoResult<void> commit(const std::optional<SnapshotContent>& expected = std::nullopt);
    void abandon();

    bool is_writing() const { return file_ != nullptr; }
    // What was appended.
    const SnapshotContent& content() const { return footer_.content; }

 private:
    IoResult<void> fail(const boost::system::error_code& error);
    IoResult<void> write_chunk(std::string_view bytes);
    IoResult<void> write(std::string_view first, std::string_view second);
    IoResult<void> seal();
    IoResult<void> read_back(const SnapshotContent& expected);

    SnapshotDirectory& directory_;
    std::unique_ptr<File> file_;  // null: nothing under way
    std::string temporary_name_;  // empty: there is no such file
    SnapshotHeader header_;
    SnapshotFooter footer_;
    std::uint32_t seed_ = 0;
    std::uint64_t offset_ = 0;  // where the file ends
    std::uint64_t unsynced_bytes_ = 0;
    std::string buffer_;  // less than a chunk
};

// Takes a snapshot that comes in pieces, in order. What was received is forgotten at a restart.
class SnapshotReceiver {
 public:
    explicit SnapshotReceiver(SnapshotDirectory& directory) : writer_(directory) {}

    // To be called before every piece: goes on when exactly this one is under way, else drops what
    // is and begins anew. Returns the offset that is wanted next.
    IoResult<std::uint64_t> begin(const SnapshotMeta& meta, const SnapshotContent& content);
    // Takes the piece if it begins where it should; else (a duplicate, a gap) nothing happens.
    // Returns the offset that is wanted next. After an error nothing is under way.
    IoResult<std::uint64_t> accept(std::uint64_t offset, std::string_view bytes);
    // Verifies and commits it. Refused, and nothing happens, when something is missing yet; after
    // any other error nothing is under way.
    IoResult<void> finish();
    void abandon() { writer_.abandon(); }

    bool is_receiving() const { return writer_.is_writing(); }
    bool is_complete() const {
        return is_receiving() && writer_.content().bytes == announced_.bytes;
    }

 private:
    SnapshotWriter writer_;
    SnapshotMeta meta_;
    SnapshotContent announced_;
};

struct SnapshotFile {
    SnapshotMeta meta;
    SnapshotContent content;
};

struct DamagedSnapshot {
    SnapshotId id;
    std::string detail;  // one line: which file, what
};

class SnapshotStore {
 public:
    // Opens `directory` (made when missing), removes what was being written, checks header, footer
    // and size of every snapshot and removes those older than the newest valid one's predecessor.
    // On failure returns null and fills `failure`.
    static std::unique_ptr<SnapshotStore> open(FileSystem& files, const std::string& directory,
                                               const SnapshotOptions& options,
                                               SnapshotFailure& failure);
    ~SnapshotStore();
    SnapshotStore(const SnapshotStore&) = delete;
    SnapshotStore& operator=(const SnapshotStore&) = delete;

    // The newest valid one, or null. Good until anything is written, committed or marked.
    const SnapshotFile* latest() const;
    // A reader of latest(). Null, and `failure` filled, when there is none or it can't be read.
    std::unique_ptr<SnapshotReader> open_latest(SnapshotFailure& failure) const;

    // Damaged ones, oldest first. They stay until a snapshot at least as new is committed.
    const std::vector<DamagedSnapshot>& damaged() const;
    // Whether latest() is not the newest that was committed: then the log may begin behind it.
    bool is_newest_damaged() const;
    // For damage that showed when the content was read: latest() is the one before from now on.
    void mark_damaged(const SnapshotId& id, const std::string& detail);
    // For a caller that is sure to do without them.
    IoResult<void> remove_damaged();

    // For a snapshot that is taken here, and for one from the leader. They don't disturb each
    // other; the newer one wins.
    SnapshotWriter& writer() { return writer_; }
    SnapshotReceiver& receiver() { return receiver_; }

 private:
    explicit SnapshotStore(std::unique_ptr<SnapshotDirectory> directory);

    const std::unique_ptr<SnapshotDirectory> directory_;
    SnapshotWriter writer_;
    SnapshotReceiver receiver_;
};

}  // namespace cairn::raft
