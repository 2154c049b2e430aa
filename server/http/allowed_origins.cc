#include "server/http/allowed_origins.h"

#include <algorithm>
#include <utility>

#include "server/http/http_types.h"

namespace cairn::server {
namespace {

constexpr std::string_view loopback_hosts[] = {"localhost", "127.0.0.1", "[::1]"};

// The port of an address on the loopback interface, with its colon; empty for any other.
std::string_view loopback_port(std::string_view address) {
    for (const std::string_view host : loopback_hosts) {
        if (address.size() > host.size() && address[host.size()] == ':' &&
            equal_ignoring_case(address.substr(0, host.size()), host)) {
            return address.substr(host.size());
        }
    }
    return {};
}

bool same_place(std::string_view a, std::string_view b) {
    const auto port = loopback_port(a);
    return equal_ignoring_case(a, b) || (!port.empty() && port == loopback_port(b));
}

}  // namespace

void MemberAddresses::set(std::vector<std::string> addresses) {
    std::erase_if(addresses, [](const std::string& address) { return address.empty(); });
    const std::lock_guard lock(mutex_);
    addresses_ = std::move(addresses);
}

bool MemberAddresses::contain(std::string_view address) const {
    const std::lock_guard lock(mutex_);
    return std::any_of(addresses_.begin(), addresses_.end(), [address](const std::string& member) {
        return same_place(member, address);
    });
}

bool AllowedOrigins::contain(std::string_view origin) const {
    if (std::find(configured.begin(), configured.end(), origin) != configured.end()) {
        return true;
    }
    // Nodes speak plain HTTP: a page that came by another scheme isn't one of theirs.
    constexpr std::string_view scheme = "http://";
    return members != nullptr && origin.substr(0, scheme.size()) == scheme &&
           members->contain(origin.substr(scheme.size()));
}

}  // namespace cairn::server
