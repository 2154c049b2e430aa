// Makes text of metrics, so that neither the raft thread nor a gateway does: what they give is a
// copy of figures.
//
// submit() from one thread; the text comes back through `done`, called on this thread, which must
// hand over (a post). Bounded: who asks faster than texts are made is told so. stop() drops what
// waits.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "server/metrics/metrics.h"

namespace cairn::server {

class MetricsThread {
 public:
    MetricsThread() = default;
    ~MetricsThread() { stop(); }
    MetricsThread(const MetricsThread&) = delete;
    MetricsThread& operator=(const MetricsThread&) = delete;

    // Before the first submit().
    void add(std::shared_ptr<const GatewayStatistics> gateway) {
        gateways_.push_back(std::move(gateway));
    }

    // False: too much waits, or it was stopped.
    bool submit(std::shared_ptr<const NodeFigures> figures, std::function<void(std::string)> done);
    void stop();

 private:
    struct Job {
        std::shared_ptr<const NodeFigures> figures;
        std::function<void(std::string)> done;
    };

    static constexpr std::size_t jobs_max = 16;

    void run();

    GatewayStatisticsList gateways_;
    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Job> jobs_;   // guarded by mutex_
    bool stopping_ = false;  // guarded by mutex_
    std::thread thread_;     // begun by the first submit()
};

}  // namespace cairn::server
