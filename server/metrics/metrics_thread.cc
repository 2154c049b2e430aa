#include "server/metrics/metrics_thread.h"

#include <utility>

#include <pthread.h>

namespace cairn::server {

bool MetricsThread::submit(std::shared_ptr<const NodeFigures> figures,
                           std::function<void(std::string)> done) {
    {
        const std::lock_guard lock(mutex_);
        if (stopping_ || jobs_.size() >= jobs_max) {
            return false;
        }
        jobs_.push_back({std::move(figures), std::move(done)});
    }
    if (!thread_.joinable()) {
        thread_ = std::thread([this] { run(); });
    }
    wake_.notify_one();
    return true;
}

void MetricsThread::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        jobs_.clear();
    }
    wake_.notify_one();
    if (thread_.joinable()) {
        thread_.join();
    }
}

void MetricsThread::run() {
    pthread_setname_np(pthread_self(), "cairn-metrics");
    while (true) {
        Job job;
        {
            std::unique_lock lock(mutex_);
            wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
            if (stopping_) {
                return;
            }
            job = std::move(jobs_.front());
            jobs_.pop_front();
        }
        job.done(metrics_text(collect_metrics(*job.figures, gateways_, process_figures())));
    }
}

}  // namespace cairn::server
