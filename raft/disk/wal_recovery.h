// What a restart makes of the segments on the disk: the state that they add up to, and a log that
// can be written on.
//
// Used by Wal::open, on its thread. The reading and the judging are raft/disk/wal_reader.h's and
// change nothing; only when all is well recover_wal() repairs: it removes an incomplete append at
// the end, so that append numbers stay consecutive, and zeroes what is behind it, so that it can't
// come back. On corruption nothing is changed.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "raft/disk/file_system.h"
#include "raft/disk/wal.h"
#include "raft/disk/wal_format.h"
#include "raft/disk/wal_reader.h"

namespace cairn::raft {

// What one segment holds, to know when it isn't wanted any more.
struct WalSegmentContent {
    std::uint64_t number = 0;
    std::uint64_t segment_bytes = 0;
    std::map<GroupId, Index> last_index;  // largest index of a group's entries in it
};

struct WalRecovery {
    WalReplay replay;
    std::vector<WalSegmentContent> segments;  // oldest first; the last one is the newest
    std::unique_ptr<File> newest_file;        // null when there is no segment
    WalSegmentHeader newest_header;
    std::uint64_t end_offset = 0;
    std::uint64_t next_sequence = 1;
    bool ended = false;                 // the newest segment is full
    bool has_append = false;            // the newest segment holds at least one
    std::uint64_t epoch_max = 0;        // largest epoch ever seen, reserves included
    std::vector<std::string> reserves;  // names of reserves that can be used
    std::uint64_t reserve_number_max = 0;
};

// At most this many reserves are kept.
inline constexpr std::size_t wal_reserves_max = 2;

// Reads and repairs the log in `directory`. Returns whether it succeeded, else fills `failure`.
bool recover_wal(FileSystem& files, const std::string& directory, const WalOptions& options,
                 WalRecovery& recovery, WalOpenFailure& failure);

}  // namespace cairn::raft
