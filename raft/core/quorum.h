// Majorities, over one set of voters or two (joint consensus). Pure functions; the same arithmetic
// decides what is committed, which reads are confirmed and who won an election.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <vector>

#include "raft/core/configuration.h"
#include "raft/core/invariant.h"

namespace cairn::raft {

enum class VoteResult : std::uint8_t { pending, won, lost };

// The largest value that a majority of `voters` has reached, where `value_of(id)` only grows.
// No voters agree to everything, as joint consensus needs it for its empty half.
template <class ValueOf>
std::uint64_t majority_value(const std::vector<NodeId>& voters, const ValueOf& value_of) {
    if (voters.empty()) {
        return std::numeric_limits<std::uint64_t>::max();
    }
    RAFT_ASSERT(voters.size() <= voters_max);
    std::array<std::uint64_t, voters_max> values{};
    std::size_t count = 0;
    for (const NodeId id : voters) {
        values.at(count++) = value_of(id);
    }
    const auto begin = values.begin();
    const auto end = begin + static_cast<std::ptrdiff_t>(count);
    std::sort(begin, end);
    return values.at((count - 1) / 2);
}

// The same for a configuration: both halves must have reached it (thesis §4.3).
template <class ValueOf>
std::uint64_t quorum_value(const Configuration& configuration, const ValueOf& value_of) {
    return std::min(majority_value(configuration.voters, value_of),
                    majority_value(configuration.outgoing_voters, value_of));
}

// `vote_of(id)` is +1 granted, -1 refused, 0 not answered.
template <class VoteOf>
VoteResult majority_vote(const std::vector<NodeId>& voters, const VoteOf& vote_of) {
    if (voters.empty()) {
        return VoteResult::won;
    }
    std::size_t granted = 0;
    std::size_t refused = 0;
    for (const NodeId id : voters) {
        const int vote = vote_of(id);
        granted += vote > 0 ? 1 : 0;
        refused += vote < 0 ? 1 : 0;
    }
    const std::size_t needed = voters.size() / 2 + 1;
    if (granted >= needed) {
        return VoteResult::won;
    }
    return voters.size() - refused < needed ? VoteResult::lost : VoteResult::pending;
}

template <class VoteOf>
VoteResult quorum_vote(const Configuration& configuration, const VoteOf& vote_of) {
    const VoteResult incoming = majority_vote(configuration.voters, vote_of);
    const VoteResult outgoing = majority_vote(configuration.outgoing_voters, vote_of);
    if (incoming == VoteResult::lost || outgoing == VoteResult::lost) {
        return VoteResult::lost;
    }
    return incoming == VoteResult::won && outgoing == VoteResult::won ? VoteResult::won
                                                                      : VoteResult::pending;
}

}  // namespace cairn::raft
