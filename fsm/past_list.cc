#include "fsm/past_list.h"

#include <algorithm>

#include "fsm/invariant.h"

namespace cairn::fsm {

namespace {

struct Found {
    std::string_view name;
    const Value* value = nullptr;
};

bool by_name(const Found& a, const Found& b) {
    return a.name < b.name;
}

// The value that an event ended, or null.
const Value* ended_by(const Event& event) {
    switch (event.kind) {
        case Event::Kind::deleted:
            return &event.value;
        case Event::Kind::updated:
            return &*event.prev_value;
        case Event::Kind::created:
            break;
    }
    return nullptr;
}

// The first few names of those it is given.
class First {
 public:
    explicit First(std::size_t count) : count_(count) {}

    void add(std::string_view name, const Value& value) {
        if (found_.size() == count_ && name > found_.front().name) {
            return;
        }
        found_.push_back({name, &value});
        std::push_heap(found_.begin(), found_.end(), by_name);
        if (found_.size() > count_) {
            std::pop_heap(found_.begin(), found_.end(), by_name);
            found_.pop_back();
        }
    }
    bool is_full() const { return found_.size() == count_; }
    std::vector<Found> in_order() && {
        std::sort_heap(found_.begin(), found_.end(), by_name);
        return std::move(found_);
    }

 private:
    std::size_t count_;
    std::vector<Found> found_;  // a heap, the last name at the front
};

}  // namespace

std::optional<std::vector<ListItem>> list_at(const StateMachine& machine, const History& history,
                                             Index at, std::string_view prefix,
                                             std::string_view after, std::size_t limit, bool& more,
                                             std::size_t& looked_at) {
    FSM_INVARIANT(at <= machine.applied_index());
    if (Cursor{at} < history.oldest()) {
        return std::nullopt;
    }
    // Those past their deadline that the bound on expiries had left: they weren't to be seen.
    const std::int64_t time_ns = history.overdue_time_ns(at);
    First first(limit + 1);
    const auto add = [&](std::string_view name, const Value& value) {
        if (value.deadline_ns == 0 || value.deadline_ns > time_ns) {
            first.add(name, value);
        }
    };
    std::size_t passed_over = 0;
    machine.for_each_stored(prefix, after, [&](std::string_view name, const Value& value) {
        ++looked_at;
        if (value.index <= at) {
            add(name, value);
        } else {
            ++passed_over;
        }
        return !first.is_full() && passed_over <= past_changes_max;
    });
    if (passed_over > past_changes_max) {
        return std::nullopt;
    }
    looked_at += history.for_each_after(at, [&](const Event& event) {
        const Value* const ended = ended_by(event);
        if (ended != nullptr && ended->index <= at && event.name > after &&
            event.name.starts_with(prefix)) {
            add(event.name, *ended);
        }
    });
    const std::vector<Found> found = std::move(first).in_order();
    more = found.size() > limit;
    std::vector<ListItem> items;
    for (std::size_t i = 0; i < std::min(found.size(), limit); ++i) {
        items.push_back({std::string(found[i].name), *found[i].value});
    }
    return items;
}

}  // namespace cairn::fsm
