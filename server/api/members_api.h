// POST /v1/cluster/members and DELETE /v1/cluster/members/{id}.
//
// Pure functions from a request to an operation and from its result to a response, as in
// value_api.h. Owned by no thread.
#pragma once

#include <string_view>

#include "server/api/exchange.h"
#include "server/http/http_types.h"
#include "server/node/backend.h"

namespace cairn::server {

Decision decide_add_member(const HttpRequest& request, std::string_view query,
                           const ApiOptions& options, Operation& operation, Exchange& exchange);
// `encoded_id` is what stands behind the path.
Decision decide_remove_member(std::string_view query, std::string_view encoded_id,
                              const ApiOptions& options, Operation& operation, Exchange& exchange);

void render_member_added(const Operation& operation, Exchange& exchange);
void render_member_removed(const Operation& operation, Exchange& exchange);

}  // namespace cairn::server
