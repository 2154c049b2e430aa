// The state machine: named values with indexes, deadlines and events, changed only by apply().
//
// Owned by the raft thread. Pure and deterministic: its state and every output are a function of
// the sequence of applied entries, bit for bit the same on every node; digest() shows it. No clock,
// no random source, no thread, no file. Of Raft it knows the index and the stamp of an entry.
//
// Time is the stamp of the last applied entry. Before an entry's command is applied, every value
// whose deadline is at or before the stamp expires, in the order (deadline, name). A value is
// therefore never gone before its ttl. At most expiries_per_entry_max expire that way in one entry;
// what is left expires at the next ones, can't be read any more, and expires at once when a command
// names it. An index mismatch changes nothing at all. A command that can't be parsed, or that asks
// for what it may not (fsm/name.h, the bounds below), is applied as Status::invalid, the same on
// every node. Changing a bound below changes the outcome of entries: all nodes need the same.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace cairn::fsm {

constexpr std::size_t expiries_per_entry_max = 10'000;
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
    StateMachine();
    ~StateMachine();
    StateMachine(StateMachine&&) noexcept;  // a moved-from one can only be assigned or destroyed
    StateMachine& operator=(StateMachine&&) noexcept;

    // Applies the command of the entry at `index`: serialized cairn.server.v1.Command. Empty bytes
    // only move time. Indexes grow; stamps never decrease, and one that does doesn't move time
    // back. Events are appended to `events`.
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
    // The next deadline, or 0 when nothing expires. At or before time_ns() when the bound left
    // values to expire: then the next entry is due at once.
    std::int64_t next_deadline_ns() const;
    // How many values are held, those included that the bound left to expire.
    std::size_t size() const { return values_.size(); }

    // Hash of the whole state, equal exactly when the state is, however it came about. O(n).
    std::uint64_t digest() const;

 private:
    class Interpreter;  // parses commands and carries them out; keeps protobuf out of this header

    // Not noexcept, so that libstdc++ keeps each name's hash beside it and compares that first.
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
    using Values = std::unordered_map<std::string, Value, NameHash, NameEqual>;
    using Stored = Values::value_type;  // stays where it is until it is erased
    struct NameOrder {
        using is_transparent = void;
        bool operator()(const Stored* a, const Stored* b) const { return a->first < b->first; }
        bool operator()(const Stored* a, std::string_view b) const { return a->first < b; }
        bool operator()(std::string_view a, const Stored* b) const { return a < b->first; }
    };
    struct Deadline {
        std::int64_t at_ns = 0;
        const Stored* stored = nullptr;
    };
    struct DeadlineOrder {
        bool operator()(const Deadline& a, const Deadline& b) const {
            return a.at_ns != b.at_ns ? a.at_ns < b.at_ns : a.stored->first < b.stored->first;
        }
    };

    bool is_overdue(const Value& value) const {
        return value.deadline_ns != 0 && value.deadline_ns <= time_ns_;
    }
    void expire_overdue(std::vector<Event>& events);
    // The value a command on `name` finds; one past its deadline expires here.
    Values::iterator find_for_command(std::string_view name, std::vector<Event>& events);
    void create(std::string name, Value value, std::vector<Event>& events);
    // `name` is the found one's: its memory goes to the event.
    void replace(Values::iterator found, std::string name, Value value, std::vector<Event>& events);
    // Returns what was removed.
    Value remove(Values::iterator found, bool expired, std::vector<Event>& events);
    void move_deadline(const Stored& stored, std::int64_t from_ns, std::int64_t to_ns);

    Values values_;
    std::set<const Stored*, NameOrder> names_;     // all of values_
    std::set<Deadline, DeadlineOrder> deadlines_;  // those of values_ that aren't permanent
    Index applied_index_ = 0;
    std::int64_t time_ns_ = 0;
    std::int64_t utc_offset_ns_ = 0;
    std::unique_ptr<Interpreter> interpreter_;
};

}  // namespace cairn::fsm
