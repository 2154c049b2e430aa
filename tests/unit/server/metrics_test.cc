#include "server/metrics/metrics.h"

#include <memory>
#include <set>
#include <string>

#include <doctest/doctest.h>

#include "server/api/router.h"
#include "server/api/server_timing.h"
#include "server/metrics/metric_families.h"

namespace cairn::server {
namespace {

constexpr std::int64_t us = 1000;
constexpr std::int64_t ms = 1'000'000;

TEST_CASE("a duration goes into the first bucket whose bound it doesn't exceed") {
    raft::DurationHistogram histogram;
    for (const std::int64_t ns : {std::int64_t{-5}, std::int64_t{0}, 10 * us, 10 * us + 1, 20 * us,
                                  10'000 * ms, 10'000 * ms + 1}) {
        histogram.observe(ns);
    }
    const raft::DurationFigures figures = histogram.figures();
    CHECK(figures.counts[0] == 3);  // a clock that went back is no time at all
    CHECK(figures.counts[1] == 2);
    CHECK(figures.counts[figures.counts.size() - 2] == 1);
    CHECK(figures.counts.back() == 1);
    CHECK(figures.count() == 7);
    CHECK(figures.sum_ns == static_cast<std::uint64_t>(40 * us + 1 + 20'000 * ms + 1));
    CHECK(std::is_sorted(raft::duration_bounds_ns.begin(), raft::duration_bounds_ns.end()));
}

TEST_CASE("a histogram's buckets add up and end with all") {
    raft::DurationHistogram histogram;
    histogram.observe(15 * us);
    histogram.observe(15 * us);
    histogram.observe(60'000 * ms);
    MetricFamilies families;
    families.histogram("cairn_test_seconds", "Test.", histogram.figures());
    const std::string text = metrics_text(families.take());
    CHECK(text.find("# HELP cairn_test_seconds Test.\n# TYPE cairn_test_seconds histogram\n") == 0);
    CHECK(text.find("cairn_test_seconds_bucket{le=\"1e-05\"} 0\n") != std::string::npos);
    CHECK(text.find("cairn_test_seconds_bucket{le=\"10\"} 2\n") != std::string::npos);
    CHECK(text.find("cairn_test_seconds_bucket{le=\"+Inf\"} 3\n") != std::string::npos);
    CHECK(text.find("cairn_test_seconds_count 3\n") != std::string::npos);
}

TEST_CASE("families without samples are left out") {
    MetricFamilies families;
    families.begin_gauge("cairn_nothing", "Nothing.");
    families.gauge("cairn_something", "Something.", 1.5);
    CHECK(metrics_text(families.take()) ==
          "# HELP cairn_something Something.\n# TYPE cairn_something gauge\ncairn_something 1.5\n");
}

TEST_CASE("requests are counted by route, method and class of status, over all gateways") {
    const auto one = std::make_shared<GatewayStatistics>();
    const auto two = std::make_shared<GatewayStatistics>();
    one->count_request(1, method_number("PUT"), 201, ms);
    two->count_request(1, method_number("PUT"), 200, ms);
    two->count_request(1, method_number("PUT"), 412, ms);
    two->count_request(0, method_number("BREW"), 999, ms);
    two->count_problem(Code::conflict);
    CHECK(one->requests(1, method_number("PUT"), 3) == nullptr);
    const std::string text = metrics_text(collect_metrics({}, {one, two}, {}));
    const std::string name = "cairn_http_request_duration_seconds_count";
    const std::string route(route_name(1));
    for (const std::string& line :
         {name + "{route=\"" + route + "\",method=\"PUT\",status=\"2xx\"} 2\n",
          name + "{route=\"" + route + "\",method=\"PUT\",status=\"4xx\"} 1\n",
          name + "{route=\"none\",method=\"other\",status=\"5xx\"} 1\n",
          std::string("cairn_http_problems_total{code=\"CONFLICT\"} 1\n")}) {
        CAPTURE(line);
        CHECK(text.find(line) != std::string::npos);
    }
}

TEST_CASE("every route has a name, each its own") {
    std::set<std::string_view> names;
    std::size_t count = 1;
    while (route_name(count) != "none") {
        CHECK(names.insert(route_name(count)).second);
        ++count;
    }
    CHECK(count > 10);
    CHECK(route_name(0) == "none");
    CHECK(count < route_count_max);
}

TEST_CASE("what the system says of this process") {
    const ProcessFigures figures = process_figures();
    REQUIRE(figures.resident_bytes);
    CHECK(*figures.resident_bytes > 100'000);
    REQUIRE(figures.open_files);
    CHECK(*figures.open_files >= 3);
    REQUIRE(figures.threads);
    CHECK(*figures.threads >= 1);
    REQUIRE(figures.start_time_s);
    CHECK(*figures.start_time_s > 1e9);
}

TEST_CASE("Server-Timing tells the parts of a write") {
    const auto text = [](const WriteTiming& timing, std::int64_t now_ns) {
        std::string out;
        append_server_timing(timing, now_ns, out);
        return out;
    };
    CHECK(text({.received_ns = ms, .started_ns = ms + 120 * us, .commit_ns = 845 * us}, 3 * ms) ==
          "queue;dur=0.12, commit;dur=0.84, total;dur=2.00");
    CHECK(text({.received_ns = ms, .started_ns = 2 * ms, .commit_ns = 1500 * us, .forwarded = true},
               14 * ms + 50 * us) ==
          "queue;dur=1.00, forward;dur=12.05, commit;dur=1.50, total;dur=13.05");
    // Refused before it was proposed; and a clock that went back.
    CHECK(text({.received_ns = ms}, 2 * ms) == "total;dur=1.00");
    CHECK(text({.received_ns = 2 * ms}, ms) == "total;dur=0.00");
}

}  // namespace
}  // namespace cairn::server
