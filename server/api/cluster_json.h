// The state of the cluster as JSON. A pure function, owned by no thread.
#pragma once

#include <string>

#include "server/node/backend.h"

namespace cairn::server {

// {"cluster_id":"…16 hexadecimal digits…","node","state","leader","term",…,"members":[…]}. `leader`
// is 0 when there is none; what isn't known of a member is left out.
void append_cluster_json(const ClusterStatus& status, std::string& out);

}  // namespace cairn::server
