#include "raft/disk/snapshot_format.h"

#include <string>

#include <doctest/doctest.h>

#include "tests/support/snapshot_testing.h"

namespace cairn::raft::test {
namespace {

SnapshotHeader sample_header() {
    return {.meta = snapshot_meta(0x1234), .salt = 0xfedcba9876543210U, .chunk_bytes = 4096};
}

void flip(std::string& bytes, std::size_t bit) {
    bytes[bit / 8] =
        static_cast<char>(static_cast<unsigned char>(bytes[bit / 8]) ^ (1U << (bit % 8)));
}

}  // namespace

TEST_CASE("snapshot meta: survives, and no part of it passes for one") {
    const std::string bytes = encode_snapshot_meta(snapshot_meta(7));
    CHECK(decode_snapshot_meta(bytes) == snapshot_meta(7));
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        REQUIRE_FALSE(decode_snapshot_meta(std::string_view(bytes).substr(0, size)).has_value());
    }
    CHECK_FALSE(decode_snapshot_meta(bytes + '\0').has_value());
}

TEST_CASE("snapshot meta: whatever the bytes, nothing or a valid one that is written so") {
    const std::string bytes = encode_snapshot_meta(snapshot_meta(7));
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
        std::string changed = bytes;
        flip(changed, bit);
        if (const std::optional<SnapshotMeta> meta = decode_snapshot_meta(changed)) {
            REQUIRE(validate(*meta) == "");
            REQUIRE(encode_snapshot_meta(*meta) == changed);
        }
    }
}

TEST_CASE("snapshot meta: what can't be one is refused") {
    SnapshotMeta meta = snapshot_meta(7);
    SUBCASE("index 0") {
        meta.last_included_index = 0;
    }
    SUBCASE("term 0") {
        meta.last_included_term = 0;
    }
    SUBCASE("no voters") {
        meta.configuration.voters.clear();
    }
    SUBCASE("unsorted") {
        meta.configuration.voters = {2, 1, 3};
    }
    SUBCASE("twice") {
        meta.configuration.learners = {9, 9};
    }
    SUBCASE("nobody") {
        meta.configuration.outgoing_voters = {0, 2};
    }
    CHECK(validate(meta) != "");
    CHECK_FALSE(decode_snapshot_meta(encode_snapshot_meta(meta)).has_value());
}

TEST_CASE("snapshot meta: as many members as there may be fit a header") {
    SnapshotHeader header = sample_header();
    header.meta.configuration = {};
    Configuration& configuration = header.meta.configuration;
    const std::string address(member_address_bytes_max, 'a');
    for (NodeId id = 1; id <= voters_max; ++id) {
        configuration.voters.push_back(id);
        configuration.outgoing_voters.push_back(100 + id);
        configuration.learners.push_back(200 + id);
    }
    for (const NodeId id : configuration.members()) {
        configuration.details.push_back({id, address, ~id, true});
    }
    for (NodeId id = 1; id <= removed_max; ++id) {
        configuration.removed.push_back(1000 + id);
    }
    const std::string bytes = encode_snapshot_header(header);
    CHECK(snapshot_header_bytes(bytes) == bytes.size());
    SnapshotHeader decoded;
    CHECK(decode_snapshot_header(bytes, decoded) == SnapshotHeaderVerdict::valid);
    CHECK(decoded == header);
}

