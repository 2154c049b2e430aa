#include "raft/disk/snapshot_format.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "raft/base/crc32c.h"
#include "raft/core/little_endian.h"

namespace cairn::raft {
namespace {

constexpr std::string_view snapshot_magic = "CAIRNSNP";
constexpr std::string_view end_mark = "CAIRNEND";
constexpr std::string_view snapshot_prefix = "snapshot-";
constexpr std::string_view temporary_prefix = "temporary-";
constexpr std::size_t name_digits = 16;

// Places in a header. Magic, version, CRC and length stay where they are in every version.
constexpr std::size_t version_at = 8;
constexpr std::size_t header_crc_at = 12;
constexpr std::size_t header_bytes_at = 16;
constexpr std::size_t chunk_bytes_at = 20;
constexpr std::size_t salt_at = 24;
constexpr std::size_t meta_at = 32;
static_assert(meta_at == snapshot_prefix_bytes);

// Places in a footer.
constexpr std::size_t content_bytes_at = 0;
constexpr std::size_t chunk_count_at = 8;
constexpr std::size_t content_crc_at = 16;
constexpr std::size_t chunk_crcs_crc_at = 20;
constexpr std::size_t footer_crc_at = 24;
constexpr std::size_t end_mark_at = 28;
static_assert(end_mark_at + end_mark.size() == snapshot_footer_bytes);

template <class Integer>
void put(std::string& bytes, Integer value) {
    std::array<char, sizeof(Integer)> piece;
    put_little_endian(piece.data(), value);
    bytes.append(piece.data(), piece.size());
}

// Takes numbers and texts from the front; once they don't suffice it gives zeros and says so.
class Input {
 public:
    explicit Input(std::string_view bytes) : rest_(bytes) {}

    std::string_view text(std::size_t size) {
        if (size > rest_.size()) {
            complete_ = false;
            rest_ = {};
            return {};
        }
        const std::string_view taken = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return taken;
    }
    template <class Integer>
    Integer number() {
        const std::string_view taken = text(sizeof(Integer));
        return taken.empty() ? Integer{0} : get_little_endian<Integer>(taken.data());
    }
    // What is left; nothing once something was missing.
    std::string_view rest() const { return rest_; }
    bool complete() const { return complete_; }

