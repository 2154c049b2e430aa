#include "server/api/server_timing.h"

#include <algorithm>

#include "server/http/http_types.h"

namespace cairn::server {
namespace {

// Milliseconds to two places, cut.
void append_duration(std::string_view name, std::int64_t ns, std::string& out) {
    const auto hundredths = static_cast<std::uint64_t>(std::max<std::int64_t>(ns, 0) / 10'000);
    out += name;
    out += ";dur=";
    append_number(hundredths / 100, out);
    out += '.';
    out += static_cast<char>('0' + hundredths / 10 % 10);
    out += static_cast<char>('0' + hundredths % 10);
}

}  // namespace

void append_server_timing(const WriteTiming& timing, std::int64_t now_ns, std::string& out) {
    if (timing.started_ns != 0) {
        append_duration("queue", timing.started_ns - timing.received_ns, out);
        if (timing.forwarded) {
            append_duration(", forward", now_ns - timing.started_ns, out);
        }
        if (timing.commit_ns != 0) {
            append_duration(", commit", timing.commit_ns, out);
        }
        out += ", ";
    }
    append_duration("total", now_ns - timing.received_ns, out);
}

}  // namespace cairn::server
