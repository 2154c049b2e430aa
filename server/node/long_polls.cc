#include "server/node/long_polls.h"

#include <algorithm>

namespace cairn::server {

bool LongPolls::add(LongPoll& poll) {
    if (polls_.size() >= waiting_max_) {
        return false;
    }
    const Key key{poll.deadline_ns, next_number_++};
    by_name_[poll.operation->name].insert(key);
    by_operation_.emplace(poll.operation.get(), key);
    polls_.emplace(key, std::move(poll));
    return true;
}

void LongPolls::take(Polls::iterator found, std::vector<LongPoll>& taken) {
    const Operation& operation = *found->second.operation;
    const auto named = by_name_.find(operation.name);
    named->second.erase(found->first);
    if (named->second.empty()) {
        by_name_.erase(named);
    }
    by_operation_.erase(&operation);
    taken.push_back(std::move(found->second));
    polls_.erase(found);
}

void LongPolls::take_changed(const std::vector<fsm::Event>& events,
                             std::vector<std::string>& names) const {
    if (polls_.empty()) {
        return;
    }
    for (const fsm::Event& event : events) {
        if (by_name_.contains(event.name)) {
            names.push_back(event.name);
        }
    }
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
}

void LongPolls::take_of(const std::string& name, std::vector<LongPoll>& taken) {
    const auto named = by_name_.find(name);
    if (named == by_name_.end()) {
        return;
    }
    for (const Key& key : std::exchange(named->second, {})) {
        const auto found = polls_.find(key);
        by_operation_.erase(found->second.operation.get());
        taken.push_back(std::move(found->second));
        polls_.erase(found);
    }
    by_name_.erase(named);
}

void LongPolls::take_all(std::vector<LongPoll>& taken) {
    take_late(INT64_MAX, taken);
}

void LongPolls::take_late(std::int64_t now_ns, std::vector<LongPoll>& taken) {
    while (!polls_.empty() && polls_.begin()->first.first <= now_ns) {
        take(polls_.begin(), taken);
    }
}

void LongPolls::take(const Operation& operation, std::vector<LongPoll>& taken) {
    const auto found = by_operation_.find(&operation);
    if (found != by_operation_.end()) {
        take(polls_.find(found->second), taken);
    }
}

}  // namespace cairn::server
