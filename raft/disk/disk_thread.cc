#include "raft/disk/disk_thread.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <iterator>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <variant>

#include <pthread.h>
#include <spdlog/spdlog.h>

namespace cairn::raft {
namespace {

// One append takes no more than about this, so that no batch waits behind too much.
constexpr std::uint64_t append_bytes_max = 16U << 20;
// A reserve is filled in steps, so that a batch that arrives meanwhile waits for one step only.
constexpr std::uint64_t reserve_step_bytes = 2U << 20;
// Under load so much of a reserve is filled for every byte that is appended.
constexpr std::uint64_t reserve_bytes_per_byte = 2;
constexpr auto disk_full_retry = std::chrono::milliseconds(200);

struct Release {
    GroupId group = 0;
    Index first_needed = 0;
};

struct ResetLog {
    GroupId group = 0;
    Index log_start = 0;
};

using Job = std::variant<PersistBatch, ResetLog, Release>;

std::uint64_t bytes_of(const Job& job) {
    std::uint64_t bytes = 0;
    if (const auto* batch = std::get_if<PersistBatch>(&job)) {
        for (const Entry& entry : batch->entries) {
            bytes += sizeof(Entry) + entry.payload.size();
        }
    }
    return bytes;
}

WalAppend part_of(const Job& job) {
    WalAppend part;
    if (const auto* batch = std::get_if<PersistBatch>(&job)) {
        part.group = batch->group;
        part.hard_state = batch->hard_state;
        part.entries = batch->entries;
    } else if (const auto* reset = std::get_if<ResetLog>(&job)) {
        part.group = reset->group;
        part.log_start = reset->log_start;
    }
    return part;
}

}  // namespace

class DiskThread::Impl {
 public:
    Impl(std::unique_ptr<Wal> wal, Report report, OnFailure on_failure)
        : wal_(std::move(wal)), report_(std::move(report)), on_failure_(std::move(on_failure)) {
        note_log();
        thread_ = std::thread([this] { run(); });
    }

    // The queue is bounded by what raft leaves unpersisted.
    void push(Job job) {
        bool wake = false;
        {
            const std::lock_guard lock(mutex_);
            if (stopping_) {
                return;
            }
            wake = queue_.empty();
            queue_.push_back(std::move(job));
        }
        if (wake) {
            wake_.notify_one();
        }
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
    }

    DiskStatistics statistics() const {
        return {.appends = appends_.load(std::memory_order_relaxed),
                .batches = batches_.load(std::memory_order_relaxed),
                .append_ns_total = append_ns_total_.load(std::memory_order_relaxed),
                .append_ns_max = append_ns_max_.load(std::memory_order_relaxed),
                .append_durations = append_durations_.figures(),
                .log = {.segments = segments_.value(),
                        .file_bytes = file_bytes_.value(),
                        .written_bytes = written_bytes_.value()},
                .disk_full = disk_full()};
    }

    bool disk_full() const { return disk_full_.load(std::memory_order_relaxed); }
    std::int64_t recent_append_ns() const {
        return static_cast<std::int64_t>(recent_append_ns_.value());
    }

 private:
    void run() {
        pthread_setname_np(pthread_self(), "cairn-disk");
        while (!failed_) {
            if (taken_.empty() && !take_queue()) {
                return;
            }
            while (!taken_.empty() && !failed_) {
                do_some();
            }
        }
    }

    // Waits until there is something to do and takes it all. Uses the time until then to make a
    // reserve. Returns false when the thread is to end.
    bool take_queue() {
        bool reserve_wanted = true;
        while (true) {
            {
                std::unique_lock lock(mutex_);
                const auto ready = [this] { return stopping_ || !queue_.empty(); };
                if (!reserve_wanted) {
                    if (disk_full_.load(std::memory_order_relaxed)) {
                        wake_.wait_for(lock, disk_full_retry, ready);
                    } else {
                        wake_.wait(lock, ready);
                    }
                }
                if (!queue_.empty()) {
                    taken_.swap(queue_);
                    return true;
                }
                if (stopping_) {
                    return false;
                }
            }
            reserve_wanted = fill_reserve(reserve_step_bytes);
            if (failed_) {
                return false;
            }
        }
    }

