// How one configuration may follow another (thesis §4.3, §4.2.1): learners come and go in one step,
// voters by joint consensus, whose second step the leader takes by itself (leave_joint).
//
// Pure functions. They plan, and what they plan is valid whatever they were asked for; raft::Core
// decides when a change may be made and makes it.
#pragma once

#include <cstdint>
#include <span>

#include "raft/core/configuration.h"

namespace cairn::raft {

enum class ChangeError : std::uint8_t {
    none,
    not_leader,  // nothing appended; leader_id() may know who leads
    not_ready,   // nothing appended: no entry of this term is committed yet, or leadership is
                 // being handed over
    pending,     // nothing appended: another change is under way
    no_quorum,   // nothing appended: too few of the voters that would be left are heard
    unchanged,   // it is so already
    no_such_member,
    other_address,  // a member of this id has another address, or the address is another's
    was_removed,    // an id is not used twice
    too_many,
    invalid_member,  // nobody's id, or an address that can't be one
    last_voter,      // nobody would be left
    leader_itself,   // a leader hands over first
};

struct PlannedChange {
    ChangeError error = ChangeError::none;
    Configuration next;  // when there is no error
};

// A new member, as a learner.
PlannedChange plan_addition(const Configuration& now, const Member& member);
PlannedChange plan_removal(const Configuration& now, NodeId id);
// A learner becomes a voter.
PlannedChange plan_promotion(const Configuration& now, NodeId id);
// A member lost its data directory and has another one: a voter becomes a learner, so that it has
// no voice until it has caught up.
PlannedChange plan_new_disk(const Configuration& now, NodeId id, std::uint64_t disk_id);

struct MemberDisk {
    NodeId id = 0;
    std::uint64_t disk_id = 0;
};
// Notes the data directories of members of which none is noted yet; ids of others are ignored.
PlannedChange plan_disk_notes(const Configuration& now, std::span<const MemberDisk> disks);

// C_new alone; what was joint must be committed.
Configuration leave_joint(const Configuration& now);

// Whether `next` may be appended behind `now`: not joint, and the voters the same or joined.
bool is_single_step(const Configuration& now, const Configuration& next);

}  // namespace cairn::raft
