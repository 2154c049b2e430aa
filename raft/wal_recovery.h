// What a restart makes of the segments on the disk: which records count, whether the end is a torn
// tail or damage that no crash explains, and the state that the records add up to.
//
// Used by Wal::open, on its thread. scan_wal_segment() and WalReplay are pure; recover_wal() reads,
// decides, and only when all is well repairs: it removes an incomplete append at the end, so that
// append numbers stay consecutive, and zeroes what is behind it, so that it can't come back.
//
// What a crash can leave, given the order in which Wal works (see wal.cc):
//  - the newest segment ends in an append of which any part may be missing;
//  - the newest segment has no append yet, or is ended and has no successor yet;
//  - reserves, whole or not.
// Everything else is corruption, and then nothing is changed.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "raft/file_system.h"
#include "raft/wal.h"
#include "raft/wal_format.h"

namespace cairn::raft {

struct WalRecord {
    WalRecordHeader header;
    std::string_view payload;
};

struct WalSegmentScan {
    std::vector<WalRecord> records;        // of complete appends, in order; view the bytes
    std::uint64_t end_offset = 0;          // behind the last complete append
    std::uint64_t last_append_offset = 0;  // where that one begins; end_offset when there is none
    std::uint64_t next_sequence = 0;       // of the append that follows
    bool ended = false;                    // by an end_of_segment record
    std::string corruption;                // one line, or empty
};

// `bytes` is the whole segment, header block included. `newest`: no segment follows.
WalSegmentScan scan_wal_segment(std::string_view bytes, const WalSegmentHeader& header,
                                bool newest);

// Adds up records.
class WalReplay {
 public:
    // Returns an empty string or what is wrong with the record (it leaves a gap).
    std::string apply(const WalRecord& record);

    std::map<GroupId, WalGroupState> groups;
    // Index behind the newest entry; an entry may not have a larger one. Absent: anything goes.
    std::map<GroupId, Index> next_index;
};

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
