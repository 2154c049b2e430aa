// Operations and explanations in words, for a person who looks for what went wrong.
//
// Pure. Times are milliseconds from `origin_ns`.
#pragma once

#include <cstdint>
#include <string>

#include "tests/checker/linearizability.h"

namespace cairn::checker {

// "client 3: update a = v17 if 12 -> ok, index 15"
std::string describe(const Operation& operation);

// "[12.500, 13.250] client 3: …"
std::string describe_with_times(const Operation& operation, std::int64_t origin_ns);

// Text in quotes, bytes that don't print escaped, cut when it is long.
std::string quoted(const std::string& bytes);

// Several lines. Of a long history the end.
std::string format_explanation(const Explanation& explanation);

}  // namespace cairn::checker
