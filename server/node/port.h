// Where the replica's answers to one gateway go. Called on the raft thread, within a turn; the
// implementation (server/gateway/gateway_port.h) delivers on the gateway's thread, in this order.
#pragma once

#include <memory>

#include "server/node/backend.h"

namespace cairn::server {

class Port {
 public:
    virtual ~Port() = default;
    virtual void finished(std::shared_ptr<Operation> operation) = 0;
    virtual void opened(std::shared_ptr<StreamOpen> open) = 0;
    virtual void published(const std::shared_ptr<const EventBatch>& batch) = 0;
    // End of a turn: hand over what the turn brought, with one wake-up.
    virtual void flush() = 0;
};

}  // namespace cairn::server
