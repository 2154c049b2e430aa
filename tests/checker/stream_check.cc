#include "tests/checker/stream_check.h"

#include <algorithm>
#include <map>
#include <utility>

#include "tests/checker/history_text.h"

namespace cairn::checker {
namespace {

using Kind = Received::Kind;

std::string text_of(const Place& place) {
    return std::to_string(place.index) +
           (place.position == Place::whole_entry ? "" : "." + std::to_string(place.position));
}

Place after(const CanonicalEvent& event) {
    return {event.index, event.position + 1};
}

bool is_removal(EventKind kind) {
    return kind == EventKind::deleted || kind == EventKind::expired;
}

using Events = std::vector<const CanonicalEvent*>;

Events::const_iterator first_after(const Events& events, const Place& place) {
    return std::partition_point(events.begin(), events.end(), [&](const CanonicalEvent* event) {
        return after(*event) <= place;
    });
}

std::string describe_event(const CanonicalEvent& event) {
    constexpr const char* kinds[] = {"created", "updated", "deleted", "expired"};
    return std::string(kinds[static_cast<std::size_t>(event.kind)]) + " " + quoted(event.name) +
           " at " + std::to_string(event.index) + "." + std::to_string(event.position);
}

// Follows one stream through its messages. Events and watches share how a stream is opened, cut and
// resumed; what they owe the reader differs.
class Follower {
 public:
    Follower(const std::vector<CanonicalEvent>& canonical, const StreamSelection& selection)
        : selection_(selection) {
        for (const CanonicalEvent& event : canonical) {
            if (is_selected(event.name)) {
                events_.push_back(&event);
                by_name_[event.name].push_back(&event);
            }
        }
    }

    void take(const Received& message, std::size_t number);
    void end(const std::optional<Place>& complete_up_to);
    std::vector<std::string> problems;

 private:
    bool is_selected(const std::string& name) const {
        return selection_.prefix ? name.starts_with(selection_.name) : name == selection_.name;
    }
    void wrong(const std::string& text) {
        problems.push_back("message " + std::to_string(number_) + ": " + text);
    }

    void open(const Received& message);
    void take_event(const Received& message);
    void take_value(const Received& message);
    void take_present(const Received& message);
    void take_removal(const Received& message, const CanonicalEvent* newest);
    void begin_gap(const Received& message);
    void end_gap(const Place& place);
    void advance(const Place& place, std::uint64_t applied_index);
    void require_events_up_to(const Place& place);
    void require_values_up_to(const Place& place, std::uint64_t applied_index);
    void know_state_at(const Place& place);
    // The newest event of a name not after a place, or null.
    const CanonicalEvent* newest(const std::string& name, const Place& place) const;
    const CanonicalEvent* value_event(const Received& message) const;

    StreamSelection selection_;
    Events events_;  // the selected ones
    std::map<std::string, Events> by_name_;

