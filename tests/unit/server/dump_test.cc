#include "server/tools/dump.h"

#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "server/tools/dump_record.h"
#include "tests/support/sample_data.h"

namespace cairn::server {
namespace {

using nlohmann::json;
using raft::test::MemoryFileSystem;
using raft::test::sample_data;
using raft::test::sample_directory;
using raft::test::sample_segment;
using raft::test::sample_snapshot;
using raft::test::SampleData;

struct Dumped {
    DumpOutcome outcome = DumpOutcome::refused;
    std::vector<std::string> lines;
    std::string refusal;

    std::vector<json> objects() const {
        std::vector<json> parsed;
        for (const std::string& line : lines) {
            parsed.push_back(json::parse(line));
        }
        return parsed;
    }
    // Of the records of that kind, the member.
    std::vector<std::uint64_t> numbers(const std::string& record, const std::string& member) const {
        std::vector<std::uint64_t> found;
        for (const json& object : objects()) {
            if (object["record"] == record) {
                found.push_back(object[member]);
            }
        }
        return found;
    }
};

Dumped dump(MemoryFileSystem& files, DumpOptions options = {}) {
    if (options.data_dir == DumpOptions{}.data_dir) {
        options.data_dir = sample_directory;
    }
    Dumped dumped;
    const std::uint64_t operations = files.operations();
    const auto line = [&](const std::string& text) {
        REQUIRE(text.ends_with('\n'));
        REQUIRE(text.find('\n') == text.size() - 1);
        dumped.lines.push_back(text);
    };
    dumped.outcome = dump_data_directory(files, options, line, dumped.refusal);
    CHECK(files.operations() == operations);
    return dumped;
}

raft::WalRecord command_record(const std::string& command) {
    return {.header = {.type = raft::WalRecordType::entry,
                       .kind = raft::EntryKind::command,
                       .group = 1,
                       .term = 3,
                       .index = 7,
                       .stamp_ns = 12},
            .payload = command,
            .offset = 4096};
}

json described(const std::string& command, bool with_values = false) {
    return json::parse(json_text(describe_record(command_record(command), with_values)));
}

}  // namespace

TEST_CASE("dump: all records in order, and where the log ends") {
    const SampleData data = sample_data();
    const Dumped dumped = dump(*data.files, {.json = true});
    CHECK(dumped.outcome == DumpOutcome::whole);
    CHECK(dumped.numbers("entry", "index") ==
          std::vector<std::uint64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9});
    CHECK(dumped.numbers("entry", "term") == std::vector<std::uint64_t>{1, 1, 1, 4, 4, 4, 4, 4, 4});
    CHECK(dumped.numbers("segment", "epoch") == std::vector<std::uint64_t>{1, 2, 3});
    // The first, the second term's, and those at the heads of the second and third segment.
    CHECK(dumped.numbers("hard_state", "term") == std::vector<std::uint64_t>{1, 1, 4, 4});
    const json last = dumped.objects().back();
    CHECK(last["record"] == "end of the log");
    CHECK(last["file"] == sample_segment(3));
    CHECK_FALSE(last.contains("behind_it"));
}

TEST_CASE("dump: from, to and limit") {
    const SampleData data = sample_data();
    using Numbers = std::vector<std::uint64_t>;
    Dumped dumped = dump(*data.files, {.from = 3, .to = 5, .json = true});
    CHECK(dumped.numbers("entry", "index") == Numbers{3, 4, 5});
    CHECK(dumped.numbers("hard_state", "term").empty());
    dumped = dump(*data.files, {.from = 8, .json = true});
    CHECK(dumped.numbers("entry", "index") == Numbers{8, 9});
    dumped = dump(*data.files, {.to = 8, .limit = 2, .json = true});
    CHECK(dumped.numbers("entry", "index") == Numbers{1, 2});
    CHECK(dumped.objects().back()["record"] == "limit reached, there is more");
    dumped = dump(*data.files, {.from = 8, .limit = 2, .json = true});
    CHECK(dumped.objects().back()["record"] == "end of the log");
    dumped = dump(*data.files, {.limit = 1, .snapshot = true, .json = true});
    CHECK(dumped.numbers("value", "index").size() == 1);
}

