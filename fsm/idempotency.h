// The outcomes of commands that came with an idempotency key, kept so that the same command, come
// again, gives the same outcome and isn't done twice. A part of the replicated state.
//
// Owned by the state machine. Deterministic: which outcomes are kept is a function of the calls.
// Order is that of the entries, which is also that of the deadlines, since time never goes back and
// all are kept equally long. An outcome is known until its deadline, or until so many and such
// large ones followed that the bounds below push it out, oldest first. What is past its deadline
// isn't known any more, and is forgotten by expire(), a bounded number at each entry.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>

#include "fsm/name_hash.h"
#include "fsm/types.h"

namespace cairn::fsm {

constexpr std::size_t idempotency_key_bytes_max = 255;
constexpr std::int64_t idempotency_retention_ns = std::int64_t{600} * 1'000'000'000;
constexpr std::size_t idempotency_outcomes_max = 1'000'000;
// Of keys and of the values in outcomes, also where a value is held elsewhere too.
constexpr std::size_t idempotency_bytes_max = std::size_t{256} << 20;
constexpr std::size_t idempotency_expiries_per_entry_max = 10'000;

struct IdempotencyLimits {
    std::size_t outcomes_max = idempotency_outcomes_max;
    std::size_t bytes_max = idempotency_bytes_max;
};

struct KeptOutcome {
    std::string key;
    std::uint64_t fingerprint = 0;
    std::int64_t deadline_ns = 0;
    Output output;  // as it is given again: replayed
};

// By the index of the entry that did it.
using KeptOutcomes = std::map<Index, KeptOutcome>;

// The deadline of what is kept from `time_ns` on.
std::int64_t idempotency_deadline_ns(std::int64_t time_ns);

// What a snapshot has yet to read: the outcomes after `read` up to `last`. Those of them that are
// forgotten meanwhile are moved here.
struct PinnedOutcomes {
    Index read = 0;
    Index last = 0;
    KeptOutcomes forgotten;
};

class IdempotencyTable {
 public:
    explicit IdempotencyTable(const IdempotencyLimits& limits = {}) : limits_(limits) {}

    // Null when the key isn't known. Valid until the next change.
    const KeptOutcome* find(std::string_view key, std::int64_t time_ns) const;

    // Keeps what the entry at `index`, later than all before, did under a key that isn't known.
    // `pinned` is null when no snapshot is taken.
    void keep(Index index, std::int64_t time_ns, std::string key, std::uint64_t fingerprint,
              const Output& output, PinnedOutcomes* pinned);

    // Forgets those whose deadline is at or before `time_ns`, oldest first, within the bound.
    void expire(std::int64_t time_ns, PinnedOutcomes* pinned);

    // Takes an outcome from a snapshot, in order; false, and nothing is taken, when the key is
    // there already or the bounds are exceeded.
    bool restore(Index index, KeptOutcome outcome);

    const KeptOutcomes& outcomes() const { return outcomes_; }
    std::size_t bytes() const { return bytes_; }

 private:
    void insert(Index index, KeptOutcome outcome);
    void forget(KeptOutcomes::iterator found, PinnedOutcomes* pinned);
    bool is_within_limits(std::size_t more_outcomes, std::size_t more_bytes) const;

    IdempotencyLimits limits_;
    KeptOutcomes outcomes_;
    // order-free: iterated nowhere. The keys' bytes are those in outcomes_.
    std::unordered_map<std::string_view, KeptOutcomes::iterator, NameHash> by_key_;
    std::size_t bytes_ = 0;
};

}  // namespace cairn::fsm
