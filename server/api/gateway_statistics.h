// What one gateway counts, for metrics.
//
// Written by its gateway thread alone, as plain counters (raft/base/statistics.h); read by whoever
// makes metrics of it, on any thread, also after the gateway has ended. The histogram of a route,
// method and class of status is made when the first such request is answered: after that counting
// allocates nothing. What a client chose is never a label: names of routes and methods come from
// tables of ours.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "raft/base/statistics.h"
#include "server/http/problem.h"
#include "server/http/stream_transport.h"

namespace cairn::server {

// Route 0 is what found none, and heads that were refused before that.
inline constexpr std::size_t route_count_max = 32;
inline constexpr auto method_names =
    std::to_array<std::string_view>({"other", "GET", "HEAD", "PUT", "DELETE", "POST", "OPTIONS"});
inline constexpr std::size_t status_class_count = 5;  // 1xx to 5xx

// Of the text that is made of it.
inline constexpr std::string_view metrics_content_type = "text/plain; version=0.0.4; charset=utf-8";

std::size_t method_number(std::string_view method);

// Counted by the hub of the streams and by the subscriptions.
struct StreamStatistics {
    // By StreamRequest::Kind and StreamTransport.
    std::array<std::array<raft::Counter, stream_transport_names.size()>, 2> open{};
    // Now: messages that wait for readers, each once however many wait for it, and what it costs
    // to keep them for each reader.
    raft::Counter queued_bytes;
    raft::Counter queued_bytes_max;
    raft::Counter messages;
    raft::Counter overflowed;     // ended because the reader was too slow
    raft::Counter gaps;           // told to a reader that resumed too late
    raft::Counter conflated;      // values left out because a newer one came
    raft::DurationHistogram lag;  // from the application of the event to the socket
};

class GatewayStatistics {
 public:
    GatewayStatistics() = default;
    ~GatewayStatistics();
    GatewayStatistics(const GatewayStatistics&) = delete;
    GatewayStatistics& operator=(const GatewayStatistics&) = delete;

    void count_request(std::size_t route, std::size_t method, int status, std::int64_t duration_ns);
    void count_problem(Code code) { problems[static_cast<std::size_t>(code)].add(); }

    // Null when there was no such request.
    const raft::DurationHistogram* requests(std::size_t route, std::size_t method,
                                            std::size_t status_class) const {
        return requests_[place(route, method, status_class)].load(std::memory_order_acquire);
    }

    raft::Counter connections;  // now
    raft::Counter connections_accepted;
    raft::Counter connections_refused;
    raft::Counter buffered_bytes;  // now, of large requests and answers
    raft::Counter received_bytes;  // from clients, before a connection becomes a stream
    std::array<raft::Counter, code_count> problems{};
    StreamStatistics streams;

 private:
    static std::size_t place(std::size_t route, std::size_t method, std::size_t status_class) {
        return (route * method_names.size() + method) * status_class_count + status_class;
    }

    std::array<std::atomic<raft::DurationHistogram*>,
               route_count_max * method_names.size() * status_class_count>
        requests_{};
};

}  // namespace cairn::server
