// A list of values as it was at an earlier entry, made of the present state and the history since.
//
// A plain function for the raft thread. It needs no copy of the past: a value that is older than
// that entry is still what it was, and of each that was there and has gone since, one event tells
// it: the one that ended it. So it takes time in proportion to what has happened since and to what
// is listed.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>
#include <vector>

#include "fsm/history.h"
#include "fsm/state_machine.h"

namespace cairn::fsm {

// No page is made where more values than this that were written since lie in its way.
constexpr std::size_t past_changes_max = 20'000;

// As StateMachine::list() was right after entry `at`, which is not after the last one applied; none
// when the history doesn't reach back to it, or too much has changed. `history` is all of the
// machine's events after its beginning, and has its marks. Adds what it looked at to `looked_at`.
std::optional<std::vector<ListItem>> list_at(const StateMachine& machine, const History& history,
                                             Index at, std::string_view prefix,
                                             std::string_view after, std::size_t limit, bool& more,
                                             std::size_t& looked_at);

}  // namespace cairn::fsm
