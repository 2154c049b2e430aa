#include "raft/peer_socket.h"

#include <netinet/tcp.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>

namespace cairn::raft {

namespace {

constexpr int user_timeout_ms = 10'000;
constexpr int keepalive_idle_s = 5;
constexpr int keepalive_interval_s = 2;
constexpr int keepalive_probes = 3;

void set_tcp_option(boost::asio::ip::tcp::socket& socket, int option, int value, const char* name) {
    if (::setsockopt(socket.native_handle(), IPPROTO_TCP, option, &value, sizeof(value)) != 0) {
        const boost::system::error_code error(errno, boost::system::system_category());
        spdlog::debug("can't set {} on a peer's socket: {}", name, error.message());
    }
}

}  // namespace

void tune_peer_socket(boost::asio::ip::tcp::socket& socket) {
    boost::system::error_code error;
    socket.set_option(boost::asio::socket_base::keep_alive(true), error);
    if (error) {
        spdlog::debug("can't set SO_KEEPALIVE on a peer's socket: {}", error.message());
    }
    set_tcp_option(socket, TCP_NODELAY, 1, "TCP_NODELAY");
    set_tcp_option(socket, TCP_KEEPIDLE, keepalive_idle_s, "TCP_KEEPIDLE");
    set_tcp_option(socket, TCP_KEEPINTVL, keepalive_interval_s, "TCP_KEEPINTVL");
    set_tcp_option(socket, TCP_KEEPCNT, keepalive_probes, "TCP_KEEPCNT");
    set_tcp_option(socket, TCP_USER_TIMEOUT, user_timeout_ms, "TCP_USER_TIMEOUT");
}

std::string address_text(const std::string& host, std::uint16_t port) {
    const bool is_ipv6 = host.find(':') != std::string::npos;
    return (is_ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

void TaskEnd::operator()(const std::exception_ptr& exception) const {
    if (exception == nullptr) {
        return;
    }
    try {
        std::rethrow_exception(exception);
    } catch (const std::exception& e) {
        spdlog::critical("{} ended by an exception: {}", task, e.what());
        throw;
    }
}

}  // namespace cairn::raft
