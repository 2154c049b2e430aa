#include "server/node/read_queue.h"

#include <algorithm>

namespace cairn::server {

namespace {

// Moves the reads that `wanted` picks from `from` to `to`; returns how many.
template <class Wanted>
std::size_t move_if(std::vector<Read>& from, std::vector<Read>& to, const Wanted& wanted) {
    const std::size_t before = from.size();
    std::erase_if(from, [&](Read& read) {
        if (!wanted(read)) {
            return false;
        }
        to.push_back(std::move(read));
        return true;
    });
    return before - from.size();
}

}  // namespace

bool ReadQueue::submit(Read read) {
    if (count_ >= limits_.waiting_max) {
        return false;
    }
    ++count_;
    if (read.lease) {
        leasing_.push_back(std::move(read));
    } else if (read.linearizable) {
        queued_.push_back(std::move(read));
    } else {
        applying_.push_back(std::move(read));
    }
    return true;
}

// Decided once, for all that have come since the last turn.
void ReadQueue::grant_leases(std::int64_t steady_ns) {
    if (leasing_.empty()) {
        return;
    }
    const bool held = node_.holds_lease(steady_ns);
    const raft::Index commit_index = node_.core().commit_index();
    for (Read& read : leasing_) {
        read.lease = held;
        if (held) {
            // Others may have applied, and shown, what is committed and not applied here.
            read.needed_index = std::max(read.needed_index, commit_index);
            applying_.push_back(std::move(read));
        } else {
            queued_.push_back(std::move(read));
        }
    }
    leasing_.clear();
}

void ReadQueue::start_turn(std::int64_t steady_ns) {
    grant_leases(steady_ns);
    if (queued_.empty() || rounds_.size() >= limits_.rounds_max) {
        return;
    }
    const raft::ReadId read_id = node_.read_index();
    if (read_id == 0) {
        return;  // nobody to ask; asked again next turn
    }
    rounds_.push_back({read_id, std::move(queued_)});
    queued_.clear();
}

void ReadQueue::on_read(const raft::ReadState& state) {
    const auto found = std::find_if(rounds_.begin(), rounds_.end(), [&](const Round& round) {
        return round.read_id == state.read_id;
    });
    if (found == rounds_.end()) {
        return;
    }
    for (Read& read : found->reads) {
        if (state.ok) {
            read.needed_index = std::max(read.needed_index, state.read_index);
            applying_.push_back(std::move(read));
        } else {
            queued_.push_back(std::move(read));
        }
    }
    rounds_.erase(found);
}

void ReadQueue::take_ready(raft::Index applied_index, std::vector<Read>& ready) {
    count_ -= move_if(applying_, ready,
                      [&](const Read& read) { return read.needed_index <= applied_index; });
}

void ReadQueue::sweep(std::int64_t now_ns, std::int64_t leaderless_ns, std::vector<Read>& expired,
                      std::vector<Read>& leaderless) {
    const auto late = [&](const Read& read) { return now_ns >= read.deadline_ns; };
    count_ -= move_if(leasing_, expired, late);
    count_ -= move_if(queued_, expired, late);
    count_ -= move_if(applying_, expired, late);
    for (Round& round : rounds_) {
        count_ -= move_if(round.reads, expired, late);
    }
    if (leaderless_ns > limits_.hold_ns) {
        count_ -= move_if(queued_, leaderless, [](const Read&) { return true; });
    }
}

Read* ReadQueue::find(const Operation& operation) {
    const auto find_in = [&](std::vector<Read>& reads) -> Read* {
        const auto found = std::find_if(reads.begin(), reads.end(), [&](const Read& read) {
            return read.operation.get() == &operation;
        });
        return found == reads.end() ? nullptr : &*found;
    };
    for (std::vector<Read>* reads : {&leasing_, &queued_, &applying_}) {
        if (Read* const read = find_in(*reads)) {
            return read;
        }
    }
    for (Round& round : rounds_) {
        if (Read* const read = find_in(round.reads)) {
            return read;
        }
    }
    return nullptr;
}

void ReadQueue::take_all(std::vector<Read>& all) {
    const auto every = [](const Read&) { return true; };
    move_if(leasing_, all, every);
    move_if(queued_, all, every);
    move_if(applying_, all, every);
    for (Round& round : rounds_) {
        move_if(round.reads, all, every);
    }
    rounds_.clear();
    count_ = 0;
}

}  // namespace cairn::server
