#include "raft/core/progress.h"

#include <algorithm>

namespace cairn::raft {

void Progress::become_probe() {
    state = State::probe;
    next_index = match_index + 1;
    probe_sent = false;
    inflight_.clear();
    inflight_bytes_ = 0;
}

void Progress::become_replicate() {
    state = State::replicate;
    next_index = std::max(next_index, match_index + 1);
    probe_sent = false;
    inflight_.clear();
    inflight_bytes_ = 0;
}

void Progress::become_snapshot() {
    state = State::snapshot;
    snapshot_index = 0;
    probe_sent = false;
    inflight_.clear();
    inflight_bytes_ = 0;
}

void Progress::sent(Index last_index, std::size_t bytes) {
    inflight_.push_back({last_index, bytes});
    inflight_bytes_ += bytes;
}

bool Progress::acknowledged(Index index) {
    while (!inflight_.empty() && inflight_.front().last_index <= index) {
        inflight_bytes_ -= inflight_.front().bytes;
        inflight_.pop_front();
    }
    if (index <= match_index) {
        return false;
    }
    match_index = index;
    next_index = std::max(next_index, index + 1);
    return true;
}

}  // namespace cairn::raft
