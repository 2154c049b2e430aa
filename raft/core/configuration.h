// Who belongs to the group: voters, learners, and during joint consensus (thesis §4.3) the voters
// of the outgoing configuration as well; and what the group has agreed on about each.
//
// A plain value; all lists are sorted and without duplicates. How one configuration may follow
// another is raft/core/configuration_change.h's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "raft/core/types.h"

namespace cairn::raft {

inline constexpr std::size_t voters_max = 31;  // in each half of a configuration
inline constexpr std::size_t learners_max = 31;
inline constexpr std::size_t removed_max = 4096;  // the smallest ids are forgotten first
inline constexpr std::size_t member_address_bytes_max = 512;

// In what a transport is told, never in a configuration: whichever a member comes with.
inline constexpr std::uint64_t any_disk_id = ~std::uint64_t{0};

// What is kept of a member beside its part in quorums.
struct Member {
    NodeId id = 0;
    std::string address;  // host:port of its Raft
    // The data directory that it has (raft/disk/data_directory.h); 0: not noted.
    std::uint64_t disk_id = 0;
    bool stays_learner = false;  // isn't made a voter when it has caught up
    friend bool operator==(const Member&, const Member&) = default;
};

struct Configuration {
    std::vector<NodeId> voters;           // the configuration, or C_new while joint
    std::vector<NodeId> outgoing_voters;  // C_old while joint, else empty
    // Receive the log. They count in no quorum, unless they are outgoing voters for some time yet.
    std::vector<NodeId> learners;
    std::vector<Member> details;  // of members; not necessarily of all
    std::vector<NodeId> removed;  // were members once; an id is not used twice

    bool is_joint() const { return !outgoing_voters.empty(); }
    bool is_voter(NodeId id) const;
    // A voter that doesn't become a learner by the change under way.
    bool may_campaign(NodeId id) const;
    bool is_learner(NodeId id) const;
    bool contains(NodeId id) const;
    bool was_removed(NodeId id) const;
    // Null: nothing is kept of it.
    const Member* detail(NodeId id) const;
    // Everyone, sorted.
    std::vector<NodeId> members() const;

    friend bool operator==(const Configuration&, const Configuration&) = default;
};

// Printable ASCII without blanks, and not too long; empty is one that isn't known.
bool is_member_address(std::string_view address);

// A configuration of these voters; sorts them and drops duplicates.
Configuration configuration_of(std::vector<NodeId> voters);

// An empty string, or what is wrong with it. A configuration without voters is wrong.
std::string validate(const Configuration& configuration);

// The payload of a configuration entry, and how a configuration stands in snapshots and messages.
std::string encode_configuration(const Configuration& configuration);
// False when the bytes are not exactly one valid configuration.
bool decode_configuration(std::string_view bytes, Configuration& configuration);

}  // namespace cairn::raft
