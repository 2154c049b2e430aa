// Writes on their way through the log: gathered into one proposal per turn, passed on to the leader
// by a follower, matched with what is committed, answered exactly once.
//
// Owned by the replica, on the raft thread; no clock of its own. What it says about a write is
// true: applied; certainly not applied; or unknown. A write is answered as not applied only if no
// log that can still be committed contains it (see on_committed). Held writes (no leader just now)
// are bounded in number, bytes and time; what the core then takes, by the core. A write beyond any
// of these bounds is refused as overloaded, and certainly not applied. A leader whose disk is full
// refuses what stores something; it does so here, at the door of the log, so that it holds for
// every node's clients.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cairn/server/v1/command.pb.h"
#include "fsm/state_machine.h"
#include "raft/base/statistics.h"
#include "raft/core/node.h"
#include "raft/core/transport.h"
#include "server/node/port.h"

namespace cairn::server {

struct WriteLimits {
    std::size_t held_max = 16384;  // waiting for a leader
    // Commands that wait for a leader or were passed to it: until then they may be needed again.
    std::size_t held_bytes_max = std::size_t{64} << 20U;
    std::size_t forwarded_max = 65536;     // passed to the leader, not yet answered
    std::int64_t hold_ns = 1'500'000'000;  // how long a write waits for a leader
    std::int64_t pause_ns = 5'000'000;     // before one that refused is asked again
    // How long a leader that another has followed may take to say what became of a write.
    std::int64_t outlived_ns = 500'000'000;
};

class WriteQueue {
 public:
    // `first_forward_id` must differ between runs of the program, so that a late answer to an
    // earlier run doesn't pass for one to this.
    WriteQueue(raft::Node& node, raft::Transport& transport, WriteLimits limits,
               std::uint64_t first_forward_id)
        : node_(node), transport_(transport), limits_(limits), next_forward_id_(first_forward_id) {}

    // From a gateway. `operation->timeout_ms` counts from `now_ns`.
    void submit(std::shared_ptr<Operation> operation, Port& port, std::int64_t now_ns);
    // From the replica itself (clock commands); nobody waits for the answer.
    void submit_internal(std::string command);
    // From peers.
    void on_forward_request(raft::NodeId from, v1::ForwardRequest& request, std::int64_t now_ns);
    void on_forward_reply(raft::NodeId from, v1::ForwardReply& reply, std::int64_t now_ns);
    void on_peer_disconnected(raft::NodeId peer);

    // Proposes or passes on what is queued; with `disk_full` a leader proposes no more than what
    // needs no room (fsm::needs_room).
    void start_turn(std::int64_t now_ns, bool disk_full = false);
    // An entry was applied with this output.
    void on_committed(const raft::Entry& entry, const fsm::Output& output);
    // The state of `index` came from the leader as a snapshot: what became of earlier writes of
    // ours is not known here.
    void on_installed(raft::Index index);
    // Answers what is past its deadline or has waited too long for a leader. `leaderless_ns` is how
    // long no leader has been known, 0 when one is.
    void sweep(std::int64_t now_ns, std::int64_t leaderless_ns);
    // Answers everything: queued as not applied, started as unknown.
    void fail_all();

    bool idle() const { return queued_.empty() && waiting_.empty() && forwarded_.empty(); }
    bool has_queued() const { return !queued_.empty(); }
    // held_max of them, and those that came back from a peer that was asked: forwarded_max.
    std::size_t queued() const { return queued_.size(); }
    std::size_t forwarded() const { return forwarded_.size(); }
    std::size_t waiting() const { return waiting_.size(); }
    std::size_t held_bytes() const { return held_bytes_; }

    // For metrics.
    struct Figures {
        std::uint64_t queued = 0;      // for a leader, or for this turn
        std::uint64_t committing = 0;  // in the log
        std::uint64_t forwarded = 0;   // at the leader
        std::uint64_t held_bytes = 0;
        std::array<std::uint64_t, failure_count> finished{};  // this node's clients', by Failure
        std::uint64_t for_peers = 0;                          // answered to those who passed it on
        raft::DurationFigures commit;                         // from the proposal on
    };
    Figures figures() const;

    // Hears of each write of a peer that was answered, for logs. Only where somebody wants to know.
    struct Answered {
        raft::NodeId origin = 0;
        Failure failure = Failure::none;
        raft::Index index = 0;
        std::int64_t duration_ns = 0;  // from the proposal on; 0: it was not proposed
        std::string_view request_id;   // as the peer has it; may be anything
        std::string_view trace_id;
    };
    std::function<void(const Answered&)> on_peers_write;
    const WriteLimits& limits() const { return limits_; }

 private:
    struct Write {
        // A gateway's write has operation and port, a peer's has origin and origin_id, the
        // replica's own none of them.
        std::shared_ptr<Operation> operation;
        Port* port = nullptr;
        raft::NodeId origin = 0;
        std::uint64_t origin_id = 0;
        std::string command;     // of a peer or the replica
        std::string request_id;  // of a peer, likewise the trace
        std::string trace_id;
        std::int64_t deadline_ns = 0;
        std::int64_t held_since_ns = 0;
        std::int64_t started_ns = 0;  // when it was proposed or passed on; 0: not yet
        std::int64_t commit_ns = 0;   // how long that took from the proposal on
        std::size_t held_bytes = 0;   // counted in held_bytes_
        bool forwarded = false;
        bool done = false;

        std::string& bytes() { return operation ? operation->command : command; }
    };
    struct Waiter {
        raft::Index index = 0;
        raft::Term term = 0;
        Write write;
    };
    struct Forwarded {
        std::uint64_t id = 0;
        raft::NodeId leader = 0;
        Write write;
        std::int64_t outlived_since_ns = 0;  // when another leader was seen; 0: not yet
    };

    void propose_queued(std::int64_t now_ns);
    void refuse_what_needs_room();
    void forward_queued(std::int64_t now_ns);
    void admit(Write write);
    void let_go(Write& write);
    bool send_forward(std::uint64_t id, Write& write, raft::NodeId leader, std::int64_t now_ns);
    void refuse_peers_writes();
    void refuse_queued(Failure failure);
    void finish(Write& write, Failure failure, const fsm::Output* output, raft::Index index);
    void reply_to_peer(const Write& write, Failure failure, const fsm::Output* output,
                       raft::Index index);

    raft::Node& node_;
    raft::Transport& transport_;
    WriteLimits limits_;
    std::vector<Write> queued_;
    std::int64_t now_ns_ = 0;     // of this turn
    std::size_t held_bytes_ = 0;  // of commands that are queued or forwarded
    std::vector<raft::Payload> payloads_;
    std::deque<Waiter> waiting_;       // by term, then index
    std::deque<Forwarded> forwarded_;  // by id
    std::uint64_t next_forward_id_;
    raft::NodeId refused_by_ = 0;  // who last said that it doesn't lead; not asked again before:
    std::int64_t ask_again_ns_ = 0;
    v1::PeerNote note_;
    std::string note_bytes_;
    std::array<std::uint64_t, failure_count> finished_{};
    std::uint64_t finished_for_peers_ = 0;
    raft::DurationHistogram commit_durations_;
};

}  // namespace cairn::server
