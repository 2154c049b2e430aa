#include "server/node/disk_watch.h"

#include <algorithm>

namespace cairn::server {

namespace {

// So much of the bound may pass between two looks; what is beyond it was a pause of ours.
constexpr std::int64_t looks_per_bound = 4;
constexpr std::int64_t pause_growth_max = 32;

}  // namespace

DiskWatch::Change DiskWatch::observe(raft::Sequence under_way, std::int64_t now_ns) {
    const std::int64_t passed_ns =
        std::clamp<std::int64_t>(now_ns - observed_ns_, 0, stall_ns_ / looks_per_bound);
    observed_ns_ = now_ns;
    const bool was_stalled = stalled_;
    if (under_way == 0 || under_way != under_way_) {
        under_way_ = under_way;
        watched_ns_ = 0;
        stalled_ = false;
        return was_stalled ? Change::ended : Change::none;
    }
    watched_ns_ += passed_ns;
    if (watched_ns_ < stall_ns_) {
        return Change::none;
    }
    stalled_ns_ = watched_ns_;
    stalled_ = true;
    if (was_stalled) {
        return Change::none;
    }
    pause_ns_ = 0;
    return Change::began;
}

bool DiskWatch::take_attempt(std::int64_t now_ns) {
    if (!stalled_ || (pause_ns_ != 0 && now_ns < next_attempt_ns_)) {
        return false;
    }
    pause_ns_ = std::clamp(2 * pause_ns_, stall_ns_, pause_growth_max * stall_ns_);
    next_attempt_ns_ = now_ns + pause_ns_;
    return true;
}

}  // namespace cairn::server
