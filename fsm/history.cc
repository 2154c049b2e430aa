#include "fsm/history.h"

#include <algorithm>
#include <charconv>

#include "fsm/invariant.h"

namespace cairn::fsm {

namespace {

std::size_t bytes_of(const Event& event) {
    std::size_t bytes = sizeof(Event) + event.name.size() + event.value.bytes->size();
    if (event.prev_value) {
        bytes += event.prev_value->bytes->size();
    }
    return bytes;
}

// The place right before `event`.
Cursor before(const Event& event) {
    return {event.at_index, event.at_position};
}

// All of `text` as a decimal number, in the one form that a number is written.
template <typename Number>
std::optional<Number> parse_number(std::string_view text) {
    Number number = 0;
    const char* const end = text.data() + text.size();
    const auto [parsed, error] = std::from_chars(text.data(), end, number);
    const bool leading_zero = text.size() > 1 && text[0] == '0';
    if (text.empty() || error != std::errc{} || parsed != end || leading_zero) {
        return std::nullopt;
    }
    return number;
}

}  // namespace

Cursor Cursor::after(const Event& event) {
    return {event.at_index, event.last_of_index ? whole_entry : event.at_position + 1};
}

std::optional<Cursor> Cursor::parse(std::string_view text) {
    const std::size_t dot = text.find('.');
    const auto index = parse_number<Index>(text.substr(0, dot));
    if (!index) {
        return std::nullopt;
    }
    if (dot == std::string_view::npos) {
        return Cursor{*index, whole_entry};
    }
    const auto position = parse_number<std::uint32_t>(text.substr(dot + 1));
    if (!position || *position == whole_entry) {
        return std::nullopt;
    }
    return Cursor{*index, *position};
}

std::string Cursor::format() const {
    std::string text = std::to_string(index);
    if (position != whole_entry) {
        text += '.';
        text += std::to_string(position);
    }
    return text;
}

History::History(const HistoryOptions& options, Index begin)
    : options_(options), oldest_{begin, Cursor::whole_entry} {}

void History::reset(Index begin) {
    events_.clear();
    overdue_.clear();
    bytes_ = 0;
    oldest_ = {begin, Cursor::whole_entry};
}

void History::append(const std::vector<Event>& events) {
    for (const Event& event : events) {
        // An event out of order, or from before the beginning, would make replay() lie.
        FSM_INVARIANT(before(event) >= (events_.empty() ? oldest_ : Cursor::after(events_.back())));
        bytes_ += bytes_of(event);
        events_.push_back(event);
        while (!events_.empty() &&
               (events_.size() > options_.events_max || bytes_ > options_.bytes_max)) {
            drop_oldest();
        }
    }
}

void History::drop_oldest() {
    const Event& event = events_.front();
    // Not Cursor::after(): a reader who has seen exactly these events may say so by their number.
    oldest_ = {event.at_index, event.at_position + 1};
    bytes_ -= bytes_of(event);
    events_.pop_front();
    while (!overdue_.empty() && overdue_.front().index < oldest_.index) {
        overdue_.pop_front();
    }
}

std::int64_t History::overdue_time_ns(Index index) const {
    for (const Overdue& overdue : overdue_) {
        if (overdue.index == index) {
            return overdue.time_ns;
        }
    }
    return 0;
}

std::deque<Event>::const_iterator History::first_after(Cursor place) const {
    return std::partition_point(events_.begin(), events_.end(),
                                [&](const Event& event) { return before(event) < place; });
}

bool History::replay(Index after_index, std::uint32_t after_position, std::string_view name,
                     bool prefix, std::vector<Event>& out, std::size_t events_max) const {
    const Cursor after{after_index, after_position};
    if (after < oldest_) {
        return false;
    }
    std::size_t left = events_max;
    for (auto event = first_after(after); event != events_.end() && left > 0; ++event) {
        if (prefix ? event->name.starts_with(name) : event->name == name) {
            out.push_back(*event);
            --left;
        }
    }
    return true;
}

}  // namespace cairn::fsm
