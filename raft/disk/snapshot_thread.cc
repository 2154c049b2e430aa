#include "raft/disk/snapshot_thread.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>

#include <pthread.h>

namespace cairn::raft {

class SnapshotThread::Impl {
 public:
    Impl(std::unique_ptr<SnapshotStore> store, std::size_t jobs_max)
        : store_(std::move(store)), jobs_max_(jobs_max) {
        thread_ = std::thread([this] { run(); });
    }

    bool submit(Job job) {
        {
            const std::lock_guard lock(mutex_);
            if (stopping_ || queue_.size() >= jobs_max_) {
                return false;
            }
            queue_.push_back(std::move(job));
        }
        wake_.notify_one();
        return true;
    }

    void stop() {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        wake_.notify_one();
        if (thread_.joinable()) {
            thread_.join();
        }
        // Nothing is added any more.
        queue_.clear();
    }

 private:
    void run() {
        pthread_setname_np(pthread_self(), "cairn-snap");
        while (true) {
            Job job;
            {
                std::unique_lock lock(mutex_);
                wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
                if (stopping_) {
                    return;
                }
                job = std::move(queue_.front());
                queue_.pop_front();
            }
            job(*store_);
        }
    }

    const std::unique_ptr<SnapshotStore> store_;
    const std::size_t jobs_max_;

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Job> queue_;  // guarded by mutex_
    bool stopping_ = false;  // guarded by mutex_

    std::thread thread_;
};

SnapshotThread::SnapshotThread(std::unique_ptr<SnapshotStore> store, std::size_t jobs_max)
    : impl_(std::make_unique<Impl>(std::move(store), jobs_max)) {}

SnapshotThread::~SnapshotThread() {
    stop();
}

bool SnapshotThread::submit(Job job) {
    return impl_->submit(std::move(job));
}

void SnapshotThread::stop() {
    impl_->stop();
}

}  // namespace cairn::raft
