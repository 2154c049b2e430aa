#include "server/connection.h"

#include <utility>

namespace cairn::server {

Connection::Connection(std::shared_ptr<GatewayState> gateway)
    : gateway_(std::move(gateway)), place_(gateway_->connections.size()) {
    gateway_->connections.push_back(this);
}

Connection::~Connection() {
    std::vector<Connection*>& all = gateway_->connections;
    all[place_] = all.back();
    all[place_]->place_ = place_;
    all.pop_back();
    if (all.empty() && gateway_->on_empty) {
        gateway_->on_empty();
    }
}

}  // namespace cairn::server
