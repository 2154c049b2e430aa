#include "server/gateway/http_listener.h"

#include <chrono>
#include <utility>

#include "raft/peers/listening.h"
#include "server/base/address.h"

namespace cairn::server {
namespace {

constexpr std::chrono::milliseconds pause_after_failure(100);

using boost::system::error_code;

// The peer gave up before it was accepted: nothing to wait for.
bool concerns_one_peer(const error_code& error) {
    return error == net::error::connection_aborted || error == net::error::connection_reset ||
           error == net::error::interrupted;
}

}  // namespace

HttpListener::HttpListener(const Executor& executor)
    : executor_(executor), acceptor_(executor), pause_(executor) {}

std::string HttpListener::open(const std::string& host, std::uint16_t port) {
    error_code error = raft::listen_on(host, port, acceptor_);
    if (!error) {
        port_ = acceptor_.local_endpoint(error).port();
    }
    if (error) {
        return "can't listen on " + Address{host, port}.text() + ": " + error.message();
    }
    return {};
}

void HttpListener::start(std::vector<SocketTaker*> takers) {
    takers_ = std::move(takers);
    spawn(executor_, accept_loop(shared_from_this()), "HTTP listener");
}

void HttpListener::stop() {
    stopped_ = true;
    error_code ignored;  // closed is closed
    acceptor_.close(ignored);
    pause_.cancel();
}

Task HttpListener::accept_loop(std::shared_ptr<HttpListener> self) {
    std::size_t turn = 0;
    bool failing = false;
    while (!self->stopped_) {
        SocketTaker* taker = self->takers_[turn];
        auto [error, socket] = co_await self->acceptor_.async_accept(taker->executor(), token);
        if (self->stopped_) {
            co_return;
        }
        if (!error) {
            failing = false;
            taker->adopt(std::move(socket));
            turn = (turn + 1) % self->takers_.size();
            continue;
        }
        if (concerns_one_peer(error)) {
            continue;
        }
        if (!std::exchange(failing, true)) {
            spdlog::warn("accepting HTTP connections: {}", error.message());
        }
        self->pause_.expires_after(pause_after_failure);
        co_await self->pause_.async_wait(token);
    }
}

}  // namespace cairn::server
