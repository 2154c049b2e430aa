#include "raft/peers/peer_socket.h"

#include <charconv>

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

std::optional<PeerAddress> parse_peer_address(NodeId id, std::string_view text) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) {
        return std::nullopt;
    }
    std::string_view host = text.substr(0, colon);
    const std::string_view port = text.substr(colon + 1);
    const bool bracketed = host.size() > 2 && host.starts_with('[') && host.ends_with(']');
    if (bracketed) {
        host = host.substr(1, host.size() - 2);
    }
    PeerAddress address{id, std::string(host), 0};
    const std::from_chars_result read =
        std::from_chars(port.data(), port.data() + port.size(), address.port);
    // One way to write it, since equal text is what means the same address elsewhere.
    if (host.empty() || host.find_first_of("[]") != std::string_view::npos || address.port == 0 ||
        read.ec != std::errc() || address_text(address.host, address.port) != text) {
        return std::nullopt;
    }
    return address;
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
