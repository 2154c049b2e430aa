#include "raft/core/core.h"

#include <algorithm>
#include <limits>

#include "raft/core/invariant.h"

namespace cairn::raft {

namespace {

// No cluster gets there by counting; beyond it a term is garbage, and ours must not wrap around.
constexpr Term term_max = std::numeric_limits<Term>::max() / 2;

// Messages kept while term and vote are on their way to the disk. What is beyond is lost, as on a
// network: a stalled disk must not cost memory without end.
constexpr std::size_t gated_messages_max = 4096;

}  // namespace

void Ready::clear() {
    messages.clear();
    sequence = 0;
    hard_state.reset();
    entries.clear();
    committed.clear();
    reads.clear();
    snapshots_wanted.clear();
    snapshot_chunks.clear();
    snapshot_replies.clear();
}

Core::Core(const CoreOptions& options, CoreStart start)
    : options_(options),
      hard_state_(start.hard_state),
      durable_hard_state_(start.hard_state),
      persisting_hard_state_(start.hard_state),
      log_(start.base, std::move(start.entries)),
      configurations_(start.base.index, std::move(start.configuration)),
      commit_index_(start.base.index),
      handed_out_commit_(start.base.index),
      random_(options.random_seed) {
    RAFT_ASSERT(validate(options_).empty());
    RAFT_ASSERT(configuration() == Configuration{} || validate(configuration()).empty());
    for (Index index = log_.first_index(); index <= log_.last_index(); ++index) {
        note_configuration(log_.at(index));
    }
    RAFT_ASSERT(log_.last_term() <= hard_state_.term);
    clock_ns_ = log_.last_stamp_ns();
    // Read ids must not repeat over restarts: a late answer to an old question would pass for one
    // to a new question and name an index from before it was asked.
    next_read_id_ = random_.next() >> 2U;
    reset_election_timer();
    if (options_.refuse_votes_at_start && hard_state_.term > 0) {
        promise_ticks_left_ = options_.election_timeout_ticks;
    }
    if (configuration().voters == std::vector<NodeId>{options_.id} && !configuration().is_joint()) {
        election_elapsed_ = randomized_timeout_;  // alone: there is nobody to wait for
    }
}

Header Core::header_for(NodeId to) const {
    return Header{options_.group, options_.id, to, hard_state_.term};
}

// Nothing leaves while term or vote are not durable: whatever a message says in a term, it is said
// by a node that will remember the term after a crash.
void Core::send(Message message) {
    if (is_durable()) {
        messages_.push_back(std::move(message));
    } else if (gated_.size() < gated_messages_max) {
        gated_.push_back(std::move(message));
    }
}

void Core::release_gated() {
    if (!is_durable()) {
        return;
    }
    for (Message& message : gated_) {
        messages_.push_back(std::move(message));
    }
    gated_.clear();
}

// Also from nodes that this one doesn't know (§4.2.2): its own log may lag behind the configuration
// that made them members.
bool Core::accept_header(const Header& header) const {
    return header.group == options_.group && header.to == options_.id && header.from != 0 &&
           header.from != options_.id && header.term <= term_max;
}

void Core::step(Message message) {
    if (!accept_header(header_of(message))) {
        ++statistics_.rejected_messages;
        return;
    }
    if (step_term(message)) {
        dispatch(message);
    }
}

// The one place where terms are compared (paper §5.1). Returns whether the message is of our term
// now, or a question about a future one, and is to be looked at.
bool Core::step_term(const Message& message) {
    const Header& header = header_of(message);
    const auto* vote = std::get_if<RequestVote>(&message);
    const auto* vote_reply = std::get_if<RequestVoteReply>(&message);
    if (header.term > hard_state_.term) {
        // A leader that is heard is reason enough not to listen to others (thesis §4.2.3, §6.2),
        // unless that leader itself asked for the election.
        if (vote != nullptr && !vote->leadership_transfer && (hears_leader() || must_not_vote())) {
            return false;
        }
        if (vote != nullptr && vote->pre_vote) {
            return true;
        }
        if (vote_reply != nullptr && vote_reply->pre_vote && vote_reply->granted) {
            return true;  // carries the term we asked about
        }
        const bool from_leader = std::holds_alternative<AppendEntries>(message) ||
                                 std::holds_alternative<InstallSnapshot>(message);
        become_follower(header.term, from_leader ? header.from : 0);
        return true;
    }
    if (header.term == hard_state_.term) {
        return true;
    }
    // An old term: tell a deposed leader or a stuck candidate that time has gone on.
    if (std::holds_alternative<AppendEntries>(message) ||
        std::holds_alternative<InstallSnapshot>(message)) {
        AppendEntriesReply reply = reply_to(header.from);
        reply.rejected = true;
        send(std::move(reply));
    } else if (vote != nullptr) {
        send(RequestVoteReply{header_for(header.from), vote->pre_vote, false});
    }
    return false;
}

void Core::dispatch(Message& message) {
    struct Handler {
        Core& core;
        void operator()(AppendEntries& m) const { core.on_append_entries(m); }
        void operator()(const AppendEntriesReply& m) const { core.on_append_entries_reply(m); }
        void operator()(const RequestVote& m) const { core.on_request_vote(m); }
        void operator()(const RequestVoteReply& m) const { core.on_request_vote_reply(m); }
        void operator()(const ReadIndexRequest& m) const { core.on_read_index_request(m); }
        void operator()(const ReadIndexReply& m) const { core.on_read_index_reply(m); }
        void operator()(InstallSnapshot& m) const { core.on_install_snapshot(m); }
        void operator()(const InstallSnapshotReply& m) const { core.on_install_snapshot_reply(m); }
        void operator()(const TimeoutNow& m) const { core.on_timeout_now(m); }
    };
    std::visit(Handler{*this}, message);
}

void Core::tick() {
    promise_ticks_left_ -= must_not_vote() ? 1 : 0;
    if (is_leader()) {
        tick_leader();
    } else {
        tick_election();
    }
    tick_forwarded_reads();
}

void Core::set_clock(std::int64_t clock_ns) {
    clock_ns_ = is_leader() ? std::max(clock_ns_, clock_ns) : clock_ns;
}

void Core::set_steady_time(std::int64_t steady_ns) {
    steady_ns_ = std::max(steady_ns_, steady_ns);
}

std::size_t Core::proposable(std::span<const Payload> payloads) const {
    const Leader* leading = leader();
    if (leading == nullptr) {
        return 0;
    }
    // The others may commit what this node's own disk is slow to take.
    const std::size_t pending = log_.last_index() - std::min(commit_index_, log_.stable_index());
    const std::size_t room =
        options_.uncommitted_entries_max - std::min(options_.uncommitted_entries_max, pending);
    std::size_t bytes = std::max(leading->uncommitted_bytes, log_.unstable_bytes());
    std::size_t count = 0;
    while (count < std::min(room, payloads.size())) {
        const std::size_t more = payloads[count].size();
        // One that is larger than the bound is let through when nothing else waits.
        if (bytes != 0 && bytes + more > options_.uncommitted_bytes_max) {
            break;
        }
        bytes += more;
        ++count;
    }
    return count;
}

ProposeResult Core::propose(std::span<const Payload> payloads) {
    Leader* leading = leader();
    if (leading == nullptr) {
        return {ProposeError::not_leader, 0, 0};
    }
    if (leading->transfer_target != 0) {
        return {ProposeError::transferring, 0, 0};
    }
    if (proposable(payloads) < payloads.size()) {
        return {ProposeError::busy, 0, 0};
    }
    const ProposeResult result{ProposeError::none, log_.last_index() + 1, hard_state_.term};
    for (const Payload& payload : payloads) {
        append_as_leader(EntryKind::command, payload);
    }
    return result;
}

void Core::persisted(Sequence sequence) {
    bool any = false;
    while (!persisting_.empty() && persisting_.front().sequence <= sequence) {
        const PersistRecord& record = persisting_.front();
        durable_hard_state_ = record.hard_state;
        log_.mark_stable(record.last_index);
        persisting_.pop_front();
        any = true;
    }
    if (any) {
        acknowledge_persisted();
    }
}

void Core::acknowledge_persisted() {
    release_gated();
    if (Leader* leading = leader()) {
        // The leader's own disk is one voice among the others (§10.2.1).
        if (Progress* self = find(*leading, options_.id)) {
            self->acknowledged(log_.stable_index());
        }
        maybe_commit(*leading);
        return;
    }
    if (std::holds_alternative<Candidate>(role_)) {
        count_own_vote();
        return;
    }
    if (leader_id_ != 0 && std::min(verified_index_, log_.stable_index()) > acknowledged_index_) {
        acknowledge(leader_id_);
    }
}

void Core::take_ready(bool may_persist, Ready& ready) {
    ready.clear();
    if (Leader* leading = leader()) {
        start_read_round(*leading);
        send_appends(*leading);
        confirm_reads(*leading);
    }
    if (may_persist && (log_.has_unsaved() || persisting_hard_state_ != hard_state_)) {
        ready.sequence = ++next_sequence_;
        if (persisting_hard_state_ != hard_state_) {
            ready.hard_state = hard_state_;
            persisting_hard_state_ = hard_state_;
        }
        log_.hand_out(options_.persist_bytes_max, ready.entries);
        persisting_.push_back({ready.sequence, hard_state_, log_.handed_out_index()});
    }
    while (handed_out_commit_ < commit_index_ &&
           ready.committed.size() < options_.committed_entries_max) {
        ready.committed.push_back(log_.at(++handed_out_commit_));
    }
    std::swap(ready.messages, messages_);
    std::swap(ready.reads, reads_);
    std::swap(ready.snapshots_wanted, snapshots_wanted_);
    std::swap(ready.snapshot_chunks, snapshot_chunks_);
    std::swap(ready.snapshot_replies, snapshot_replies_);
}

void Core::peer_unreachable(NodeId peer) {
    if (Leader* leading = leader()) {
        Progress* progress = find(*leading, peer);
        if (progress != nullptr && progress->state == Progress::State::replicate &&
            peer != options_.id) {
            progress->become_probe();
        }
    }
}

void Core::peer_reachable(NodeId peer) {
    if (Leader* leading = leader()) {
        if (Progress* progress = find(*leading, peer)) {
            progress->probe_sent = false;
        }
    }
}

// An entry may take longer to arrive than an election timeout, and what is sent behind it waits.
// Nobody is taken for silent meanwhile, or that entry would cost every leader its leadership. The
// follower says again what it has said before, as often as it would answer heartbeats. Anything
// else from whom it follows says nothing: it may have ceased to lead.
bool Core::peer_is_sending(NodeId peer, bool entries) {
    if (Leader* leading = leader()) {
        if (Progress* progress = find(*leading, peer)) {
            progress->recent_active = true;
            progress->silent_ticks = 0;
        }
        return false;
    }
    const bool follows = std::holds_alternative<Follower>(role_) && leader_id_ == peer;
    if (!follows || !entries || election_elapsed_ < options_.heartbeat_ticks) {
        return false;
    }
    election_elapsed_ = 0;
    acknowledge(peer);
    return true;
}

bool Core::leads_with_commit() const {
    return is_leader() && log_.matches(commit_index_, hard_state_.term);
}

std::span<const Progress> Core::progress() const {
    const Leader* leading = leader();
    return leading == nullptr ? std::span<const Progress>() : leading->progress;
}

bool Core::is_transferring() const {
    const Leader* leading = leader();
    return leading != nullptr && leading->transfer_target != 0;
}

Progress* Core::find(Leader& leader, NodeId id) {
    const auto found = std::lower_bound(
        leader.progress.begin(), leader.progress.end(), id,
        [](const Progress& progress, NodeId wanted) { return progress.id < wanted; });
    return found != leader.progress.end() && found->id == id ? &*found : nullptr;
}

}  // namespace cairn::raft
