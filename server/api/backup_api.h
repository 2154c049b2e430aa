// GET /v1/cluster/backup. Pure, any thread; the replica makes the backup (backup_service.h), the
// session sends it.
#pragma once

#include <string_view>

#include "server/api/exchange.h"
#include "server/node/backend.h"

namespace cairn::server {

Decision decide_backup(std::string_view query, const ApiOptions& options, Operation& operation,
                       Exchange& exchange);
void render_backup(const Operation& operation, const NodeView& view, Exchange& exchange);

}  // namespace cairn::server
