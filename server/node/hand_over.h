// To whom a leader hands leadership.
//
// A pure function of what the leader knows, for the raft thread.
#pragma once

#include "raft/core/core.h"

namespace cairn::server {

// The voter that is furthest along of those that keep up and were heard within an election timeout;
// `avoided` only when there is no other.
// 0: nobody, or this node doesn't lead.
raft::NodeId hand_over_target(const raft::Core& core, raft::NodeId avoided = 0);

}  // namespace cairn::server
