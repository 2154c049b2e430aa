// Durations as people write them: "30s", "1.5s", "500ms", "1h30m".
//
// Pure functions, owned by no thread; any bytes may come in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cairn::server {

constexpr std::int64_t duration_max_ns =
    std::int64_t{36'525} * 86'400 * 1'000'000'000;  // 100 years

// Nanoseconds, more than zero and at most duration_max_ns; none when it isn't a duration. Numbers
// with units h, m, s, ms, us, ns, the larger unit first, each at most once. Fractions must come out
// in whole nanoseconds: a time to live is never rounded.
std::optional<std::int64_t> parse_duration(std::string_view text);

// The shortest such text, "1h30m" or "1.5s", for a positive duration.
std::string format_duration(std::int64_t duration_ns);

}  // namespace cairn::server
