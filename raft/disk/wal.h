// The write-ahead log: where entries, term and vote become durable, for all groups of a node.
//
// Owned by one thread at a time: whoever opens it, afterwards the disk thread. Not thread-safe.
//
// Layout. A directory of segments of a fixed size, zero-filled ahead of use and recycled, so that a
// steady-state append overwrites blocks that exist and the sync touches no file-system metadata.
// Only a record that is larger than a segment makes the next ones larger.
// A record's CRC32C covers its header and payload and is seeded with the segment's epoch (a number
// that grows with every use of a segment file), so an old record in a recycled segment never passes
// for a new one. Term and vote are records like entries, and the current ones are repeated at the
// head of every segment. An entry record at index i replaces whatever the group had at i and above.
//
// Records carry the number of the append() they belong to and say whether they end it. That tells a
// torn tail from corruption: append n+1 begins only after append n was synced, so a damaged record
// in the newest segment is a torn tail if everything valid after it belongs to the same append, and
// corruption if anything valid after it belongs to a later one. A torn tail is cut (and zeroed, so
// that it can't come back); corruption is reported and nothing is changed.
//
// A failed write or sync is returned once and the log refuses everything afterwards: after a failed
// fsync the page cache says nothing about the disk. The caller ends the process. The one exception
// is a full disk while the next segment is made: nothing of the log was written by then, failed()
// stays false, and the same append may be tried again.
//
// The bytes are raft/disk/wal_format.h's, the reading is raft/disk/wal_reader.h's, what a restart
// repairs is raft/disk/wal_recovery.h's.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "raft/core/types.h"
#include "raft/disk/file_system.h"

namespace cairn::raft {

struct WalOptions {
    std::uint64_t segment_bytes = 64U << 20;  // a multiple of 4096
    std::uint64_t record_bytes_max = 8U << 20;
    std::uint64_t cluster_id = 0;  // a segment of another cluster or node is refused
    NodeId node_id = 0;
    bool sync = true;  // false: --unsafe-no-fsync
    // Something that clients can't guess (a random number at each start; tests and the simulation
    // give a fixed one), so that nobody can store a value that passes for a record.
    std::uint64_t salt = 0;
};

// What one group wants durable: its hard state when it changed, then entries (consecutive).
struct WalAppend {
    GroupId group = 0;
    std::optional<HardState> hard_state;
    // The group's entries so far are void, its log begins again at this index: after a snapshot
    // from the leader replaced a log that does not match it.
    std::optional<Index> log_start;
    std::span<const Entry> entries;
};

// How much there is, for metrics.
struct WalFigures {
    std::uint64_t segments = 0;       // that hold records
    std::uint64_t file_bytes = 0;     // of all files, those kept for later use too
    std::uint64_t written_bytes = 0;  // records written since the log was opened
};

struct WalGroupState {
    HardState hard_state;
    std::vector<Entry> entries;  // consecutive
    // Behind the newest entry, also where that isn't kept any more; an entry may not have a larger
    // one. 0: anything goes.
    Index next_index = 0;
};

enum class WalOpenError {
    io,          // the operating system refused something
    corruption,  // damage that a crash can't explain
    foreign,     // not a log of this cluster and node, or of an unknown version
};

struct WalOpenFailure {
    WalOpenError error = WalOpenError::io;
    std::string detail;  // one line: which file, which offset, what
};

class Wal {
 public:
    // Opens the log in `directory` (made when missing), cuts a torn tail and reads everything.
    // On failure returns null and fills `failure`.
    static std::unique_ptr<Wal> open(FileSystem& files, const std::string& directory,
                                     const WalOptions& options,
                                     std::map<GroupId, WalGroupState>& recovered,
                                     WalOpenFailure& failure);
    ~Wal();

    // Writes all parts as one append and syncs once; when it returns without error all of it is
    // durable. Splits over segments when it does not fit one: then a crash may keep a part of the
    // records, from the first on. Entries may not leave a gap in a group's log, unless release()
    // said that nothing below them is wanted (then the log begins again there).
    IoResult<void> append(std::span<const WalAppend> parts);

    // Entries of `group` below `first_needed` are no longer wanted; the oldest segments, as long as
    // they hold nothing wanted, are recycled.
    IoResult<void> release(GroupId group, Index first_needed);

    // Makes and zero-fills the next segment if there is none in reserve, at most about `bytes_max`
    // of it with one sync, and says whether there is one now. append() does what is left when it
    // must. Where the file system says that there is no room for it nothing is written, so that
    // asking again costs nothing and leaves the little room to others (a snapshot, above all, which
    // makes room).
    IoResult<bool> prepare_reserve(std::uint64_t bytes_max);

    // Whether everything is refused from now on.
    bool failed() const;
    WalFigures figures() const;

 private:
    class Impl;
    explicit Wal(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace cairn::raft
