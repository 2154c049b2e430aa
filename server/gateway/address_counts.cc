#include "server/gateway/address_counts.h"

namespace cairn::server {
namespace {

using boost::asio::ip::address_v6;

// No network that IPv6 addresses are given out of begins so.
constexpr std::uint64_t ipv4_prefix = std::uint64_t{0xffff'ffff} << 32U;

}  // namespace

std::uint64_t address_key(const boost::asio::ip::address& address) {
    if (address.is_v4()) {
        return ipv4_prefix | address.to_v4().to_uint();
    }
    const address_v6 ipv6 = address.to_v6();
    if (ipv6.is_v4_mapped()) {
        return ipv4_prefix |
               boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, ipv6).to_uint();
    }
    const address_v6::bytes_type bytes = ipv6.to_bytes();
    std::uint64_t network = 0;
    for (std::size_t i = 0; i < 8; ++i) {
        network = network << 8U | bytes[i];
    }
    return network;
}

AddressCounts::Place::~Place() {
    if (counts_ == nullptr) {
        return;
    }
    const auto found = counts_->counts_.find(key_);
    if (--found->second == 0) {
        counts_->counts_.erase(found);
    }
}

}  // namespace cairn::server
