// "HOST:PORT" as people write it: 10.0.0.1:7080, [::1]:7080, node-1.example.com:7080.
//
// Pure functions, any thread. What is parsed is also brought into one form (names in lower case, IP
// addresses as the system prints them), so that equal text means equal addresses. Nothing is
// resolved or dialled here: a name that parses may still not exist.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "server/base/parse_result.h"

namespace cairn::server {

struct Address {
    std::string host;  // IPv6 without brackets
    std::uint16_t port = 0;

    // "HOST:PORT", IPv6 in brackets.
    std::string text() const;

    // 0.0.0.0 or ::, on which one can listen, but which nobody can dial.
    bool is_wildcard() const;

    friend bool operator==(const Address&, const Address&) = default;
};

// Whether port 0, "any free port", is welcome: where we listen, but not where others dial.
enum class PortZero { refused, allowed };

// A name, an IPv4 address, or an IPv6 address without brackets; answers it in its one form.
ParseResult<std::string> parse_host(std::string_view text);

ParseResult<Address> parse_address(std::string_view text, PortZero port_zero);

}  // namespace cairn::server
