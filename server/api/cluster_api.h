// The requests that change the cluster rather than a value: take a snapshot, hand leadership over.
// Pure, any thread; what they ask for is carried out by the replica.
#pragma once

#include <string_view>

#include "server/api/exchange.h"
#include "server/node/backend.h"

namespace cairn::server {

// POST /v1/cluster/snapshot, without a body.
Decision decide_take_snapshot(std::string_view query, const ApiOptions& options,
                              Operation& operation, Exchange& exchange);

// POST /v1/cluster/leader {"id":N}.
Decision decide_transfer(const HttpRequest& request, std::string_view query,
                         const ApiOptions& options, Operation& operation, Exchange& exchange);

void render_snapshot_taken(const Operation& operation, Exchange& exchange);
void render_transferred(const Operation& operation, Exchange& exchange);

}  // namespace cairn::server
