// The write-ahead log: where entries, term and vote become durable, for all groups of a node.
//
// Owned by one thread at a time: whoever opens it, afterwards the disk thread. Not thread-safe.
//
// Layout. A directory of segments of a fixed size, zero-filled ahead of use and recycled, so that a
// steady-state append overwrites blocks that exist and the sync touches no file-system metadata.
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
// fsync the page cache says nothing about the disk. The caller ends the process.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "raft/file_system.h"
#include "raft/types.h"

namespace cairn::raft {

struct WalOptions {
    std::uint64_t segment_bytes = 64U << 20;  // at least 2 * record_bytes_max
    std::uint64_t record_bytes_max = 8U << 20;
    std::uint64_t cluster_id = 0;  // a segment of another cluster or node is refused
    NodeId node_id = 0;
    bool sync = true;  // false: --unsafe-no-fsync
};

// What one group wants durable: its hard state when it changed, then entries (consecutive).
struct WalAppend {
    GroupId group = 0;
    std::optional<HardState> hard_state;
    std::span<const Entry> entries;
};

struct WalGroupState {
    HardState hard_state;
    std::vector<Entry> entries;  // consecutive
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
    // durable. Splits over segments when it does not fit one.
    IoResult<void> append(std::span<const WalAppend> parts);

    // Entries of `group` below `first_needed` are no longer wanted; segments that hold nothing
    // wanted are recycled.
    void release(GroupId group, Index first_needed);

    // Makes and zero-fills the next segment if there is none in reserve. For idle moments; append()
    // does it itself when it must.
    IoResult<void> prepare_reserve();

 private:
    class Impl;
    explicit Wal(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace cairn::raft
