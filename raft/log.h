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

#include "raft/types.h"

namespace cairn::raft {

class Log {
 public:
    // `recovered` are durable entries, consecutive from base_index + 1.
    Log(Index base_index, Term base_term, std::vector<Entry> recovered);

    Index first_index() const { return base_index_ + 1; }
    Index last_index() const { return base_index_ + entries_.size(); }
    Term last_term() const { return entries_.empty() ? base_term_ : entries_.back().term; }
    Index stable_index() const { return stable_index_; }
    Index handed_out_index() const { return handed_out_index_; }
    // Stamp of the last entry; 0 without one.
    std::int64_t last_stamp_ns() const { return entries_.empty() ? 0 : entries_.back().stamp_ns; }

    // The term of the entry at `index`, none below the base or above the end.
    std::optional<Term> term_at(Index index) const;
    bool matches(Index index, Term term) const;
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

    // Entries not yet handed to the disk, at most about `bytes_max` of payload; marks them handed
    // out.
    void hand_out(std::size_t bytes_max, std::vector<Entry>& out);
    bool has_unsaved() const { return handed_out_index_ < last_index(); }
    // Everything up to `index` is durable. The caller has clamped `index` on truncation.
    void mark_stable(Index index);

 private:
    Index base_index_;
    Term base_term_;
    std::deque<Entry> entries_;
    Index stable_index_;
    Index handed_out_index_;
};

}  // namespace cairn::raft
