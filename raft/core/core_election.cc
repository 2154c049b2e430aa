// Core: elections, PreVote, CheckQuorum, leadership transfer (thesis chapters 3.4, 3.10, 6.2, 9.6).

#include <algorithm>

#include "raft/core/core.h"
#include "raft/core/invariant.h"

namespace cairn::raft {

void Core::become_follower(Term term, NodeId leader) {
    RAFT_ASSERT(term >= hard_state_.term);
    if (Leader* leading = this->leader()) {
        fail_leader_reads(*leading);
        snapshots_wanted_.clear();
        snapshot_replies_.clear();
    }
    if (leader != leader_id_ || term != hard_state_.term) {
        fail_forwarded_reads();
        verified_index_ = 0;
        acknowledged_index_ = 0;
        leader_read_id_ = 0;
    }
    if (term != hard_state_.term) {
        hard_state_ = HardState{term, 0};
    }
    role_ = Follower{};
    leader_id_ = leader;
    reset_election_timer();
}

void Core::become_pre_candidate() {
    fail_forwarded_reads();
    role_ = PreCandidate{fresh_votes()};
    leader_id_ = 0;
    reset_election_timer();
    request_votes(true, false);
    count_vote(std::get<PreCandidate>(role_).votes, options_.id, true);
    if (result_of(std::get<PreCandidate>(role_).votes) == VoteResult::won) {
        become_candidate(false);
    }
}

// The own vote counts, and the others are asked, once term and vote are durable.
void Core::become_candidate(bool leadership_transfer) {
    RAFT_ASSERT(!is_leader());
    fail_forwarded_reads();
    hard_state_ = HardState{hard_state_.term + 1, options_.id};
    verified_index_ = 0;
    acknowledged_index_ = 0;
    leader_read_id_ = 0;
    role_ = Candidate{fresh_votes(), leadership_transfer, false};
    leader_id_ = 0;
    reset_election_timer();
    ++statistics_.elections_started;
}

void Core::count_own_vote() {
    auto& candidate = std::get<Candidate>(role_);
    if (!is_durable() || candidate.requested) {
        return;
    }
    candidate.requested = true;
    request_votes(false, candidate.leadership_transfer);
    count_vote(candidate.votes, options_.id, true);
    if (result_of(candidate.votes) == VoteResult::won) {
        become_leader();
    }
}

void Core::become_leader() {
    RAFT_ASSERT(std::holds_alternative<Candidate>(role_));
    RAFT_ASSERT(is_durable());
    RAFT_ASSERT(hard_state_.voted_for == options_.id);
    Leader leading;
    match_progress_to_configuration(leading);
    for (Index index = commit_index_ + 1; index <= log_.last_index(); ++index) {
        leading.uncommitted_bytes += log_.at(index).payload.size();
    }
    role_ = std::move(leading);
    leader_id_ = options_.id;
    election_elapsed_ = 0;
    ++statistics_.leaderships;
    Leader& now_leading = *leader();
    Progress* self = find(now_leading, options_.id);
    RAFT_ASSERT(self != nullptr);
    self->become_replicate();
    self->acknowledged(log_.stable_index());
    append_as_leader(EntryKind::no_op, {});
}

void Core::reset_election_timer() {
    election_elapsed_ = 0;
    const auto timeout = static_cast<std::uint64_t>(options_.election_timeout_ticks);
    randomized_timeout_ = static_cast<int>(random_.between(timeout, 2 * timeout - 1));
}

// The lease that PreVote and CheckQuorum give a leader: it lapses an election timeout after it was
// last heard, whether or not somebody campaigns, so that a group can't lock itself out.
bool Core::hears_leader() const {
    return leader_id_ != 0 && election_elapsed_ < options_.election_timeout_ticks;
}

// Unlike hears_leader() this outlasts a change of term: a mere answer from a newer term makes this
// node forget its leader, but the leader still counts on what it was promised.
bool Core::must_not_vote() const {
    return promise_ticks_left_ > 0;
}

void Core::tick_election() {
    ++election_elapsed_;
    if (election_elapsed_ < randomized_timeout_) {
        return;
    }
    if (may_campaign() && disk_allows_campaign_) {
        become_pre_candidate();
    } else {
        // Nobody leads any more; and a candidacy that came to nothing ends, too.
        become_follower(hard_state_.term, 0);
    }
}

void Core::tick_leader() {
    Leader& leading = *leader();
    ++leading.heartbeat_elapsed;
    ++election_elapsed_;
    for (Progress& progress : leading.progress) {
        progress.silent_ticks =
            std::min(progress.silent_ticks + 1, options_.election_timeout_ticks);
    }
    if (leading.transfer_target != 0 &&
        ++leading.transfer_elapsed >= options_.election_timeout_ticks) {
        leading.transfer_target = 0;  // it did not come to pass; work goes on
    }
    if (election_elapsed_ >= options_.election_timeout_ticks) {
        election_elapsed_ = 0;
        check_quorum();
        if (!is_leader()) {
            return;
        }
    }
    tick_learners(leading);
    if (leading.heartbeat_elapsed >= options_.heartbeat_ticks) {
        leading.heartbeat_elapsed = 0;
        begin_lease_round(leading);
        broadcast_heartbeat(leading);
    }
}

void Core::set_may_campaign(bool may_campaign) {
    disk_allows_campaign_ = may_campaign;
    if (!may_campaign && std::holds_alternative<PreCandidate>(role_)) {
        become_follower(hard_state_.term, 0);
    }
}

void Core::check_quorum() {
    Leader& leading = *leader();
    const VoteResult active = quorum_vote(configuration(), [&](NodeId id) {
        const Progress* progress = find(leading, id);
        return id == options_.id || (progress != nullptr && progress->recent_active) ? 1 : -1;
    });
    for (Progress& progress : leading.progress) {
        progress.recent_active = false;
    }
    if (active != VoteResult::won) {
        ++statistics_.quorum_losses;
        become_follower(hard_state_.term, 0);
    }
}

std::vector<Core::Vote> Core::fresh_votes() const {
    std::vector<Vote> votes;
    for (const NodeId id : configuration().members()) {
        if (configuration().is_voter(id)) {
            votes.push_back({id, 0});
        }
    }
    return votes;
}

void Core::count_vote(std::vector<Vote>& votes, NodeId from, bool granted) {
    for (Vote& vote : votes) {
        if (vote.id == from && vote.value == 0) {
            vote.value = granted ? 1 : -1;
        }
    }
}

VoteResult Core::result_of(const std::vector<Vote>& votes) const {
    return quorum_vote(configuration(), [&](NodeId id) {
        for (const Vote& vote : votes) {
            if (vote.id == id) {
                return vote.value;
            }
        }
        return 0;
    });
}

void Core::request_votes(bool pre_vote, bool leadership_transfer) {
    for (const NodeId id : configuration().members()) {
        if (id == options_.id || !configuration().is_voter(id)) {
            continue;
        }
        RequestVote request;
        request.header = header_for(id);
        request.header.term += pre_vote ? 1 : 0;
        request.last_log_index = log_.last_index();
        request.last_log_term = log_.last_term();
        request.pre_vote = pre_vote;
        request.leadership_transfer = leadership_transfer;
        if (const Member* detail = configuration().detail(id);
            detail != nullptr && configuration().may_campaign(id)) {
            request.voter_disk_id = detail->disk_id;
        }
        send(std::move(request));
    }
}

void Core::on_request_vote(const RequestVote& message) {
    const NodeId candidate = message.header.from;
    const bool free_to_vote = hard_state_.voted_for == candidate ||
                              (hard_state_.voted_for == 0 && leader_id_ == 0) ||
                              (message.pre_vote && message.header.term > hard_state_.term);
    const bool bound = must_not_vote() && !message.leadership_transfer;
    // Whether or not the candidate is a voter here: its log may be ahead of ours (§4.2.2). It
    // counts the vote of the data directory that it names; ours may have become a voter's by an
    // entry that we haven't got, and another's vote isn't ours to give.
    const bool named = message.voter_disk_id != 0 && options_.disk_id != 0;
    const bool trusted =
        named ? message.voter_disk_id == options_.disk_id : is_trusted_voter(configuration());
    const bool granted = free_to_vote && !bound && trusted &&
                         log_.is_up_to_date(message.last_log_index, message.last_log_term);
    RequestVoteReply reply{header_for(candidate), message.pre_vote, granted};
    if (granted && message.pre_vote) {
        reply.header.term = message.header.term;
    }
    if (granted && !message.pre_vote) {
        hard_state_.voted_for = candidate;
        role_ = Follower{};  // a pre-candidacy ends with the vote for another
        reset_election_timer();
    }
    send(std::move(reply));
}

void Core::on_request_vote_reply(const RequestVoteReply& message) {
    if (message.pre_vote) {
        auto* asking = std::get_if<PreCandidate>(&role_);
        // A grant must be for the term we asked about; a late one may be for an earlier question.
        if (asking == nullptr || (message.granted && message.header.term != hard_state_.term + 1)) {
            return;
        }
        count_vote(asking->votes, message.header.from, message.granted);
        const VoteResult result = result_of(asking->votes);
        if (result == VoteResult::won) {
            become_candidate(false);
        } else if (result == VoteResult::lost) {
            become_follower(hard_state_.term, 0);
        }
        return;
    }
    auto* candidate = std::get_if<Candidate>(&role_);
    if (candidate == nullptr || !candidate->requested) {
        return;
    }
    count_vote(candidate->votes, message.header.from, message.granted);
    const VoteResult result = result_of(candidate->votes);
    if (result == VoteResult::won) {
        become_leader();
    } else if (result == VoteResult::lost) {
        become_follower(hard_state_.term, 0);
    }
}

bool Core::transfer_leadership(NodeId target) {
    Leader* leading = leader();
    if (leading == nullptr || target == options_.id ||
        !std::binary_search(configuration().voters.begin(), configuration().voters.end(), target)) {
        return false;
    }
    leading->transfer_target = target;
    leading->transfer_elapsed = 0;
    maybe_send_timeout_now(*leading);
    return true;
}

// The target campaigns only when it has the whole log (§3.10); until then it is being sent.
void Core::maybe_send_timeout_now(Leader& leading) {
    if (leading.transfer_target == 0) {
        return;
    }
    const Progress* target = find(leading, leading.transfer_target);
    if (target != nullptr && target->match_index == log_.last_index()) {
        leading.timeout_now_sent = true;
        send(TimeoutNow{header_for(target->id)});
    }
}

void Core::on_timeout_now(const TimeoutNow& message) {
    if (message.header.from != leader_id_ || is_leader() || !disk_allows_campaign_ ||
        !may_campaign()) {
        return;
    }
    become_candidate(true);
}

}  // namespace cairn::raft
