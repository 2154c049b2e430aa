// Core: membership (thesis chapter 4). A configuration is in force from the moment it is appended;
// voters change by joint consensus, whose second step the leader makes by itself; a learner that
// has caught up becomes a voter.

#include <algorithm>

#include "raft/core.h"
#include "raft/invariant.h"

namespace cairn::raft {

namespace {

Configuration decoded(const Entry& entry) {
    Configuration configuration;
    const bool valid = decode_configuration(entry.payload.view(), configuration);
    RAFT_ASSERT(valid);  // asked of whoever gave us the entry
    return configuration;
}

}  // namespace

void Core::note_configuration(const Entry& entry) {
    if (entry.kind == EntryKind::configuration) {
        configurations_.append(entry.index, decoded(entry));
    }
}

// A node that came empty to a group that was there already must not vote before the group has made
// a voter of just this data directory: what an earlier one of the same id has acknowledged and
// voted for is lost.
bool Core::is_trusted_voter() const {
    if (!options_.joined) {
        return true;
    }
    const Member* self = configuration().detail(options_.id);
    return self != nullptr && self->disk_id == options_.disk_id &&
           configuration().may_campaign(options_.id);
}

bool Core::may_campaign() const {
    return configuration().may_campaign(options_.id) && is_trusted_voter();
}

ChangeError Core::may_change_configuration() const {
    if (!is_leader()) {
        return ChangeError::not_leader;
    }
    // Also what makes changes of one voter at a time safe across leaders: an entry of the own term
    // comes first (Ongaro, raft-dev 2015).
    if (!leads_with_commit() || is_transferring()) {
        return ChangeError::not_ready;
    }
    const bool pending =
        configurations_.current_index() > commit_index_ || configuration().is_joint();
    return pending ? ChangeError::pending : ChangeError::none;
}

ChangeResult Core::change_configuration(const Configuration& next) {
    if (const ChangeError error = may_change_configuration(); error != ChangeError::none) {
        return {error, 0, 0};
    }
    RAFT_ASSERT(is_single_step(configuration(), next));
    if (!std::binary_search(next.voters.begin(), next.voters.end(), options_.id)) {
        return {ChangeError::leader_itself, 0, 0};
    }
    if (next.voters != configuration().voters && !hears_quorum_of(next)) {
        return {ChangeError::no_quorum, 0, 0};
    }
    append_configuration(next);
    return {ChangeError::none, log_.last_index(), hard_state_.term};
}

void Core::append_configuration(const Configuration& next) {
    append_as_leader(EntryKind::configuration, Payload::copy_of(encode_configuration(next)));
    configurations_.append(log_.last_index(), next);
    match_progress_to_configuration(*leader());
}

// Heard within the last election timeout; CheckQuorum would depose a leader of others.
bool Core::hears_quorum_of(const Configuration& next) const {
    const VoteResult heard = quorum_vote(next, [&](NodeId id) {
        if (id == options_.id) {
            return 1;
        }
        for (const Progress& progress : leader()->progress) {
            if (progress.id == id) {
                return progress.silent_ticks < options_.election_timeout_ticks ? 1 : -1;
            }
        }
        return -1;
    });
    return heard == VoteResult::won;
}

// Members that stay keep what is known of them, unless their disk is another one by now.
void Core::match_progress_to_configuration(Leader& leading) {
    std::vector<Progress> matched;
    std::vector<NodeId> members = configuration().members();
    if (!std::binary_search(members.begin(), members.end(), options_.id)) {
        members.insert(std::lower_bound(members.begin(), members.end(), options_.id), options_.id);
    }
    for (const NodeId id : members) {
        const Member* detail = configuration().detail(id);
        const std::uint64_t disk_id = detail == nullptr ? 0 : detail->disk_id;
        Progress* known = find(leading, id);
        if (known != nullptr && (known->disk_id == 0 || known->disk_id == disk_id)) {
            known->disk_id = disk_id;
            matched.push_back(std::move(*known));
            continue;
        }
        Progress progress;
        progress.id = id;
        progress.disk_id = disk_id;
        progress.next_index = log_.last_index() + 1;
        progress.recent_active = true;  // a full election timeout to answer
        // A leader that has just begun has heard nobody yet, but its voters' votes.
        progress.silent_ticks =
            known == nullptr && leading.progress.empty() ? 0 : options_.election_timeout_ticks;
        matched.push_back(std::move(progress));
    }
    leading.progress = std::move(matched);
    if (!configuration().may_campaign(leading.transfer_target)) {
        leading.transfer_target = 0;
    }
}

// The configuration in force is committed, or something behind it is.
void Core::finish_configuration_change(Leader& leading) {
    if (configurations_.current_index() > commit_index_ || !leads_with_commit()) {
        return;
    }
    if (configuration().is_joint()) {
        append_configuration(leave_joint(configuration()));
        return;
    }
    if (!configuration().is_voter(options_.id)) {
        step_down_for_removal(leading);
    }
}

// An earlier leader had begun to remove this node (§4.2.2); whoever is furthest leads on.
void Core::step_down_for_removal(Leader& leading) {
    const Progress* best = nullptr;
    for (const Progress& progress : leading.progress) {
        const bool may_lead = progress.id != options_.id &&
                              configuration().may_campaign(progress.id) &&
                              progress.match_index == log_.last_index();
        if (may_lead && best == nullptr) {
            best = &progress;
        }
    }
    if (best != nullptr) {
        send(TimeoutNow{header_for(best->id)});
    }
    become_follower(hard_state_.term, 0);
}

// Rounds of the thesis (§4.2.1): each replicates what the log had when it began. A learner that
// ends one within an election timeout keeps up.
void Core::tick_learners(Leader& leading) {
    if (configuration().learners.empty() || may_change_configuration() != ChangeError::none) {
        return;
    }
    for (Progress& progress : leading.progress) {
        const Member* detail = configuration().detail(progress.id);
        if (!configuration().is_learner(progress.id) || detail == nullptr ||
            detail->stays_learner || (detail->disk_id == 0 && options_.disk_id != 0)) {
            continue;
        }
        ++progress.catch_up_ticks;
        if (progress.state != Progress::State::replicate || progress.match_index == 0 ||
            progress.match_index < progress.catch_up_target) {
            continue;
        }
        const bool keeps_up = progress.catch_up_target != 0 &&
                              progress.catch_up_ticks <= options_.election_timeout_ticks;
        progress.catch_up_target = log_.last_index();
        progress.catch_up_ticks = 0;
        if (!keeps_up) {
            continue;
        }
        const PlannedChange promotion = plan_promotion(configuration(), progress.id);
        if (promotion.error == ChangeError::none && hears_quorum_of(promotion.next)) {
            append_configuration(promotion.next);  // `progress` is another's now
            return;
        }
    }
}

}  // namespace cairn::raft
