// Histories as text, one JSON object a line, for clients that are written in another language.
//
// Pure. Names of members and of kinds are those of history.h; "delete" is the kind of a removal.
// Members may be left out when they are 0 or empty; unknown ones are an error. A value that is not
// UTF-8 has no form here.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "tests/checker/history.h"

namespace cairn::checker {

// Nothing when a line is not an operation; `error` says which and why.
std::optional<History> parse_history(std::string_view lines, std::string& error);

// Calls `read_line` with each line that isn't empty, until it says what is wrong with one; then
// `error` says that, and where, and the answer is false.
bool read_lines(std::string_view lines,
                const std::function<std::optional<std::string>(std::string_view line)>& read_line,
                std::string& error);

// Nothing when the line is an operation; else what is wrong with it.
std::optional<std::string> read_operation(std::string_view line, Operation& op);

}  // namespace cairn::checker
