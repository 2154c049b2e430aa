// raft::Core: the protocol of one group at one node, as plain functions that run to the end.
//
// Single-threaded; whoever calls it owns it. Deterministic: everything it does is a function of the
// calls made and the seed in its options. No clock (time is tick() and the log time it is given),
// no thread, no I/O, no bytes. The driver (raft/core/node.h) calls step(), tick(), propose(),
// read_index(), persisted(), and after a turn take_ready(), and carries out what that says.
//
// Promises, with the thesis's section:
//  - Election with PreVote (§9.6) and CheckQuorum (§6.2): a node that comes back can't unseat a
//    leader that a majority hears; a leader that a majority doesn't hear steps down.
//  - A new leader appends a no-op first; only entries of the current term are committed by counting
//    (§3.6.2); reads are served only after that no-op is committed (§6.4).
//  - Pipelined appends in a window of messages and bytes; conflicts skip whole terms (§5.3 of the
//    paper); the leader's own disk write runs beside replication (§10.2.1).
//  - Nothing that vouches for durability leaves before what it vouches for is durable: no message
//  at
//    all before term and vote are, and an acknowledgement names only entries that are.
//  - Members come as learners and become voters once they keep up; voters change by joint
//  consensus;
//    a configuration is in force from its append and gone with its truncation (chapter 4).
//  - Everything that can grow has a bound (raft/core/options.h).
// A peer's message is input: one that breaks the protocol is ignored and counted, never asserted
// on.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "raft/core/configuration.h"
#include "raft/core/configuration_change.h"
#include "raft/core/configuration_log.h"
#include "raft/core/log.h"
#include "raft/core/messages.h"
#include "raft/core/options.h"
#include "raft/core/progress.h"
#include "raft/core/quorum.h"
#include "raft/core/random.h"
#include "raft/core/read_lease.h"
#include "raft/core/types.h"

namespace cairn::raft {

enum class ProposeError : std::uint8_t {
    none,
    not_leader,    // nothing appended; leader_id() may know who leads
    busy,          // nothing appended: too much is uncommitted, or not durable here
    transferring,  // nothing appended: leadership is being handed over
};

struct ProposeResult {
    ProposeError error = ProposeError::none;
    Index first_index = 0;  // the batch's entries are first_index, first_index + 1, ...
    Term term = 0;
};

struct ChangeResult {
    ChangeError error = ChangeError::none;
    Index index = 0;  // of the configuration's entry
    Term term = 0;
};

// The end of a read_index() call: once the state machine has applied `read_index` the read may be
// served. Not ok: leadership changed or nobody answered; asking again is safe.
struct ReadState {
    ReadId read_id = 0;
    bool ok = false;
    Index read_index = 0;
};

// What a turn asks of the driver. Vectors keep their memory from turn to turn.
struct Ready {
    std::vector<Message> messages;  // send, in this order
    // To be written in one piece; nothing when `sequence` is 0. persisted(sequence) when durable.
    Sequence sequence = 0;
    std::optional<HardState> hard_state;
    std::vector<Entry> entries;    // an entry at index i replaces everything at i and above
    std::vector<Entry> committed;  // apply, in this order
    std::vector<ReadState> reads;
    // Members whose next entry is no longer in the log: send each the newest snapshot by
    // send_snapshot_chunk() until that is false, or snapshot_failed() when it comes to nothing.
    // None is named again before that, unless the snapshot it got is too old by now.
    std::vector<NodeId> snapshots_wanted;
    // Chunks of a snapshot from the leader, to be gathered; installed() when it is durable and the
    // state machine has been replaced.
    std::vector<InstallSnapshot> snapshot_chunks;
    // Answers to ours.
    std::vector<InstallSnapshotReply> snapshot_replies;
    void clear();
};

// Where a core begins: what the newest snapshot includes, or nothing at all.
struct CoreStart {
    LogPosition base;
    Configuration configuration;  // in force at the base; empty: not told yet, nobody votes
    HardState hard_state;
    std::vector<Entry> entries;  // durable, consecutive from base.index + 1
};

enum class RoleName : std::uint8_t { follower, pre_candidate, candidate, leader };

// Figures of what a core has seen, for metrics and tests.
struct CoreStatistics {
    std::uint64_t elections_started = 0;
    std::uint64_t leaderships = 0;
    std::uint64_t quorum_losses = 0;      // stepped down by CheckQuorum
    std::uint64_t rejected_messages = 0;  // broke the protocol, ignored
    std::uint64_t truncations = 0;
};

class Core {
 public:
    // `options` must be valid, and the configuration too unless it is empty. What the base includes
    // counts as committed and applied. The hard state's term is at least the base's, and the
    // entries go on from it (raft/disk/recovered_log.h).
    Core(const CoreOptions& options, CoreStart start);

