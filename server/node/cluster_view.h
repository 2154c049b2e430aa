// The cluster as one node sees it, for people.
//
// A pure function of what the node and its transport know. The leader knows most; what others can't
// know is left out.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "raft/core/node.h"
#include "raft/core/transport.h"
#include "server/node/backend.h"

namespace cairn::server {

// What the node's Raft doesn't know of itself.
struct ClusterViewer {
    std::uint64_t cluster_id = 0;
    std::string_view http_address;
    std::string_view raft_address;
    std::uint64_t applied_index = 0;
    std::int64_t steady_ns = 0;
};

std::string_view role_text(raft::RoleName role);

ClusterStatus describe_cluster(const raft::Node& node, const std::vector<raft::PeerStatus>& peers,
                               const ClusterViewer& viewer);

}  // namespace cairn::server
