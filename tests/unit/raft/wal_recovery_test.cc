#include "raft/disk/wal_recovery.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/support/memory_file_system.h"
#include "tests/support/wal_model.h"

namespace cairn::raft::test {
namespace {

using Crash = MemoryFileSystem::Crash;

// A workload: appends and releases, and the model after each step.
struct Step {
    std::vector<Part> parts;  // empty: a release
    GroupId released_group = 0;
    Index first_needed = 0;
    bool prepare = false;
};

std::vector<Entry> entries_of(Index first, std::size_t count, Term term, std::size_t bytes) {
    std::vector<Entry> entries;
    for (std::size_t i = 0; i < count; ++i) {
        entries.push_back(make_entry(
            first + i, term, std::string(bytes, static_cast<char>('a' + (first + i + term) % 26))));
    }
    return entries;
}

// Rolls, recycles, replaces entries, splits an append, begins a log again; two groups.
std::vector<Step> workload() {
    std::vector<Step> steps;
    const auto append = [&](std::vector<Part> parts) { steps.push_back({std::move(parts)}); };
    const auto release = [&](GroupId group, Index index) { steps.push_back({{}, group, index}); };
    append({{.group = 1, .hard_state = HardState{.term = 1, .voted_for = 2}}});
    append({{.group = 1, .entries = entries_of(1, 3, 1, 100)},
            {.group = 2, .hard_state = HardState{.term = 8}, .entries = entries_of(1, 1, 8, 0)}});
    append({{.group = 1, .entries = entries_of(4, 2, 1, 900)}});
    append({{.group = 1, .hard_state = HardState{.term = 2}, .entries = entries_of(5, 3, 2, 700)}});
    steps.push_back({.parts = {}, .prepare = true});
    append({{.group = 2, .entries = entries_of(2, 2, 8, 600)}});
    release(1, 6);
    append({{.group = 1, .entries = entries_of(8, 2, 2, 1500)}});
    release(2, 3);
    append({{.group = 1, .entries = entries_of(10, 8, 2, 1400)}});  // larger than a segment
    release(1, 17);
    release(2, 4);
    append({{.group = 2, .log_start = 50, .entries = entries_of(50, 2, 9, 100)}});
    append({{.group = 1, .hard_state = HardState{.term = 3, .voted_for = 1}},
            {.group = 1, .entries = entries_of(18, 3, 3, 1000)}});
    release(1, 20);
    for (Index index = 21; index < 33; ++index) {
        append({{.group = 1, .entries = entries_of(index, 1, 3, 1100)}});
        release(1, index);
    }
    return steps;
}

// Does the step on the log. Returns whether it succeeded.
bool perform(Wal& wal, const Step& step) {
    if (step.prepare) {
        return wal.prepare_reserve(~std::uint64_t{0}).has_value();
    }
    if (step.parts.empty()) {
        return wal.release(step.released_group, step.first_needed).has_value();
    }
    return append_parts(wal, step.parts).has_value();
}

void apply(WalModel& model, const Step& step) {
    if (!step.parts.empty()) {
        model.apply(step.parts);
    } else if (!step.prepare) {
        model.groups[step.released_group].first_needed = step.first_needed;
    }
}

// The model's states that a crash within `step` may leave: none of it, all of it, or, when it is
// split over segments, any number of its records.
std::vector<WalModel> possible_states(const WalModel& before, const Step& step) {
    std::vector<WalModel> states{before};
    if (step.parts.size() == 1) {
        for (std::size_t count = 1; count < step.parts[0].entries.size(); ++count) {
            Step some = step;
            some.parts[0].entries.resize(count);
            states.push_back(before);
            apply(states.back(), some);
        }
    }
    states.push_back(before);
    apply(states.back(), step);
    return states;
}

// Whether one of `states` was recovered; the differences otherwise.
std::string matching_state(const std::vector<WalModel>& states, const Opened& opened,
                           WalModel& match) {
    std::string differences;
    for (const WalModel& state : states) {
        const std::string difference = state.difference(opened.recovered);
        if (difference.empty()) {
            match = state;
            return {};
        }
        differences += difference + "; ";
    }
    return differences;
}

// Runs the workload until it fails. Returns the states that are possible then.
std::vector<WalModel> run_until_failure(MemoryFileSystem& files, const std::vector<Step>& steps) {
    WalModel model;
    const Opened opened = open_wal(files);
    if (opened.wal == nullptr) {
        return {model};
    }
    for (const Step& step : steps) {
        if (!perform(*opened.wal, step)) {
            return possible_states(model, step);
        }
        apply(model, step);
    }
    return {model};
}

// The log must open, hold one of `states`, go on working, and be whole after another restart.
std::string check_recovery(MemoryFileSystem& files, const std::vector<WalModel>& states) {
    WalModel model;
    {
        const Opened opened = open_wal(files);
        if (opened.wal == nullptr) {
            return "not opened: " + opened.failure.detail;
        }
        const std::string wrong = matching_state(states, opened, model);
        if (!wrong.empty()) {
            return wrong;
        }
        const ModelGroup& group = model.groups[1];
        const Index next = group.entries.empty() ? 1 : group.entries.rbegin()->first + 1;
        for (Index index = next; index < next + 5; ++index) {
            const Step step{.parts = {{.group = 1, .entries = entries_of(index, 1, 100, 1300)}}};
            if (!perform(*opened.wal, step)) {
                return "append failed after recovery";
            }
            apply(model, step);
        }
    }
    files.crash(Crash::drop, 0);
    const Opened again = open_wal(files);
    return again.wal == nullptr ? "not opened again: " + again.failure.detail
                                : model.difference(again.recovered);
}

// A small log of one segment: offsets where its appends end, and the model after each.
struct SmallLog {
    std::unique_ptr<MemoryFileSystem> files = std::make_unique<MemoryFileSystem>();
    std::vector<WalModel> models;
    std::vector<std::uint64_t> ends;
    std::string path = wal_directory + "/" + wal_segment_name(1);
};

SmallLog small_log() {
    SmallLog log;
    {
        const Opened opened = open_wal(*log.files);
        REQUIRE(opened.wal != nullptr);
        log.models.emplace_back();
        log.ends.push_back(wal_segment_header_bytes);
        const std::vector<Step> steps{
            {.parts = {{.group = 1, .hard_state = HardState{.term = 3, .voted_for = 1}}}},
            {.parts = {{.group = 1, .entries = entries_of(1, 3, 3, 20)}}},
            {.parts = {{.group = 2, .hard_state = HardState{.term = 4}},
                       {.group = 1, .entries = entries_of(3, 1, 4, 600)}}},
            {.parts = {{.group = 1, .entries = entries_of(4, 2, 4, 9)}}}};
        for (const Step& step : steps) {
            REQUIRE(perform(*opened.wal, step));
            WalModel model = log.models.back();
            apply(model, step);
            log.models.push_back(model);
            std::uint64_t end = log.ends.back();
            for (const Part& part : step.parts) {
                end += part.hard_state ? wal_record_bytes(0) : 0;
                for (const Entry& entry : part.entries) {
                    end += wal_record_bytes(entry.payload.size());
                }
            }
            log.ends.push_back(end);
        }
    }
    log.files->crash(Crash::drop, 0);
    return log;
}

}  // namespace

TEST_CASE("wal recovery: the power goes at every operation, whatever becomes of unsynced data") {
    const std::vector<Step> steps = workload();
    MemoryFileSystem whole;
    REQUIRE(run_until_failure(whole, steps).size() == 1);
    const std::uint64_t operations = whole.operations();
    REQUIRE(operations > 100);
    for (std::uint64_t operation = 1; operation <= operations; ++operation) {
        for (std::uint64_t seed = 0; seed < 14; ++seed) {
            const Crash crash = seed == 0 ? Crash::drop : seed == 1 ? Crash::keep : Crash::tear;
            MemoryFileSystem files;
            files.power_off_at(operation);
            const std::vector<WalModel> states = run_until_failure(files, steps);
            files.crash(crash, operation * 100 + seed);
            const std::string wrong = check_recovery(files, states);
            REQUIRE_MESSAGE(wrong.empty(),
                            "operation " << operation << " seed " << seed << ": " << wrong);
        }
    }
}

TEST_CASE("wal recovery: the power goes again at every operation of the recovery") {
    const std::vector<Step> steps = workload();
    MemoryFileSystem whole;
    run_until_failure(whole, steps);
    const std::uint64_t operations = whole.operations();
    std::uint64_t second_crashes = 0;
    for (std::uint64_t operation = 1; operation <= operations; ++operation) {
        for (std::uint64_t again = 1; again <= 12; ++again) {
            MemoryFileSystem files;
            files.power_off_at(operation);
            const std::vector<WalModel> states = run_until_failure(files, steps);
            files.crash(Crash::tear, operation * 31 + again);
            files.power_off_at(files.operations() + again);
            const bool opened = open_wal(files).wal != nullptr;
            files.crash(Crash::tear, operation * 37 + again);
            const std::string wrong = check_recovery(files, states);
            REQUIRE_MESSAGE(wrong.empty(),
                            "operation " << operation << " then " << again << ": " << wrong);
            second_crashes += opened ? 0 : 1;
        }
    }
    CHECK(second_crashes > operations);
}

TEST_CASE("wal recovery: the process ends at every operation, the machine later") {
    // kill -9 keeps the page cache. What the restart reads from it and counts must then be durable.
    const std::vector<Step> steps = workload();
    MemoryFileSystem whole;
    run_until_failure(whole, steps);
    for (std::uint64_t operation = 1; operation <= whole.operations(); ++operation) {
        MemoryFileSystem files;
        files.fail_at(operation, boost::system::errc::io_error);
        const std::vector<WalModel> states = run_until_failure(files, steps);
        WalModel counted;
        {
            const Opened opened = open_wal(files);
            REQUIRE_MESSAGE(opened.wal != nullptr, opened.failure.detail);
            const std::string wrong = matching_state(states, opened, counted);
            REQUIRE_MESSAGE(wrong.empty(), "operation " << operation << ": " << wrong);
        }
        files.crash(Crash::drop, operation);
        const std::string wrong = check_recovery(files, {counted});
        REQUIRE_MESSAGE(wrong.empty(), "operation " << operation << ": " << wrong);
    }
}

TEST_CASE("wal recovery: zeros from any byte on leave the whole appends before it") {
    const SmallLog log = small_log();
    const std::string content = log.files->content(log.path);
    for (std::uint64_t cut = wal_segment_header_bytes; cut <= log.ends.back(); ++cut) {
        const auto files = log.files->clone();
        std::string damaged = content;
        damaged.replace(cut, damaged.size() - cut, damaged.size() - cut, '\0');
        files->set_content(log.path, damaged);
        // Bytes that were zero anyway may complete a record.
        std::size_t whole = 0;
        while (whole + 1 < log.ends.size() &&
               damaged.compare(0, log.ends[whole + 1], content, 0, log.ends[whole + 1]) == 0) {
            ++whole;
        }
        const std::string wrong = check_recovery(*files, {log.models[whole]});
        REQUIRE_MESSAGE(wrong.empty(), "cut at " << cut << ": " << wrong);
    }
}

TEST_CASE("wal recovery: no crash shortens a segment, so a short one is corruption") {
    const SmallLog log = small_log();
    const std::uint64_t size = log.files->content(log.path).size();
    for (std::uint64_t cut = 0; cut < size; ++cut) {
        const auto files = log.files->clone();
        files->truncate(log.path, cut);
        const Opened opened = open_wal(*files);
        REQUIRE(opened.wal == nullptr);
        REQUIRE(opened.failure.error == WalOpenError::corruption);
        REQUIRE(opened.recovered.empty());
    }
}

TEST_CASE("wal recovery: any flipped bit costs at most the last append, or is reported") {
    const SmallLog log = small_log();
    const std::size_t last = log.models.size() - 1;
    const std::string content = log.files->content(log.path);
    for (std::uint64_t bit = 0; bit < content.size() * 8; ++bit) {
        // The header's blank and the zeros at the end are all alike: a sample of them will do.
        const std::uint64_t byte = bit / 8;
        const bool blank =
            (byte >= 128 && byte < wal_segment_header_bytes) || byte > log.ends.back() + 128;
        if (blank && byte % 61 != 0) {
            continue;
        }
        const auto files = log.files->clone();
        files->flip_bit(log.path, bit);
        const std::string damaged = files->content(log.path);
        const Opened opened = open_wal(*files);
        if (byte < log.ends[last - 1]) {
            REQUIRE_MESSAGE(opened.wal == nullptr, "bit " << bit);
            REQUIRE(opened.failure.error == WalOpenError::corruption);
            REQUIRE(opened.failure.detail.find(log.path) == 0);
            REQUIRE(files->content(log.path) == damaged);
            continue;
        }
        REQUIRE_MESSAGE(opened.wal != nullptr, "bit " << bit << ": " << opened.failure.detail);
        const std::size_t left = byte < log.ends[last] ? last - 1 : last;
        const std::string wrong = log.models[left].difference(opened.recovered);
        REQUIRE_MESSAGE(wrong.empty(), "bit " << bit << ": " << wrong);
    }
}

TEST_CASE("wal recovery: damage in a segment that others follow is corruption") {
    MemoryFileSystem files;
    {
        const Opened opened = open_wal(files);
        for (Index index = 1; index <= 12; ++index) {
            REQUIRE(perform(*opened.wal,
                            {.parts = {{.group = 1, .entries = entries_of(index, 1, 1, 1000)}}}));
        }
    }
    const std::string first = wal_directory + "/" + wal_segment_name(1);
    const std::string second = wal_directory + "/" + wal_segment_name(2);
    std::string expected = first;
    SUBCASE("a record") {
        files.flip_bit(first, 8 * 4200);
    }
    SUBCASE("its end, though it is the last thing in it") {
        const std::uint64_t end = wal_segment_header_bytes + 3 * wal_record_bytes(1000);
        files.flip_bit(first, 8 * end);
    }
    SUBCASE("its header") {
        files.flip_bit(first, 8 * 40);
    }
    SUBCASE("a header in the middle") {
        files.flip_bit(second, 8 * 40);
        expected = second;
    }
    SUBCASE("missing in the middle") {
        REQUIRE(files.remove(second).has_value());
        expected = second;
    }
    SUBCASE("under another name") {
        REQUIRE(files.remove(first).has_value());
        REQUIRE(files.rename(second, first).has_value());
        REQUIRE(files.remove(wal_directory + "/" + wal_segment_name(3)).has_value());
        REQUIRE(files.remove(wal_directory + "/" + wal_segment_name(4)).has_value());
    }
    const std::vector<std::string> paths = files.paths();
    const Opened opened = open_wal(files);
    REQUIRE(opened.wal == nullptr);
    CHECK(opened.failure.error == WalOpenError::corruption);
    CHECK_MESSAGE(opened.failure.detail.find(expected) == 0, opened.failure.detail);
    CHECK(files.paths() == paths);
}

TEST_CASE("wal recovery: the first append of the only segment left can't be a torn one") {
    MemoryFileSystem files;
    {
        const Opened opened = open_wal(files);
        REQUIRE(
            perform(*opened.wal, {.parts = {{.group = 1, .hard_state = HardState{.term = 6}}}}));
        for (Index index = 1; index <= 4; ++index) {
            REQUIRE(perform(*opened.wal,
                            {.parts = {{.group = 1, .entries = entries_of(index, 1, 1, 1000)}}}));
        }
        REQUIRE(opened.wal->release(1, 4).has_value());
    }
    const std::string path = wal_directory + "/" + wal_segment_name(2);
    REQUIRE_FALSE(*files.exists(wal_directory + "/" + wal_segment_name(1)));
    files.flip_bit(path, 8 * wal_segment_header_bytes);
    const Opened opened = open_wal(files);
    REQUIRE(opened.wal == nullptr);
    CHECK(opened.failure.error == WalOpenError::corruption);
}

// No crash leaves that: a header is synced before its file becomes a segment.
TEST_CASE("wal recovery: a newest segment without a header isn't taken for one never used") {
    MemoryFileSystem files;
    {
        const Opened opened = open_wal(files);
        REQUIRE(
            perform(*opened.wal, {.parts = {{.group = 1, .entries = entries_of(1, 3, 1, 1000)}}}));
        // Rolls.
        REQUIRE(
            perform(*opened.wal, {.parts = {{.group = 1, .entries = entries_of(4, 1, 1, 1000)}}}));
    }
    const std::string path = wal_directory + "/" + wal_segment_name(2);
    std::string content = files.content(path);
    content.replace(50, content.size() - 50, content.size() - 50, '\0');
    SUBCASE("half a header") {
        files.set_content(path, content);
    }
    SUBCASE("no header") {
        files.set_content(path, std::string(content.size(), '\0'));
    }
    SUBCASE("half a header, but something behind it") {
        content.back() = 'x';
        files.set_content(path, content);
    }
    const Opened opened = open_wal(files);
    REQUIRE(opened.wal == nullptr);
    CHECK(opened.failure.error == WalOpenError::corruption);
    CHECK(opened.failure.detail.find("damaged segment header") != std::string::npos);
}

TEST_CASE("wal recovery: what was whole in a torn append does not come back behind a new one") {
    MemoryFileSystem files;
    WalModel model;
    const std::string path = wal_directory + "/" + wal_segment_name(1);
    {
        const Opened opened = open_wal(files);
        const Step first{.parts = {{.group = 1, .entries = entries_of(1, 1, 1, 100)}}};
        REQUIRE(perform(*opened.wal, first));
        apply(model, first);
        REQUIRE(
            perform(*opened.wal, {.parts = {{.group = 1, .entries = entries_of(2, 3, 1, 100)}}}));
    }
    // The first of three records is torn. A new append ends exactly where the second one began.
    files.flip_bit(path, 8 * (wal_segment_header_bytes + wal_record_bytes(100)));
    {
        const Opened opened = open_wal(files);
        REQUIRE(opened.wal != nullptr);
        CHECK(model.difference(opened.recovered) == "");
        const Step step{.parts = {{.group = 1, .entries = entries_of(2, 1, 7, 100)}}};
        REQUIRE(perform(*opened.wal, step));
        apply(model, step);
    }
    const std::string content = files.content(path);
    CHECK(content.find_first_not_of('\0', wal_segment_header_bytes + 2 * wal_record_bytes(100)) ==
          std::string::npos);
    CHECK(check_recovery(files, {model}) == "");
}

TEST_CASE("wal recovery: nothing is recycled while the newest segment lacks term and vote") {
    const HardState hard_state{.term = 6, .voted_for = 2};
    std::uint64_t without_append = 0;
    for (std::uint64_t operation = 1; operation <= 30; ++operation) {
        MemoryFileSystem files;
        files.power_off_at(operation);
        run_until_failure(files, {{.parts = {{.group = 1, .hard_state = hard_state}}},
                                  {.parts = {{.group = 1, .entries = entries_of(1, 3, 1, 1100)}}},
                                  {.parts = {{.group = 1, .entries = entries_of(4, 3, 1, 1100)}}}});
        files.crash(Crash::drop, 0);
        if (!*files.exists(wal_directory + "/" + wal_segment_name(2))) {
            continue;
        }
        {
            const Opened opened = open_wal(files);
            REQUIRE(opened.wal != nullptr);
            without_append += opened.recovered.at(1).entries.size() == 3 ? 1 : 0;
            REQUIRE(opened.wal->release(1, 100).has_value());
        }
        const Opened again = open_wal(files);
        REQUIRE_MESSAGE(again.wal != nullptr, again.failure.detail);
        CHECK(again.recovered.at(1).hard_state == hard_state);
    }
    CHECK(without_append > 0);
}

TEST_CASE("wal recovery: a segment that does not continue the one before it is corruption") {
    MemoryFileSystem files;
    {
        const Opened opened = open_wal(files);
        for (Index index = 1; index <= 4; ++index) {
            REQUIRE(perform(*opened.wal,
                            {.parts = {{.group = 1, .entries = entries_of(index, 1, 1, 1000)}}}));
        }
    }
    const std::string path = wal_directory + "/" + wal_segment_name(2);
    WalSegmentHeader header;
    REQUIRE(decode_wal_segment_header(files.content(path), header) == WalHeaderVerdict::valid);
    SUBCASE("append numbers") {
        header.append_sequence_base += 1;
    }
    SUBCASE("epoch") {
        header.epoch = 1;
    }
    SUBCASE("number") {
        header.number = 3;
    }
    files.set_content(path, encode_wal_segment_header(header) +
                                std::string(8192 - wal_segment_header_bytes, '\0'));
    const Opened opened = open_wal(files);
    REQUIRE(opened.wal == nullptr);
    CHECK(opened.failure.error == WalOpenError::corruption);
}

// Found by fuzzing: nothing made such a header, but one with a right checksum ended the program.
TEST_CASE("wal recovery: a segment of a size that none can have is corruption") {
    const SmallLog log = small_log();
    const std::string whole = log.files->content(log.path);
    WalSegmentHeader header;
    REQUIRE(decode_wal_segment_header(whole.substr(0, wal_segment_header_bytes), header) ==
            WalHeaderVerdict::valid);
    for (const std::uint64_t bytes :
         {std::uint64_t{0}, std::uint64_t{8}, wal_segment_header_bytes - 8,
          std::uint64_t{wal_segment_header_bytes}, header.segment_bytes - 8, ~std::uint64_t{0}}) {
        CAPTURE(bytes);
        header.segment_bytes = bytes;
        log.files->set_content(
            log.path, encode_wal_segment_header(header) + whole.substr(wal_segment_header_bytes));
        const Opened opened = open_wal(*log.files);
        REQUIRE(opened.wal == nullptr);
        CHECK(opened.failure.error == WalOpenError::corruption);
    }
}

TEST_CASE("wal recovery: a segment with numbers that nothing is counted up to is corruption") {
    const SmallLog log = small_log();
    const std::string whole = log.files->content(log.path);
    for (std::uint64_t WalSegmentHeader::* number :
         {&WalSegmentHeader::epoch, &WalSegmentHeader::append_sequence_base}) {
        WalSegmentHeader header;
        REQUIRE(decode_wal_segment_header(whole.substr(0, wal_segment_header_bytes), header) ==
                WalHeaderVerdict::valid);
        header.*number = ~std::uint64_t{1};
        log.files->set_content(
            log.path, encode_wal_segment_header(header) + whole.substr(wal_segment_header_bytes));
        CHECK(open_wal(*log.files).failure.error == WalOpenError::corruption);
    }
}

TEST_CASE("wal recovery: another cluster's or node's log, or another version's, is foreign") {
    const SmallLog log = small_log();
    WalOptions options = small_wal_options();
    std::string expected;
    SUBCASE("cluster") {
        options.cluster_id = 78;
        expected = "belongs to cluster 77 node 2, not to cluster 78 node 2";
    }
    SUBCASE("node") {
        options.node_id = 3;
        expected = "belongs to cluster 77 node 2, not to cluster 77 node 3";
    }
    const Opened opened = open_wal(*log.files, options);
    REQUIRE(opened.wal == nullptr);
    CHECK(opened.failure.error == WalOpenError::foreign);
    CHECK(opened.failure.detail == log.path + ": " + expected);
}

TEST_CASE("wal recovery: a value that holds a piece of the log is no record") {
    MemoryFileSystem files;
    WalModel model;
    {
        const Opened opened = open_wal(files);
        const Step first{.parts = {{.group = 1, .entries = entries_of(1, 2, 1, 100)}}};
        REQUIRE(perform(*opened.wal, first));
        apply(model, first);
        const std::string records =
            files.content(wal_directory + "/" + wal_segment_name(1)).substr(4096, 312);
        REQUIRE(perform(*opened.wal,
                        {.parts = {{.group = 1, .entries = {make_entry(3, 1, records)}}}}));
    }
    // The append that holds it is torn at its head.
    files.flip_bit(wal_directory + "/" + wal_segment_name(1),
                   8 * (4096 + 2 * wal_record_bytes(100)));
    CHECK(check_recovery(files, {model}) == "");
}

TEST_CASE("wal recovery: replay refuses a gap and takes a new beginning") {
    WalReplay replay;
    const auto entry = [](Index index, Term term) {
        WalRecord record;
        record.header = {.type = WalRecordType::entry, .group = 1, .term = term, .index = index};
        return record;
    };
    CHECK(replay.apply(entry(7, 1)) == "");  // what precedes it was released
    CHECK(replay.apply(entry(8, 1)) == "");
    CHECK(replay.apply(entry(10, 1)) == "entry 10 of group 1 leaves a gap");
    CHECK(replay.apply(entry(0, 1)) != "");
    CHECK(replay.apply(entry(8, 2)) == "");
    REQUIRE(replay.groups[1].entries.size() == 2);
    CHECK(replay.groups[1].entries[1].term == 2);
    CHECK(replay.apply(entry(6, 3)) == "");
    REQUIRE(replay.groups[1].entries.size() == 1);
    WalRecord start;
    start.header = {.type = WalRecordType::log_start, .group = 1, .index = 20};
    CHECK(replay.apply(start) == "");
    CHECK(replay.groups[1].entries.empty());
    CHECK(replay.apply(entry(21, 3)) != "");
    CHECK(replay.apply(entry(20, 3)) == "");
}

}  // namespace cairn::raft::test
