// A new node asks a running cluster to be taken in: POST /v1/cluster/members at any member.
//
// Blocks; used once, on the main thread, before the node is built. Asks again while the cluster
// can't answer, for a minute; what the cluster refuses is final. Asking twice does no harm.
#pragma once

#include <optional>

#include "raft/data_directory.h"
#include "server/node_data.h"
#include "server/options.h"

namespace cairn::server {

// Fills in the cluster's id and its members, this node among them.
std::optional<StartRefusal> join_cluster(const ServeOptions& options, raft::Identity& identity);

// What is in a member's answer, or why it is no such answer (one line).
std::string parse_join_answer(std::string_view body, raft::Identity& identity);

}  // namespace cairn::server
