// What the system knows of this process, for metrics. Any thread; reads /proc and nothing else. A
// figure that can't be had is left out.
#pragma once

#include <cstdint>
#include <optional>

namespace cairn::server {

struct ProcessFigures {
    std::optional<double> cpu_seconds;
    std::optional<std::uint64_t> resident_bytes;
    std::optional<std::uint64_t> virtual_bytes;
    std::optional<std::uint64_t> open_files;
    std::optional<std::uint64_t> open_files_max;
    std::optional<double> start_time_s;  // since 1970
    std::optional<std::uint64_t> threads;
};

ProcessFigures process_figures();

}  // namespace cairn::server
