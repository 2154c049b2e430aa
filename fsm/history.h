// Places in the history of events, and the recent part of that history, kept so that a stream can
// resume where it was cut.
//
// A History is owned by the raft thread. It keeps a run of events without holes, bounded by number
// and by bytes: the oldest go first. It says exactly whether all events after a place are kept, and
// answers replay() only then. It does not persist anything and does not know what happened before
// it was told to begin: a node that starts from a snapshot has no history before it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fsm/state_machine.h"

namespace cairn::fsm {

// A place between events: after all events of the entries before `index` and the first `position`
// events of that entry; after all of them when `position` is whole_entry. As text "42.3" or "42".
struct Cursor {
    static constexpr std::uint32_t whole_entry = UINT32_MAX;

    Index index = 0;
    std::uint32_t position = whole_entry;

    // The place after `event`.
    static Cursor after(const Event& event);
    // Only what format() writes: no sign, no space, no leading zero, nothing out of range.
    static std::optional<Cursor> parse(std::string_view text);
    std::string format() const;

    friend auto operator<=>(const Cursor&, const Cursor&) = default;
};

struct HistoryOptions {
    std::size_t events_max = 100'000;
    // The kept events with their names and values; bytes that two events share count twice.
    std::size_t bytes_max = std::size_t{64} << 20;
};

class History {
 public:
    // Knows nothing up to and including entry `begin`.
    explicit History(const HistoryOptions& options, Index begin = 0);

    // Forgets everything, for a state that didn't come from applying entries (a snapshot at
    // `begin`).
    void reset(Index begin);

    // The events of entries that follow those already here, in order, all of each entry.
    void append(const std::vector<Event>& events);

    // The earliest place from which replay() is complete.
    Cursor oldest() const { return oldest_; }

    // Appends to `out` the events after a place (`after_position` as in Cursor) of the value
    // `name`, or of all whose name begins with it when `prefix` is set; the first `events_max` of
    // them. False, and nothing appended, when events after that place are no longer kept.
    bool replay(Index after_index, std::uint32_t after_position, std::string_view name, bool prefix,
                std::vector<Event>& out, std::size_t events_max = SIZE_MAX) const;

    // At the end of this entry, the newest so far, values past their deadline at `time_ns` were
    // left to expire (StateMachine::has_overdue).
    void note_overdue(Index index, std::int64_t time_ns) { overdue_.push_back({index, time_ns}); }
    // The time of the entry when it left such values, else 0.
    std::int64_t overdue_time_ns(Index index) const;

    // Calls `use` for each kept event of the entries after `index`, in order; returns how many.
    template <typename Use>
    std::size_t for_each_after(Index index, Use use) const {
        std::size_t count = 0;
        for (auto event = first_after({index}); event != events_.end(); ++event, ++count) {
            use(*event);
        }
        return count;
    }

    std::size_t size() const { return events_.size(); }
    std::size_t bytes() const { return bytes_; }

 private:
    struct Overdue {
        Index index = 0;
        std::int64_t time_ns = 0;
    };

    void drop_oldest();
    std::deque<Event>::const_iterator first_after(Cursor place) const;

    HistoryOptions options_;
    Cursor oldest_;
    std::deque<Event> events_;
    // Few: each but the last is followed by as many events as one entry's expiries may be.
    std::deque<Overdue> overdue_;
    std::size_t bytes_ = 0;
};

}  // namespace cairn::fsm
