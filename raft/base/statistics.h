// Figures that one thread counts and any thread may read: counters, gauges, durations in buckets.
//
// Each is written by one thread only, so counting is a plain load, add and store: no lock, no
// contended cache line, no allocation. A reader on another thread sees each number at some recent
// moment, not all of them at the same one.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace cairn::raft {

class Counter {
 public:
    void add(std::uint64_t amount = 1) { set(value() + amount); }
    void set(std::uint64_t value) { value_.store(value, std::memory_order_relaxed); }
    std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
    std::atomic<std::uint64_t> value_{0};
};

// The upper bounds of the buckets, each included; what is longer has a bucket of its own. Close
// together where disks, networks and their sum usually are, so that a quantile says something.
inline constexpr auto duration_bounds_ns = std::to_array<std::int64_t>({
    10'000,        20'000,        50'000,         100'000,     150'000,     200'000,
    300'000,       500'000,       700'000,        1'000'000,   1'500'000,   2'000'000,
    3'000'000,     5'000'000,     7'000'000,      10'000'000,  15'000'000,  20'000'000,
    30'000'000,    50'000'000,    100'000'000,    200'000'000, 500'000'000, 1'000'000'000,
    2'000'000'000, 5'000'000'000, 10'000'000'000,
});

// What a histogram holds, for who reads it.
struct DurationFigures {
    std::array<std::uint64_t, duration_bounds_ns.size() + 1> counts{};  // of each bucket alone
    std::uint64_t sum_ns = 0;

    void add(const DurationFigures& other) {
        for (std::size_t i = 0; i < counts.size(); ++i) {
            counts[i] += other.counts[i];
        }
        sum_ns += other.sum_ns;
    }
    std::uint64_t count() const {
        std::uint64_t all = 0;
        for (const std::uint64_t of_bucket : counts) {
            all += of_bucket;
        }
        return all;
    }
};

class DurationHistogram {
 public:
    // A clock that seems to have gone back counts as no time at all.
    void observe(std::int64_t duration_ns) {
        const std::int64_t ns = std::max<std::int64_t>(duration_ns, 0);
        const auto bucket =
            std::lower_bound(duration_bounds_ns.begin(), duration_bounds_ns.end(), ns);
        counts_[static_cast<std::size_t>(bucket - duration_bounds_ns.begin())].add();
        sum_ns_.add(static_cast<std::uint64_t>(ns));
    }

    DurationFigures figures() const {
        DurationFigures figures;
        for (std::size_t i = 0; i < counts_.size(); ++i) {
            figures.counts[i] = counts_[i].value();
        }
        figures.sum_ns = sum_ns_.value();
        return figures;
    }

 private:
    std::array<Counter, duration_bounds_ns.size() + 1> counts_;
    Counter sum_ns_;
};

}  // namespace cairn::raft