    // So much of a reserve, unless the disk was found full only just now. Returns whether more of
    // it is wanted.
    bool fill_reserve(std::uint64_t bytes) {
        const auto now = std::chrono::steady_clock::now();
        if (disk_full_.load(std::memory_order_relaxed) && now < reserve_retry_at_) {
            return false;
        }
        const IoResult<bool> made = wal_->prepare_reserve(bytes);
        if (wal_->failed()) {
            fail("write-ahead log: making a segment failed: " + made.error().message());
            return false;
        }
        if (!made) {
            note_disk_full(true);
            reserve_retry_at_ = now + disk_full_retry;
            return false;
        }
        if (*made) {
            note_disk_full(false);
        }
        return !*made;
    }

    // Idle moments may never come: a load pays for the segment that it will need, bit by bit.
    void fill_reserve_beside(std::uint64_t appended_bytes) {
        reserve_due_bytes_ += reserve_bytes_per_byte * appended_bytes;
        if (reserve_due_bytes_ >= reserve_step_bytes ||
            disk_full_.load(std::memory_order_relaxed)) {
            fill_reserve(std::max(std::exchange(reserve_due_bytes_, 0), reserve_step_bytes));
        }
    }

    // One append of the jobs at the head of taken_, or one release.
    void do_some() {
        if (const auto* release = std::get_if<Release>(&taken_.front())) {
            release_now(*release);
            taken_.pop_front();
            return;
        }
        parts_.clear();
        std::uint64_t bytes = 0;
        for (const Job& job : taken_) {
            bytes += bytes_of(job);
            if (std::holds_alternative<Release>(job) ||
                (!parts_.empty() && bytes > append_bytes_max)) {
                break;
            }
            parts_.push_back(part_of(job));
        }
        if (append()) {
            report(parts_.size());
            fill_reserve_beside(bytes);
        }
    }

    // Appends parts_. Returns whether they are durable.
    bool append() {
        while (true) {
            const auto start = std::chrono::steady_clock::now();
            const IoResult<void> appended = wal_->append(parts_);
            if (appended) {
                count_append(std::chrono::steady_clock::now() - start);
                return true;
            }
            if (wal_->failed()) {
                fail("write-ahead log: append failed: " + appended.error().message());
                return false;
            }
            note_disk_full(true);
            if (!wait_for_room() || !release_early()) {
                return false;
            }
        }
    }

    // Returns false when the thread is to end.
    bool wait_for_room() {
        std::unique_lock lock(mutex_);
        const bool stopping = wake_.wait_for(lock, disk_full_retry, [this] { return stopping_; });
        if (stopping) {
            spdlog::error("write-ahead log: the disk is full: {} batches were not written",
                          taken_.size() + queue_.size());
            taken_.clear();
            queue_.clear();
            return false;
        }
        // At the end, so that what parts_ points to stays where it is.
        std::move(queue_.begin(), queue_.end(), std::back_inserter(taken_));
        queue_.clear();
        return true;
    }

    // The releases behind an append that waits for room: they concern what was written before it,
    // and may be what makes room. One behind a new beginning of the log has to wait for that.
    bool release_early() {
        for (Job& job : taken_) {
            if (std::holds_alternative<ResetLog>(job)) {
                break;
            }
            if (auto* release = std::get_if<Release>(&job)) {
                if (!release_now(*release)) {
                    return false;
                }
                release->first_needed = 0;  // nothing is left to do when its turn comes
            }
        }
        return true;
    }

    bool release_now(const Release& release) {
        const IoResult<void> released = wal_->release(release.group, release.first_needed);
        if (!released) {
            fail("write-ahead log: recycling a segment failed: " + released.error().message());
        }
        note_log();
        return released.has_value();
    }

