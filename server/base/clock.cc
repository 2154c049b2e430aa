#include "server/base/clock.h"

#include <ctime>

namespace cairn::server {

namespace {

std::int64_t read_ns(clockid_t clock) {
    timespec time{};
    ::clock_gettime(clock, &time);
    return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
}

class SystemClock final : public Clock {
 public:
    std::int64_t steady_ns() override { return read_ns(CLOCK_BOOTTIME); }
    std::int64_t utc_ns() override { return read_ns(CLOCK_REALTIME); }
};

}  // namespace

Clock& system_clock() {
    static SystemClock clock;
    return clock;
}

}  // namespace cairn::server
