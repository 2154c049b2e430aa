#include "server/api/gateway_statistics.h"

#include <algorithm>

namespace cairn::server {

std::size_t method_number(std::string_view method) {
    const auto found = std::find(method_names.begin() + 1, method_names.end(), method);
    return found == method_names.end() ? 0 : static_cast<std::size_t>(found - method_names.begin());
}

GatewayStatistics::~GatewayStatistics() {
    for (const auto& histogram : requests_) {
        delete histogram.load(std::memory_order_acquire);
    }
}

void GatewayStatistics::count_request(std::size_t route, std::size_t method, int status,
                                      std::int64_t duration_ns) {
    const int status_class = std::clamp(status / 100, 1, static_cast<int>(status_class_count)) - 1;
    auto& histogram = requests_[place(std::min(route, route_count_max - 1), method,
                                      static_cast<std::size_t>(status_class))];
    // Only this thread ever puts one there.
    raft::DurationHistogram* known = histogram.load(std::memory_order_relaxed);
    if (known == nullptr) {
        known = new raft::DurationHistogram;
        histogram.store(known, std::memory_order_release);
    }
    known->observe(duration_ns);
}

}  // namespace cairn::server
