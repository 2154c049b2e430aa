// Checks what streams delivered against the events that the applied log gave.
//
// Pure. The canonical events are those of one node's state machine from the beginning; the caller
// checks that all nodes agree on them. What a stream received is a list of messages in order, over
// any number of connections: each begins with `opened`, which says from which cursor, and on which
// node. Of events each one that is selected must come, once, in order, but for what a gap leaves
// out; of values (watch) older ones may be left out for newer ones. A cursor that was given must be
// one from which nothing is lost.
//
// What it doesn't decide: that a message came in time, only that what follows a cursor is complete;
// nor whether a gap was necessary.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cairn::checker {

// After the first `position` events of the entry at `index`; by default after all of them.
struct Place {
    static constexpr std::uint32_t whole_entry = UINT32_MAX;
    std::uint64_t index = 0;
    std::uint32_t position = whole_entry;
    friend auto operator<=>(const Place&, const Place&) = default;
};

enum class EventKind : std::uint8_t { created, updated, deleted, expired };

struct CanonicalEvent {
    EventKind kind = EventKind::created;
    std::string name;
    std::uint64_t index = 0;     // the entry
    std::uint32_t position = 0;  // the first event of an entry has 0
    // created, updated: the new value, whose index is the entry's. deleted, expired: the one that
    // was, with its own index.
    std::string value;
    std::uint64_t value_index = 0;
    std::uint64_t previous_index = 0;  // updated
    std::string previous_value;
};

struct StreamSelection {
    std::string name;
    bool prefix = false;
    bool watch = false;  // values, else events
};

struct Received {
    enum class Kind : std::uint8_t {
        opened,  // by the client: `cursor` is where it resumes, none from the present
        subscribed,
        event,
        value,  // watch; and the present values after a gap
        progress,
        gap,
        closed,  // by either side
    };
    Kind kind = Kind::event;
    std::optional<Place> cursor;
    std::uint64_t node = 0;
    // How far the node had applied when the message was taken from it, 0 when nobody knows: makes
    // the check of values sharper.
    std::uint64_t applied_index = 0;

    EventKind event = EventKind::created;  // event
    std::string name;
    bool is_set = false;      // value
    bool is_expired = false;  // value that isn't set
    std::string value;
    std::uint64_t index = 0;  // of the value; of a value that isn't set, when it was removed
    std::uint64_t deleted_index = 0;   // event: deleted, expired
    std::uint64_t previous_index = 0;  // event: updated
    std::string previous_value;
};

// Whether the canonical events themselves make sense: in order, and each fits what was there.
std::vector<std::string> check_canonical_events(const std::vector<CanonicalEvent>& canonical);

// What is wrong, one line each; empty when all is well. The stream had time to deliver everything
// up to `complete_up_to`, where that is given; it is not applied after `closed`.
std::vector<std::string> check_stream(const std::vector<CanonicalEvent>& canonical,
                                      const StreamSelection& selection,
                                      const std::vector<Received>& received,
                                      const std::optional<Place>& complete_up_to = std::nullopt);

}  // namespace cairn::checker
