// The text of GET /metrics: everything that is counted in this program, in Prometheus' text format.
//
// collect_metrics() is given figures that the raft thread copied (node_figures.h) and reads the
// gateways' counters where they are, so it runs on any thread and keeps nobody from work. Each
// metric has one name, beginning with cairn_, base units, a help line; deploy/operating.md lists
// them. Labels have few values: never a client's text.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include <prometheus/metric_family.h>

#include "server/api/gateway_statistics.h"
#include "server/metrics/process_figures.h"
#include "server/node/node_figures.h"

namespace cairn::server {

using GatewayStatisticsList = std::vector<std::shared_ptr<const GatewayStatistics>>;

std::vector<prometheus::MetricFamily> collect_metrics(const NodeFigures& figures,
                                                      const GatewayStatisticsList& gateways,
                                                      const ProcessFigures& process);

std::string metrics_text(const std::vector<prometheus::MetricFamily>& families);

}  // namespace cairn::server