TEST_CASE("snapshot header: no flipped bit or missing byte passes, another version is told") {
    std::string bytes = encode_snapshot_header(sample_header());
    CHECK(snapshot_header_bytes(bytes.substr(0, snapshot_prefix_bytes)) == bytes.size());
    SnapshotHeader decoded;
    REQUIRE(decode_snapshot_header(bytes, decoded) == SnapshotHeaderVerdict::valid);
    CHECK(decoded == sample_header());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        REQUIRE(decode_snapshot_header(std::string_view(bytes).substr(0, size), decoded) ==
                SnapshotHeaderVerdict::damaged);
    }
    CHECK(decode_snapshot_header(bytes + '\0', decoded) == SnapshotHeaderVerdict::damaged);
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
        flip(bytes, bit);
        REQUIRE(decode_snapshot_header(bytes, decoded) == SnapshotHeaderVerdict::damaged);
        flip(bytes, bit);
    }
    // Version 2, whole: as its writer would sum it.
    bytes[8] = 2;
    const std::uint32_t crc =
        crc32c(std::string_view(bytes).substr(16), crc32c(std::string_view(bytes).substr(0, 12)));
    for (std::size_t i = 0; i < 4; ++i) {
        bytes[12 + i] = static_cast<char>(crc >> (8 * i));
    }
    CHECK(decode_snapshot_header(bytes, decoded) == SnapshotHeaderVerdict::unknown_version);
}

TEST_CASE("snapshot footer: no flipped bit, missing byte or other seed passes") {
    const SnapshotFooter footer{.content = {.bytes = 1234567890123U, .crc = 0x89abcdefU},
                                .chunk_count = 77,
                                .chunk_crcs_crc = 0x12345678U};
    std::string bytes = encode_snapshot_footer(footer, 99);
    REQUIRE(bytes.size() == snapshot_footer_bytes);
    CHECK(decode_snapshot_footer(bytes, 99) == footer);
    CHECK_FALSE(decode_snapshot_footer(bytes, 98).has_value());
    CHECK_FALSE(decode_snapshot_footer(bytes.substr(1), 99).has_value());
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
        flip(bytes, bit);
        REQUIRE_FALSE(decode_snapshot_footer(bytes, 99).has_value());
        flip(bytes, bit);
    }
}

TEST_CASE("snapshot chunks: the checksum knows content, place and file") {
    const std::uint32_t seed = snapshot_seed(sample_header());
    const std::uint32_t crc = snapshot_chunk_crc("content", 3, seed);
    CHECK(crc != snapshot_chunk_crc("content", 4, seed));
    CHECK(crc != snapshot_chunk_crc("contenT", 3, seed));
    CHECK(snapshot_chunk_crc(std::string(4, '\0'), 3, seed) !=
          snapshot_chunk_crc(std::string(5, '\0'), 3, seed));
    SnapshotHeader other = sample_header();
    SUBCASE("salt") {
        ++other.salt;
    }
    SUBCASE("cluster") {
        ++other.meta.cluster_id;
    }
    SUBCASE("group") {
        ++other.meta.group;
    }
    SUBCASE("index") {
        ++other.meta.last_included_index;
    }
    SUBCASE("term") {
        ++other.meta.last_included_term;
    }
    CHECK(snapshot_seed(other) != seed);
    CHECK(crc != snapshot_chunk_crc("content", 3, snapshot_seed(other)));
}

TEST_CASE("snapshot names: in the snapshots' order, and in one spelling") {
    const SnapshotId id{.index = 0xabcdef, .term = 9};
    CHECK(snapshot_name(id) == "snapshot-0000000000abcdef-0000000000000009");
    CHECK(parse_snapshot_name(snapshot_name(id)) == id);
    CHECK(snapshot_name({.index = 9, .term = 20}) < snapshot_name({.index = 16, .term = 1}));
    for (const char* name :
         {"", "snapshot-", "snapshot-0000000000ABCDEF-0000000000000009",
          "snapshot-0000000000abcdef-000000000000009", "snapshot-0000000000abcdef_0000000000000009",
          "snapshot-0000000000abcdef-0000000000000009.tmp",
          "temporary-0000000000abcdef-0000000000000009"}) {
        CHECK_FALSE(parse_snapshot_name(name).has_value());
    }
    CHECK(is_snapshot_temporary_name(snapshot_temporary_name(12, 1)));
    CHECK(snapshot_temporary_name(12, 1) != snapshot_temporary_name(12, 2));
    CHECK_FALSE(is_snapshot_temporary_name(snapshot_name(id)));
    CHECK_FALSE(is_snapshot_temporary_name("temporary-x"));
}

}  // namespace cairn::raft::test
