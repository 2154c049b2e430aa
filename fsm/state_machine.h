// The state machine: named values with indexes, deadlines and events, changed only by apply().
//
// Owned by the raft thread. Pure and deterministic: its state and every output are a function of the
// sequence of applied entries, bit for bit the same on every node; digest() shows it. No clock, no
// random source, no thread, no file. It knows nothing of Raft but the index and stamp of an entry.
//
// Time is the stamp of the last applied entry. Before an entry's command is applied, every value
// whose deadline is at or before the stamp expires, in the order (deadline, name). A value is
// therefore never gone before its ttl. An index mismatch changes nothing at all. A command that
// can't be parsed is applied as Status::invalid, the same on every node.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace cairn::fsm {

using Index = std::uint64_t;
using Bytes = std::shared_ptr<const std::string>;  // immutable, shared with readers and streams

struct Value {
    Bytes bytes;  // never null in a stored value
    Index index = 0;  // log index of the command that wrote it
    std::int64_t deadline_ns = 0;  // log time; 0: permanent
};

enum class Status : std::uint8_t {
    ok = 0,
    not_found = 1,       // the command needs a value and there is none
    conflict = 2,        // prev_index is another
    already_exists = 3,  // create-only, and there is one
    invalid = 4,         // not a command this version understands
};

// What a command did. The same for everyone who asks.
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

class StateMachine {
 public:
    // Applies the command of the entry at `index`: serialized cairn.server.v1.Command. Empty bytes
    // only move time. Indexes grow; stamps never decrease. Events are appended to `events`.
    Output apply(Index index, std::int64_t stamp_ns, std::string_view command,
                 std::vector<Event>& events);

    // The value of `name`, or null. Valid until the next apply().
    const Value* get(std::string_view name) const;

    // Up to `limit` values whose name begins with `prefix` and follows `after`, in name order (by
    // byte). `more` is set when there are more.
    std::vector<ListItem> list(std::string_view prefix, std::string_view after, std::size_t limit,
                               bool& more) const;

    Index applied_index() const { return applied_index_; }
    std::int64_t time_ns() const { return time_ns_; }
    // UTC minus log time, as the last leader that noticed a difference told it: what turns a
    // deadline into the time of day people see. Deadlines don't depend on it.
    std::int64_t utc_offset_ns() const { return utc_offset_ns_; }
    // The next deadline, or 0 when nothing expires.
    std::int64_t next_deadline_ns() const;
    std::size_t size() const { return values_.size(); }

    // Hash of the whole state, equal exactly when the state is, however it came about. O(n).
    std::uint64_t digest() const;

 private:
    struct NameHash {
        using is_transparent = void;
        std::size_t operator()(std::string_view name) const {
            return std::hash<std::string_view>{}(name);
        }
    };
    struct NameEqual {
        using is_transparent = void;
        bool operator()(std::string_view a, std::string_view b) const { return a == b; }
    };
    // order-free: iterated nowhere; names_ has the order.
    std::unordered_map<std::string, Value, NameHash, NameEqual> values_;
    std::set<std::string_view> names_;  // views of the keys of values_
    std::set<std::pair<std::int64_t, std::string_view>> deadlines_;
    Index applied_index_ = 0;
    std::int64_t time_ns_ = 0;
    std::int64_t utc_offset_ns_ = 0;
};

}  // namespace cairn::fsm
