#include "server/gateway/http_listener.h"

#include <chrono>
#include <utility>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/socket_base.hpp>

namespace cairn::server {
namespace {

constexpr std::chrono::milliseconds pause_after_failure(100);

using boost::system::error_code;
using net::ip::tcp;

// The peer gave up before it was accepted: nothing to wait for.
bool concerns_one_peer(const error_code& error) {
    return error == net::error::connection_aborted || error == net::error::connection_reset ||
           error == net::error::interrupted;
}

std::string failed(const char* what, const std::string& host, std::uint16_t port,
                   const error_code& error) {
    return std::string("cannot ") + what + " " + host + " port " + std::to_string(port) + ": " +
           error.message();
}

}  // namespace

HttpListener::HttpListener(const Executor& executor)
    : executor_(executor), acceptor_(executor), pause_(executor) {}

std::string HttpListener::open(const std::string& host, std::uint16_t port) {
    error_code error;
    tcp::endpoint endpoint;
    const net::ip::address address = net::ip::make_address(host, error);
    if (!error) {
        endpoint = {address, port};
    } else {
        net::ip::basic_resolver<tcp, Executor> resolver(executor_);
        const auto found = resolver.resolve(host, std::to_string(port), error);
        if (error || found.empty()) {
            return failed("resolve", host, port, error);
        }
        endpoint = found.begin()->endpoint();
    }
    acceptor_.open(endpoint.protocol(), error);
    if (!error) {
        acceptor_.set_option(net::socket_base::reuse_address(true), error);
    }
    if (!error) {
        acceptor_.bind(endpoint, error);
    }
    if (!error) {
        acceptor_.listen(net::socket_base::max_listen_connections, error);
    }
    const tcp::endpoint bound = error ? tcp::endpoint() : acceptor_.local_endpoint(error);
    if (error) {
        error_code ignored;  // the first error is the one to tell
        acceptor_.close(ignored);
        return failed("listen on", host, port, error);
    }
    port_ = bound.port();
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
