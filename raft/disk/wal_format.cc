#include "raft/disk/wal_format.h"

#include <array>
#include <charconv>
#include <cstring>
#include <type_traits>

#include "raft/base/crc32c.h"

namespace cairn::raft {
namespace {

constexpr std::string_view segment_magic = "CAIRNWAL";
constexpr std::string_view segment_prefix = "segment-";
constexpr std::string_view reserve_prefix = "reserve-";
constexpr std::size_t name_digits = 16;

// Places in a segment header. Magic, version and CRC stay where they are in every version.
constexpr std::size_t version_at = 8;
constexpr std::size_t segment_crc_at = 12;
constexpr std::size_t cluster_id_at = 16;
constexpr std::size_t node_id_at = 24;
constexpr std::size_t number_at = 32;
constexpr std::size_t epoch_at = 40;
constexpr std::size_t salt_at = 48;
constexpr std::size_t segment_bytes_at = 56;
constexpr std::size_t append_sequence_base_at = 64;

// Places in a record header.
constexpr std::size_t header_crc_at = 0;
constexpr std::size_t payload_crc_at = 4;
constexpr std::size_t payload_bytes_at = 8;
constexpr std::size_t type_at = 12;
constexpr std::size_t kind_at = 13;
constexpr std::size_t flags_at = 14;
constexpr std::size_t unused_at = 15;
constexpr std::size_t group_at = 16;
constexpr std::size_t term_at = 24;
constexpr std::size_t index_at = 32;
constexpr std::size_t stamp_ns_at = 40;
constexpr std::size_t append_sequence_at = 48;
static_assert(append_sequence_at + 8 == wal_record_header_bytes);
static_assert(wal_record_header_bytes % wal_alignment_bytes == 0);
static_assert(wal_segment_header_bytes % wal_alignment_bytes == 0);

constexpr std::uint8_t flag_last_of_append = 1;

template <class Number>
void store(char* at, Number number) {
    auto value = static_cast<std::make_unsigned_t<Number>>(number);
    for (std::size_t i = 0; i < sizeof(Number); ++i) {
        at[i] = static_cast<char>(static_cast<unsigned char>(value >> (8 * i)));
    }
}

template <class Number>
Number load(const char* at) {
    std::make_unsigned_t<Number> value = 0;
    for (std::size_t i = 0; i < sizeof(Number); ++i) {
        value |= static_cast<std::make_unsigned_t<Number>>(static_cast<unsigned char>(at[i]))
                 << (8 * i);
    }
    return static_cast<Number>(value);
}

std::uint32_t segment_header_crc(std::string_view block) {
    return crc32c(block.substr(segment_crc_at + 4), crc32c(block.substr(0, segment_crc_at)));
}

std::uint32_t record_header_crc(const char* header, std::uint32_t seed, std::uint64_t offset) {
    std::array<char, 8> place;
    store(place.data(), offset);
    const std::string_view covered(header + header_crc_at + 4,
                                   wal_record_header_bytes - header_crc_at - 4);
    return crc32c(covered, crc32c({place.data(), place.size()}, seed));
}

std::string name_of(std::string_view prefix, std::uint64_t number) {
    std::array<char, name_digits> digits;
    const std::to_chars_result end =
        std::to_chars(digits.data(), digits.data() + digits.size(), number, 16);
    const auto count = static_cast<std::size_t>(end.ptr - digits.data());
    std::string name(prefix);
    name.append(name_digits - count, '0');
    name.append(digits.data(), count);
    return name;
}

std::optional<std::uint64_t> parse_name(std::string_view prefix, std::string_view name) {
    if (!name.starts_with(prefix)) {
        return std::nullopt;
    }
    std::uint64_t number = 0;
    std::from_chars(name.data() + prefix.size(), name.data() + name.size(), number, 16);
    // Only the one spelling of a number is a name of ours.
    return name_of(prefix, number) == name ? std::optional(number) : std::nullopt;
}

}  // namespace

std::string encode_wal_segment_header(const WalSegmentHeader& header) {
    std::string block(wal_segment_header_bytes, '\0');
    std::memcpy(block.data(), segment_magic.data(), segment_magic.size());
    store(block.data() + version_at, wal_format_version);
    store(block.data() + cluster_id_at, header.cluster_id);
    store(block.data() + node_id_at, header.node_id);
    store(block.data() + number_at, header.number);
    store(block.data() + epoch_at, header.epoch);
    store(block.data() + salt_at, header.salt);
    store(block.data() + segment_bytes_at, header.segment_bytes);
    store(block.data() + append_sequence_base_at, header.append_sequence_base);
    store(block.data() + segment_crc_at, segment_header_crc(block));
    return block;
}

WalHeaderVerdict decode_wal_segment_header(std::string_view block, WalSegmentHeader& header) {
    if (block.size() < wal_segment_header_bytes || !block.starts_with(segment_magic)) {
        return WalHeaderVerdict::damaged;
    }
    block = block.substr(0, wal_segment_header_bytes);
    if (load<std::uint32_t>(block.data() + segment_crc_at) != segment_header_crc(block)) {
        return WalHeaderVerdict::damaged;
    }
    if (load<std::uint32_t>(block.data() + version_at) != wal_format_version) {
        return WalHeaderVerdict::unknown_version;
    }
    header.cluster_id = load<std::uint64_t>(block.data() + cluster_id_at);
    header.node_id = load<std::uint64_t>(block.data() + node_id_at);
    header.number = load<std::uint64_t>(block.data() + number_at);
    header.epoch = load<std::uint64_t>(block.data() + epoch_at);
    header.salt = load<std::uint64_t>(block.data() + salt_at);
    header.segment_bytes = load<std::uint64_t>(block.data() + segment_bytes_at);
    header.append_sequence_base = load<std::uint64_t>(block.data() + append_sequence_base_at);
    return WalHeaderVerdict::valid;
}

std::uint32_t wal_record_seed(const WalSegmentHeader& header) {
    std::array<char, 32> identity;
    store(identity.data(), header.cluster_id);
    store(identity.data() + 8, header.node_id);
    store(identity.data() + 16, header.salt);
    // Last, so that two epochs (below 2^32) of the same file always have different seeds.
    store(identity.data() + 24, header.epoch);
    return crc32c({identity.data(), identity.size()});
}

void encode_wal_record_header(const WalRecordHeader& header, std::uint32_t seed,
                              std::uint64_t offset, char* out) {
    store(out + payload_crc_at, header.payload_crc);
    store(out + payload_bytes_at, header.payload_bytes);
    out[type_at] = static_cast<char>(header.type);
    out[kind_at] = static_cast<char>(header.kind);
    out[flags_at] = header.last_of_append ? static_cast<char>(flag_last_of_append) : '\0';
    out[unused_at] = '\0';
    store(out + group_at, header.group);
    store(out + term_at, header.term);
    store(out + index_at, header.index);
    store(out + stamp_ns_at, header.stamp_ns);
    store(out + append_sequence_at, header.append_sequence);
    store(out + header_crc_at, record_header_crc(out, seed, offset));
}

std::optional<WalRecordHeader> decode_wal_record_header(std::string_view bytes, std::uint32_t seed,
                                                        std::uint64_t offset) {
    if (bytes.size() < wal_record_header_bytes) {
        return std::nullopt;
    }
    const char* in = bytes.data();
    const auto type = static_cast<std::uint8_t>(in[type_at]);
    const auto kind = static_cast<std::uint8_t>(in[kind_at]);
    const auto flags = static_cast<std::uint8_t>(in[flags_at]);
    // Before the checksum, because a search asks at every offset.
    if (type < static_cast<std::uint8_t>(WalRecordType::entry) ||
        type > static_cast<std::uint8_t>(WalRecordType::end_of_segment) ||
        kind > static_cast<std::uint8_t>(EntryKind::configuration) || flags > flag_last_of_append ||
        in[unused_at] != '\0') {
        return std::nullopt;
    }
    if (load<std::uint32_t>(in + header_crc_at) != record_header_crc(in, seed, offset)) {
        return std::nullopt;
    }
    WalRecordHeader header;
    header.type = static_cast<WalRecordType>(type);
    header.kind = static_cast<EntryKind>(kind);
    header.last_of_append = flags == flag_last_of_append;
    header.payload_bytes = load<std::uint32_t>(in + payload_bytes_at);
    header.payload_crc = load<std::uint32_t>(in + payload_crc_at);
    header.group = load<GroupId>(in + group_at);
    header.term = load<Term>(in + term_at);
    header.index = load<std::uint64_t>(in + index_at);
    header.stamp_ns = load<std::int64_t>(in + stamp_ns_at);
    header.append_sequence = load<std::uint64_t>(in + append_sequence_at);
    return header;
}

std::uint32_t wal_payload_crc(std::string_view payload) {
    constexpr std::array<char, wal_alignment_bytes> zeros{};
    return crc32c({zeros.data(), wal_padding_bytes(payload.size())}, crc32c(payload));
}

std::string wal_segment_name(std::uint64_t number) {
    return name_of(segment_prefix, number);
}

std::string wal_reserve_name(std::uint64_t number) {
    return name_of(reserve_prefix, number);
}

std::optional<std::uint64_t> parse_wal_segment_name(std::string_view name) {
    return parse_name(segment_prefix, name);
}

std::optional<std::uint64_t> parse_wal_reserve_name(std::string_view name) {
    return parse_name(reserve_prefix, name);
}

}  // namespace cairn::raft
