#include "raft/core/configuration_change.h"

#include <algorithm>

namespace cairn::raft {

namespace {

void insert(std::vector<NodeId>& ids, NodeId id) {
    const auto at = std::lower_bound(ids.begin(), ids.end(), id);
    if (at == ids.end() || *at != id) {
        ids.insert(at, id);
    }
}

void erase(std::vector<NodeId>& ids, NodeId id) {
    std::erase(ids, id);
}

Member& detail_of(Configuration& configuration, NodeId id) {
    const auto at =
        std::lower_bound(configuration.details.begin(), configuration.details.end(), id,
                         [](const Member& member, NodeId wanted) { return member.id < wanted; });
    if (at != configuration.details.end() && at->id == id) {
        return *at;
    }
    Member member;
    member.id = id;
    return *configuration.details.insert(at, std::move(member));
}

// The old voters keep their say until the change is committed by both.
void become_joint(const Configuration& now, Configuration& next) {
    next.outgoing_voters = now.voters;
}

}  // namespace

PlannedChange plan_addition(const Configuration& now, const Member& member) {
    if (member.id == 0 || !is_member_address(member.address)) {
        return {ChangeError::invalid_member, {}};
    }
    if (now.was_removed(member.id)) {
        return {ChangeError::was_removed, {}};
    }
    if (now.contains(member.id)) {
        const Member* known = now.detail(member.id);
        const bool same = known != nullptr && known->address == member.address;
        return {same ? ChangeError::unchanged : ChangeError::other_address, {}};
    }
    const bool address_taken =
        std::any_of(now.details.begin(), now.details.end(),
                    [&](const Member& other) { return other.address == member.address; });
    if (address_taken && !member.address.empty()) {
        return {ChangeError::other_address, {}};
    }
    // Each learner may become a voter.
    if (now.learners.size() >= learners_max ||
        (!member.stays_learner && now.voters.size() + now.learners.size() >= voters_max)) {
        return {ChangeError::too_many, {}};
    }
    PlannedChange planned{ChangeError::none, now};
    insert(planned.next.learners, member.id);
    detail_of(planned.next, member.id) = member;
    return planned;
}

PlannedChange plan_removal(const Configuration& now, NodeId id) {
    if (!now.contains(id)) {
        return {now.was_removed(id) ? ChangeError::unchanged : ChangeError::no_such_member, {}};
    }
    if (now.voters == std::vector<NodeId>{id}) {
        return {ChangeError::last_voter, {}};
    }
    PlannedChange planned{ChangeError::none, now};
    Configuration& next = planned.next;
    const bool voter = now.is_voter(id);
    if (voter) {
        erase(next.voters, id);
        become_joint(now, next);
    }
    erase(next.learners, id);
    if (!voter) {
        std::erase_if(next.details, [id](const Member& member) { return member.id == id; });
    }
    insert(next.removed, id);
    if (next.removed.size() > removed_max) {
        next.removed.erase(next.removed.begin());
    }
    return planned;
}

PlannedChange plan_promotion(const Configuration& now, NodeId id) {
    if (!now.is_learner(id)) {
        return {now.contains(id) ? ChangeError::unchanged : ChangeError::no_such_member, {}};
    }
    if (now.voters.size() >= voters_max) {
        return {ChangeError::too_many, {}};
    }
    PlannedChange planned{ChangeError::none, now};
    erase(planned.next.learners, id);
    insert(planned.next.voters, id);
    become_joint(now, planned.next);
    return planned;
}

PlannedChange plan_new_disk(const Configuration& now, NodeId id, std::uint64_t disk_id) {
    if (!now.contains(id)) {
        return {now.was_removed(id) ? ChangeError::was_removed : ChangeError::no_such_member, {}};
    }
    const Member* known = now.detail(id);
    if (known != nullptr && known->disk_id == disk_id) {
        return {ChangeError::unchanged, {}};
    }
    if (now.voters == std::vector<NodeId>{id}) {
        return {ChangeError::last_voter, {}};
    }
    if (now.is_voter(id) && now.learners.size() >= learners_max) {
        return {ChangeError::too_many, {}};
    }
    PlannedChange planned{ChangeError::none, now};
    Configuration& next = planned.next;
    if (now.is_voter(id)) {
        erase(next.voters, id);
        insert(next.learners, id);
        become_joint(now, next);
    }
    detail_of(next, id).disk_id = disk_id;
    return planned;
}

PlannedChange plan_disk_notes(const Configuration& now, std::span<const MemberDisk> disks) {
    PlannedChange planned{ChangeError::unchanged, now};
    for (const MemberDisk& disk : disks) {
        if (disk.disk_id == 0 || !now.contains(disk.id)) {
            continue;
        }
        Member& detail = detail_of(planned.next, disk.id);
        if (detail.disk_id == 0) {
            detail.disk_id = disk.disk_id;
            planned.error = ChangeError::none;
        }
    }
    return planned;
}

Configuration leave_joint(const Configuration& now) {
    Configuration next = now;
    next.outgoing_voters.clear();
    std::erase_if(next.details, [&](const Member& member) { return !next.contains(member.id); });
    return next;
}

bool is_single_step(const Configuration& now, const Configuration& next) {
    return !now.is_joint() && validate(next).empty() &&
           (next.is_joint() ? next.outgoing_voters == now.voters : next.voters == now.voters);
}

}  // namespace cairn::raft
