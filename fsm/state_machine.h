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
// for what it may not (fsm/name.h, the bounds of fsm/types.h), is applied as Status::invalid, the
// same on every node. What a command with an idempotency key did is kept for some time
// (fsm/idempotency.h), but for Status::invalid; a command with a key that is known gives that
// output again, or Status::idempotency_mismatch when its fingerprint is another, and does nothing.
// Changing one of the bounds changes the outcome of entries: all nodes need the same.
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

#include "fsm/idempotency.h"
#include "fsm/name_hash.h"
#include "fsm/types.h"

namespace cairn::fsm {

constexpr std::size_t expiries_per_entry_max = 10'000;

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

    // The values held whose name begins with `prefix` and follows `after`, in name order, those
    // that the bound left to expire included, until `use(name, value)` returns false.
    template <typename Use>
    void for_each_stored(std::string_view prefix, std::string_view after, Use use) const {
        auto next = after < prefix ? names_.lower_bound(prefix) : names_.upper_bound(after);
        while (next != names_.end() && (*next)->first.starts_with(prefix) &&
               use(std::string_view((*next)->first), (*next)->second)) {
            ++next;
        }
    }

    Index applied_index() const { return applied_index_; }
    std::int64_t time_ns() const { return time_ns_; }
    // UTC minus log time, as the last leader that noticed a difference told it: what turns a
    // deadline into the time of day people see. Deadlines don't depend on it.
    std::int64_t utc_offset_ns() const { return utc_offset_ns_; }
    // The next deadline, or 0 when nothing expires. At or before time_ns() when the bound left
    // values to expire: then the next entry is due at once.
    std::int64_t next_deadline_ns() const;
    // The bound left values to expire: they are held, and can't be read.
    bool has_overdue() const {
        return !deadlines_.empty() && deadlines_.begin()->at_ns <= time_ns_;
    }
    // How many values are held, those included that the bound left to expire.
    std::size_t size() const { return values_.size(); }
    // Of their names and values together, without what it takes to keep them.
    std::uint64_t bytes() const { return bytes_; }
    const IdempotencyTable& kept() const { return kept_; }

    // Hash of the whole state, equal exactly when the state is, however it came about. O(n).
    std::uint64_t digest() const;

    // A snapshot is the state as of begin_snapshot(), as bytes that are a function of that state
    // alone (fsm/snapshot_format.h); apply() may go on between the parts. Beginning copies nothing:
    // what is changed before it is read is kept until it is, so at most what was there at the
    // beginning. One at a time.
    void begin_snapshot();
    // Appends the next part to `out`, of about `bytes_max` bytes (a record's head isn't cut), less
    // when there was much to pass over, even none. False when that was the last. Takes time in
    // proportion to `bytes_max`, whatever the size of the state and of its values.
    bool read_snapshot(std::size_t bytes_max, std::string& out);
    // Also ends one that isn't read to its end, then in time proportional to what is kept for it.
    void end_snapshot();
    bool snapshot_in_progress() const { return pinned_ != nullptr; }

 private:
    friend class SnapshotLoader;
    class Interpreter;  // parses commands and carries them out; keeps protobuf out of this header
    class PinnedState;  // the snapshot in progress

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

    static std::uint64_t size_of(const Stored& stored) {
        return stored.first.size() + stored.second.bytes->size();
    }
    bool is_overdue(const Value& value) const {
        return value.deadline_ns != 0 && value.deadline_ns <= time_ns_;
    }
    void expire_overdue(std::vector<Event>& events);
    // The value a command on `name` finds; one past its deadline expires here.
    Values::iterator find_for_command(std::string_view name, std::vector<Event>& events);
    void insert(std::string name, Value value);
    void create(std::string name, Value value, std::vector<Event>& events);
    // `name` is the found one's: its memory goes to the event.
    void replace(Values::iterator found, std::string name, Value value, std::vector<Event>& events);
    // Returns what was removed.
    Value remove(Values::iterator found, bool expired, std::vector<Event>& events);
    void move_deadline(const Stored& stored, std::int64_t from_ns, std::int64_t to_ns);
    PinnedOutcomes* pinned_outcomes();

    Values values_;
    std::set<const Stored*, NameOrder> names_;     // all of values_
    std::set<Deadline, DeadlineOrder> deadlines_;  // those of values_ that aren't permanent
    IdempotencyTable kept_;
    std::uint64_t bytes_ = 0;
    Index applied_index_ = 0;
    std::int64_t time_ns_ = 0;
    std::int64_t utc_offset_ns_ = 0;
    std::unique_ptr<Interpreter> interpreter_;
    std::unique_ptr<PinnedState> pinned_;  // null while no snapshot is taken
};

}  // namespace cairn::fsm
