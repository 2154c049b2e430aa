// Where the replica reads time, so that the simulation can bring its own.
#pragma once

#include <cstdint>

namespace cairn::server {

class Clock {
 public:
    virtual ~Clock() = default;
    // Never goes back and counts while the machine sleeps; what deadlines and log time run by.
    virtual std::int64_t steady_ns() = 0;
    // The wall clock, since 1970; may jump. Only for telling people the time of day.
    virtual std::int64_t utc_ns() = 0;
};

// The machine's clocks (CLOCK_BOOTTIME, CLOCK_REALTIME).
Clock& system_clock();

}  // namespace cairn::server
