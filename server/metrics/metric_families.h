// Puts figures into Prometheus' types. A plain helper of server/metrics/metrics.cc; owned by
// whoever makes it.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <prometheus/metric_family.h>

#include "raft/base/statistics.h"

namespace cairn::server {

using MetricLabels = std::vector<std::pair<std::string_view, std::string>>;

constexpr double ns_per_s = 1e9;

class MetricFamilies {
 public:
    // begin() opens a family, the others add to the one that was opened last.
    void begin_counter(std::string_view name, std::string_view help);
    void begin_gauge(std::string_view name, std::string_view help);
    void begin_histogram(std::string_view name, std::string_view help);
    void add(double value, const MetricLabels& labels = {});
    void add(std::uint64_t value, const MetricLabels& labels = {}) {
        add(static_cast<double>(value), labels);
    }
    void add(const raft::DurationFigures& durations, const MetricLabels& labels = {});

    void counter(std::string_view name, std::string_view help, double value) {
        begin_counter(name, help);
        add(value);
    }
    void counter(std::string_view name, std::string_view help, std::uint64_t value) {
        counter(name, help, static_cast<double>(value));
    }
    void gauge(std::string_view name, std::string_view help, double value) {
        begin_gauge(name, help);
        add(value);
    }
    void gauge(std::string_view name, std::string_view help, std::uint64_t value) {
        gauge(name, help, static_cast<double>(value));
    }
    template <typename Number>
    void gauge(std::string_view name, std::string_view help, const std::optional<Number>& value) {
        if (value) {
            gauge(name, help, *value);
        }
    }
    void histogram(std::string_view name, std::string_view help,
                   const raft::DurationFigures& durations) {
        begin_histogram(name, help);
        add(durations);
    }

    // Without families that nothing was added to.
    std::vector<prometheus::MetricFamily> take();

 private:
    void begin(std::string_view name, std::string_view help, prometheus::MetricType type);
    prometheus::ClientMetric& next(const MetricLabels& labels);

    std::vector<prometheus::MetricFamily> families_;
};

}  // namespace cairn::server
