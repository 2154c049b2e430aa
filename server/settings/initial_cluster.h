// The list of nodes that a cluster begins with: "1=HOST:PORT,2=HOST:PORT,3=HOST:PORT".
//
// Plain values and pure functions, any thread. Members are sorted by id, so that the order in which
// the list was written makes no difference. The list founds the cluster once; who is a member later
// is Raft's configuration, not this.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/base/address.h"
#include "server/base/parse_result.h"

namespace cairn::server {

inline constexpr std::uint64_t node_id_max = std::uint64_t{1} << 63U;
inline constexpr std::size_t initial_members_max = 31;

struct InitialMember {
    std::uint64_t id = 0;
    Address raft;

    friend bool operator==(const InitialMember&, const InitialMember&) = default;
};

using InitialCluster = std::vector<InitialMember>;  // sorted by id, not empty

// A node's id: a decimal number from 1 to node_id_max.
ParseResult<std::uint64_t> parse_node_id(std::string_view text);

// Refuses empty lists and entries, an id or address that is there twice, port 0, and in a list of
// more than one node addresses that nobody can dial. Spaces around an entry are no harm.
ParseResult<InitialCluster> parse_initial_cluster(std::string_view text);

// "1=HOST:PORT,2=HOST:PORT": parses back into the same members.
std::string initial_cluster_text(const InitialCluster& members);

bool has_member(const InitialCluster& members, std::uint64_t id);

// The same number for the same list on every node, machine and version, for ever: it is written
// into the data directory and asked for in the peers' handshake. Never 0.
std::uint64_t cluster_id_of(const InitialCluster& members);

enum class ClusterMatch {
    same,         // nothing was given, or what is stored
    stored_wins,  // something else was given, but it knows a member: warn, go on with the stored
    another_cluster,  // nothing in common: this data directory belongs elsewhere
};

// Judges the list given at a later start against the one in the data directory.
ClusterMatch match_initial_cluster(const InitialCluster& stored,
                                   const std::optional<InitialCluster>& given);

}  // namespace cairn::server
