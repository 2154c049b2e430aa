// Core: membership (thesis chapter 4). A configuration is in force from the moment it is appended;
// voters change by joint consensus, whose second step the leader makes by itself; a learner that
// has caught up becomes a voter.

#include <algorithm>

#include "raft/core/core.h"
#include "raft/core/invariant.h"

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

// What an earlier data directory of the same id has acknowledged and voted for is lost with it, so
// voices belong to data directories. Once the group has noted one for this node, only that one has
// a voice; before, a node has that has been there from the beginning. A node that came empty to a
// group that was there already has none before the group has made a voter of it.
bool Core::is_trusted_voter(const Configuration& configuration) const {
    const Member* self = configuration.detail(options_.id);
    if (self != nullptr && self->disk_id != 0 && options_.disk_id != 0) {
        return self->disk_id == options_.disk_id && configuration.may_campaign(options_.id);
    }
    return !options_.joined;
}

// Whether an answer counts for the member whose id it bears. One of another data directory doesn't,
// neither for what is committed nor for who leads: that directory may have promised a newer leader
// what the answering one knows nothing of.
bool Core::is_of_member(const Progress& progress, const AppendEntriesReply& message) const {
    if (progress.disk_id != 0 && message.disk_id != 0) {
        return progress.disk_id == message.disk_id;
    }
    return !message.joined || !configuration().is_voter(progress.id);
}

bool Core::may_campaign() const {
    const auto may_by = [this](const Configuration& configuration) {
        return configuration.may_campaign(options_.id) && is_trusted_voter(configuration);
    };
    if (configuration().contains(options_.id) || configurations_.current_index() <= commit_index_) {
        return may_by(configuration());
    }
    // Removed by an entry that may not be committed: whoever hasn't got it may need this node's
    // vote and not get it, so it campaigns itself, without a vote of its own (§4.2.2, figure 4.6).
    return may_by(configurations_.at(configurations_.current_index() - 1));
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

// Heard within the last election timeout, with the data directory that it is to have.
bool Core::hears(const Progress& progress, const Configuration& next) const {
    const Member* detail = next.detail(progress.id);
    const bool other_disk = detail != nullptr && detail->disk_id != 0 &&
                            progress.heard_disk_id != 0 &&
                            progress.heard_disk_id != detail->disk_id;
    return progress.silent_ticks < options_.election_timeout_ticks && !other_disk;
}

// CheckQuorum would depose a leader of others.
bool Core::hears_quorum_of(const Configuration& next) const {
    const VoteResult heard = quorum_vote(next, [&](NodeId id) {
        if (id == options_.id) {
            return 1;
        }
        for (const Progress& progress : leader()->progress) {
            if (progress.id == id) {
                return hears(progress, next) ? 1 : -1;
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
        // Founders that stay have the disk that is noted now from the beginning: see is_of_member.
        const bool same_disk =
            known != nullptr && (known->disk_id == disk_id ||
                                 (known->disk_id == 0 && configuration().may_campaign(id)));
        if (same_disk || (known != nullptr && id == options_.id)) {
            known->disk_id = disk_id;
            matched.push_back(std::move(*known));
            continue;
        }
        Progress progress;
        progress.id = id;
        progress.disk_id = disk_id;
        progress.next_index = log_.last_index() + 1;
        progress.recent_active = true;  // a full election timeout to answer
        progress.silent_ticks = options_.election_timeout_ticks;
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
// ends one within an election timeout keeps up; one that has fallen silent since does not.
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
            progress.match_index < progress.catch_up_target || !hears(progress, configuration())) {
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
