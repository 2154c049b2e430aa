// A new node asks a running cluster to be taken in: POST /v1/cluster/members at any member.
//
// Blocks; used once, on the main thread, before the node is built. Asks again while the cluster
// can't answer, for a minute; what the cluster refuses is final. Asking twice does no harm. Whoever
// answers may be anybody: an answer is bounded in size and time, and believed when it makes sense.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "raft/disk/data_directory.h"
#include "server/program/node_data.h"
#include "server/settings/options.h"

namespace cairn::server {

struct JoinPatience {
    std::chrono::milliseconds altogether{60'000};
    std::chrono::milliseconds attempt{10'000};
    std::chrono::milliseconds pause{500};  // between two attempts
};

// Fills in the cluster's id and its members, this node among them.
std::optional<StartRefusal> join_cluster(const ServeOptions& options, raft::Identity& identity,
                                         const JoinPatience& patience = {});

// What is in a member's answer, or why it is no such answer (one line): `identity`, whose node_id
// says who joins, is filled in only when all of it makes sense.
std::string parse_join_answer(std::string_view body, raft::Identity& identity);

}  // namespace cairn::server
