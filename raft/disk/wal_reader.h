// Reads the segments of a write-ahead log, one after the other, and judges them: which records
// count, where the end is, what no crash explains. It never changes a byte and opens every file for
// reading only; what a restart changes is raft/disk/wal_recovery.h's.
//
// Owned by one thread, any. scan_wal_segment(), examine_wal_tail() and WalReplay are pure. Holds
// one segment in memory. A fault doesn't end the reading: what can be read behind it is read, and
// then it is only held against that what can be known without what is lost.
//
// What a crash can leave, given the order in which Wal works (see wal.cc):
//  - the newest segment ends in an append of which any part may be missing;
//  - the newest segment has no append yet, or is ended and has no successor yet;
//  - reserves, whole or not.
// Everything else is corruption.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "raft/disk/file_system.h"
#include "raft/disk/wal.h"
#include "raft/disk/wal_format.h"

namespace cairn::raft {

struct WalRecord {
    WalRecordHeader header;
    std::string_view payload;
    std::uint64_t offset = 0;  // in its segment
};

struct WalSegmentScan {
    std::vector<WalRecord> records;        // of complete appends, in order; view the bytes
    std::uint64_t end_offset = 0;          // behind the last complete append
    std::uint64_t last_append_offset = 0;  // where that one begins; end_offset when there is none
    std::uint64_t next_sequence = 0;       // of the append that follows
    bool ended = false;                    // by an end_of_segment record
    std::string corruption;                // one line, or empty
    std::uint64_t corruption_offset = 0;
};

// `bytes` is the whole segment, header block included. `newest`: no segment follows.
WalSegmentScan scan_wal_segment(std::string_view bytes, const WalSegmentHeader& header,
                                bool newest);

// What is behind the last complete append of the newest segment.
enum class WalTail {
    blank,       // zeros, or the segment is ended
    torn,        // a part of an append
    other_bytes  // no record of this use of the file: an earlier use's, or what a write left of one
};
WalTail examine_wal_tail(std::string_view bytes, const WalSegmentHeader& header,
                         const WalSegmentScan& scan);

// Adds up records.
class WalReplay {
 public:
    // Returns an empty string or what is wrong with the record (it leaves a gap).
    std::string apply(const WalRecord& record);
    // What follows need not go on from the entries so far.
    void forget_entries();

    std::map<GroupId, WalGroupState> groups;
};

struct WalFault {
    WalOpenError error = WalOpenError::io;
    std::string name;                     // of the file; empty: the directory
    std::optional<std::uint64_t> offset;  // when it is at a certain place
    std::string what;                     // one line, that says the offset too
};

// Whose log it has to be.
struct WalOwner {
    std::uint64_t cluster_id = 0;
    NodeId node_id = 0;
};

class WalReader {
 public:
    // Without an owner all segments must be of the first one's.
    WalReader(FileSystem& files, std::string directory, std::optional<WalOwner> owner)
        : files_(files), directory_(std::move(directory)), owner_(owner) {}

    // Lists the directory. False: it can't be, see fault().
    bool open();

    enum class Step {
        segment,  // header(), bytes(), scan()
        fault,    // fault(); when has_segment(), what is readable before it is there too
        end,
    };
    // Goes on to the next segment, oldest first. What the functions below return is good until
    // then.
    Step next();

    const std::string& name() const { return name_; }
    bool has_segment() const { return has_segment_; }
    const WalSegmentHeader& header() const { return header_; }
    const std::string& bytes() const { return bytes_; }
    const WalSegmentScan& scan() const { return scan_; }
    bool is_newest() const { return position_ == numbers_.size(); }
    const WalFault& fault() const { return fault_; }

    const std::vector<std::string>& reserve_names() const { return reserve_names_; }
    // Neither segments nor reserves.
    const std::vector<std::string>& other_names() const { return other_names_; }

 private:
    Step fail(WalOpenError error, const std::string& what,
              std::optional<std::uint64_t> offset = std::nullopt);
    Step fail_io(const boost::system::error_code& error);
    Step read_segment(std::uint64_t number);
    Step judge_header(std::uint64_t number);
    Step judge_records();

    FileSystem& files_;
    const std::string directory_;
    std::optional<WalOwner> owner_;

    std::vector<std::uint64_t> numbers_;
    std::vector<std::string> reserve_names_;
    std::vector<std::string> other_names_;
    std::size_t position_ = 0;  // of the segment after this one
    bool gap_told_ = false;     // that segments are missing before that

    std::string name_;
    std::unique_ptr<File> file_;
    bool has_segment_ = false;
    WalSegmentHeader header_;
    std::string bytes_;
    WalSegmentScan scan_;
    WalFault fault_;
    // Of the segments before. Absent: there is none, or it isn't known.
    std::optional<std::uint64_t> epoch_before_;
    std::optional<std::uint64_t> next_sequence_;
};

}  // namespace cairn::raft
