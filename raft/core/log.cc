#include "raft/core/log.h"

#include <algorithm>

#include "raft/core/invariant.h"

namespace cairn::raft {

Log::Log(const LogPosition& base, std::vector<Entry> recovered) : base_(base) {
    for (Entry& entry : recovered) {
        append(std::move(entry));
    }
    stable_index_ = last_index();
    handed_out_index_ = last_index();
    unstable_bytes_ = 0;
}

std::optional<Term> Log::term_at(Index index) const {
    if (index == base_.index) {
        return base_.term;
    }
    if (index < base_.index || index > last_index()) {
        return std::nullopt;
    }
    return at(index).term;
}

bool Log::matches(Index index, Term term) const {
    const std::optional<Term> mine = term_at(index);
    return mine.has_value() && *mine == term;
}

LogPosition Log::position_at(Index index) const {
    if (index == base_.index) {
        return base_;
    }
    const Entry& entry = at(index);
    return {entry.index, entry.term, entry.stamp_ns};
}

const Entry& Log::at(Index index) const {
    RAFT_ASSERT(index > base_.index);
    RAFT_ASSERT(index <= last_index());
    return entries_[index - base_.index - 1];
}

bool Log::is_up_to_date(Index other_last_index, Term other_last_term) const {
    return other_last_term > last_term() ||
           (other_last_term == last_term() && other_last_index >= last_index());
}

Index Log::last_index_with_term_at_most(Index index, Term term) const {
    // Terms never decrease along the log: everything up to the answer fits, nothing after it does.
    const auto begin = entries_.begin();
    const Index upper = std::min(index, last_index());
    if (upper <= base_.index) {
        return std::max(upper, base_.index);
    }
    const auto end = begin + static_cast<std::ptrdiff_t>(upper - base_.index);
    const auto past = std::upper_bound(
        begin, end, term, [](Term wanted, const Entry& entry) { return wanted < entry.term; });
    return base_.index + static_cast<Index>(past - begin);
}

void Log::append(Entry entry) {
    RAFT_ASSERT(entry.index == last_index() + 1);
    RAFT_ASSERT(entry.term >= last_term());
    RAFT_ASSERT(entry.stamp_ns >= last_stamp_ns());
    bytes_ += entry.payload.size();
    unstable_bytes_ += entry.payload.size();
    entries_.push_back(std::move(entry));
}

void Log::truncate_from(Index index) {
    RAFT_ASSERT(index > base_.index);
    while (last_index() >= index) {
        bytes_ -= entries_.back().payload.size();
        if (last_index() > stable_index_) {
            unstable_bytes_ -= entries_.back().payload.size();
        }
        entries_.pop_back();
    }
    stable_index_ = std::min(stable_index_, index - 1);
    handed_out_index_ = std::min(handed_out_index_, index - 1);
}

void Log::compact(Index index) {
    RAFT_ASSERT(index <= stable_index_);
    while (base_.index < index) {
        base_ = position_at(base_.index + 1);
        bytes_ -= entries_.front().payload.size();
        entries_.pop_front();
    }
}

void Log::reset(const LogPosition& base) {
    base_ = base;
    entries_.clear();
    bytes_ = 0;
    unstable_bytes_ = 0;
    stable_index_ = base.index;
    handed_out_index_ = base.index;
}

void Log::hand_out(std::size_t bytes_max, std::vector<Entry>& out) {
    std::size_t bytes = 0;
    while (handed_out_index_ < last_index() && bytes < bytes_max) {
        const Entry& entry = at(handed_out_index_ + 1);
        bytes += entry.payload.size();
        out.push_back(entry);
        ++handed_out_index_;
    }
}

void Log::mark_stable(Index index) {
    RAFT_ASSERT(index <= handed_out_index_);
    while (stable_index_ < index) {
        ++stable_index_;
        unstable_bytes_ -= at(stable_index_).payload.size();
    }
}

}  // namespace cairn::raft
