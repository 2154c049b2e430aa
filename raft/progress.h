// What a leader knows of one member: how far its log matches, what to send next, what is on its
// way.
//
// Lives inside the leader's state and ends with it. Two states: probe (find where the logs agree;
// one message at a time) and replicate (send ahead of the answers, within a window of messages and
// bytes). Pure bookkeeping; what a message means is decided in core_replication.cc.
#pragma once

#include <cstdint>
#include <deque>

#include "raft/options.h"
#include "raft/types.h"

namespace cairn::raft {

struct Progress {
    enum class State : std::uint8_t { probe, replicate };

    NodeId id = 0;
    State state = State::probe;
    Index match_index = 0;
    Index next_index = 1;
    bool probe_sent = false;      // probe: wait for the answer or the next heartbeat
    bool recent_active = false;   // heard since the last CheckQuorum
    ReadId acked_read_id = 0;     // newest round it has confirmed
    ReadId sent_read_id = 0;      // newest round sent to it
    Index sent_commit_index = 0;  // newest commit index sent to it

    void become_probe();
    void become_replicate();

    bool window_full(const CoreOptions& options) const {
        return inflight_.size() >= options.inflight_messages_max ||
               inflight_bytes_ >= options.inflight_bytes_max;
    }
    std::size_t inflight_messages() const { return inflight_.size(); }
    // An append that ends at `last_index` with `bytes` of payload was sent.
    void sent(Index last_index, std::size_t bytes);
    // The member's log matches and is durable up to `index`. Returns whether that is news.
    bool acknowledged(Index index);

 private:
    struct Inflight {
        Index last_index = 0;
        std::size_t bytes = 0;
    };
    std::deque<Inflight> inflight_;
    std::size_t inflight_bytes_ = 0;
};

}  // namespace cairn::raft