    // One message from a peer.
    void step(Message message);
    // One tick has passed.
    void tick();
    // The leader's log time for what is appended from now on; while it leads, a smaller value is
    // ignored, and stamps never go back. Also what AppendEntries tells followers.
    void set_clock(std::int64_t clock_ns);
    // The steady time, before tick(): what a lease counts from. Unlike ticks, none of it is skipped
    // when the process or the machine stands still.
    void set_steady_time(std::int64_t steady_ns);

    // How many of these, from the first on, propose() takes now, if this node leads: so many that
    // what isn't committed, or isn't durable here, stays within its bounds.
    std::size_t proposable(std::span<const Payload> payloads) const;
    // Appends one entry for each payload, all or none.
    ProposeResult propose(std::span<const Payload> payloads);
    // Asks for a read index, on a leader or a follower that knows one; 0: not now (no leader, or
    // too many wait). A ReadState with this id follows.
    ReadId read_index();
    // Hands leadership to `target` (§3.10): false when this node doesn't lead or the target can't.
    // Given up after an election timeout.
    bool transfer_leadership(NodeId target);
    // Whether change_configuration() may be called now: not_leader, not_ready, pending or none.
    ChangeError may_change_configuration() const;
    // Appends a configuration that was planned from the one in force
    // (raft/core/configuration_change.h). A joint one is followed by its second step without being
    // asked.
    ChangeResult change_configuration(const Configuration& next);
    // Whether this node may campaign, by itself or because the leader asks it to. Not while its
    // disk is stalled: a candidate whose vote does not become durable is deaf and mute.
    void set_may_campaign(bool may_campaign);
    // The batch `sequence` and all before it are durable.
    void persisted(Sequence sequence);
    // A durable snapshot includes everything up to `index`: the log before it isn't needed any
    // more. Returns the first index that is still kept.
    Index compact(Index index);
    // A snapshot from the leader is durable: the log goes on after it, and the state machine is to
    // hold its state before anything else is applied. False, and nothing happens, when this node is
    // as far already (or leads: then it has the entries). `log_replaced` says whether the log's
    // entries were given up (they don't match, or are not durable yet), so that the one on disk
    // must be too, behind the writes under way.
    bool installed(const LogPosition& last_included, const Configuration& configuration,
                   bool& log_replaced);
    // Sends `to` a chunk of a snapshot; header and clock are filled in. False, and nothing is sent,
    // when the transfer is to be abandoned: this node doesn't lead, or `to` needs no snapshot.
    bool send_snapshot_chunk(NodeId to, InstallSnapshot chunk);
    // The snapshot for `peer` was not delivered; by the next heartbeat it is wanted again if it
    // still is.
    void snapshot_failed(NodeId peer);
    // How far a snapshot from the leader has been gathered.
    void snapshot_received(Index last_included_index, std::uint64_t next_offset);
    // Hints from the network: what was on its way to `peer` may be lost; it can be reached again.
    void peer_unreachable(NodeId peer);
    void peer_reachable(NodeId peer);
    // Some of something large from `peer` has come, and more of it follows: a leader's entries, or
    // what is no message of Raft's. Returns whether there is something to send.
    bool peer_is_sending(NodeId peer, bool entries);

    // Fills `ready` with what this turn asks for. With `may_persist` false the disk is busy: what
    // must be written is kept back and gathers.
    void take_ready(bool may_persist, Ready& ready);
    // Whether committed entries were left out by the bound of one turn.
    bool has_more_committed() const { return handed_out_commit_ < commit_index_; }