TEST_CASE("dump: a damaged log as far as it can be read") {
    const SampleData data = sample_data();
    MemoryFileSystem& files = *data.files;
    std::vector<std::uint64_t> expected;
    std::string file;
    SUBCASE("a record, in a segment that others follow") {
        files.flip_bit(sample_segment(2), 8 * 5300);
        expected = {1, 2, 3, 4, 7, 8, 9};
        file = sample_segment(2);
    }
    SUBCASE("the newest segment's first record") {
        files.flip_bit(sample_segment(3), 8 * 4200);
        expected = {1, 2, 3, 4, 5, 6};
        file = sample_segment(3);
    }
    SUBCASE("a missing segment") {
        REQUIRE(files.remove(sample_segment(2)).has_value());
        expected = {1, 2, 3, 7, 8, 9};
        file = sample_segment(2);
    }
    SUBCASE("the identity") {
        files.flip_bit(sample_directory + "/identity", 0);
        expected = {1, 2, 3, 4, 5, 6, 7, 8, 9};
        file = sample_directory + "/identity";
    }
    const Dumped dumped = dump(files, {.json = true});
    CHECK(dumped.outcome == DumpOutcome::damaged);
    CHECK(dumped.numbers("entry", "index") == expected);
    std::size_t told = 0;
    for (const json& object : dumped.objects()) {
        told += object["record"] == "damaged" && object["file"] == file ? 1 : 0;
    }
    CHECK(told == 1);
}

TEST_CASE("dump: a torn tail is said") {
    const SampleData data = sample_data();
    const std::string path = sample_segment(3);
    const std::string content = data.files->content(path);
    data.files->flip_bit(path, 8 * (content.find_last_not_of('\0') - 20));
    const Dumped dumped = dump(*data.files, {.json = true});
    CHECK(dumped.outcome == DumpOutcome::whole);
    CHECK(dumped.numbers("entry", "index").back() == 8);
    CHECK(dumped.objects().back()["behind_it"] == "a torn append, which the next start cuts off");
}

TEST_CASE("dump: the newest snapshot's meta and values") {
    const SampleData data = sample_data();
    const Dumped dumped = dump(*data.files, {.snapshot = true, .json = true});
    CHECK(dumped.outcome == DumpOutcome::whole);
    const std::vector<json> objects = dumped.objects();
    REQUIRE(objects.size() == 5);
    CHECK(objects[0]["file"] == sample_snapshot(5, 4));
    CHECK(objects[0]["index"] == 5);
    CHECK(objects[0]["configuration"]["voters"] == json::array({2}));
    CHECK(objects[2]["name"] == "name/1");
    CHECK(objects[2]["index"] == 5);
    CHECK(objects[2]["value_bytes"] == 950);
    CHECK_FALSE(objects[2].contains("value"));
    data.files->flip_bit(sample_snapshot(5, 4), 8 * 500);
    const Dumped damaged = dump(*data.files, {.snapshot = true, .json = true});
    CHECK(damaged.outcome == DumpOutcome::damaged);
    CHECK(damaged.objects().back()["record"] == "damaged");
    const SampleData fresh;
    CHECK(dump(*fresh.files, {.snapshot = true}).lines ==
          std::vector<std::string>{"no snapshot\n"});
    CHECK(dump(*fresh.files).lines == std::vector<std::string>{"no log\n"});
    const Dumped refused = dump(*fresh.files, {.data_dir = "/nowhere"});
    CHECK(refused.outcome == DumpOutcome::refused);
    CHECK(refused.refusal.find("/nowhere") != std::string::npos);
}

TEST_CASE("dump: a snapshot of more values than are taken at a time") {
    SampleData data;
    raft::Entry last;
    for (raft::Index index = 1; index <= 2500; ++index) {
        last = data.command_entry(index, 1, "name/" + std::to_string(index), 3);
    }
    data.snapshot(last);
    std::vector<std::uint64_t> indexes =
        dump(*data.files, {.snapshot = true, .json = true}).numbers("value", "index");
    std::ranges::sort(indexes);
    REQUIRE(indexes.size() == 2500);
    CHECK(indexes.front() == 1);
    CHECK(indexes.back() == 2500);
    CHECK(std::ranges::adjacent_find(indexes) == indexes.end());
}

