// Whether a node can listen where it is told to, found out before it writes anything.
//
// Used at start, on the main thread; may block while names are resolved. It listens on all of the
// addresses at once, for a moment, and lets go of them again: who takes one afterwards is found out
// when the node begins to listen for good.
#pragma once

#include <optional>

#include "server/base/address.h"
#include "server/program/node_data.h"

namespace cairn::server {

std::optional<StartRefusal> refuse_addresses(const Address& http_address,
                                             const Address& raft_address);

}  // namespace cairn::server
