// The file behind --config: settings in TOML, one `name = value` per line.
//
// Pure but for read_settings_file(); any thread. It reads the part of TOML 1.0 that settings need:
// comments, bare and quoted keys, "basic" and 'literal' strings, decimal integers, booleans, and
// arrays of strings (over several lines too). All else that TOML has (tables, dotted keys, floats,
// dates, multi-line strings) is refused with its line, never skipped or guessed at: a mistake in
// this file decides where data is written. It doesn't know which names there are.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "server/base/parse_result.h"

namespace cairn::server {

inline constexpr std::size_t settings_file_bytes_max = std::size_t{1} << 20U;

struct FileSetting {
    enum class Kind : std::uint8_t { string, integer, boolean, array };

    std::string name;
    Kind kind = Kind::string;
    // The string; the integer's digits, without underscores and plus; "true" or "false"; the
    // array's strings.
    std::vector<std::string> texts;
    std::size_t line = 0;
};

// In the file's order. Names are unique. What is wrong begins with "line N: ".
ParseResult<std::vector<FileSetting>> parse_settings(std::string_view content);

// The whole file, which must not be larger than settings_file_bytes_max.
ParseResult<std::string> read_settings_file(const std::string& path);

}  // namespace cairn::server
