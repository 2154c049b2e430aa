// What indexes say, over all names: each is of one write and one value, and they grow in real time.
//
// Pure. An index that a client was told is evidence that the log had come that far. A write that
// was invoked after that has a greater index, whatever its name; a read that was invoked after that
// was served from a state at least as new. Local reads are checked here too: never back on one node
// in the eyes of one client, and never a value that nobody wrote.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "tests/checker/history.h"

namespace cairn::checker {

// Of each operation, by its place in the history: the greatest index that anybody had been told
// when it was invoked.
std::vector<std::uint64_t> index_floors(const History& history);

// What is wrong, one line each; empty when all is well.
std::vector<std::string> check_index_facts(const History& history,
                                           const std::vector<std::uint64_t>& floors);

// Operations with the same idempotency key as one: invoked with the first, answered with the first
// that was. Two answers that differ, and two requests under one key that both were answered, are
// told in `problems`.
History merge_retries(const History& history, std::vector<std::string>& problems);

}  // namespace cairn::checker
