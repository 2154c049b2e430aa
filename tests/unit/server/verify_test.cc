#include "server/tools/verify.h"

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "server/tools/verify_report.h"
#include "tests/support/sample_data.h"

namespace cairn::server {
namespace {

using raft::test::MemoryFileSystem;
using raft::test::sample_data;
using raft::test::sample_directory;
using raft::test::sample_segment;
using raft::test::sample_snapshot;
using raft::test::SampleData;

std::map<std::string, std::string> contents_of(const MemoryFileSystem& files) {
    std::map<std::string, std::string> contents;
    for (const std::string& path : files.paths()) {
        contents[path] = files.content(path);
    }
    return contents;
}

// Verifies and makes sure that nothing was changed.
VerifyReport verify(MemoryFileSystem& files) {
    const std::map<std::string, std::string> before = contents_of(files);
    const std::uint64_t operations = files.operations();
    std::string refusal;
    std::optional<VerifyReport> report = verify_data_directory(files, sample_directory, refusal);
    REQUIRE_MESSAGE(report.has_value(), refusal);
    REQUIRE(files.operations() == operations);
    REQUIRE(contents_of(files) == before);
    return *std::move(report);
}

std::string text_of(const std::vector<Damage>& damage) {
    std::string text;
    for (const Damage& one : damage) {
        text += one.file + " @" + (one.offset ? std::to_string(*one.offset) : "-") + ": " +
                one.what + "\n";
    }
    return text;
}

// The one damage there has to be.
Damage only_damage(MemoryFileSystem& files) {
    const VerifyReport report = verify(files);
    REQUIRE_MESSAGE(report.damage.size() == 1, text_of(report.damage));
    return report.damage.front();
}

// What a node's own start says about the log; empty when it would take it.
std::string wal_open_failure(const MemoryFileSystem& files) {
    const auto copy = files.clone();
    std::map<raft::GroupId, raft::WalGroupState> recovered;
    raft::WalOpenFailure failure;
    const auto wal = raft::Wal::open(*copy, sample_directory + "/wal",
                                     raft::test::small_wal_options(), recovered, failure);
    return wal == nullptr ? failure.detail : "";
}

}  // namespace

TEST_CASE("verify: a sound directory, and what it says of it") {
    SampleData data = sample_data();
    const VerifyReport report = verify(*data.files);
    REQUIRE_MESSAGE(report.is_sound(), text_of(report.damage));
    CHECK(report.notes.empty());
    REQUIRE(report.identity.has_value());
    CHECK(report.identity->node_id == 2);
    REQUIRE(report.segments.size() == 3);
    CHECK(report.segments[0].file == sample_segment(1));
    CHECK(report.segments[0].first_index == 1);
    CHECK(report.segments[0].last_index == 3);
    CHECK(report.segments[2].first_index == 7);
    CHECK(report.segments[2].last_index == 9);
    CHECK(report.segments[2].newest);
    CHECK(report.segments[2].appends == 3);
    CHECK(report.segments[2].tail == raft::WalTail::blank);
    CHECK(report.reserves == 1);
    REQUIRE(report.snapshots.size() == 2);
    CHECK(report.snapshots[0].last_included.index == 3);
    CHECK(report.snapshots[1].values == 4);
    CHECK(report.hard_state == raft::HardState{.term = 4, .voted_for = 1});
    CHECK(report.first_index == 1);
    CHECK(report.last_index == 9);
    CHECK(report.snapshot_index == 5);
    CHECK(report.fits);
    CHECK_FALSE(report.log_replaced);
    CHECK(report.values == data.state.size());
    CHECK(report.digest == data.state.digest());
}

TEST_CASE("verify: any flipped bit of the identity or a snapshot is found, with its file") {
    const SampleData data = sample_data();
    for (const std::string& path :
         {sample_directory + "/identity", sample_snapshot(3, 1), sample_snapshot(5, 4)}) {
        const std::uint64_t bytes = data.files->content(path).size();
        REQUIRE(bytes > 50);
        for (std::uint64_t byte = 0; byte < bytes; ++byte) {
            // All bits of what isn't the inside of a value.
            const bool sampled = byte > 700 && byte + 200 < bytes;
            for (std::uint64_t bit = 0; bit < 8; bit += sampled ? 5 : 1) {
                const auto files = data.files->clone();
                files->flip_bit(path, byte * 8 + bit);
                const VerifyReport report = verify(*files);
                REQUIRE_MESSAGE(report.damage.size() == 1, path << " byte " << byte << "\n"
                                                                << text_of(report.damage));
                REQUIRE(report.damage.front().file == path);
                REQUIRE(report.fits == (path != sample_snapshot(5, 4)));
                // A damaged chunk's offset is where the chunk begins.
                const std::uint64_t offset = report.damage.front().offset.value_or(0);
                REQUIRE(offset <= byte);
            }
            if (byte % 97 == 0) {
                const auto files = data.files->clone();
                files->truncate(path, byte);
                REQUIRE(only_damage(*files).file == path);
            }
        }
    }
}

TEST_CASE("verify: any flipped bit of the log is found, or is where a crash may leave anything") {
    const SampleData data = sample_data();
    const VerifyReport sound = verify(*data.files);
    const std::size_t payload_bytes =
        raft::test::set_command("name/1", std::string(200, 'x')).size();
    const std::uint64_t last_append =
        sound.segments[2].end_offset - raft::wal_record_bytes(payload_bytes);
    // Of what lies behind the records of a segment nobody has promised anything.
    std::uint64_t found = 0;
    std::uint64_t torn = 0;
    std::uint64_t harmless = 0;
    for (std::size_t number = 1; number <= 3; ++number) {
        const std::string path = sample_segment(number);
        const std::uint64_t end = sound.segments[number - 1].end_offset;
        const bool newest = number == 3;
        for (std::uint64_t byte = 0; byte < 8192; ++byte) {
            const bool dull = (byte >= 128 && byte < 4096) || byte > end + 64;
            if (dull && byte % 53 != 0) {
                continue;
            }
            const auto files = data.files->clone();
            files->flip_bit(path, byte * 8 + byte % 8);
            const VerifyReport report = verify(*files);
            const std::string refused = wal_open_failure(*files);
            CAPTURE(path);
            CAPTURE(byte);
            CAPTURE(text_of(report.damage));
            // What a node's start says is what is said here first.
            REQUIRE(report.is_sound() == refused.empty());
            if (byte >= end) {
                REQUIRE(report.is_sound());
                REQUIRE(report.last_index == 9);
                REQUIRE(report.segments[2].tail ==
                        (newest ? raft::WalTail::other_bytes : raft::WalTail::blank));
                ++harmless;
            } else if (newest && byte >= last_append) {
                REQUIRE(report.is_sound());
                REQUIRE(report.last_index == 8);
                REQUIRE(report.segments[2].tail != raft::WalTail::blank);
                ++torn;
            } else {
                REQUIRE(report.damage.size() == 1);
                const Damage& damage = report.damage.front();
                REQUIRE(damage.file == path);
                REQUIRE(damage.file + ": " + damage.what == refused);
                REQUIRE(damage.offset.has_value());
                REQUIRE(*damage.offset <= byte);
                REQUIRE_FALSE(report.fits);
                ++found;
            }
        }
    }
    CHECK(found > 7000);
    CHECK(torn > 200);
    CHECK(harmless > 100);
}

TEST_CASE("verify: several damages are all found, and what is between them is read") {
    SampleData data = sample_data();
    data.files->flip_bit(sample_segment(1), 8 * 5000);
    data.files->flip_bit(sample_segment(2), 8 * 10);
    data.files->flip_bit(sample_snapshot(3, 1), 8 * 200);
    data.files->flip_bit(sample_directory + "/identity", 3);
    const VerifyReport report = verify(*data.files);
    REQUIRE_MESSAGE(report.damage.size() == 4, text_of(report.damage));
    CHECK(report.damage[0].file == sample_directory + "/identity");
    CHECK(report.damage[1].file == sample_snapshot(3, 1));
    CHECK(report.damage[2].file == sample_segment(1));
    CHECK(report.damage[3].file == sample_segment(2));
    CHECK(report.hard_state.term == 4);
    CHECK(report.last_index == 9);
    REQUIRE(report.segments.size() == 2);
    CHECK(report.segments[1].file == sample_segment(3));
}

TEST_CASE("verify: files that are missing or not where they belong") {
    SampleData data = sample_data();
    MemoryFileSystem& files = *data.files;
    SUBCASE("a segment in the middle") {
        REQUIRE(files.remove(sample_segment(2)).has_value());
        const Damage damage = only_damage(files);
        CHECK(damage.file == sample_segment(2));
        CHECK(damage.what == "segment is missing");
    }
    SUBCASE("the first segment, behind the snapshot, is not wanted") {
        REQUIRE(files.remove(sample_segment(1)).has_value());
        CHECK(verify(files).is_sound());
    }
    SUBCASE("two segments, so that entries are missing behind the snapshot") {
        REQUIRE(files.remove(sample_segment(1)).has_value());
        REQUIRE(files.remove(sample_segment(2)).has_value());
        CHECK(only_damage(files).what ==
              "the log begins at index 7, but the newest snapshot ends at index 5");
    }
    SUBCASE("all segments") {
        for (const std::uint64_t number : {1, 2, 3}) {
            REQUIRE(files.remove(sample_segment(number)).has_value());
        }
        const Damage damage = only_damage(files);
        CHECK(damage.file == sample_directory + "/wal");
        CHECK(damage.what == "there is a snapshot, but no log");
    }
    SUBCASE("all segments, of a log that is known to have been there") {
        SampleData fresh;
        fresh.files->set_content(
            sample_directory + "/identity",
            raft::encode_identity({.cluster_id = 77, .node_id = 2, .has_log = true}));
        fresh.files->set_content(sample_directory + "/wal/" + raft::wal_reserve_name(3), "zeros");
        CHECK(only_damage(*fresh.files).what == "the log is gone");
    }
    SUBCASE("the content of the newest segment") {
        const std::size_t size = files.content(sample_segment(3)).size();
        files.set_content(sample_segment(3), std::string(size, '\0'));
        const Damage damage = only_damage(files);
        CHECK(damage.file == sample_segment(3));
        CHECK(damage.what == "damaged segment header");
    }
    SUBCASE("the identity") {
        REQUIRE(files.remove(sample_directory + "/identity").has_value());
        const Damage damage = only_damage(files);
        CHECK(damage.file == sample_directory + "/identity");
        CHECK(damage.what.starts_with("missing, though there is"));
    }
    SUBCASE("both snapshots, which a log from the beginning can do without") {
        REQUIRE(files.remove(sample_snapshot(3, 1)).has_value());
        REQUIRE(files.remove(sample_snapshot(5, 4)).has_value());
        const VerifyReport report = verify(files);
        CHECK(report.is_sound());
        CHECK(report.digest == data.state.digest());
    }
    SUBCASE("both snapshots, though the log begins after them") {
        REQUIRE(files.remove(sample_segment(1)).has_value());
        REQUIRE(files.remove(sample_snapshot(3, 1)).has_value());
        REQUIRE(files.remove(sample_snapshot(5, 4)).has_value());
        CHECK(only_damage(files).what.starts_with("the log begins at index 4"));
    }
    SUBCASE("a snapshot under another name") {
        REQUIRE(files.rename(sample_snapshot(5, 4), sample_snapshot(6, 4)).has_value());
        const Damage damage = only_damage(files);
        CHECK(damage.file == sample_snapshot(6, 4));
        CHECK(damage.what == "is another snapshot than its name says");
    }
    SUBCASE("what was being written, and what is not ours") {
        files.set_content(sample_directory + "/snapshot/" + raft::snapshot_temporary_name(7, 1),
                          "half");
        files.set_content(sample_directory + "/wal/\x1b[2J", "x");
        const VerifyReport report = verify(files);
        CHECK(report.is_sound());
        CHECK(report.notes.size() == 2);
        CHECK(verify_text(report).find('\x1b') == std::string::npos);
    }
    SUBCASE("another node's identity") {
        files.set_content(sample_directory + "/identity",
                          raft::encode_identity({.cluster_id = 77, .node_id = 3}));
        const VerifyReport report = verify(files);
        REQUIRE(report.damage.size() == 3);
        CHECK(report.damage[0].what == "belongs to cluster 77 node 2, not to cluster 77 node 3");
    }
    SUBCASE("another cluster's snapshot") {
        REQUIRE(files.remove(sample_snapshot(3, 1)).has_value());
        REQUIRE(files.remove(sample_snapshot(5, 4)).has_value());
        data.snapshot(raft::test::make_entry(8, 4, "x"), 78);
        CHECK(only_damage(files).what == "belongs to cluster 78, not to cluster 77");
    }
    SUBCASE("another group's snapshot") {
        REQUIRE(files.remove(sample_snapshot(3, 1)).has_value());
        REQUIRE(files.remove(sample_snapshot(5, 4)).has_value());
        data.snapshot(raft::test::make_entry(8, 4, "x"), 77, 5);
        CHECK(only_damage(files).what == "belongs to group 5");
    }
}

TEST_CASE("verify: a snapshot whose bytes are whole but make no such state") {
    SampleData data = sample_data();
    const raft::Entry last = raft::test::make_entry(8, 4, "x");
    std::string expected;
    SUBCASE("no state at all") {
        data.snapshot(last, 77, 1, "not a state");
        expected = "its content can't be used: snapshot";
    }
    SUBCASE("the state of another index") {
        data.snapshot(last);
        expected = "its content can't be used: it holds the state of another index";
    }
    const Damage damage = only_damage(*data.files);
    CHECK(damage.file == sample_snapshot(8, 4));
    CHECK_MESSAGE(damage.what.starts_with(expected), damage.what);
}

TEST_CASE("verify: terms, votes and stamps that go back, and gaps") {
    SampleData data;
    data.open_log();
    const auto entry = [](raft::Index index, raft::Term term, std::int64_t stamp_ns) {
        raft::Entry made = raft::test::make_entry(index, term, "");
        made.stamp_ns = stamp_ns;
        return made;
    };
    data.append({.group = 1,
                 .hard_state = raft::HardState{.term = 5, .voted_for = 2},
                 .entries = {entry(1, 3, 100), entry(2, 5, 200)}});
    std::string expected;
    SUBCASE("an entry's term") {
        data.append({.group = 1, .entries = {entry(3, 4, 300)}});
        expected = "entry 3 is of term 4, the one before it of term 5, at offset 4344";
    }
    SUBCASE("an entry's stamp") {
        data.append({.group = 1, .entries = {entry(3, 5, 199)}});
        expected = "entry 3 has an earlier stamp than the one before it, at offset 4344";
    }
    SUBCASE("the node's term") {
        data.append({.group = 1, .hard_state = raft::HardState{.term = 4, .voted_for = 2}});
        expected = "term 4 after term 5, at offset 4344";
    }
    SUBCASE("the vote within a term") {
        data.append({.group = 1, .hard_state = raft::HardState{.term = 5, .voted_for = 3}});
        expected = "a second vote in term 5, at offset 4344";
    }
    SUBCASE("entries of a term that the node has not reached") {
        data.append({.group = 1, .entries = {entry(3, 6, 300)}});
        expected = "entry 3 is of term 6, which the node has not reached: it is in term 5";
    }
    SUBCASE("a log that doesn't begin at 1, without a snapshot") {
        data.append({.group = 1, .log_start = 4, .entries = {entry(4, 5, 300)}});
        expected = "the log begins at index 4, but the newest snapshot ends at index 0";
    }
    SUBCASE("entries that were replaced are no matter") {
        data.append({.group = 1, .entries = {entry(2, 4, 150)}});
        data.append({.group = 1, .entries = {entry(3, 5, 160)}});
        data.append({.group = 1, .hard_state = raft::HardState{.term = 6, .voted_for = 1}});
        const VerifyReport report = verify(*data.files);
        CHECK(report.is_sound());
        CHECK(report.last_index == 3);
        return;
    }
    // A segment's head is 4096 bytes, three records without payload follow.
    const std::size_t place = expected.find("4344");
    if (place != std::string::npos) {
        expected.replace(place, 4, std::to_string(4096 + 3 * raft::wal_record_bytes(0)));
    }
    CHECK(only_damage(*data.files).what == expected);
}

TEST_CASE("verify: what a crash leaves is sound") {
    SUBCASE("a snapshot installed, the old log not yet given up") {
        SampleData old;
        old.open_log();
        old.append({.group = 1, .hard_state = raft::HardState{.term = 1, .voted_for = 2}});
        old.append({.group = 1, .entries = {old.command_entry(1, 1, "a", 5)}});
        old.snapshot(old.command_entry(7, 3, "b", 5));
        const VerifyReport report = verify(*old.files);
        REQUIRE_MESSAGE(report.is_sound(), text_of(report.damage));
        CHECK(report.log_replaced);
        CHECK(report.hard_state.term == 3);
        CHECK(report.last_index == 7);
        CHECK(report.values == 2);
    }
    SUBCASE("only an identity yet") {
        const SampleData fresh;
        const VerifyReport report = verify(*fresh.files);
        CHECK(report.is_sound());
        CHECK(report.notes.size() == 1);
        CHECK(report.values == 0);
    }
}

TEST_CASE("verify: what is no data directory is refused") {
    MemoryFileSystem files;
    files.set_content("/some/file", "x");
    std::string refusal;
    CHECK_FALSE(verify_data_directory(files, "/none", refusal).has_value());
    CHECK(refusal.find("/none") != std::string::npos);
    CHECK_FALSE(verify_data_directory(files, "/some", refusal).has_value());
    CHECK(refusal == "\"/some\": not a data directory: there is no identity in it");
}

TEST_CASE("verify: the report as text and as JSON") {
    SampleData data = sample_data();
    const std::string sound = verify_text(verify(*data.files));
    CHECK(sound.find("\nsound: cluster 000000000000004d, node 2, term 4, vote for 1, log from "
                     "index 1 to 9, snapshot at index 5, 4 values, digest ") != std::string::npos);
    CHECK(std::ranges::count(sound, '\n') == 8);
    data.files->flip_bit(sample_segment(3), 8 * 4300);
    const VerifyReport report = verify(*data.files);
    const std::string text = verify_text(report);
    CHECK(text.find("damaged: " + sample_segment(3) + ": damaged record at offset ") !=
          std::string::npos);
    CHECK(text.find("\nNOT SOUND, 1 damaged") != std::string::npos);
    const nlohmann::json json = nlohmann::json::parse(verify_json(report));
    CHECK(json["sound"] == false);
    CHECK(json["cluster_id"] == "000000000000004d");
    CHECK(json["damage"][0]["file"] == sample_segment(3));
    CHECK(json["damage"][0]["offset"] == *report.damage[0].offset);
    CHECK(json["segments"].size() == 3);
    CHECK(json["fits"] == false);
    CHECK_FALSE(json.contains("values"));
}

}  // namespace cairn::server