 private:
    std::string_view rest_;
    bool complete_ = true;
};

std::uint32_t crc_without(std::string_view bytes, std::size_t crc_at, std::uint32_t seed) {
    return crc32c(bytes.substr(crc_at + 4), crc32c(bytes.substr(0, crc_at), seed));
}

std::string hexadecimal(std::uint64_t number) {
    std::array<char, name_digits> digits;
    const std::to_chars_result end =
        std::to_chars(digits.data(), digits.data() + digits.size(), number, 16);
    const auto count = static_cast<std::size_t>(end.ptr - digits.data());
    return std::string(name_digits - count, '0').append(digits.data(), count);
}

std::string name_of(std::string_view prefix, std::uint64_t first, std::uint64_t second) {
    return std::string(prefix) + hexadecimal(first) + "-" + hexadecimal(second);
}

std::optional<std::pair<std::uint64_t, std::uint64_t>> parse_name(std::string_view prefix,
                                                                  std::string_view name) {
    if (!name.starts_with(prefix) || name.size() != prefix.size() + 2 * name_digits + 1) {
        return std::nullopt;
    }
    const char* digits = name.data() + prefix.size();
    std::uint64_t first = 0;
    std::uint64_t second = 0;
    std::from_chars(digits, digits + name_digits, first, 16);
    std::from_chars(digits + name_digits + 1, digits + 2 * name_digits + 1, second, 16);
    // Only the one spelling of the numbers is a name of ours.
    if (name_of(prefix, first, second) != name) {
        return std::nullopt;
    }
    return std::pair(first, second);
}

}  // namespace

std::string validate(const SnapshotMeta& meta) {
    if (meta.last_included_index == 0 || meta.last_included_term == 0) {
        return "a snapshot of nothing";
    }
    return validate(meta.configuration);
}

std::string encode_snapshot_meta(const SnapshotMeta& meta) {
    std::string bytes;
    put(bytes, meta.cluster_id);
    put(bytes, meta.group);
    put(bytes, meta.last_included_index);
    put(bytes, meta.last_included_term);
    put(bytes, static_cast<std::uint64_t>(meta.last_included_stamp_ns));
    bytes += encode_configuration(meta.configuration);
    return bytes;
}

std::optional<SnapshotMeta> decode_snapshot_meta(std::string_view bytes) {
    Input input(bytes);
    SnapshotMeta meta;
    meta.cluster_id = input.number<std::uint64_t>();
    meta.group = input.number<GroupId>();
    meta.last_included_index = input.number<Index>();
    meta.last_included_term = input.number<Term>();
    meta.last_included_stamp_ns = static_cast<std::int64_t>(input.number<std::uint64_t>());
    if (!input.complete() || !decode_configuration(input.rest(), meta.configuration) ||
        !validate(meta).empty()) {
        return std::nullopt;
    }
    return meta;
}

std::string encode_snapshot_header(const SnapshotHeader& header) {
    std::string bytes(meta_at, '\0');
    bytes += encode_snapshot_meta(header.meta);
    std::memcpy(bytes.data(), snapshot_magic.data(), snapshot_magic.size());
    put_little_endian(bytes.data() + version_at, snapshot_format_version);
    put_little_endian(bytes.data() + header_bytes_at, static_cast<std::uint32_t>(bytes.size()));
    put_little_endian(bytes.data() + chunk_bytes_at, header.chunk_bytes);
    put_little_endian(bytes.data() + salt_at, header.salt);
    put_little_endian(bytes.data() + header_crc_at, crc_without(bytes, header_crc_at, 0));
    return bytes;
}

std::optional<std::size_t> snapshot_header_bytes(std::string_view prefix) {
    if (prefix.size() < snapshot_prefix_bytes || !prefix.starts_with(snapshot_magic)) {
        return std::nullopt;
    }
    const auto bytes = get_little_endian<std::uint32_t>(prefix.data() + header_bytes_at);
    if (bytes < snapshot_prefix_bytes || bytes > snapshot_header_bytes_max) {
        return std::nullopt;
    }
    return bytes;
}

SnapshotHeaderVerdict decode_snapshot_header(std::string_view bytes, SnapshotHeader& header) {
    if (snapshot_header_bytes(bytes) != bytes.size() ||
        get_little_endian<std::uint32_t>(bytes.data() + header_crc_at) !=
            crc_without(bytes, header_crc_at, 0)) {
        return SnapshotHeaderVerdict::damaged;
    }
    if (get_little_endian<std::uint32_t>(bytes.data() + version_at) != snapshot_format_version) {
        return SnapshotHeaderVerdict::unknown_version;
    }
    std::optional<SnapshotMeta> meta = decode_snapshot_meta(bytes.substr(meta_at));
    const auto chunk_bytes = get_little_endian<std::uint32_t>(bytes.data() + chunk_bytes_at);
    if (!meta || chunk_bytes == 0 || chunk_bytes > snapshot_chunk_bytes_max) {
        return SnapshotHeaderVerdict::damaged;
    }
    header.meta = std::move(*meta);
    header.salt = get_little_endian<std::uint64_t>(bytes.data() + salt_at);
    header.chunk_bytes = chunk_bytes;
    return SnapshotHeaderVerdict::valid;
}

std::uint32_t snapshot_seed(const SnapshotHeader& header) {
    std::string identity;
    put(identity, header.meta.cluster_id);
    put(identity, header.meta.group);
    put(identity, header.meta.last_included_index);
    put(identity, header.meta.last_included_term);
    put(identity, header.chunk_bytes);
    // Last, so that two salts less than 2^32 apart always make different seeds.
    put(identity, header.salt);
    return crc32c(identity);
}

std::uint32_t snapshot_chunk_crc(std::string_view content, std::uint64_t number,
                                 std::uint32_t seed) {
    std::array<char, 12> place;
    put_little_endian(place.data(), static_cast<std::uint32_t>(content.size()));
    put_little_endian(place.data() + 4, number);
    return crc32c(content, crc32c({place.data(), place.size()}, seed));
}

std::array<char, snapshot_chunk_header_bytes> encode_snapshot_chunk_header(
    const SnapshotChunkHeader& header) {
    std::array<char, snapshot_chunk_header_bytes> bytes;
    put_little_endian(bytes.data(), header.bytes);
    put_little_endian(bytes.data() + 4, header.crc);
    return bytes;
}

SnapshotChunkHeader decode_snapshot_chunk_header(std::string_view bytes) {
    return {.bytes = get_little_endian<std::uint32_t>(bytes.data()),
            .crc = get_little_endian<std::uint32_t>(bytes.data() + 4)};
}

std::uint32_t snapshot_chain_crc(std::uint32_t chunk_crc, std::uint32_t previous) {
    std::array<char, 4> bytes;
    put_little_endian(bytes.data(), chunk_crc);
    return crc32c({bytes.data(), bytes.size()}, previous);
}

std::string encode_snapshot_footer(const SnapshotFooter& footer, std::uint32_t seed) {
    std::string bytes(snapshot_footer_bytes, '\0');
    put_little_endian(bytes.data() + content_bytes_at, footer.content.bytes);
    put_little_endian(bytes.data() + chunk_count_at, footer.chunk_count);
    put_little_endian(bytes.data() + content_crc_at, footer.content.crc);
    put_little_endian(bytes.data() + chunk_crcs_crc_at, footer.chunk_crcs_crc);
    std::memcpy(bytes.data() + end_mark_at, end_mark.data(), end_mark.size());
    put_little_endian(bytes.data() + footer_crc_at, crc_without(bytes, footer_crc_at, seed));
    return bytes;
}

std::optional<SnapshotFooter> decode_snapshot_footer(std::string_view bytes, std::uint32_t seed) {
    if (bytes.size() != snapshot_footer_bytes || !bytes.ends_with(end_mark) ||
        get_little_endian<std::uint32_t>(bytes.data() + footer_crc_at) !=
            crc_without(bytes, footer_crc_at, seed)) {
        return std::nullopt;
    }
    SnapshotFooter footer;
    footer.content.bytes = get_little_endian<std::uint64_t>(bytes.data() + content_bytes_at);
    footer.content.crc = get_little_endian<std::uint32_t>(bytes.data() + content_crc_at);
    footer.chunk_count = get_little_endian<std::uint64_t>(bytes.data() + chunk_count_at);
    footer.chunk_crcs_crc = get_little_endian<std::uint32_t>(bytes.data() + chunk_crcs_crc_at);
    return footer;
}

std::uint64_t snapshot_chunk_offset(std::uint64_t header_bytes, std::uint32_t chunk_bytes,
                                    std::uint64_t number) {
    return header_bytes + number * (snapshot_chunk_header_bytes + chunk_bytes);
}

std::uint64_t snapshot_chunk_count(std::uint64_t content_bytes, std::uint32_t chunk_bytes) {
    return content_bytes / chunk_bytes + (content_bytes % chunk_bytes == 0 ? 0 : 1);
}

SnapshotId id_of(const SnapshotMeta& meta) {
    return {.index = meta.last_included_index, .term = meta.last_included_term};
}

std::string snapshot_name(const SnapshotId& id) {
    return name_of(snapshot_prefix, id.index, id.term);
}

std::optional<SnapshotId> parse_snapshot_name(std::string_view name) {
    const auto numbers = parse_name(snapshot_prefix, name);
    if (!numbers) {
        return std::nullopt;
    }
    return SnapshotId{.index = numbers->first, .term = numbers->second};
}

std::string snapshot_temporary_name(Index index, std::uint64_t number) {
    return name_of(temporary_prefix, index, number);
}

bool is_snapshot_temporary_name(std::string_view name) {
    return parse_name(temporary_prefix, name).has_value();
}

}  // namespace cairn::raft
