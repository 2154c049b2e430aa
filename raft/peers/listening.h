// From an address as people write it to a socket that listens there.
//
// Blocks while a name is resolved: for the start of a program, on any thread. Of several addresses
// that a name stands for it takes the first that is this machine's. It doesn't accept.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/socket_base.hpp>

namespace cairn::raft {

// What the host, an IP address or a name, stands for; none, and `error`, when that can't be found.
std::vector<boost::asio::ip::tcp::endpoint> listening_endpoints(const std::string& host,
                                                                std::uint16_t port,
                                                                boost::system::error_code& error);

// Whether listen_on() failed since the host stands for nothing, or for nothing of this machine's.
bool is_not_here(const boost::system::error_code& error);

// Opens the acceptor, which is closed, and has it listen; port 0 takes any that is free. Closed
// again after an error.
template <class Acceptor>
boost::system::error_code listen_on(const std::string& host, std::uint16_t port,
                                    Acceptor& acceptor) {
    namespace net = boost::asio;
    boost::system::error_code error;
    for (const net::ip::tcp::endpoint& endpoint : listening_endpoints(host, port, error)) {
        acceptor.open(endpoint.protocol(), error);
        if (!error) {
            acceptor.set_option(net::socket_base::reuse_address(true), error);
        }
        if (!error) {
            acceptor.bind(endpoint, error);
        }
        if (!error) {
            acceptor.listen(net::socket_base::max_listen_connections, error);
        }
        if (!error) {
            break;
        }
        boost::system::error_code ignored;  // the first error is the one to tell
        acceptor.close(ignored);
        if (!is_not_here(error)) {
            break;
        }
    }
    return error;
}

}  // namespace cairn::raft