TEST_CASE("dump: what commands do") {
    std::string command;
    SUBCASE("set") {
        fsm::encode_set("a/b", "secret", 90'000'000'000, true, command,
                        {.key = "key", .fingerprint = 5});
        const json set = described(command);
        CHECK(set["does"] == "set");
        CHECK(set["name"] == "a/b");
        CHECK(set["value_bytes"] == 6);
        CHECK_FALSE(set.contains("value"));
        CHECK(set["ttl"] == "1m30s");
        CHECK(set["create_only"] == true);
        CHECK(set["idempotency_key"] == "key");
        CHECK(set["index"] == 7);
        CHECK(set["stamp_ns"] == 12);
        CHECK(set["bytes"] == command.size());
        CHECK(described(command, true)["value"] == "secret");
        CHECK(plain_text(describe_record(command_record(command), false)) ==
              "entry, index 7, term 3, stamp_ns 12, command, bytes " +
                  std::to_string(command.size()) +
                  ", name \"a/b\", set, value_bytes 6, ttl \"1m30s\", create_only true, "
                  "idempotency_key \"key\", group 1, offset 4096");
    }
    SUBCASE("update") {
        fsm::encode_update("n", "v", std::nullopt, 12, command);
        CHECK(described(command)["does"] == "update");
        CHECK(described(command)["prev_index"] == 12);
        CHECK_FALSE(described(command).contains("ttl"));
    }
    SUBCASE("delete") {
        fsm::encode_delete("n", 4, command);
        CHECK(described(command)["does"] == "delete");
        CHECK(described(command)["prev_index"] == 4);
    }
    SUBCASE("clock") {
        fsm::encode_clock(-5, command);
        CHECK(described(command)["does"] == "clock");
        CHECK(described(command)["utc_offset_ns"] == -5);
    }
    SUBCASE("what is no command") {
        for (const std::string& bytes : {std::string(), std::string("\xff\xff\x00", 3)}) {
            CHECK(described(bytes)["does"] == "nothing: not a command");
        }
        fsm::encode_input("n", "", command);
        CHECK(described(command)["does"] == "nothing: not a command");
    }
    SUBCASE("a configuration") {
        command = "abc";
        raft::WalRecord record = command_record(command);
        record.header.kind = raft::EntryKind::configuration;
        CHECK(plain_text(describe_record(record, true)) ==
              "entry, index 7, term 3, stamp_ns 12, configuration, bytes 3, group 1, offset 4096");
    }
}

TEST_CASE("dump: a long value is cut between characters, and bytes are base64") {
    const auto value = [](const std::string& bytes) {
        nlohmann::ordered_json object;
        describe_value(bytes, true, object);
        return json::parse(json_text(object));
    };
    CHECK(value(std::string(64, 'x'))["value"] == std::string(64, 'x'));
    CHECK_FALSE(value(std::string(64, 'x')).contains("value_cut"));
    CHECK(value(std::string(65, 'x'))["value"] == std::string(64, 'x'));
    CHECK(value(std::string(65, 'x'))["value_cut"] == true);
    CHECK(value(std::string(63, 'x') + "\xc3\xbc")["value"] == std::string(63, 'x'));
    CHECK(value("\xff")["value_base64"] == "/w==");
    CHECK(value("")["value"] == "");
}

TEST_CASE("dump: nothing from the disk does anything to a terminal") {
    const std::string nasty = "a\x1b[2J\x7f\xc2\x9b\xe2\x80\xae\n\"\\";
    std::string command;
    fsm::encode_set(nasty, nasty, std::nullopt, false, command,
                    {.key = nasty + "\xff", .fingerprint = 0});
    const nlohmann::ordered_json object = describe_record(command_record(command), true);
    for (const std::string& text : {plain_text(object), json_text(object)}) {
        CHECK(text.find_first_of("\x1b\x7f\n") == std::string::npos);
        CHECK(text.find("\xc2\x9b") == std::string::npos);
        CHECK(text.find("\xe2\x80\xae") == std::string::npos);
    }
    // And yet JSON gives back what was there.
    const json parsed = json::parse(json_text(object));
    CHECK(parsed["name"] == nasty);
    CHECK(parsed["value"] == nasty);
    CHECK(parsed.contains("idempotency_key_base64"));
}

}  // namespace cairn::server
