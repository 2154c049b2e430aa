#include "server/gateway/connection.h"

#include <utility>

namespace cairn::server {

Connection::Connection(std::shared_ptr<GatewayState> gateway)
    : gateway_(std::move(gateway)), place_(gateway_->connections.size()) {
    gateway_->connections.push_back(this);
    gateway_->statistics->connections.set(gateway_->connections.size());
}

void Connection::count_address(const Socket& socket) {
    boost::system::error_code error;
    const auto peer = socket.remote_endpoint(error);
    if (!error) {  // else it has gone already
        address_place_ = {gateway_->addresses, address_key(peer.address())};
    }
}

Connection::~Connection() {
    std::vector<Connection*>& all = gateway_->connections;
    all[place_] = all.back();
    all[place_]->place_ = place_;
    all.pop_back();
    gateway_->statistics->connections.set(all.size());
    if (all.empty() && gateway_->on_empty) {
        gateway_->on_empty();
    }
}

}  // namespace cairn::server
