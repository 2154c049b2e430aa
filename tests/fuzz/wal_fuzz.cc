// What may lie in the directory of a write-ahead log when a node starts.
//
// The first byte of an input says which of two things the rest is. Damage: places and bytes by
// which a real log is changed; whatever is recovered then was written so. A log: segments and
// records drawn from the input, with checksums that are right; what is recovered is consecutive,
// is there again after another start, and can be gone on with.
#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "raft/disk/wal.h"
#include "raft/disk/wal_format.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/memory_file_system.h"
#include "tests/support/wal_model.h"

namespace cairn::fuzz {
namespace {

using namespace cairn::raft;        // NOLINT: the whole file is about it
using namespace cairn::raft::test;  // NOLINT

constexpr std::size_t segments_max = 4;
constexpr std::size_t edits_max = 16;

using State = std::map<GroupId, WalGroupState>;
// Everything about an entry, and its group.
using Written = std::tuple<GroupId, Index, Term, std::int64_t, EntryKind, std::string>;

Written written(GroupId group, const Entry& entry) {
    return {group,          entry.index, entry.term,
            entry.stamp_ns, entry.kind,  std::string(entry.payload.view())};
}

std::string text_of(const State& state) {
    std::string text;
    for (const auto& [group, of_group] : state) {
        text += std::to_string(group) + ":" + std::to_string(of_group.hard_state.term) + "/" +
                std::to_string(of_group.hard_state.voted_for) + "\n";
        for (const Entry& entry : of_group.entries) {
            text += std::to_string(entry.index) + " " + std::to_string(entry.term) + " " +
                    std::to_string(entry.stamp_ns) + " " + std::to_string(int(entry.kind)) + " " +
                    std::string(entry.payload.view()) + "\n";
        }
    }
    return text;
}

void check_consecutive(const State& state) {
    for (const auto& [group, of_group] : state) {
        Index previous = 0;
        for (const Entry& entry : of_group.entries) {
            require(previous == 0 || entry.index == previous + 1, "entries are consecutive");
            previous = entry.index;
        }
    }
}

// Opens the log, twice, and goes on with it. What the first start found, or nothing.
std::optional<State> recover(MemoryFileSystem& files) {
    State found;
    {
        Opened opened = open_wal(files);
        if (opened.wal == nullptr) {
            require(!opened.failure.detail.empty(), "a log that is refused says why");
            require(opened.failure.detail.find('\n') == std::string::npos, "in one line");
            return std::nullopt;
        }
        found = std::move(opened.recovered);
        check_consecutive(found);
    }
    State again;
    {
        Opened opened = open_wal(files);
        require(opened.wal != nullptr, "what was opened once can be opened again");
        require(text_of(opened.recovered) == text_of(found), "and is the same");
        again = std::move(opened.recovered);
        const std::vector<Entry>& entries = again[1].entries;
        const Index next = entries.empty() ? 1 : entries.back().index + 1;
        if (next == 0) {
            return found;  // there is no index behind the largest
        }
        const Part part{.group = 1,
                        .log_start = entries.empty() ? std::optional(next) : std::nullopt,
                        .entries = {make_entry(next, 99, "after recovery")}};
        const IoResult<void> appended = append_parts(*opened.wal, {part});
        require(appended.has_value(), "a recovered log takes more");
    }
    const Opened opened = open_wal(files);
    require(opened.wal != nullptr, "and opens after that");
    const auto group = opened.recovered.find(1);
    require(group != opened.recovered.end() && !group->second.entries.empty() &&
                group->second.entries.back().payload.view() == "after recovery",
            "and holds what was added");
    return found;
}

// A log of several segments, with everything in it.
struct Sample {
    Sample() {
        Opened opened = open_wal(files);
        const auto append = [&](const Part& part) {
            for (const Entry& entry : part.entries) {
                entries.insert(written(part.group, entry));
            }
            require(append_parts(*opened.wal, {part}).has_value(), "the sample is written");
        };
        append({.group = 1, .hard_state = HardState{.term = 1, .voted_for = 2}});
        for (Index index = 1; index <= 12; ++index) {
            append({.group = 1 + index % 2,
                    .log_start = index <= 2 ? std::optional<Index>((index + 1) / 2) : std::nullopt,
                    .entries = {make_entry((index + 1) / 2, 1 + index / 5,
                                           std::string(index * 150 % 1900, 'a'))}});
        }
        append({.group = 1, .hard_state = HardState{.term = 4, .voted_for = 1}});
        append({.group = 1,
                .entries = {make_entry(4, 4, "replaced"), make_entry(5, 4, ""),
                            make_entry(6, 4, std::string(1500, 'z'))}});
        require(opened.wal->prepare_reserve(1U << 20).has_value(), "a reserve is made");
        opened.wal.reset();
        paths = files.paths();
    }

