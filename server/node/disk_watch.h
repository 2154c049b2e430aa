// Tells a stalled disk from a slow one: whether the write under way has been without an end for too
// long, and when a leader with such a disk is to hand over (again).
//
// Pure: no clock, it is told the time, at every tick. Owned by the replica, on the raft thread. It
// measures what it watched: a pause of the whole process or machine counts for nothing, since the
// disk's answer may just not have been looked at yet. A disk with nothing to do can't be judged.
#pragma once

#include <cstdint>

#include "raft/core/types.h"

namespace cairn::server {

class DiskWatch {
 public:
    enum class Change : std::uint8_t { none, began, ended };

    // A disk is stalled when one write takes `stall_ns`.
    explicit DiskWatch(std::int64_t stall_ns) : stall_ns_(stall_ns) {}

    // The disk is busy with write number `under_way` (0: with none).
    Change observe(raft::Sequence under_way, std::int64_t now_ns);

    bool is_stalled() const { return stalled_; }
    // How long the disk has been at the write that stalls it, or was when it last did.
    std::int64_t stalled_ns() const { return stalled_ns_; }

    // Whether a stalled leader is to hand over now: at once, then again after pauses that double,
    // since every attempt holds up writes for a while. Counts as an attempt when it says so.
    bool take_attempt(std::int64_t now_ns);

 private:
    const std::int64_t stall_ns_;
    raft::Sequence under_way_ = 0;
    std::int64_t observed_ns_ = 0;
    std::int64_t watched_ns_ = 0;  // the write under way
    std::int64_t stalled_ns_ = 0;
    bool stalled_ = false;
    std::int64_t pause_ns_ = 0;  // before the next attempt; 0: none was made
    std::int64_t next_attempt_ns_ = 0;
};

}  // namespace cairn::server
