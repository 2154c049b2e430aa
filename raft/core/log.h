// The log in memory: consecutive entries above a base, which part of them is durable, and which has
// been handed to the disk.
//
// Owned by the core. Index arithmetic only: it knows no roles, no quorum and no file. An entry once
// truncated takes its claim to durability with it, also when its write is still under way (the ABA
// case of asynchronous writes: see truncate_from).
#pragma once

#include <deque>
#include <optional>
#include <span>
#include <vector>

#include "raft/core/types.h"

namespace cairn::raft {

class Log {
 public:
    // `recovered` are durable entries, consecutive from base.index + 1.
    Log(const LogPosition& base, std::vector<Entry> recovered);

    // What lies before the first entry; its term is known, its content isn't kept.
    const LogPosition& base() const { return base_; }
    Index first_index() const { return base_.index + 1; }
    Index last_index() const { return base_.index + entries_.size(); }
    Term last_term() const { return entries_.empty() ? base_.term : entries_.back().term; }
    // Of all entries' payloads.
    std::size_t bytes() const { return bytes_; }
    // Of those that are not durable yet.
    std::size_t unstable_bytes() const { return unstable_bytes_; }
    Index stable_index() const { return stable_index_; }
    Index handed_out_index() const { return handed_out_index_; }
    std::int64_t last_stamp_ns() const {
        return entries_.empty() ? base_.stamp_ns : entries_.back().stamp_ns;
    }

    // The term of the entry at `index`, none below the base or above the end.
    std::optional<Term> term_at(Index index) const;
    bool matches(Index index, Term term) const;
    // `index` must be the base's or an entry's.
    LogPosition position_at(Index index) const;
    // `index` must be in the log.
    const Entry& at(Index index) const;

    // Whether a log that ends with this is at least as up to date as ours (paper §5.4.1).
    bool is_up_to_date(Index other_last_index, Term other_last_term) const;

    // The largest index <= `index` whose term is <= `term`: where two logs that differ at `index`
    // may still agree.
    Index last_index_with_term_at_most(Index index, Term term) const;

    void append(Entry entry);
    // Removes the entries at `index` and above.
    void truncate_from(Index index);

    // Forgets the entries up to `index`, which must be durable.
    void compact(Index index);
    // Forgets everything and goes on after `base`.
    void reset(const LogPosition& base);

    // Entries not yet handed to the disk, at most about `bytes_max` of payload; marks them handed
    // out.
    void hand_out(std::size_t bytes_max, std::vector<Entry>& out);
    bool has_unsaved() const { return handed_out_index_ < last_index(); }
    // Everything up to `index` is durable. The caller has clamped `index` on truncation.
    void mark_stable(Index index);

 private:
    LogPosition base_;
    std::deque<Entry> entries_;
    std::size_t bytes_ = 0;
    std::size_t unstable_bytes_ = 0;
    Index stable_index_;
    Index handed_out_index_;
};

}  // namespace cairn::raft