    NodeId id() const { return options_.id; }
    Term term() const { return hard_state_.term; }
    RoleName role() const { return static_cast<RoleName>(role_.index()); }
    bool is_leader() const { return role() == RoleName::leader; }
    NodeId leader_id() const { return leader_id_; }  // 0: unknown
    Index commit_index() const { return commit_index_; }
    Index handed_out_commit() const { return handed_out_commit_; }
    const HardState& hard_state() const { return hard_state_; }
    const Log& log() const { return log_; }
    // In force: the newest in the log, committed or not.
    const Configuration& configuration() const { return configurations_.current(); }
    const ConfigurationLog& configurations() const { return configurations_; }
    const Configuration& committed_configuration() const {
        return configurations_.at(commit_index_);
    }
    const CoreOptions& options() const { return options_; }
    const CoreStatistics& statistics() const { return statistics_; }
    std::int64_t clock_ns() const { return clock_ns_; }
    // Leader: an entry of the own term is committed, so reads and proposals make headway.
    bool leads_with_commit() const;
    // Leader: what is known of the members, sorted by id; otherwise empty.
    std::span<const Progress> progress() const;
    bool is_transferring() const;
    // Reads that wait for a round here; pending_reads_max at most.
    std::size_t pending_reads() const;
    // Leader: at this steady time, read after the reads arrived, a quorum has promised to vote for
    // nobody else, so nothing newer than the commit index can have been acknowledged anywhere:
    // whoever has applied up to it may answer them without a round (thesis §6.4.1).
    bool holds_lease(std::int64_t steady_ns) const;
    bool is_durable() const { return durable_hard_state_ == hard_state_; }

 private:
    struct Vote {
        NodeId id = 0;
        int value = 0;  // +1 granted, -1 refused, 0 not answered
    };
    struct Follower {};
    struct PreCandidate {
        std::vector<Vote> votes;
    };
    struct Candidate {
        std::vector<Vote> votes;
        bool leadership_transfer = false;
        bool requested = false;  // RequestVote went out
    };
    // A read that waits for its round: this node's own (requester 0) or a follower's.
    struct PendingRead {
        NodeId requester = 0;
        ReadId read_id = 0;  // the requester's
        ReadId round = 0;    // 0: not in a round yet
        Index read_index = 0;
    };
    struct Leader {
        std::vector<Progress> progress;
        std::deque<PendingRead> reads;
        ReadId round = 0;
        int heartbeat_elapsed = 0;
        NodeId transfer_target = 0;
        int transfer_elapsed = 0;
        // Whoever was told to campaign may do so whenever that arrives, and voters disregard their
        // promises then: no lease any more in this term.
        bool timeout_now_sent = false;
        LeaseRounds lease_rounds;
        std::size_t uncommitted_bytes = 0;
    };
    // A follower's read that went to the leader.
    struct ForwardedRead {
        ReadId read_id = 0;
        int age_ticks = 0;
    };
    struct PersistRecord {
        Sequence sequence = 0;
        HardState hard_state;
        Index last_index = 0;  // clamped when the log is truncated
    };

    // core.cc
    Header header_for(NodeId to) const;
    void send(Message message);
    bool accept_header(const Header& header) const;
    bool step_term(const Message& message);
    void dispatch(Message& message);
    void release_gated();
    void acknowledge_persisted();

    // core_election.cc
    void become_follower(Term term, NodeId leader);
    void become_pre_candidate();
    void become_candidate(bool leadership_transfer);
    void become_leader();
    void reset_election_timer();
    bool hears_leader() const;
    bool must_not_vote() const;
    void tick_election();
    void tick_leader();
    void check_quorum();
    void request_votes(bool pre_vote, bool leadership_transfer);
    void count_vote(std::vector<Vote>& votes, NodeId from, bool granted);
    std::vector<Vote> fresh_votes() const;
    VoteResult result_of(const std::vector<Vote>& votes) const;
    void count_own_vote();
    void on_request_vote(const RequestVote& message);
    void on_request_vote_reply(const RequestVoteReply& message);
    void on_timeout_now(const TimeoutNow& message);
    void maybe_send_timeout_now(Leader& leader);

