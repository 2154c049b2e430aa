// The bytes of a snapshot file and its name. Pure functions.
//
// All numbers are little-endian. A header (magic, version, its own length, salt, what the snapshot
// is of), then the content in chunks, each after its length and CRC32C and all of the same size but
// the last, then a footer. So where a byte of the content lies is arithmetic, and the file's size
// follows from its header and footer.
//
// Every byte is under a checksum. Those of chunks and footer are seeded with the header's identity
// and salt, a chunk's with its number too, so that a chunk of another file or another place never
// passes. The content is opaque here.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "raft/core/configuration.h"
#include "raft/core/types.h"

namespace cairn::raft {

inline constexpr std::uint32_t snapshot_format_version = 1;
inline constexpr std::size_t snapshot_prefix_bytes = 32;  // enough to know the header's length
inline constexpr std::size_t snapshot_header_bytes_max = 1U << 20;
inline constexpr std::size_t snapshot_chunk_header_bytes = 8;
inline constexpr std::uint32_t snapshot_chunk_bytes_max = 1U << 20;
inline constexpr std::size_t snapshot_footer_bytes = 36;

// What a snapshot is of. The same on all nodes: snapshots travel.
struct SnapshotMeta {
    std::uint64_t cluster_id = 0;
    GroupId group = 0;
    Index last_included_index = 0;
    Term last_included_term = 0;
    std::int64_t last_included_stamp_ns = 0;
    Configuration configuration;  // the one in force at last_included_index
    friend bool operator==(const SnapshotMeta&, const SnapshotMeta&) = default;
};

// An empty string, or what makes it no snapshot of ours: bounds, order, ids that are nobody's.
std::string validate(const SnapshotMeta& meta);

// Of a valid meta; also for sending it.
std::string encode_snapshot_meta(const SnapshotMeta& meta);
// Nothing when the bytes are not exactly one valid meta.
std::optional<SnapshotMeta> decode_snapshot_meta(std::string_view bytes);

// Identifies the content: two snapshots of the same index need not have the same bytes.
struct SnapshotContent {
    std::uint64_t bytes = 0;
    std::uint32_t crc = 0;  // plain CRC32C of all of it
    friend bool operator==(const SnapshotContent&, const SnapshotContent&) = default;
};

struct SnapshotHeader {
    SnapshotMeta meta;
    std::uint64_t salt = 0;  // differs between any two files of a node
    std::uint32_t chunk_bytes = 0;
    friend bool operator==(const SnapshotHeader&, const SnapshotHeader&) = default;
};

enum class SnapshotHeaderVerdict {
    valid,
    damaged,          // not a snapshot's header, or not whole
    unknown_version,  // whole, but of another format version
};

std::string encode_snapshot_header(const SnapshotHeader& header);
// Length of the header that begins so, or nothing when none of ours does. Not checked by then.
std::optional<std::size_t> snapshot_header_bytes(std::string_view prefix);
// `bytes` is the header and nothing more.
SnapshotHeaderVerdict decode_snapshot_header(std::string_view bytes, SnapshotHeader& header);

// What the checksums of chunks and footer begin with.
std::uint32_t snapshot_seed(const SnapshotHeader& header);

struct SnapshotChunkHeader {
    std::uint32_t bytes = 0;
    std::uint32_t crc = 0;
};

std::uint32_t snapshot_chunk_crc(std::string_view content, std::uint64_t number,
                                 std::uint32_t seed);
std::array<char, snapshot_chunk_header_bytes> encode_snapshot_chunk_header(
    const SnapshotChunkHeader& header);
// `bytes` holds at least snapshot_chunk_header_bytes.
SnapshotChunkHeader decode_snapshot_chunk_header(std::string_view bytes);
// The checksum of all chunks' checksums, taking in one more.
std::uint32_t snapshot_chain_crc(std::uint32_t chunk_crc, std::uint32_t previous);

struct SnapshotFooter {
    SnapshotContent content;
    std::uint64_t chunk_count = 0;
    std::uint32_t chunk_crcs_crc = 0;
    friend bool operator==(const SnapshotFooter&, const SnapshotFooter&) = default;
};

std::string encode_snapshot_footer(const SnapshotFooter& footer, std::uint32_t seed);
std::optional<SnapshotFooter> decode_snapshot_footer(std::string_view bytes, std::uint32_t seed);

// Where a chunk of such a file begins.
std::uint64_t snapshot_chunk_offset(std::uint64_t header_bytes, std::uint32_t chunk_bytes,
                                    std::uint64_t number);
// How many chunks that much content makes.
std::uint64_t snapshot_chunk_count(std::uint64_t content_bytes, std::uint32_t chunk_bytes);

// Names of fixed length, so that their order is the snapshots'.
struct SnapshotId {
    Index index = 0;
    Term term = 0;
    friend auto operator<=>(const SnapshotId&, const SnapshotId&) = default;
};

SnapshotId id_of(const SnapshotMeta& meta);
std::string snapshot_name(const SnapshotId& id);
std::optional<SnapshotId> parse_snapshot_name(std::string_view name);
// One that is being written; `number` tells apart those of the same index.
std::string snapshot_temporary_name(Index index, std::uint64_t number);
bool is_snapshot_temporary_name(std::string_view name);

}  // namespace cairn::raft
