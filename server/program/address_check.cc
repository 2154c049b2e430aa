#include "server/program/address_check.h"

#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "raft/peers/listening.h"

namespace cairn::server {
namespace {

using Acceptor = boost::asio::ip::tcp::acceptor;

std::optional<StartRefusal> refuse(const char* who, const Address& address, Acceptor& acceptor) {
    const auto error = raft::listen_on(address.host, address.port, acceptor);
    if (!error) {
        return std::nullopt;
    }
    return StartRefusal{
        raft::is_not_here(error) ? 2 : 1,
        std::string(who) + " can't listen on " + address.text() + ": " + error.message()};
}

}  // namespace

std::optional<StartRefusal> refuse_addresses(const Address& http_address,
                                             const Address& raft_address) {
    boost::asio::io_context context;
    Acceptor http_acceptor(context);
    Acceptor raft_acceptor(context);
    if (std::optional<StartRefusal> refusal = refuse("HTTP", http_address, http_acceptor)) {
        return refusal;
    }
    return refuse("Raft", raft_address, raft_acceptor);
}

}  // namespace cairn::server
