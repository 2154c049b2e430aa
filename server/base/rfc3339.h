// A moment as people read it. Pure, owned by no thread.
#pragma once

#include <cstdint>
#include <string>

namespace cairn::server {

// Appends "2026-01-02T03:04:05.678Z" for nanoseconds since 1970 in UTC. Cut, not rounded, to the
// millisecond: an expiry is never shown later than it is. What is before 1970 becomes 1970.
void append_rfc3339(std::int64_t utc_ns, std::string& out);

}  // namespace cairn::server