    // The first `count` jobs of taken_ are durable.
    void report(std::size_t count) {
        newest_.clear();
        std::uint64_t batches = 0;
        for (std::size_t i = 0; i < count; ++i) {
            if (const auto* batch = std::get_if<PersistBatch>(&taken_.front())) {
                newest_[batch->group] = batch->sequence;
                ++batches;
            }
            taken_.pop_front();
        }
        batches_.fetch_add(batches, std::memory_order_relaxed);
        persisted_.clear();
        for (const auto& [group, sequence] : newest_) {
            persisted_.push_back({.group = group, .sequence = sequence});
        }
        if (!persisted_.empty()) {
            report_(persisted_);
        }
    }

    void count_append(std::chrono::steady_clock::duration duration) {
        const auto ns = static_cast<std::uint64_t>(
            std::chrono::duration_cast<std::chrono::nanoseconds>(duration).count());
        appends_.fetch_add(1, std::memory_order_relaxed);
        append_ns_total_.fetch_add(ns, std::memory_order_relaxed);
        append_durations_.observe(static_cast<std::int64_t>(ns));
        // The last eight or so count.
        const std::uint64_t before = recent_append_ns_.value();
        recent_append_ns_.set(before == 0 ? ns : before - before / 8 + ns / 8);
        note_log();
        // Only this thread writes it.
        if (ns > append_ns_max_.load(std::memory_order_relaxed)) {
            append_ns_max_.store(ns, std::memory_order_relaxed);
        }
    }

    void note_log() {
        const WalFigures log = wal_->figures();
        segments_.set(log.segments);
        file_bytes_.set(log.file_bytes);
        written_bytes_.set(log.written_bytes);
    }

    void note_disk_full(bool full) {
        if (disk_full_.exchange(full, std::memory_order_relaxed) == full) {
            return;
        }
        if (full) {
            spdlog::error(
                "write-ahead log: the disk is full: no room for the next segment; "
                "the rest of this one is kept for deletes");
        } else {
            spdlog::info("write-ahead log: there is room for the next segment again");
        }
    }

    void fail(const std::string& message) {
        failed_ = true;
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
            queue_.clear();
        }
        on_failure_(message);
    }

    const std::unique_ptr<Wal> wal_;
    const Report report_;
    const OnFailure on_failure_;

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<Job> queue_;  // guarded by mutex_
    bool stopping_ = false;  // guarded by mutex_

    // The disk thread's own.
    bool failed_ = false;
    std::chrono::steady_clock::time_point reserve_retry_at_;  // when the disk is full
    std::uint64_t reserve_due_bytes_ = 0;
    std::deque<Job> taken_;
    std::vector<WalAppend> parts_;
    std::map<GroupId, Sequence> newest_;
    std::vector<Persisted> persisted_;

    std::atomic<std::uint64_t> appends_{0};
    std::atomic<std::uint64_t> batches_{0};
    std::atomic<std::uint64_t> append_ns_total_{0};
    std::atomic<std::uint64_t> append_ns_max_{0};
    std::atomic<bool> disk_full_{false};
    DurationHistogram append_durations_;
    Counter recent_append_ns_;
    Counter segments_;
    Counter file_bytes_;
    Counter written_bytes_;

    std::thread thread_;
};

void DiskThread::end_process(const std::string& message) {
    spdlog::critical("{}; durability can't be promised any more, the process ends", message);
    spdlog::default_logger_raw()->flush();
    std::_Exit(1);
}

DiskThread::DiskThread(std::unique_ptr<Wal> wal, Report report, OnFailure on_failure)
    : impl_(std::make_unique<Impl>(std::move(wal), std::move(report), std::move(on_failure))) {}

DiskThread::~DiskThread() {
    stop();
}

void DiskThread::submit(PersistBatch batch) {
    impl_->push(std::move(batch));
}

void DiskThread::release(GroupId group, Index first_needed) {
    impl_->push(Release{.group = group, .first_needed = first_needed});
}

void DiskThread::reset_log(GroupId group, Index log_start) {
    impl_->push(ResetLog{.group = group, .log_start = log_start});
}

void DiskThread::stop() {
    impl_->stop();
}

bool DiskThread::is_full() const {
    return impl_->disk_full();
}

std::int64_t DiskThread::recent_append_ns() const {
    return impl_->recent_append_ns();
}

DiskStatistics DiskThread::statistics() const {
    return impl_->statistics();
}

}  // namespace cairn::raft
