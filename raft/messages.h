// What the nodes of one group say to each other: one plain struct per RPC of the paper and thesis.
//
// A message from a peer is input: raft::Core validates it and never asserts on it. Encoding to and
// from bytes is raft/codec.h's; the core knows no bytes.
#pragma once

#include <variant>
#include <vector>

#include "raft/types.h"

namespace cairn::raft {

// In every message: which group, who speaks, to whom, in which term of the speaker.
struct Header {
    GroupId group = 0;
    NodeId from = 0;
    NodeId to = 0;
    Term term = 0;
};

// RequestVote (paper §5.2). With `pre_vote` (thesis §9.6) it only asks whether a vote would be
// granted in `header.term`, the term the sender would campaign in: nobody's term changes by it.
struct RequestVote {
    Header header;
    Index last_log_index = 0;
    Term last_log_term = 0;
    bool pre_vote = false;
    // Set by a candidate that was told to campaign (TimeoutNow): a leader still heard is no reason
    // to refuse (thesis §3.10, §4.2.3).
    bool leadership_transfer = false;
};

struct RequestVoteReply {
    Header header;
    bool pre_vote = false;
    bool granted = false;
};

// AppendEntries (paper §5.3); without entries it is the heartbeat.
struct AppendEntries {
    Header header;
    Index prev_log_index = 0;
    Term prev_log_term = 0;
    Index leader_commit = 0;
    ReadId read_id = 0;                // newest ReadIndex round of the leader; the reply returns it
    std::int64_t leader_clock_ns = 0;  // the leader's log time when it sent this
    std::vector<Entry> entries;        // consecutive, from prev_log_index + 1
};

struct AppendEntriesReply {
    Header header;
    ReadId read_id = 0;
    bool rejected = false;
    // Accepted: everything up to here matches the leader's log and is durable on the sender.
    Index match_index = 0;
    // Rejected: which probe is answered, and the largest index at or below it whose term is at most
    // the probe's, with that term, so that the leader skips whole terms (paper §5.3, end).
    Index rejected_prev_log_index = 0;
    Index hint_index = 0;
    Term hint_term = 0;
};

// A follower asks the leader for a read index (thesis §6.4); `read_id` is the follower's own.
struct ReadIndexRequest {
    Header header;
    ReadId read_id = 0;
};

struct ReadIndexReply {
    Header header;
    ReadId read_id = 0;
    bool refused = false;  // the asked node does not lead, or can't serve reads yet
    Index read_index = 0;
};

// Leadership transfer (thesis §3.10): campaign at once.
struct TimeoutNow {
    Header header;
};

using Message = std::variant<RequestVote, RequestVoteReply, AppendEntries, AppendEntriesReply,
                             ReadIndexRequest, ReadIndexReply, TimeoutNow>;

inline const Header& header_of(const Message& message) {
    return std::visit([](const auto& m) -> const Header& { return m.header; }, message);
}

}  // namespace cairn::raft
