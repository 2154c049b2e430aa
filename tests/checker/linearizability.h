// Decides whether a history could have come from one register per name with indexes,
// compare-and-set, create-only, delete and expiry, where each operation happens at one moment
// between its invocation and its answer (Herlihy and Wing; the search is in register_search.h).
//
// Pure: no clock, file, thread. Names are searched one by one, which decides the whole, since each
// name is a register of its own; indexes are global, and what they say across names is checked
// first (index_facts.h). Every name begins without a value. An operation with unknown outcome may
// happen at any time after its invocation, or never; one that was not applied must have done
// nothing.
//
// What it doesn't decide: that a value is gone soon after its ttl (late is always fine), that
// refusals were necessary, lists, and idempotency beyond "one request, one effect" (see
// idempotency_check.h). A search that grows too large ends as undecided, never as linearizable.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/checker/history.h"

namespace cairn::checker {

struct LinearizabilityOptions {
    // A value with a ttl may vanish from invoked + ttl * (1 - clock_drift) - early_ns on: how much
    // the time that expiry goes by may run ahead of the history's clock.
    double clock_drift = 0;
    std::int64_t early_ns = 0;
    std::size_t states_max = 1'000'000;  // per name and search
};

enum class Verdict : std::uint8_t { linearizable, violated, undecided };

// Why the operations of one name have no order, as short as the history allows.
struct Explanation {
    std::string name;
    // The operations that matter, by invocation: the history up to the first answer that no order
    // explains. One that was not answered by then is unknown here.
    History operations;
    // Of each operation, its place (from 1) in the longest order found; 0: in none.
    std::vector<std::size_t> order;
    // Where that order could not go on: the operations that had to come next, and why they can't.
    std::vector<std::size_t> stuck;
    std::vector<std::string> reasons;  // one for each of `stuck`
    std::string state;                 // of the register there
};

struct Problem {
    std::string text;  // one line
    // Without operations when a rule about indexes was broken rather than the order of one name.
    Explanation explanation;
};

struct LinearizabilityReport {
    Verdict verdict = Verdict::linearizable;
    std::vector<Problem> problems;
    std::vector<std::string> undecided_names;
    std::size_t names = 0;
    std::size_t states = 0;  // visited by all searches

    std::string format() const;
};

LinearizabilityReport check_linearizability(const History& history,
                                            const LinearizabilityOptions& options = {});

}  // namespace cairn::checker
