// One gateway: everything between the clients' sockets and the node behind them, on one thread.
//
// Owned by whoever runs its io_context; all functions are called on that thread, except adopt() and
// executor(). It owns the listener, the hub of the streams and, through their coroutines, the
// connections. To end it: drain(), wait for `done`, destroy it. It may be destroyed earlier: all
// sockets are closed then, and the backend is not used again. The io_context outlives it, and
// either runs on until its coroutines have ended or is destroyed with them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/base/coroutine.h"
#include "server/gateway/connection.h"
#include "server/gateway/gateway_options.h"
#include "server/gateway/http_listener.h"
#include "server/node/backend.h"

namespace cairn::server {

class Gateway : public SocketTaker {
 public:
    Gateway(net::io_context& context, Backend& backend, const GatewayOptions& options);
    ~Gateway() override;
    Gateway(const Gateway&) = delete;
    Gateway& operator=(const Gateway&) = delete;

    // Takes the address; port 0 takes any free one, see port(). What is wrong, in one line, or
    // empty. A gateway that doesn't listen lives on the sockets it is given.
    std::string listen(const std::string& host, std::uint16_t port);
    // Begins to serve. Connections that are accepted here are dealt in turn to this gateway and the
    // `others`, which are started too and outlive its drain().
    void start(const std::vector<SocketTaker*>& others = {});

    Executor executor() override { return state_->executor; }
    void adopt(Socket socket) override;

    // No new connections; idle ones are closed, requests in work are finished, WebSockets are
    // closed with 1001; after a grace period whatever is left is closed. Then calls `done`. Once
    // only.
    void drain(std::function<void()> done);

    std::uint16_t port() const { return listener_->port(); }
    std::size_t connection_count() const { return state_->connections.size(); }
    std::shared_ptr<const GatewayStatistics> statistics() const { return state_->statistics; }
    std::size_t stream_count() const { return state_->hub->size(); }

 private:
    struct Sweeper;

    static void take(const std::shared_ptr<GatewayState>& state, Socket socket);
    static Task sweep_loop(std::shared_ptr<Sweeper> sweeper);

    std::shared_ptr<GatewayState> state_;
    std::shared_ptr<HttpListener> listener_;
    std::shared_ptr<Sweeper> sweeper_;
    bool listens_ = false;
};

}  // namespace cairn::server
