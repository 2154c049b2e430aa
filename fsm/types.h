// The vocabulary of the state machine: values and their bounds, what a command did, what happened
// to a value.
//
// Plain data, for any thread; the bytes of values are shared and never change.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

namespace cairn::fsm {

constexpr std::size_t value_bytes_max = std::size_t{64} << 20;
constexpr std::int64_t ttl_ns_max = std::int64_t{36'525} * 86'400 * 1'000'000'000;  // 100 years

using Index = std::uint64_t;
using Bytes = std::shared_ptr<const std::string>;  // immutable, shared with readers and streams

struct Value {
    Bytes bytes;                   // never null in a stored value
    Index index = 0;               // log index of the command that wrote it
    std::int64_t deadline_ns = 0;  // log time; 0: permanent
};

enum class Status : std::uint8_t {
    ok = 0,
    not_found = 1,             // the command needs a value and there is none
    conflict = 2,              // prev_index is another
    already_exists = 3,        // create-only, and there is one
    invalid = 4,               // not a command this version understands
    idempotency_mismatch = 5,  // another request came with this idempotency key before
};

// What a command did, or what the one before it with the same idempotency key did. The same for
// everyone who asks.
struct Output {
    enum class Kind : std::uint8_t { none, get, set, update, remove };
    Status status = Status::ok;
    Kind kind = Kind::none;
    bool created = false;  // set: there was no value before
    // ok: the index of the new value (set, update) or of the value read or deleted (get, remove).
    // conflict, already_exists: the current value's index.
    Index index = 0;
    std::optional<Value> value;       // get: the value; remove: what was deleted
    std::optional<Value> prev_value;  // update: what was replaced
    bool replayed = false;            // not done now: done before, under the same idempotency key
    Index first_applied_index = 0;    // replayed: the entry that did it
};

struct Event {
    enum class Kind : std::uint8_t { created, updated, deleted };
    Kind kind = Kind::created;
    bool expired = false;  // deleted: by its deadline
    // The entry at which it happened, and the event's place among that entry's events (an entry may
    // expire several values before it writes one); together the event's place in the history.
    Index at_index = 0;
    std::uint32_t at_position = 0;
    bool last_of_index = false;
    std::string name;
    Value value;                      // created, updated: the new one; deleted: the one that was
    std::optional<Value> prev_value;  // updated: the one before
};

struct ListItem {
    std::string name;
    Value value;
};

}  // namespace cairn::fsm
