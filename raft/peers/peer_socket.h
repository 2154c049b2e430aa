// What both sides of a connection between nodes do with a socket or its coroutine. Stateless.
#pragma once

#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/ip/tcp.hpp>

#include "raft/peers/tcp_transport.h"

namespace cairn::raft {

// Small frames leave at once; a peer that has vanished without a word is noticed within about 10 s,
// whether there is something to send to it or not.
void tune_peer_socket(boost::asio::ip::tcp::socket& socket);

// "host:port", with brackets where the host is an IPv6 address.
std::string address_text(const std::string& host, std::uint16_t port);

// What address_text() makes, taken apart; nothing when it is no such text.
std::optional<PeerAddress> parse_peer_address(NodeId id, std::string_view text);

// The handler of every coroutine of the transport: one that ended by an exception (memory gone, a
// receiver that threw) can't be gone on without, so after the log the exception goes on to whoever
// runs the io_context.
struct TaskEnd {
    const char* task;
    void operator()(const std::exception_ptr& exception) const;
};

}  // namespace cairn::raft
