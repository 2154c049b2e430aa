#include "fsm/idempotency.h"

#include <limits>
#include <utility>

#include "fsm/invariant.h"

namespace cairn::fsm {

namespace {

std::size_t bytes_of(const KeptOutcome& outcome) {
    std::size_t bytes = outcome.key.size();
    if (outcome.output.value) {
        bytes += outcome.output.value->bytes->size();
    }
    if (outcome.output.prev_value) {
        bytes += outcome.output.prev_value->bytes->size();
    }
    return bytes;
}

}  // namespace

std::int64_t idempotency_deadline_ns(std::int64_t time_ns) {
    constexpr std::int64_t end_of_time = std::numeric_limits<std::int64_t>::max();
    return time_ns > end_of_time - idempotency_retention_ns ? end_of_time
                                                            : time_ns + idempotency_retention_ns;
}

const KeptOutcome* IdempotencyTable::find(std::string_view key, std::int64_t time_ns) const {
    const auto found = by_key_.find(key);
    if (found == by_key_.end() || found->second->second.deadline_ns <= time_ns) {
        return nullptr;
    }
    return &found->second->second;
}

void IdempotencyTable::keep(Index index, std::int64_t time_ns, std::string key,
                            std::uint64_t fingerprint, const Output& output,
                            PinnedOutcomes* pinned) {
    // Past its deadline, but expire() didn't get to it.
    if (const auto old = by_key_.find(key); old != by_key_.end()) {
        FSM_INVARIANT(old->second->second.deadline_ns <= time_ns);
        forget(old->second, pinned);
    }
    KeptOutcome outcome;
    outcome.key = std::move(key);
    outcome.fingerprint = fingerprint;
    outcome.deadline_ns = idempotency_deadline_ns(time_ns);
    outcome.output = output;
    outcome.output.replayed = true;
    outcome.output.first_applied_index = index;
    const std::size_t bytes = bytes_of(outcome);
    while (!outcomes_.empty() && !is_within_limits(1, bytes)) {
        forget(outcomes_.begin(), pinned);
    }
    insert(index, std::move(outcome));
}

void IdempotencyTable::expire(std::int64_t time_ns, PinnedOutcomes* pinned) {
    for (std::size_t i = 0; i < idempotency_expiries_per_entry_max && !outcomes_.empty(); ++i) {
        if (outcomes_.begin()->second.deadline_ns > time_ns) {
            return;
        }
        forget(outcomes_.begin(), pinned);
    }
}

bool IdempotencyTable::restore(Index index, KeptOutcome outcome) {
    if (by_key_.contains(outcome.key) || !is_within_limits(1, bytes_of(outcome))) {
        return false;
    }
    insert(index, std::move(outcome));
    return true;
}

void IdempotencyTable::insert(Index index, KeptOutcome outcome) {
    FSM_INVARIANT(outcomes_.empty() || outcomes_.rbegin()->first < index);
    bytes_ += bytes_of(outcome);
    const auto inserted = outcomes_.emplace_hint(outcomes_.end(), index, std::move(outcome));
    by_key_.emplace(inserted->second.key, inserted);
}

void IdempotencyTable::forget(KeptOutcomes::iterator found, PinnedOutcomes* pinned) {
    bytes_ -= bytes_of(found->second);
    by_key_.erase(found->second.key);
    const Index index = found->first;
    auto forgotten = outcomes_.extract(found);
    if (pinned != nullptr && pinned->read < index && index <= pinned->last) {
        pinned->forgotten.insert(std::move(forgotten));
    }
}

bool IdempotencyTable::is_within_limits(std::size_t more_outcomes, std::size_t more_bytes) const {
    return outcomes_.size() + more_outcomes <= limits_.outcomes_max &&
           bytes_ + more_bytes <= limits_.bytes_max;
}

}  // namespace cairn::fsm
