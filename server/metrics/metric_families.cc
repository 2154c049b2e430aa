#include "server/metrics/metric_families.h"

#include <limits>

namespace cairn::server {

void MetricFamilies::begin(std::string_view name, std::string_view help,
                           prometheus::MetricType type) {
    prometheus::MetricFamily& family = families_.emplace_back();
    family.name = name;
    family.help = help;
    family.type = type;
}

void MetricFamilies::begin_counter(std::string_view name, std::string_view help) {
    begin(name, help, prometheus::MetricType::Counter);
}

void MetricFamilies::begin_gauge(std::string_view name, std::string_view help) {
    begin(name, help, prometheus::MetricType::Gauge);
}

void MetricFamilies::begin_histogram(std::string_view name, std::string_view help) {
    begin(name, help, prometheus::MetricType::Histogram);
}

prometheus::ClientMetric& MetricFamilies::next(const MetricLabels& labels) {
    prometheus::ClientMetric& metric = families_.back().metric.emplace_back();
    for (const auto& [name, value] : labels) {
        metric.label.push_back({std::string(name), value});
    }
    return metric;
}

void MetricFamilies::add(double value, const MetricLabels& labels) {
    const bool counts = families_.back().type == prometheus::MetricType::Counter;
    prometheus::ClientMetric& metric = next(labels);
    (counts ? metric.counter.value : metric.gauge.value) = value;
}

void MetricFamilies::add(const raft::DurationFigures& durations, const MetricLabels& labels) {
    prometheus::ClientMetric& metric = next(labels);
    std::uint64_t cumulative = 0;
    for (std::size_t i = 0; i < durations.counts.size(); ++i) {
        cumulative += durations.counts[i];
        const bool last = i == raft::duration_bounds_ns.size();
        const double bound = last ? std::numeric_limits<double>::infinity()
                                  : static_cast<double>(raft::duration_bounds_ns[i]) / ns_per_s;
        metric.histogram.bucket.push_back({cumulative, bound});
    }
    metric.histogram.sample_count = cumulative;
    metric.histogram.sample_sum = static_cast<double>(durations.sum_ns) / ns_per_s;
}

std::vector<prometheus::MetricFamily> MetricFamilies::take() {
    std::erase_if(families_, [](const auto& family) { return family.metric.empty(); });
    return std::move(families_);
}

}  // namespace cairn::server