    MemoryFileSystem files;
    std::set<Written> entries;
    std::vector<std::string> paths;
};

void run_damage(Fields fields) {
    static const Sample sample;
    const std::unique_ptr<MemoryFileSystem> files = sample.files.clone();
    for (std::size_t edit = 0; edit < edits_max && !fields.empty(); ++edit) {
        const std::string& path = sample.paths[fields.byte() % sample.paths.size()];
        std::string content = files->content(path);
        const std::size_t place =
            (std::size_t{fields.byte()} << 8U | fields.byte()) % (content.size() + 1);
        const std::uint8_t what = fields.byte();
        if (what == 0xff) {
            content.resize(place);
        } else if (what == 0xfe) {
            std::fill(content.begin() + static_cast<std::ptrdiff_t>(place), content.end(), '\0');
        } else if (what >= 0xf0) {
            // A piece of the file in another place.
            const std::size_t from =
                (std::size_t{fields.byte()} << 8U | fields.byte()) % (content.size() + 1);
            const std::string piece = content.substr(from, std::size_t{fields.byte()} * 8);
            content.replace(place, piece.size(), piece);
        } else {
            const std::string_view bytes = fields.bytes(what % 16);
            content.replace(place, bytes.size(), bytes);
        }
        files->set_content(path, content);
    }
    const std::optional<State> found = recover(*files);
    if (!found) {
        return;
    }
    for (const auto& [group, of_group] : *found) {
        for (const Entry& entry : of_group.entries) {
            require(sample.entries.contains(written(group, entry)),
                    "what is recovered was written so");
        }
    }
}

WalRecordHeader drawn_record(Fields& fields, std::string& payload, std::uint64_t& sequence,
                             Index& next_index) {
    WalRecordHeader record;
    const std::uint8_t what = fields.byte();
    record.type = static_cast<WalRecordType>(what % 16 < 11 ? 1 : what % 16 - 10);
    record.kind = static_cast<EntryKind>(what / 16 % 4);
    record.last_of_append = what < 192;
    record.group = 1 + fields.byte() % 2;
    record.term = fields.number();
    record.index = what % 8 == 7 ? fields.number() : next_index;
    record.stamp_ns = static_cast<std::int64_t>(fields.number());
    record.append_sequence = what == 255 ? fields.number() : sequence;
    if (record.type == WalRecordType::entry) {
        next_index = record.index + 1;
        payload = fields.bytes(fields.byte());
    }
    sequence += record.last_of_append ? 1 : 0;
    payload.resize(payload.size() + wal_padding_bytes(payload.size()));
    return record;
}

void run_drawn(Fields fields) {
    MemoryFileSystem files;
    require(files.create_directories(wal_directory).has_value(), "there is a directory");
    const WalOptions options = small_wal_options();
    std::uint64_t sequence = 1;
    Index next_index = 1;
    for (std::uint64_t number = 1; number <= segments_max && !fields.empty(); ++number) {
        WalSegmentHeader header{.cluster_id = options.cluster_id,
                                .node_id = options.node_id,
                                .number = number,
                                .epoch = number,
                                .salt = options.salt,
                                .segment_bytes = options.segment_bytes,
                                .append_sequence_base = sequence};
        // Now and then one field of the header is anything.
        const std::uint8_t odd = fields.byte();
        if (odd >= 0xf8) {
            const std::array<std::uint64_t*, 7> all = {&header.cluster_id,
                                                       &header.node_id,
                                                       &header.number,
                                                       &header.epoch,
                                                       &header.salt,
                                                       &header.segment_bytes,
                                                       &header.append_sequence_base};
            *all[odd % 7] = fields.number();
        }
        std::string bytes = encode_wal_segment_header(header);
        const std::uint32_t seed = wal_record_seed(header);
        for (int records = fields.byte() % 32; records > 0; --records) {
            std::string payload;
            WalRecordHeader record = drawn_record(fields, payload, sequence, next_index);
            const auto size = static_cast<std::uint32_t>(payload.size());
            record.payload_bytes = size - (size > 0 ? fields.byte() % 8 % size : 0);
            if (wal_padding_bytes(record.payload_bytes) + record.payload_bytes != size) {
                record.payload_bytes = size;
            }
            std::fill(payload.begin() + record.payload_bytes, payload.end(), '\0');
            record.payload_crc = wal_payload_crc(payload);
            std::array<char, wal_record_header_bytes> encoded;
            encode_wal_record_header(record, seed, bytes.size(), encoded.data());
            bytes.append(encoded.data(), encoded.size());
            bytes += payload;
        }
        bytes.resize(std::max<std::size_t>(bytes.size(), options.segment_bytes));
        files.set_content(wal_directory + "/" + wal_segment_name(number), bytes);
    }
    recover(files);
}

}  // namespace

void run_input(std::string_view input) {
    Fields fields(input);
    if (fields.byte() % 2 == 0) {
        run_damage(fields);
    } else {
        run_drawn(fields);
    }
}

std::vector<std::string> seed_inputs() {
    using namespace std::string_literals;
    std::string log = "\x01"s;
    for (int segment = 0; segment < 3; ++segment) {
        log += "\x00\x06"s;
        log += "\x0d\x00\x01\x02"s + "\x00"s;  // term and vote
        log += "\x10\x00\x01\x07\x05hello\x00"s;
        log += "\x10\x00\x01\x07\x00\x00"s;
        log += "\xd0\x01\x02\x07\x03xyz\x00"s;
        log +=
            "\x10\x01\x02\x07\x08"
            "12345678\x00"s;
        log += segment < 2 ? "\x0e\x00\x00\x00\x00"s : "\x10\x00\x01\x07\x01z\x00"s;
    }
    return {
        "\x00"s,
        "\x00\x01\x13\x00\x04"
        "abcd"s,
        "\x00\x02\x10\x40\xff\x01\x11\x00\xfe"s,
        "\x00\x03\x12\x00\xf1\x10\x40\x10"s,
        log,
    };
}

}  // namespace cairn::fuzz
