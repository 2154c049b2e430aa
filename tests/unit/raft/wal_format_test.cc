#include "raft/disk/wal_format.h"

#include <string>

#include <doctest/doctest.h>

#include "raft/base/crc32c.h"

namespace cairn::raft {
namespace {

WalSegmentHeader sample_segment() {
    return {.cluster_id = 0x1122334455667788U,
            .node_id = 3,
            .number = 9,
            .epoch = 12,
            .salt = 99,
            .segment_bytes = 1U << 20,
            .append_sequence_base = 1000};
}

WalRecordHeader sample_record() {
    return {.type = WalRecordType::entry,
            .kind = EntryKind::configuration,
            .last_of_append = true,
            .payload_bytes = 5,
            .payload_crc = wal_payload_crc("hello"),
            .group = 4,
            .term = 7,
            .index = 123456789012U,
            .stamp_ns = -5,
            .append_sequence = 1001};
}

std::string encoded(const WalRecordHeader& header, std::uint32_t seed, std::uint64_t offset) {
    std::string bytes(wal_record_header_bytes, '\0');
    encode_wal_record_header(header, seed, offset, bytes.data());
    return bytes;
}

void flip(std::string& bytes, std::size_t bit) {
    bytes[bit / 8] =
        static_cast<char>(static_cast<unsigned char>(bytes[bit / 8]) ^ (1U << (bit % 8)));
}

}  // namespace

TEST_CASE("crc32c: the check value, and pieces chain") {
    CHECK(crc32c("123456789") == 0xE3069283U);
    CHECK(crc32c("") == 0);
    CHECK(crc32c("456789", crc32c("123")) == 0xE3069283U);
    CHECK(crc32c("a", 1) != crc32c("a", 2));
}

TEST_CASE("wal format: a segment header survives encoding, and no flipped bit passes") {
    std::string block = encode_wal_segment_header(sample_segment());
    REQUIRE(block.size() == wal_segment_header_bytes);
    WalSegmentHeader header;
    REQUIRE(decode_wal_segment_header(block, header) == WalHeaderVerdict::valid);
    CHECK(header == sample_segment());
    CHECK(decode_wal_segment_header(block.substr(0, 4095), header) == WalHeaderVerdict::damaged);
    for (std::size_t bit = 0; bit < block.size() * 8; ++bit) {
        flip(block, bit);
        REQUIRE(decode_wal_segment_header(block, header) == WalHeaderVerdict::damaged);
        flip(block, bit);
    }
}

TEST_CASE("wal format: a whole header of another version is told from a damaged one") {
    std::string block = encode_wal_segment_header(sample_segment());
    block[8] = 2;
    const std::string_view view = block;
    const std::uint32_t crc = crc32c(view.substr(16), crc32c(view.substr(0, 12)));
    for (std::size_t i = 0; i < 4; ++i) {
        block[12 + i] = static_cast<char>(crc >> (8 * i));
    }
    WalSegmentHeader header;
    CHECK(decode_wal_segment_header(block, header) == WalHeaderVerdict::unknown_version);
}

TEST_CASE("wal format: a record header survives encoding, and no flipped bit passes") {
    const std::uint32_t seed = wal_record_seed(sample_segment());
    std::string bytes = encoded(sample_record(), seed, 4096);
    const auto header = decode_wal_record_header(bytes, seed, 4096);
    REQUIRE(header.has_value());
    CHECK(*header == sample_record());
    CHECK_FALSE(decode_wal_record_header(bytes.substr(0, 55), seed, 4096).has_value());
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
        flip(bytes, bit);
        REQUIRE_FALSE(decode_wal_record_header(bytes, seed, 4096).has_value());
        flip(bytes, bit);
    }
}

TEST_CASE("wal format: a record is bound to offset, epoch, salt, cluster and node") {
    const WalSegmentHeader segment = sample_segment();
    const std::uint32_t seed = wal_record_seed(segment);
    const std::string bytes = encoded(sample_record(), seed, 4096);
    CHECK_FALSE(decode_wal_record_header(bytes, seed, 4104).has_value());
    WalSegmentHeader other = segment;
    SUBCASE("epoch") {
        ++other.epoch;
    }
    SUBCASE("salt") {
        ++other.salt;
    }
    SUBCASE("cluster") {
        ++other.cluster_id;
    }
    SUBCASE("node") {
        ++other.node_id;
    }
    CHECK(wal_record_seed(other) != seed);
    CHECK_FALSE(decode_wal_record_header(bytes, wal_record_seed(other), 4096).has_value());
}

TEST_CASE("wal format: zeros are no record, sizes are padded, padding is in the checksum") {
    const std::string zeros(64, '\0');
    CHECK_FALSE(decode_wal_record_header(zeros, 0, 0).has_value());
    CHECK(wal_record_bytes(0) == 56);
    CHECK(wal_record_bytes(1) == 64);
    CHECK(wal_record_bytes(8) == 64);
    CHECK(wal_payload_crc("abc") == crc32c(std::string("abc\0\0\0\0\0", 8)));
}

TEST_CASE("wal format: file names, only in our spelling") {
    CHECK(wal_segment_name(0x1f) == "segment-000000000000001f");
    CHECK(parse_wal_segment_name("segment-000000000000001f") == 0x1fU);
    CHECK(parse_wal_reserve_name(wal_reserve_name(~std::uint64_t{0})) == ~std::uint64_t{0});
    for (const char* name : {"segment-1f", "segment-000000000000001F", "segment-00000000000000010",
                             "segment--000000000000001", "reserve-000000000000001f", "segment-",
                             "segment-000000000000001g", "lost+found", ""}) {
        CHECK_FALSE(parse_wal_segment_name(name).has_value());
    }
}

}  // namespace cairn::raft
