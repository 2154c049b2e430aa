#include "raft/peers/listening.h"

#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>

namespace cairn::raft {

namespace net = boost::asio;
using boost::system::error_code;
using net::ip::tcp;

std::vector<tcp::endpoint> listening_endpoints(const std::string& host, std::uint16_t port,
                                               error_code& error) {
    const net::ip::address address = net::ip::make_address(host, error);
    if (!error) {
        return {{address, port}};
    }
    net::io_context context;
    tcp::resolver resolver(context);
    const auto flags = net::ip::resolver_base::passive | net::ip::resolver_base::numeric_service;
    std::vector<tcp::endpoint> endpoints;
    for (const auto& found : resolver.resolve(host, std::to_string(port), flags, error)) {
        endpoints.push_back(found.endpoint());
    }
    if (!error && endpoints.empty()) {
        error = net::error::host_not_found;
    }
    return endpoints;
}

bool is_not_here(const error_code& error) {
    return error.category() == net::error::get_netdb_category() ||
           error.category() == net::error::get_addrinfo_category() ||
           error == boost::system::errc::address_not_available ||
           error == boost::system::errc::address_family_not_supported ||
           error == boost::system::errc::invalid_argument;  // an address that needs its interface
}

}  // namespace cairn::raft
