// The configurations along a log: which one is in force now and which was at an earlier index.
//
// Owned by the core, beside its raft::Log. A configuration is in force from the moment its entry is
// appended, committed or not (thesis §4.1); when the entry is truncated, the one before it is
// again.
#pragma once

#include <cstdint>
#include <vector>

#include "raft/core/configuration.h"

namespace cairn::raft {

class ConfigurationLog {
 public:
    // `base` is in force at `base_index`, where the log begins.
    ConfigurationLog(Index base_index, Configuration base);

    const Configuration& current() const { return entries_.back().configuration; }
    // The index of the entry that brought it, or where the log begins.
    Index current_index() const { return entries_.back().index; }
    // Grows with every change, also when one comes back.
    std::uint64_t version() const { return version_; }
    // In force at `index`, which must not lie before the base.
    const Configuration& at(Index index) const;

    void append(Index index, Configuration configuration);
    // Entries from `index` on are gone.
    void truncate_from(Index index);
    // The log begins behind `index` now.
    void compact(Index index);
    // The log begins anew behind `index`. What is appended behind it stays with `keep_later`.
    void reset(Index index, Configuration configuration, bool keep_later);

 private:
    struct Entry {
        Index index = 0;
        Configuration configuration;
    };
    std::vector<Entry> entries_;  // by index; never empty
    std::uint64_t version_ = 1;
};

}  // namespace cairn::raft
