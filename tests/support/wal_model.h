// What a write-ahead log should hold, kept in memory beside it, for the log's tests.
//
// Header only; one thread. Apply to the model what is appended to the log, then compare what a
// restart recovers.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "raft/disk/wal.h"
#include "tests/support/memory_file_system.h"

namespace cairn::raft::test {

inline const std::string wal_directory = "/wal";

inline WalOptions small_wal_options() {
    WalOptions options;
    options.segment_bytes = 8192;
    options.record_bytes_max = 2048;
    options.cluster_id = 77;
    options.node_id = 2;
    options.salt = 12345;
    return options;
}

inline Entry make_entry(Index index, Term term, std::string_view payload) {
    return {.index = index,
            .term = term,
            .stamp_ns = static_cast<std::int64_t>(index * 1000 + term),
            .kind = payload.empty() ? EntryKind::no_op : EntryKind::command,
            .payload = Payload::copy_of(payload)};
}

// One WalAppend with entries of its own.
struct Part {
    GroupId group = 0;
    std::optional<HardState> hard_state;
    std::optional<Index> log_start;
    std::vector<Entry> entries;
};

inline IoResult<void> append_parts(Wal& wal, const std::vector<Part>& parts) {
    std::vector<WalAppend> appends;
    for (const Part& part : parts) {
        appends.push_back({.group = part.group,
                           .hard_state = part.hard_state,
                           .log_start = part.log_start,
                           .entries = part.entries});
    }
    return wal.append(appends);
}

struct ModelGroup {
    HardState hard_state;
    std::map<Index, Entry> entries;
    Index first_needed = 0;
};

class WalModel {
 public:
    void apply(const std::vector<Part>& parts) {
        for (const Part& part : parts) {
            ModelGroup& group = groups[part.group];
            if (part.hard_state) {
                group.hard_state = *part.hard_state;
            }
            if (part.log_start) {
                group.entries.clear();
            }
            for (const Entry& entry : part.entries) {
                if (!group.entries.empty() && entry.index > group.entries.rbegin()->first + 1) {
                    group.entries.clear();
                }
                group.entries.erase(group.entries.lower_bound(entry.index), group.entries.end());
                group.entries[entry.index] = entry;
            }
        }
    }

    // Empty, or what differs: recovered entries must be an end of the model's that holds all that
    // is needed.
    std::string difference(const std::map<GroupId, WalGroupState>& recovered) const {
        for (const auto& [id, state] : recovered) {
            if (!groups.contains(id) && (!state.entries.empty() || state.hard_state.term != 0)) {
                return "group " + std::to_string(id) + " is invented";
            }
        }
        for (const auto& [id, group] : groups) {
            const auto found = recovered.find(id);
            static const WalGroupState nothing;
            const std::string wrong =
                difference_of(group, found == recovered.end() ? nothing : found->second);
            if (!wrong.empty()) {
                return "group " + std::to_string(id) + ": " + wrong;
            }
        }
        return {};
    }

    std::map<GroupId, ModelGroup> groups;

 private:
    static std::string difference_of(const ModelGroup& group, const WalGroupState& state) {
        if (!(state.hard_state == group.hard_state)) {
            return "hard state of term " + std::to_string(state.hard_state.term);
        }
        const Index first = state.entries.empty() ? ~Index{0} : state.entries.front().index;
        for (const auto& [index, entry] : group.entries) {
            if (index >= group.first_needed && index < first) {
                return "entry " + std::to_string(index) + " is missing";
            }
        }
        for (std::size_t i = 0; i < state.entries.size(); ++i) {
            const Entry& entry = state.entries[i];
            const auto expected = group.entries.find(first + i);
            if (entry.index != first + i || expected == group.entries.end()) {
                return "entry " + std::to_string(entry.index) + " is invented";
            }
            if (entry.term != expected->second.term || entry.kind != expected->second.kind ||
                entry.stamp_ns != expected->second.stamp_ns ||
                entry.payload.view() != expected->second.payload.view()) {
                return "entry " + std::to_string(entry.index) + " differs";
            }
        }
        if (!state.entries.empty() && state.entries.back().index != group.entries.rbegin()->first) {
            return "log ends at " + std::to_string(state.entries.back().index);
        }
        return {};
    }
};

struct Opened {
    std::unique_ptr<Wal> wal;
    std::map<GroupId, WalGroupState> recovered;
    WalOpenFailure failure;
};

inline Opened open_wal(FileSystem& files, const WalOptions& options = small_wal_options()) {
    Opened opened;
    opened.wal = Wal::open(files, wal_directory, options, opened.recovered, opened.failure);
    return opened;
}

}  // namespace cairn::raft::test
