// Log time: the clock by which the leader stamps entries. It goes on at the speed of a steady
// clock, whatever the wall clock does, over changes of leader and restarts; stamps never go back.
//
// Owned by the raft thread; pure (it is told the steady time). Every node follows the leader's
// clock from what it hears: log time as told, plus steady time since. A node therefore never runs
// ahead of the leader it heard, and a new leader goes on from there, so a deadline is never reached
// early; it may be reached later by what a message needs to arrive. A leader that heard the one
// before it late is behind, and whoever hears this leader goes back with it: measured by a clock
// that is further, what it stamps would be over early. While no node runs, log time stands still.
// (LogCabin's cluster time; thesis §6.3 names the problem.)
#pragma once

#include <algorithm>
#include <cstdint>

namespace cairn::raft {

class ClusterClock {
 public:
    // Begins at `start_ns`, in log time, at the steady time `steady_ns`.
    ClusterClock(std::int64_t start_ns, std::int64_t steady_ns)
        : base_ns_(start_ns), base_steady_ns_(steady_ns), last_ns_(start_ns) {}

    // Log time now. Never less than what it returned before, but for a leader's word.
    std::int64_t now_ns(std::int64_t steady_ns) {
        last_ns_ = std::max(last_ns_, base_ns_ + (steady_ns - base_steady_ns_));
        return last_ns_;
    }

    // The leader that is followed said that log time is `told_ns`. Its word counts, also when it is
    // less than our estimate: a steady clock that runs faster than the leader's must not add up,
    // and what it stamped must be measured by its clock.
    void observe(std::int64_t told_ns, std::int64_t steady_ns) {
        last_ns_ = told_ns;
        base_ns_ = told_ns;
        base_steady_ns_ = steady_ns;
    }

 private:
    std::int64_t base_ns_;
    std::int64_t base_steady_ns_;
    std::int64_t last_ns_;
};

}  // namespace cairn::raft
