// A small data directory in memory, for the tests of what looks at one: an identity, a log of three
// segments, a reserve, two snapshots.
//
// Header only; one thread.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "fsm/command.h"
#include "fsm/state_machine.h"
#include "raft/disk/data_directory.h"
#include "raft/disk/snapshot_store.h"
#include "raft/disk/wal.h"
#include "tests/support/memory_file_system.h"
#include "tests/support/wal_model.h"

namespace cairn::raft::test {

inline const std::string sample_directory = "/data";

inline std::string sample_segment(std::uint64_t number) {
    return sample_directory + "/wal/" + wal_segment_name(number);
}

inline std::string sample_snapshot(Index index, Term term) {
    return sample_directory + "/snapshot/" + snapshot_name({.index = index, .term = term});
}

inline std::string set_command(const std::string& name, const std::string& value) {
    std::string command;
    fsm::encode_set(name, value, std::nullopt, false, command);
    return command;
}

// Builds one as a node would.
class SampleData {
 public:
    SampleData() {
        files->set_content(
            sample_directory + "/identity",
            encode_identity({.cluster_id = 77, .node_id = 2, .founders = {{2, "127.0.0.1:7080"}}}));
        files->set_content(sample_directory + "/lock", "");
    }

    void open_log(const WalOptions& options = small_wal_options()) {
        std::map<GroupId, WalGroupState> recovered;
        WalOpenFailure failure;
        wal = Wal::open(*files, sample_directory + "/wal", options, recovered, failure);
        REQUIRE_MESSAGE(wal != nullptr, failure.detail);
    }

    void append(const Part& part) { REQUIRE(append_parts(*wal, {part}).has_value()); }

    // Takes a snapshot of the state that these entries and those before make.
    void snapshot(const Entry& last, std::uint64_t cluster_id = 77, GroupId group = 1,
                  const std::string& content = {}) {
        SnapshotFailure failure;
        const auto store = SnapshotStore::open(
            *files, sample_directory + "/snapshot",
            {.cluster_id = cluster_id, .group = group, .salt = last.index, .chunk_bytes = 64},
            failure);
        REQUIRE_MESSAGE(store != nullptr, failure.detail);
        SnapshotMeta meta;
        meta.cluster_id = cluster_id;
        meta.group = group;
        meta.last_included_index = last.index;
        meta.last_included_term = last.term;
        meta.last_included_stamp_ns = last.stamp_ns;
        meta.configuration = configuration_of({2});
        REQUIRE(store->writer().create(meta).has_value());
        REQUIRE(store->writer().append(content.empty() ? state_bytes() : content).has_value());
        REQUIRE(store->writer().commit().has_value());
    }

    Entry command_entry(Index index, Term term, const std::string& name, std::size_t bytes) {
        const std::string command =
            set_command(name, std::string(bytes, static_cast<char>('a' + index % 26)));
        std::vector<fsm::Event> events;
        const Entry entry = make_entry(index, term, command);
        state.apply(index, entry.stamp_ns, command, events);
        return entry;
    }

    std::string state_bytes() {
        std::string bytes;
        state.begin_snapshot();
        while (state.read_snapshot(1000, bytes)) {
        }
        state.end_snapshot();
        return bytes;
    }

    std::unique_ptr<MemoryFileSystem> files = std::make_unique<MemoryFileSystem>();
    std::unique_ptr<Wal> wal;
    fsm::StateMachine state;
};

// Entries 1 to 9 in segments 1 to 3, snapshots at 3 and 5. The newest segment holds entries 7, 8
// and 9, an append each, and term and vote at its head.
inline SampleData sample_data() {
    SampleData data;
    data.open_log();
    data.append({.group = 1, .hard_state = HardState{.term = 1, .voted_for = 2}});
    for (Index index = 1; index <= 9; ++index) {
        const Term term = index < 4 ? 1 : 4;
        Part part{.group = 1};
        if (index == 4) {
            part.hard_state = HardState{.term = 4, .voted_for = 1};
        }
        part.entries = {data.command_entry(index, term, "name/" + std::to_string(index % 4),
                                           index < 8 ? 950 : 200)};
        data.append(part);
        if (index == 3 || index == 5) {
            data.snapshot(part.entries.front());
        }
    }
    data.files->set_content(sample_directory + "/wal/" + wal_reserve_name(9),
                            std::string(8192, 'r'));
    return data;
}

}  // namespace cairn::raft::test
