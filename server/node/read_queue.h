// Reads on their way to being served: those that must be linearizable share ReadIndex rounds, or
// are covered by the leader's lease if they ask for that and it holds, then all wait until the
// state machine has applied the index they need.
//
// Owned by the replica, on the raft thread; no clock of its own. A read that a change of leader cut
// short is asked again until its deadline; it changes nothing, so that is safe. Everything waiting
// is bounded.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "raft/core/node.h"
#include "server/node/port.h"

namespace cairn::server {

struct ReadLimits {
    std::size_t waiting_max = 65536;
    std::size_t rounds_max = 2;  // ReadIndex rounds under way; later reads gather for the next
    std::int64_t hold_ns = 1'500'000'000;
};

// Either a question about values or the opening of a stream.
struct Read {
    std::shared_ptr<Operation> operation;
    std::shared_ptr<StreamOpen> open;
    Port* port = nullptr;
    std::int64_t deadline_ns = 0;
    raft::Index needed_index = 0;
    bool linearizable = true;
    bool lease = false;              // by the lease if there is one, else linearizable
    std::int64_t wait_until_ns = 0;  // a long poll: when it isn't new, wait for it; 0: don't
};

class ReadQueue {
 public:
    ReadQueue(raft::Node& node, ReadLimits limits) : node_(node), limits_(limits) {}

    // Takes a read; false when too many wait.
    bool submit(Read read);
    // Asks for a round for what is queued, when one may begin. `steady_ns` is the time now, read
    // after the last submit(): what a lease may serve needs none.
    void start_turn(std::int64_t steady_ns);
    void on_read(const raft::ReadState& state);
    // Moves everything that needs at most `applied_index` to `ready`.
    void take_ready(raft::Index applied_index, std::vector<Read>& ready);
    // Moves what is past its deadline to `expired`, and with `leaderless_ns` past the hold limit
    // what waits for a round to `leaderless`.
    void sweep(std::int64_t now_ns, std::int64_t leaderless_ns, std::vector<Read>& expired,
               std::vector<Read>& leaderless);
    void take_all(std::vector<Read>& all);
    // The one that asks this, or null. Looks at all that wait.
    Read* find(const Operation& operation);

    bool idle() const { return count_ == 0; }
    std::size_t waiting() const { return count_; }

 private:
    void grant_leases(std::int64_t steady_ns);

    struct Round {
        raft::ReadId read_id = 0;
        std::vector<Read> reads;
    };
    std::size_t count_ = 0;
    raft::Node& node_;
    ReadLimits limits_;
    std::vector<Read> leasing_;  // since the last turn
    std::vector<Read> queued_;
    std::deque<Round> rounds_;
    std::vector<Read> applying_;
};

}  // namespace cairn::server
