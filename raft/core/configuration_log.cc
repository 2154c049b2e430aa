#include "raft/core/configuration_log.h"

#include <algorithm>

#include "raft/core/invariant.h"

namespace cairn::raft {

ConfigurationLog::ConfigurationLog(Index base_index, Configuration base) {
    entries_.push_back({base_index, std::move(base)});
}

const Configuration& ConfigurationLog::at(Index index) const {
    const auto after = std::find_if(entries_.begin() + 1, entries_.end(),
                                    [index](const Entry& entry) { return entry.index > index; });
    return std::prev(after)->configuration;
}

void ConfigurationLog::append(Index index, Configuration configuration) {
    RAFT_ASSERT(index > current_index());
    entries_.push_back({index, std::move(configuration)});
    ++version_;
}

void ConfigurationLog::truncate_from(Index index) {
    while (entries_.size() > 1 && entries_.back().index >= index) {
        entries_.pop_back();
        ++version_;
    }
}

void ConfigurationLog::compact(Index index) {
    while (entries_.size() > 1 && entries_[1].index <= index) {
        entries_.erase(entries_.begin());
    }
}

void ConfigurationLog::reset(Index index, Configuration configuration, bool keep_later) {
    std::vector<Entry> kept;
    kept.push_back({index, std::move(configuration)});
    for (Entry& entry : entries_) {
        if (keep_later && entry.index > index) {
            kept.push_back(std::move(entry));
        }
    }
    entries_ = std::move(kept);
    ++version_;
}

}  // namespace cairn::raft
