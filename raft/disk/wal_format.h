// The bytes of the write-ahead log: segment headers, record headers, file names. Pure functions.
//
// All numbers are little-endian. A segment is one block of segment header, then records at offsets
// that are multiples of 8, each a header and its payload, padded with zeros to a multiple of 8.
//
// A record carries two CRC32C: one of its payload and padding, one of the rest of its header (the
// payload's CRC among it) seeded with the segment's identity, epoch and salt and with the record's
// offset. So a header alone can be checked cheaply while searching, a record of an earlier use of
// the file or of another place never passes, and stored bytes that look like a record (a value that
// is a piece of a log) don't either, because their writer doesn't know the salt.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "raft/core/types.h"

namespace cairn::raft {

inline constexpr std::size_t wal_segment_header_bytes = 4096;
inline constexpr std::size_t wal_record_header_bytes = 56;
inline constexpr std::size_t wal_alignment_bytes = 8;
inline constexpr std::uint32_t wal_format_version = 1;

struct WalSegmentHeader {
    std::uint64_t cluster_id = 0;
    NodeId node_id = 0;
    std::uint64_t number = 0;  // the one in the file's name; consecutive along the log
    std::uint64_t epoch = 0;   // grows with every use of a file as a segment
    std::uint64_t salt = 0;
    std::uint64_t segment_bytes = 0;
    std::uint64_t append_sequence_base = 0;  // number of the first append in this segment
    friend bool operator==(const WalSegmentHeader&, const WalSegmentHeader&) = default;
};

enum class WalHeaderVerdict {
    valid,
    damaged,          // not a segment header, or not whole
    unknown_version,  // whole, but of another format version
};

// The whole header block.
std::string encode_wal_segment_header(const WalSegmentHeader& header);
WalHeaderVerdict decode_wal_segment_header(std::string_view block, WalSegmentHeader& header);

enum class WalRecordType : std::uint8_t {
    entry = 1,
    hard_state = 2,
    log_start = 3,       // the group's entries so far are void; the next one has `index`
    end_of_segment = 4,  // the log goes on in the next segment
};

struct WalRecordHeader {
    WalRecordType type = WalRecordType::entry;
    EntryKind kind = EntryKind::no_op;  // of an entry
    bool last_of_append = false;
    std::uint32_t payload_bytes = 0;
    std::uint32_t payload_crc = 0;  // of payload and padding, see wal_payload_crc
    GroupId group = 0;
    Term term = 0;
    std::uint64_t index = 0;  // hard state: voted_for
    std::int64_t stamp_ns = 0;
    std::uint64_t append_sequence = 0;
    friend bool operator==(const WalRecordHeader&, const WalRecordHeader&) = default;
};

// What every record's checksum in that segment begins with.
std::uint32_t wal_record_seed(const WalSegmentHeader& header);

// Writes wal_record_header_bytes to `out`.
void encode_wal_record_header(const WalRecordHeader& header, std::uint32_t seed,
                              std::uint64_t offset, char* out);
// `bytes` begins with the header. Nothing when it isn't a record header of that segment and offset.
std::optional<WalRecordHeader> decode_wal_record_header(std::string_view bytes, std::uint32_t seed,
                                                        std::uint64_t offset);

std::uint32_t wal_payload_crc(std::string_view payload);
// Zero bytes after a payload of that size.
constexpr std::size_t wal_padding_bytes(std::size_t payload_bytes) {
    return (wal_alignment_bytes - payload_bytes % wal_alignment_bytes) % wal_alignment_bytes;
}
// Header, payload and padding.
constexpr std::uint64_t wal_record_bytes(std::size_t payload_bytes) {
    return std::uint64_t{wal_record_header_bytes} + payload_bytes +
           wal_padding_bytes(payload_bytes);
}

// "segment-<16 hexadecimal digits>" and "reserve-<...>".
std::string wal_segment_name(std::uint64_t number);
std::string wal_reserve_name(std::uint64_t number);
std::optional<std::uint64_t> parse_wal_segment_name(std::string_view name);
std::optional<std::uint64_t> parse_wal_reserve_name(std::string_view name);

}  // namespace cairn::raft
