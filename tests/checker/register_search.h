// The search for an order of the operations of one name: Wing and Gong's, with Lowe's memory of the
// places already visited, on a register with indexes.
//
// Pure. It works on operations reduced to what they need of the register and what they do to it. It
// owes its speed to rules that lose nothing: an observation that fits the present state is taken at
// once, since taking it changes nothing; an order that has passed an index that some answer still
// needs is given up; a write that nobody needs to have happened is left out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/checker/history.h"

namespace cairn::checker {

struct RegisterOp {
    enum class Need : std::uint8_t { nothing, absent, present };
    enum class Effect : std::uint8_t { none, write, remove };
    static constexpr int any_value = -1;

    Need need = Need::nothing;
    std::uint64_t need_index = 0;       // present: 0 any
    std::uint64_t forbidden_index = 0;  // present: not this one, 0 none
    int need_value = any_value;         // present

    Effect effect = Effect::none;
    int value = any_value;               // write
    std::uint64_t index = 0;             // of the effect; 0: not known, and greater than all before
    std::int64_t expires_ns = never_ns;  // write: not before

    std::int64_t invoked_ns = 0;
    std::int64_t returned_ns = never_ns;
    std::uint64_t floor = 0;  // the effect's index is greater
    bool certain = true;      // it happened; else it may never have
};

struct SearchState {
    int writer = -1;          // whose value is there; -1: none is
    std::uint64_t index = 0;  // of the value; 0: not known yet
    // Twice the last index that was there; one more once that value is gone for good.
    std::uint64_t passed = 0;
};

struct SearchResult {
    enum class Kind : std::uint8_t { found, none, undecided };
    Kind kind = Kind::found;
    std::size_t states = 0;
    // The longest order, found or not: places in the operations given, -1 where the value expires.
    std::vector<int> order;
    SearchState state;            // after it
    std::vector<int> candidates;  // what had to come next, in real time
};

// Null when `op` can happen in this state, else why it can't.
const char* why_not(const std::vector<RegisterOp>& ops, const RegisterOp& op,
                    const SearchState& state);

SearchResult search_order(const std::vector<RegisterOp>& ops, std::size_t states_max);

}  // namespace cairn::checker
