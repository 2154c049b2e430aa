#include "server/base/rfc3339.h"

#include <algorithm>
#include <chrono>

namespace cairn::server {
namespace {

void append_padded(unsigned number, unsigned width, std::string& out) {
    char digits[4];
    for (unsigned i = width; i-- > 0; number /= 10) {
        digits[i] = static_cast<char>('0' + number % 10);
    }
    out.append(digits, width);
}

}  // namespace

void append_rfc3339(std::int64_t utc_ns, std::string& out) {
    // A 64-bit count of nanoseconds ends in 2262, so that only the lower bound needs care.
    const std::chrono::milliseconds since_epoch(std::max<std::int64_t>(utc_ns, 0) / 1'000'000);
    const auto days = std::chrono::floor<std::chrono::days>(since_epoch);
    const std::chrono::year_month_day date{std::chrono::sys_days(days)};
    const std::chrono::hh_mm_ss time(since_epoch - days);
    append_padded(static_cast<unsigned>(static_cast<int>(date.year())), 4, out);
    out += '-';
    append_padded(static_cast<unsigned>(date.month()), 2, out);
    out += '-';
    append_padded(static_cast<unsigned>(date.day()), 2, out);
    out += 'T';
    append_padded(static_cast<unsigned>(time.hours().count()), 2, out);
    out += ':';
    append_padded(static_cast<unsigned>(time.minutes().count()), 2, out);
    out += ':';
    append_padded(static_cast<unsigned>(time.seconds().count()), 2, out);
    out += '.';
    append_padded(static_cast<unsigned>(time.subseconds().count()), 3, out);
    out += 'Z';
}

}  // namespace cairn::server
