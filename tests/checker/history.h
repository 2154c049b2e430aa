// What clients asked and were told: the material of the checkers of histories.
//
// Plain values, owned by whoever records them. Nothing here knows the program under test: a
// simulated client fills them in, and so does a client of real processes. Times are of one clock
// for all clients of a history. A time that two operations share counts as overlap: that is the
// weaker claim.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace cairn::checker {

enum class OpKind : std::uint8_t {
    get,        // linearizable
    local_get,  // from one node's own state
    set,
    create,  // only if there is none
    update,  // only if there is one; with prev_index only that one
    remove,  // the same
};

enum class Outcome : std::uint8_t {
    ok,
    not_found,
    conflict,        // the value has another index
    already_exists,  // create, and there is one
    not_applied,     // refused with the promise that it did and will do nothing
    unknown,         // no answer, or one that says so
};

// What a write that succeeded told about the value before it.
enum class Previous : std::uint8_t { unreported, absent, present };

struct Operation {
    std::uint64_t client = 0;
    std::uint64_t node = 0;         // the node that was asked
    std::uint64_t incarnation = 0;  // of the node: counts its starts, 0 when nobody counts

    OpKind kind = OpKind::get;
    std::string name;
    std::string value;             // argument; best never written twice
    std::uint64_t prev_index = 0;  // argument; 0: any
    std::int64_t ttl_ns = 0;       // argument; 0: none
    std::string idempotency_key;   // operations with the same one are one request, sent again

    std::int64_t invoked_ns = 0;
    std::int64_t returned_ns = 0;  // of no meaning when the outcome is unknown

    Outcome outcome = Outcome::unknown;
    // get: of the value. set, create, update: the value's new one. remove: the entry that removed
    // it, 0 when not told. conflict, already_exists: the current value's, 0 when not told.
    std::uint64_t index = 0;
    std::string returned_value;  // get
    Previous previous = Previous::unreported;
    std::uint64_t previous_index = 0;  // 0 when not told; else previous_value is told too
    std::string previous_value;
    std::uint64_t applied_index = 0;  // what the serving node had applied, 0 when not told
};

using History = std::vector<Operation>;

constexpr std::int64_t never_ns = std::numeric_limits<std::int64_t>::max();

inline bool is_read(OpKind kind) {
    return kind == OpKind::get || kind == OpKind::local_get;
}

// Whether the client knows what became of it.
inline bool is_answered(const Operation& op) {
    return op.outcome != Outcome::unknown && op.outcome != Outcome::not_applied;
}

}  // namespace cairn::checker
