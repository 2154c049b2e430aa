// The program `cairn serve`: builds the node from its options, runs it, and ends it in order.
//
// One call on the main thread, which becomes the raft thread; gateway threads are started beside it
// when the options ask for them. Ending, on SIGTERM or SIGINT: no new connections, leadership
// handed over, requests finished and sockets closed, then the peers' sockets, then the disk. A
// second signal ends the process at once.
#pragma once

#include "server/settings/options.h"

namespace cairn::server {

// Returns the exit status: 0 after a clean end, 2 when the options don't fit the data directory or
// this machine's addresses, 1 when something else kept it from starting. What is wrong is one line
// on stderr.
int serve(const ServeOptions& options);

}  // namespace cairn::server
