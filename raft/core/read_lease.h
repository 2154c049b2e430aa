// Leases for reads (thesis §6.4.1): the arithmetic of how long a leader may count on a promise.
//
// Plain functions and one small value inside the leader's state; no clock. Every answer to an
// append carries how long its sender votes for nobody else. The leader knows when it began the
// round that the answer names, which was before anything of that round was sent and so before the
// promise began; from then on it counts the promise, less what the clocks of two nodes may differ.
// Which promises make a quorum is the core's to say.
//
// What this stands on: steady clocks that count while a machine sleeps, and whose rates differ by
// no more than clock_drift_percent between any two nodes. Nothing here can notice when they do.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>

#include "raft/core/types.h"

namespace cairn::raft {

// Quartz differs by some 0.01 %; what adjusts clocks to the time of day by up to 0.05 %, or 10 %
// when it steers as hard as Linux lets it.
inline constexpr std::int64_t clock_drift_percent = 10;

// No election timeout comes near; what a peer says beyond it is nonsense.
inline constexpr std::int64_t vote_promise_ns_max = std::int64_t{3600} * 1'000'000'000;

// What a node that counts `ticks` can promise. The first tick may come at once, and the second as
// soon again, when the first was late.
constexpr std::int64_t duration_of_ticks_ns(int ticks, std::int64_t tick_ns) {
    return std::max(ticks - 2, 0) * tick_ns;
}

// Of another node's promise: what has certainly not passed there before it has passed here.
constexpr std::int64_t usable_promise_ns(std::int64_t vote_promise_ns) {
    if (vote_promise_ns <= 0 || vote_promise_ns > vote_promise_ns_max) {
        return 0;
    }
    return vote_promise_ns / 100 * (100 - clock_drift_percent);
}

// When a leader's newest rounds began. Forgetting an old one only shortens a lease.
class LeaseRounds {
 public:
    static constexpr std::size_t rounds_max = 32;

    // Nothing of `round` has been sent yet. Rounds and times grow.
    void began(ReadId round, std::int64_t steady_ns) {
        if (rounds_.size() == rounds_max) {
            rounds_.pop_front();
        }
        rounds_.push_back({round, steady_ns});
    }

    // The steady time until which a member that has heard `round`, or an append after it, keeps
    // what it promised; 0: not known.
    std::int64_t promised_until_ns(ReadId round, std::int64_t vote_promise_ns) const {
        const std::int64_t usable_ns = usable_promise_ns(vote_promise_ns);
        if (usable_ns <= 0) {
            return 0;
        }
        for (auto began = rounds_.rbegin(); began != rounds_.rend(); ++began) {
            if (began->round <= round) {
                return began->steady_ns + usable_ns;
            }
        }
        return 0;
    }

 private:
    struct Began {
        ReadId round = 0;
        std::int64_t steady_ns = 0;
    };
    std::deque<Began> rounds_;
};

}  // namespace cairn::raft
