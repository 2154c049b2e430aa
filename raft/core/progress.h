// What a leader knows of one member: how far its log matches, what to send next, what is on its
// way.
//
// Lives inside the leader's state and ends with it. Three states: probe (find where the logs agree;
// one message at a time), replicate (send ahead of the answers, within a window of messages and
// bytes) and snapshot (what it needs next is no longer in the log; it gets no entries until it has
// one). Pure bookkeeping; what a message means is decided in core_replication.cc.
#pragma once

#include <cstdint>
#include <deque>

#include "raft/core/options.h"
#include "raft/core/types.h"

namespace cairn::raft {

struct Progress {
    enum class State : std::uint8_t { probe, replicate, snapshot };

    NodeId id = 0;
    std::uint64_t disk_id = 0;  // as in the configuration; another one means another log
    State state = State::probe;
    Index match_index = 0;
    Index next_index = 1;
    bool probe_sent = false;             // probe: wait for the answer; a heartbeat lets one more go
    bool recent_active = false;          // heard since the last CheckQuorum
    int silent_ticks = 0;                // since it was heard, up to an election timeout
    std::uint64_t heard_disk_id = 0;     // with which data directory; 0: not known
    ReadId acked_read_id = 0;            // newest round it has confirmed
    std::int64_t promised_until_ns = 0;  // it votes for nobody else before, by this node's clock
    ReadId sent_read_id = 0;             // newest round sent to it
    Index sent_commit_index = 0;         // newest commit index sent to it
    Index snapshot_index = 0;  // snapshot: what the one it is sent includes; 0: none sent yet
    // A learner: where the log ended when its round began, and how long that is ago; 0: no round.
    Index catch_up_target = 0;
    int catch_up_ticks = 0;

    void become_probe();
    void become_replicate();
    void become_snapshot();

    bool window_full(const CoreOptions& options) const {
        return inflight_.size() >= options.inflight_messages_max ||
               inflight_bytes_ >= options.inflight_bytes_max;
    }
    std::size_t inflight_messages() const { return inflight_.size(); }
    std::size_t inflight_bytes() const { return inflight_bytes_; }
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