    std::size_t number_ = 0;
    bool is_open_ = false;
    bool is_first_ = false;    // no message since it was opened
    std::optional<Place> at_;  // complete up to here; none before the first message says where
    // Watch: the newest event of each name that the reader has been told, one way or another.
    std::map<std::string, const CanonicalEvent*> told_;
    // After a gap, until the present state is complete.
    std::optional<Place> gap_;
    std::vector<Received> present_;
};

const CanonicalEvent* Follower::newest(const std::string& name, const Place& place) const {
    const auto found = by_name_.find(name);
    if (found == by_name_.end()) {
        return nullptr;
    }
    const auto next = first_after(found->second, place);
    return next == found->second.begin() ? nullptr : *(next - 1);
}

// The event that wrote the value of this message, or null.
const CanonicalEvent* Follower::value_event(const Received& message) const {
    const auto found = by_name_.find(message.name);
    if (found == by_name_.end()) {
        return nullptr;
    }
    for (const CanonicalEvent* event : found->second) {
        if (!is_removal(event->kind) && event->index == message.index &&
            event->value == message.value) {
            return event;
        }
    }
    return nullptr;
}

void Follower::know_state_at(const Place& place) {
    told_.clear();
    for (const auto& [name, events] : by_name_) {
        const CanonicalEvent* last = newest(name, place);
        if (last != nullptr) {
            told_[name] = last;
        }
    }
}

void Follower::open(const Received& message) {
    if (is_open_) {
        wrong("opened, and it was open");
    }
    is_open_ = true;
    is_first_ = true;
    at_ = message.cursor;
    gap_.reset();
    present_.clear();
    told_.clear();
    if (at_) {
        know_state_at(*at_);
    }
}

// Of events none may be left out.
void Follower::require_events_up_to(const Place& place) {
    const auto next = first_after(events_, *at_);
    if (next != events_.end() && after(**next) <= place) {
        wrong("cursor " + text_of(place) + " passes " + describe_event(**next) +
              ", which was not delivered");
    }
}

// Of values the newest of each name must have come, or be about to come in place of it.
void Follower::require_values_up_to(const Place& place, std::uint64_t applied_index) {
    for (const auto& [name, events] : by_name_) {
        const CanonicalEvent* owed = newest(name, place);
        const auto told = told_.find(name);
        const CanonicalEvent* known = told == told_.end() ? nullptr : told->second;
        if (owed == nullptr || (known != nullptr && after(*known) >= after(*owed))) {
            continue;
        }
        if (is_removal(owed->kind) && (known == nullptr || is_removal(known->kind))) {
            continue;  // it came and went, and the reader knows of nothing there
        }
        const CanonicalEvent* last = events.back();
        if (applied_index != 0) {
            last = newest(name, Place{std::max(applied_index, place.index)});
        }
        if (last == owed) {
            wrong("cursor " + text_of(place) + " passes " + describe_event(*owed) +
                  ", which was not delivered, nor anything newer");
            return;
        }
    }
}

void Follower::advance(const Place& place, std::uint64_t applied_index) {
    if (at_ && place < *at_) {
        wrong("the cursor went back from " + text_of(*at_) + " to " + text_of(place));
        return;
    }
    if (selection_.watch) {
        require_values_up_to(place, applied_index);
    } else if (at_) {
        require_events_up_to(place);
    }
    at_ = place;
}

void Follower::take_event(const Received& message) {
    if (selection_.watch || !at_) {
        wrong(selection_.watch ? "an event on a watch" : "an event before `subscribed`");
        return;
    }
    const auto next = first_after(events_, *at_);
    if (next == events_.end()) {
        wrong("an event of " + quoted(message.name) + " that never was");
        return;
    }
    const CanonicalEvent& event = **next;
    const bool removed = is_removal(event.kind);
    if (message.event != event.kind || message.name != event.name || message.value != event.value ||
        message.index != event.value_index || (removed && message.deleted_index != event.index) ||
        (event.kind == EventKind::updated && (message.previous_index != event.previous_index ||
                                              message.previous_value != event.previous_value))) {
        wrong("not the next event, which is " + describe_event(event));
        return;
    }
    at_ = after(event);
    if (!message.cursor) {
        wrong("no cursor");
        return;
    }
    advance(*message.cursor, message.applied_index);
}

// One of the present values after a gap: true of some moment after it; which, the last one tells.
void Follower::take_present(const Received& message) {
    present_.push_back(message);
    if (*message.cursor > *gap_) {
        end_gap(*message.cursor);
    }
}

void Follower::begin_gap(const Received& message) {
    if (!message.cursor) {
        wrong("no cursor");
        return;
    }
    if (at_ && *message.cursor < *at_) {
        wrong("the cursor went back from " + text_of(*at_) + " to " + text_of(*message.cursor));
    }
    gap_ = message.cursor;
    present_.clear();
}

void Follower::end_gap(const Place& place) {
    std::map<std::string, const Received*> given;
    for (const Received& message : present_) {
        if (!given.emplace(message.name, &message).second) {
            wrong("the present value of " + quoted(message.name) + " twice");
        }
    }
    for (const auto& [name, events] : by_name_) {
        const CanonicalEvent* last = newest(name, place);
        const bool is_there = last != nullptr && !is_removal(last->kind);
        const auto found = given.find(name);
        const bool is_given = found != given.end() && found->second->is_set;
        const bool fits = is_there ? is_given && found->second->index == last->value_index &&
                                         found->second->value == last->value
                                   : !is_given;
        if (!fits) {
            wrong("after the gap, at " + text_of(place) + ", the present state of " + quoted(name) +
                  " is missing or another");
        }
    }
    for (const auto& [name, message] : given) {
        if (message->is_set && !by_name_.contains(name)) {
            wrong("a value of " + quoted(name) + ", which never was");
        }
    }
    if (!selection_.prefix && !given.contains(selection_.name)) {
        wrong("no present value after the gap");
    }
    gap_.reset();
    present_.clear();
    at_ = place;
    know_state_at(place);
}

void Follower::take_removal(const Received& message, const CanonicalEvent* last) {
    const bool is_told = told_.contains(message.name);
    if (last != nullptr && !is_removal(last->kind)) {
        wrong("not set at " + text_of(*message.cursor) + ", where " + describe_event(*last));
        return;
    }
    // The first message of all says what is there, which may be nothing, whenever it went.
    if (is_first_ && !is_told) {
        if (last != nullptr) {
            told_[message.name] = last;
        }
        return;
    }
    if (last == nullptr) {
        wrong(quoted(message.name) + " was never set, and said to be gone");
        return;
    }
    if (message.index != last->index || message.is_expired != (last->kind == EventKind::expired)) {
        wrong("not as " + describe_event(*last));
    }
    if (is_told && after(*told_[message.name]) >= after(*last)) {
        wrong("again, or back: " + describe_event(*last));
        return;
    }
    told_[message.name] = last;
}

void Follower::take_value(const Received& message) {
    if (!message.cursor || !is_selected(message.name)) {
        wrong(message.cursor ? "a name that wasn't selected" : "no cursor");
        return;
    }
    if (gap_) {
        take_present(message);
        return;
    }
    if (!selection_.watch) {
        wrong("a value on a stream of events, and no gap before");
        return;
    }
    if (!message.is_set) {
        take_removal(message, newest(message.name, *message.cursor));
    } else {
        const CanonicalEvent* event = value_event(message);
        if (event == nullptr) {
            wrong("a value of " + quoted(message.name) + " that never was, index " +
                  std::to_string(message.index));
            return;
        }
        if (after(*event) > *message.cursor) {
            wrong("the cursor is before the value: " + describe_event(*event));
        }
        if (told_.contains(message.name) && after(*told_[message.name]) >= after(*event)) {
            wrong("again, or back: " + describe_event(*event));
        } else {
            told_[message.name] = event;
        }
    }
    advance(*message.cursor, message.applied_index);
}

void Follower::take(const Received& message, std::size_t number) {
    number_ = number;
    if (message.kind == Kind::opened) {
        open(message);
        return;
    }
    if (!is_open_) {
        wrong("a message on a stream that isn't open");
        return;
    }
    const bool is_value = message.kind == Kind::value;
    if (gap_ && !is_value && message.kind != Kind::closed) {
        end_gap(*gap_);  // nothing followed
    }
    if (is_first_ && !selection_.watch && message.kind != Kind::subscribed &&
        message.kind != Kind::closed) {
        wrong("the first message isn't `subscribed`");
    }
    switch (message.kind) {
        case Kind::subscribed:
        case Kind::progress:
            if (!message.cursor) {
                wrong("no cursor");
            } else if (is_first_ && message.kind == Kind::progress && !at_ && !selection_.prefix) {
                wrong("progress before the present value");
            } else {
                advance(*message.cursor, message.applied_index);
            }
            break;
        case Kind::event:
            take_event(message);
            break;
        case Kind::value:
            take_value(message);
            break;
        case Kind::gap:
            begin_gap(message);
            break;
        case Kind::closed:
            is_open_ = false;
            break;
        case Kind::opened:
            break;
    }
    is_first_ = false;
}

void Follower::end(const std::optional<Place>& complete_up_to) {
    ++number_;
    if (!is_open_ || !complete_up_to) {
        return;
    }
    if (gap_) {
        end_gap(*gap_);
    }
    if (!at_ && !selection_.watch) {
        wrong("ends before `subscribed`");
    } else if (!at_ || *at_ < *complete_up_to) {
        const std::size_t before = problems.size();
        advance(*complete_up_to, complete_up_to->index);
        if (problems.size() > before) {
            problems.back() += " (at the end)";
        }
    }
}

const char* misfit(const CanonicalEvent& event, const CanonicalEvent* value) {
    const bool is_new = event.kind == EventKind::created || event.kind == EventKind::updated;
    if (is_new && event.value_index != event.index) {
        return "its value has not the entry's index";
    }
    if (event.kind == EventKind::created) {
        return value != nullptr ? "there was a value" : nullptr;
    }
    if (value == nullptr) {
        return "there was no value";
    }
    const bool fits =
        is_new ? event.previous_index == value->value_index && event.previous_value == value->value
               : event.value_index == value->value_index && event.value == value->value;
    return fits ? nullptr : "another value was there";
}

}  // namespace

std::vector<std::string> check_canonical_events(const std::vector<CanonicalEvent>& canonical) {
    std::vector<std::string> problems;
    std::map<std::string, const CanonicalEvent*> values;
    const CanonicalEvent* before = nullptr;
    for (const CanonicalEvent& event : canonical) {
        const bool follows =
            before == nullptr || event.index > before->index
                ? event.position == 0
                : event.index == before->index && event.position == before->position + 1;
        if (!follows) {
            problems.push_back("out of order: " + describe_event(event));
        }
        before = &event;
        const CanonicalEvent*& value = values[event.name];
        const char* wrong = misfit(event, value);
        if (wrong != nullptr) {
            problems.push_back(describe_event(event) + ": " + wrong);
        }
        value = is_removal(event.kind) ? nullptr : &event;
    }
    return problems;
}

std::vector<std::string> check_stream(const std::vector<CanonicalEvent>& canonical,
                                      const StreamSelection& selection,
                                      const std::vector<Received>& received,
                                      const std::optional<Place>& complete_up_to) {
    Follower follower(canonical, selection);
    for (std::size_t i = 0; i < received.size(); ++i) {
        follower.take(received[i], i);
    }
    follower.end(complete_up_to);
    return std::move(follower.problems);
}

}  // namespace cairn::checker
