// Server-Timing of a write: where the time between a request and its answer went.
//
// Pure; owned by no thread.
#pragma once

#include <cstdint>
#include <string>

#include "server/node/backend.h"

namespace cairn::server {

// Appends `queue;dur=0.12, commit;dur=0.84, total;dur=1.02`, in milliseconds: until the write was
// proposed; from there to the commit; everything. On a node that passed it on `forward` is the time
// until the leader's answer was here, and `commit` the part of it that the leader tells.
void append_server_timing(const WriteTiming& timing, std::int64_t now_ns, std::string& out);

}  // namespace cairn::server
