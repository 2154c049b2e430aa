// What may come as a snapshot: a file of the node's own, or a state from another node.
//
// The first byte of an input says what the rest is. Damage: bytes by which a real file is changed;
// it is refused, or all of it reads as it was written. A state: records as they are, or with the
// digest put right; what is loaded is written again as the same bytes, however it was cut.
#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "fsm/command.h"
#include "fsm/snapshot.h"
#include "fsm/snapshot_format.h"
#include "raft/disk/snapshot_reader.h"
#include "raft/disk/snapshot_store.h"
#include "tests/fuzz/fuzz.h"
#include "tests/support/memory_file_system.h"

namespace cairn::fuzz {
namespace {

namespace snapshot = fsm::snapshot;

const std::string directory = "/snapshot";

enum Kind : std::uint8_t { damage, file, state, sealed_state, kinds };

std::string state_of(fsm::StateMachine& machine, std::size_t part_bytes) {
    std::string bytes;
    machine.begin_snapshot();
    while (machine.read_snapshot(part_bytes, bytes)) {
    }
    machine.end_snapshot();
    return bytes;
}

// Values, some with a deadline, and outcomes under idempotency keys.
std::string sample_state() {
    fsm::StateMachine machine;
    std::vector<fsm::Event> events;
    fsm::Index index = 0;
    const auto apply = [&](const std::string& command) {
        ++index;
        machine.apply(index, 1'000'000 * static_cast<std::int64_t>(index), command, events);
    };
    for (int i = 0; i < 6; ++i) {
        std::string command;
        const std::string key = i % 3 == 0 ? "key-" + std::to_string(i) : "";
        const auto size = static_cast<std::size_t>(i) * 9;
        const auto ttl_ns = i % 2 == 0 ? std::optional<std::int64_t>(60'000'000'000) : std::nullopt;
        fsm::encode_set("name/" + std::to_string(i), std::string(size, 'v'), ttl_ns, false, command,
                        {key, 0x1234});
        apply(command);
    }
    std::string command;
    fsm::encode_update("name/1", "changed", std::nullopt, 0, command, {"key-update", 7});
    apply(command);
    command.clear();
    fsm::encode_delete("name/3", 0, command, {"key-delete", 8});
    apply(command);
    return state_of(machine, 1000);
}

raft::SnapshotMeta sample_meta() {
    raft::SnapshotMeta meta;
    meta.cluster_id = 77;
    meta.group = 5;
    meta.last_included_index = 9;
    meta.last_included_term = 3;
    meta.configuration = {.voters = {1, 2, 3}, .outgoing_voters = {}, .learners = {9}};
    meta.configuration.details = {{1, "a.example:7001", 11, false}};
    return meta;
}

// A real file's bytes.
std::string sample_file(const std::string& content) {
    raft::test::MemoryFileSystem files;
    raft::SnapshotFailure failure;
    const auto store = raft::SnapshotStore::open(
        files, directory, {.cluster_id = 77, .group = 5, .salt = 4711, .chunk_bytes = 64}, failure);
    require(store != nullptr, "a store in memory opens");
    require(store->writer().create(sample_meta()).has_value() &&
                store->writer().append(content).has_value() && store->writer().commit().has_value(),
            "a snapshot is written");
    return files.content(directory + "/" + raft::snapshot_name({.index = 9, .term = 3}));
}

// Reads a file as a node does. Its content when it is sound.
std::optional<std::string> read_file(const std::string& bytes) {
    raft::test::MemoryFileSystem files;
    require(files.create_directories(directory).has_value(), "there is a directory");
    const std::string path = directory + "/" + raft::snapshot_name({.index = 9, .term = 3});
    files.set_content(path, bytes);
    raft::SnapshotFailure failure;
    const auto reader = raft::SnapshotReader::open(files, path, failure);
    if (reader == nullptr) {
        require(!failure.detail.empty() && failure.detail.find('\n') == std::string::npos,
                "a file that is refused says why, in one line");
        return std::nullopt;
    }
    require(reader->content_bytes() <= bytes.size(), "a file holds no more than it has bytes");
    const bool sound = reader->verify().has_value();
    std::string content;
    const bool read =
        reader->read(0, static_cast<std::size_t>(reader->content_bytes()), content).has_value();
    require(sound == read, "what is verified can be read");
    std::string copy;
    std::string piece;
    bool copied = true;
    for (std::uint64_t number = 0; copied && number < reader->piece_count(); ++number) {
        copied = reader->read_piece(number, piece).has_value();
        copy += piece;
    }
    require(copied == sound, "what is verified can be copied");
    require(!sound || copy == bytes, "and the copy is the same");
    return sound ? std::optional(content) : std::nullopt;
}

void run_damage(Fields fields) {
    static const std::string content = sample_state();
    static const std::string file = sample_file(content);
    std::string bytes = file;
    while (!fields.empty()) {
        const std::size_t place =
            (std::size_t{fields.byte()} << 8U | fields.byte()) % (bytes.size() + 1);
        const std::uint8_t what = fields.byte();
        if (what == 0xff) {
            bytes.resize(place);
        } else if (what >= 0xf0) {
            const std::string piece =
                bytes.substr(std::min(fields.byte() * std::size_t{8}, bytes.size()), 72);
            bytes.replace(place, piece.size(), piece);
        } else {
            const std::string_view some = fields.bytes(what % 16);
            bytes.replace(place, some.size(), some);
        }
    }
    const std::optional<std::string> found = read_file(bytes);
    require(!found || *found == content, "what a file gives is what was written");
}

// The digest that a state's records have, put where it belongs, as far as they are records.
void seal(std::string& bytes) {
    fsm::Digest digest;
    snapshot::Header header;
    if (bytes.size() < snapshot::header_bytes ||
        !snapshot::decode_header(std::string_view(bytes).substr(0, snapshot::header_bytes),
                                 header)) {
        return;
    }
    snapshot::add_header(header, digest);
    std::size_t at = snapshot::header_bytes;
    while (at < bytes.size()) {
        const std::string_view rest = std::string_view(bytes).substr(at);
        if (rest.front() == snapshot::value_tag && rest.size() >= snapshot::value_head_bytes) {
            const auto head =
                snapshot::decode_value_head(rest.substr(0, snapshot::value_head_bytes));
            const std::size_t size = snapshot::value_head_bytes + head.name_bytes + head.bytes;
            if (rest.size() < size) {
                return;
            }
            fsm::Value value;
            value.bytes = std::make_shared<const std::string>(
                rest.substr(snapshot::value_head_bytes + head.name_bytes, head.bytes));
            value.index = head.index;
            value.deadline_ns = head.deadline_ns;
            snapshot::add_value_head(rest.substr(snapshot::value_head_bytes, head.name_bytes),
                                     value, digest);
            digest.add_part(*value.bytes);
            at += size;
        } else if (rest.front() == snapshot::outcome_tag &&
                   rest.size() >= snapshot::outcome_head_bytes) {
            const auto head =
                snapshot::decode_outcome_head(rest.substr(0, snapshot::outcome_head_bytes));
            const std::size_t size = snapshot::outcome_head_bytes + head.key_bytes + head.bytes;
            if (rest.size() < size) {
                return;
            }
            fsm::KeptOutcome kept;
            kept.key = rest.substr(snapshot::outcome_head_bytes, head.key_bytes);
            kept.fingerprint = head.fingerprint;
            kept.deadline_ns = head.deadline_ns;
            kept.output.status = static_cast<fsm::Status>(head.status);
            kept.output.kind = static_cast<fsm::Output::Kind>(head.kind);
            kept.output.created = head.created != 0;
            kept.output.index = head.index;
            const bool has_value = head.value_index != 0;
            if (has_value) {
                fsm::Value value;
                value.bytes = std::make_shared<const std::string>(
                    rest.substr(snapshot::outcome_head_bytes + head.key_bytes, head.bytes));
                value.index = head.value_index;
                value.deadline_ns = head.value_deadline_ns;
                (kept.output.kind == fsm::Output::Kind::update ? kept.output.prev_value
                                                               : kept.output.value) = value;
                snapshot::add_outcome_head(head.entry_index, kept, digest);
                digest.add_part(*value.bytes);
            } else {
                snapshot::add_outcome_head(head.entry_index, kept, digest);
            }
            at += size;
        } else {
            break;
        }
    }
    if (bytes.size() - at == snapshot::footer_bytes && bytes[at] == snapshot::footer_tag) {
        const snapshot::Footer given = snapshot::decode_footer(std::string_view(bytes).substr(at));
        std::string footer;
        snapshot::append_footer({given.values, given.outcomes, digest.value()}, footer);
        bytes.replace(at, footer.size(), footer);
    }
}

void run_state(std::string_view bytes) {
    fsm::SnapshotLoader whole;
    whole.feed(bytes);
    std::string error;
    std::optional<fsm::StateMachine> machine = whole.finish(error);
    require(machine.has_value() == error.empty(), "a state, or why not");

    fsm::SnapshotLoader cut;
    Cuts cuts(bytes);
    for (std::string_view rest = bytes; !rest.empty();) {
        const std::string_view piece = rest.substr(0, cuts.next(rest.size()));
        cut.feed(piece);
        rest.remove_prefix(piece.size());
    }
    std::string cut_error;
    std::optional<fsm::StateMachine> again = cut.finish(cut_error);
    require(machine.has_value() == again.has_value(), "however it is cut");
    if (!machine) {
        return;
    }
    require(machine->digest() == again->digest(), "the same state however it is cut");
    require(state_of(*machine, 37) == bytes, "a state is written as it was read");
    // It goes on as a state machine.
    std::vector<fsm::Event> events;
    std::string command;
    fsm::encode_set("later", "x", std::nullopt, false, command);
    if (machine->applied_index() < UINT64_MAX) {
        machine->apply(machine->applied_index() + 1, machine->time_ns(), command, events);
    }
}

}  // namespace

void run_input(std::string_view input) {
    if (input.empty()) {
        return;
    }
    const auto kind = static_cast<unsigned char>(input.front()) % kinds;
    input.remove_prefix(1);
    switch (kind) {
        case damage:
            return run_damage(Fields(input));
        case file:
            read_file(std::string(input));
            return;
        case state:
            return run_state(input);
        default: {
            std::string bytes(input);
            seal(bytes);
            return run_state(bytes);
        }
    }
}

std::vector<std::string> seed_inputs() {
    const std::string content = sample_state();
    const auto of = [](Kind kind, std::string_view bytes) {
        return std::string(1, static_cast<char>(kind)) + std::string(bytes);
    };
    fsm::StateMachine empty;
    return {
        of(damage, std::string_view("\x00\x10\x01x", 4)),
        of(damage, std::string_view("\x02\x00\xf0\x08", 4)),
        of(damage, std::string_view("\x01\x00\xff", 3)),
        of(file, sample_file("content")),
        of(state, content),
        of(sealed_state, content),
        of(sealed_state, state_of(empty, 100)),
    };
}

}  // namespace cairn::fuzz
