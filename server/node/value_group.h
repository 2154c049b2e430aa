// Which Raft group the values are in: the number in its records, frames and snapshots.
#pragma once

#include "raft/core/types.h"

namespace cairn::server {

inline constexpr raft::GroupId value_group = 1;

}  // namespace cairn::server
