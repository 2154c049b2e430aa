// What the nodes of one group say to each other: one plain struct per RPC of the paper and thesis.
//
// A message from a peer is input: raft::Core validates it and never asserts on it. Encoding to and
// from bytes is raft/peers/codec.h's; the core knows no bytes.
#pragma once

#include <variant>
#include <vector>

#include "raft/core/configuration.h"
#include "raft/core/types.h"

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
    // The data directory that the addressee has as a voter in the candidate's log; 0: not known.
    // Another one refuses.
    std::uint64_t voter_disk_id = 0;
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
    // Since the sender heard the round `read_id` of this leader, it votes for nobody else for at
    // least so long by its own clock, unless the leader itself asks for an election; 0: no promise.
    std::int64_t vote_promise_ns = 0;
    // Whose acknowledgement it is: what another data directory of the sender has acknowledged and
    // voted for is nothing to this one. CoreOptions::disk_id and joined.
    std::uint64_t disk_id = 0;
    bool joined = false;
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

// InstallSnapshot (paper §7), one chunk. Which snapshot it is stands in every chunk, so that a
// follower can begin, go on or begin anew with any of them.
struct InstallSnapshot {
    Header header;
    LogPosition last_included;
    Configuration configuration;  // in force at last_included
    std::uint64_t content_bytes = 0;
    std::uint64_t offset = 0;
    Payload data;
    std::int64_t leader_clock_ns = 0;
    std::uint32_t content_crc = 0;  // of all of the content: two snapshots of an index may differ
};

// How far the follower is: the next offset it wants. Once it has installed the snapshot it says so
// with an AppendEntriesReply.
struct InstallSnapshotReply {
    Header header;
    Index last_included_index = 0;
    std::uint64_t next_offset = 0;
};

// Leadership transfer (thesis §3.10): campaign at once.
struct TimeoutNow {
    Header header;
};

using Message =
    std::variant<RequestVote, RequestVoteReply, AppendEntries, AppendEntriesReply, ReadIndexRequest,
                 ReadIndexReply, TimeoutNow, InstallSnapshot, InstallSnapshotReply>;

inline const Header& header_of(const Message& message) {
    return std::visit([](const auto& m) -> const Header& { return m.header; }, message);
}

}  // namespace cairn::raft