    // core_replication.cc
    void append_as_leader(EntryKind kind, Payload payload);
    void send_appends(Leader& leader);
    bool send_append(Leader& leader, Progress& progress, bool even_if_empty);
    void broadcast_heartbeat(Leader& leader);
    void maybe_commit(Leader& leader);
    void commit_to(Index index);
    bool accept_leader(NodeId from);
    void on_append_entries(AppendEntries& message);
    bool valid_entries(const AppendEntries& message) const;
    bool append_from_leader(AppendEntries& message);
    void truncate_from(Index index);
    AppendEntriesReply reply_to(NodeId leader) const;
    void acknowledge(NodeId leader);
    void on_append_entries_reply(const AppendEntriesReply& message);
    void on_append_rejected(Progress& progress, const AppendEntriesReply& message);

    // core_snapshot.cc
    void want_snapshot(Progress& progress);
    void leave_snapshot(Progress& progress);
    void send_snapshot_heartbeat(Progress& progress);
    bool valid_snapshot(const InstallSnapshot& message) const;
    void on_install_snapshot(InstallSnapshot& message);
    void on_install_snapshot_reply(const InstallSnapshotReply& message);

    // core_configuration.cc
    void note_configuration(const Entry& entry);
    bool is_trusted_voter(const Configuration& configuration) const;
    bool is_of_member(const Progress& progress, const AppendEntriesReply& message) const;
    bool may_campaign() const;
    void append_configuration(const Configuration& next);
    bool hears(const Progress& progress, const Configuration& next) const;
    bool hears_quorum_of(const Configuration& next) const;
    void match_progress_to_configuration(Leader& leader);
    void finish_configuration_change(Leader& leader);
    void step_down_for_removal(Leader& leader);
    void tick_learners(Leader& leader);

    // core_read.cc
    void start_read_round(Leader& leader);
    void begin_lease_round(Leader& leader);
    void confirm_reads(Leader& leader);
    void fail_leader_reads(Leader& leader);
    void fail_forwarded_reads();
    void tick_forwarded_reads();
    void finish_read(const PendingRead& read, bool ok);
    void on_read_index_request(const ReadIndexRequest& message);
    void on_read_index_reply(const ReadIndexReply& message);

    Leader* leader() { return std::get_if<Leader>(&role_); }
    const Leader* leader() const { return std::get_if<Leader>(&role_); }
    static Progress* find(Leader& leader, NodeId id);

    CoreOptions options_;
    HardState hard_state_;
    HardState durable_hard_state_;
    HardState persisting_hard_state_;  // newest handed to the disk
    Log log_;
    ConfigurationLog configurations_;
    Index commit_index_ = 0;
    Index handed_out_commit_ = 0;
    std::variant<Follower, PreCandidate, Candidate, Leader> role_;  // order as in RoleName
    NodeId leader_id_ = 0;
    int election_elapsed_ = 0;
    int randomized_timeout_ = 0;
    bool disk_allows_campaign_ = true;
    Random random_;
    std::int64_t clock_ns_ = 0;
    std::int64_t steady_ns_ = 0;
    // Ticks for which what this node promised (or may have, before its start) still binds it,
    // whatever term it gets into meanwhile.
    int promise_ticks_left_ = 0;

    // Follower: up to where the log is known to match this term's leader's, what it was told last.
    Index verified_index_ = 0;
    Index acknowledged_index_ = 0;
    ReadId leader_read_id_ = 0;
    std::deque<ForwardedRead> forwarded_reads_;

    ReadId next_read_id_ = 0;
    Sequence next_sequence_ = 0;
    std::deque<PersistRecord> persisting_;
    std::vector<Message> messages_;
    std::vector<Message> gated_;  // wait until term and vote are durable
    std::vector<ReadState> reads_;
    std::vector<NodeId> snapshots_wanted_;
    std::vector<InstallSnapshot> snapshot_chunks_;
    std::vector<InstallSnapshotReply> snapshot_replies_;
    CoreStatistics statistics_;
};

}  // namespace cairn::raft
