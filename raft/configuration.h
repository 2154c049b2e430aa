// Who belongs to the group: voters, learners, and during joint consensus (thesis §4.3) the voters
// of the outgoing configuration as well. A plain value; all lists are sorted and without
// duplicates.
#pragma once

#include <vector>

#include "raft/types.h"

namespace cairn::raft {

struct Configuration {
    std::vector<NodeId> voters;           // the configuration, or C_new while joint
    std::vector<NodeId> outgoing_voters;  // C_old while joint, else empty
    std::vector<NodeId> learners;         // receive the log, count in no quorum

    bool is_joint() const { return !outgoing_voters.empty(); }
    bool is_voter(NodeId id) const;
    bool contains(NodeId id) const;
    // Everyone, sorted.
    std::vector<NodeId> members() const;

    friend bool operator==(const Configuration&, const Configuration&) = default;
};

// A configuration of these voters; sorts them and drops duplicates.
Configuration configuration_of(std::vector<NodeId> voters);

}  // namespace cairn::raft
