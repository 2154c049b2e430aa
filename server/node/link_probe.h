// How the links to the other members are, for people: round-trip times, whether a link carries both
// ways, and how much of the log they have.
//
// Owned by the replica, on the raft thread; no clock of its own. Once in a while every member gets
// a ping, which says whether its own are heard, and answers it. Nothing is decided by what comes of
// it: Raft has its own view of who can be reached.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "cairn/server/v1/command.pb.h"
#include "raft/core/transport.h"

namespace cairn::server {

class LinkProbe {
 public:
    struct Link {
        raft::NodeId peer = 0;
        std::int64_t heard_ns = 0;           // when a ping or an answer came; 0: never
        std::int64_t answered_ns = 0;        // when an answer came; 0: never
        std::int64_t told_ns = 0;            // when a ping last said whether we are heard; 0: never
        std::int64_t pinged_ns = 0;          // when the ping that waits for its answer was sent
        std::uint64_t number = 0;            // of that ping; 0: none waits
        std::optional<std::int64_t> rtt_ns;  // the last
        std::optional<raft::Index> stable_index;  // as the peer last told
        bool hears_us = false;
    };

    static constexpr std::int64_t interval_ns = 1'000'000'000;
    // A link of which nothing was heard for so long counts as cut.
    static constexpr std::int64_t silence_ns = 3 * interval_ns;

    LinkProbe(raft::Transport& transport, raft::NodeId self, std::int64_t now_ns)
        : transport_(transport), self_(self), last_round_ns_(now_ns) {}

    // `members` are all members, ourselves among them; `stable_index` is told to them.
    void tick(const std::vector<raft::NodeId>& members, raft::Index stable_index,
              std::int64_t now_ns);
    bool is_due(std::int64_t now_ns) const { return now_ns - last_round_ns_ >= interval_ns; }
    // `now_ns` is read when they arrive. Of nodes that are no members they are passed over.
    void on_ping(raft::NodeId from, const v1::Ping& ping, std::int64_t now_ns);
    void on_pong(raft::NodeId from, const v1::Pong& pong, std::int64_t now_ns);

    const Link* link(raft::NodeId peer) const;
    static bool hears(const Link& link, std::int64_t now_ns);
    // Nothing when there is nobody to tell.
    static std::optional<bool> reaches(const Link& link, std::int64_t now_ns);

 private:
    Link* find(raft::NodeId peer);

    raft::Transport& transport_;
    const raft::NodeId self_;
    std::int64_t last_round_ns_;
    std::uint64_t next_number_ = 0;
    std::vector<Link> links_;
    v1::PeerNote note_;
};

}  // namespace cairn::server
