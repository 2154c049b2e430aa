#include "server/base/address.h"

#include <charconv>
#include <optional>

#include <arpa/inet.h>

#include "server/base/printable.h"

namespace cairn::server {
namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

std::optional<std::string> canonical_ip(int family, std::string_view text) {
    unsigned char bytes[sizeof(in6_addr)];
    char out[INET6_ADDRSTRLEN];
    // inet_pton reads up to a NUL: a text that holds one is not what it seems.
    if (text.find('\0') != std::string_view::npos ||
        inet_pton(family, std::string(text).c_str(), bytes) != 1 ||
        inet_ntop(family, bytes, out, sizeof out) == nullptr) {
        return std::nullopt;
    }
    return std::string(out);
}

// One label of a name: letters, digits, hyphens inside, and underscores, which container
// networks have in their names.
bool is_label(std::string_view label) {
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') {
        return false;
    }
    for (const char c : label) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !is_digit(c) && c != '-' && c != '_') {
            return false;
        }
    }
    return true;
}

bool is_all_digits(std::string_view text) {
    return text.find_first_not_of("0123456789") == std::string_view::npos;
}

// The name in lower case, or nothing. Its last label is not a number: 10.0.0.256 or 127.1 is a
// mistaken IPv4 address, not a name.
std::optional<std::string> canonical_name(std::string_view text) {
    std::string_view rest = text;
    if (rest.ends_with('.')) {
        rest.remove_suffix(1);
    }
    if (rest.empty() || rest.size() > 253) {
        return std::nullopt;
    }
    while (true) {
        const std::size_t dot = rest.find('.');
        const std::string_view label = rest.substr(0, dot);
        if (!is_label(label)) {
            return std::nullopt;
        }
        if (dot == std::string_view::npos) {
            if (is_all_digits(label)) {
                return std::nullopt;
            }
            break;
        }
        rest.remove_prefix(dot + 1);
    }
    std::string name(text);
    for (char& c : name) {
        if (c >= 'A' && c <= 'Z') {
            c = static_cast<char>(c - 'A' + 'a');
        }
    }
    return name;
}

ParseResult<std::uint16_t> parse_port(std::string_view text, PortZero port_zero) {
    unsigned port = 0;
    const bool number = !text.empty() && text.size() <= 5 && is_all_digits(text);
    if (number) {
        std::from_chars(text.data(), text.data() + text.size(), port);
    }
    const unsigned lowest = port_zero == PortZero::allowed ? 0 : 1;
    if (!number || port < lowest || port > 65535) {
        return parse_error("port " + in_quotes(text, 20) + " is not a number from " +
                           std::to_string(lowest) + " to 65535");
    }
    return static_cast<std::uint16_t>(port);
}

}  // namespace

std::string Address::text() const {
    const bool ipv6 = host.find(':') != std::string::npos;
    return (ipv6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

bool Address::is_wildcard() const {
    return host == "0.0.0.0" || host == "::";
}

ParseResult<std::string> parse_host(std::string_view text) {
    if (text.empty()) {
        return parse_error("the host is missing");
    }
    const int family = text.find(':') != std::string_view::npos ? AF_INET6 : AF_INET;
    if (std::optional<std::string> ip = canonical_ip(family, text)) {
        return *std::move(ip);
    }
    if (family == AF_INET6) {
        return parse_error(in_quotes(text) + " is not an IPv6 address");
    }
    if (std::optional<std::string> name = canonical_name(text)) {
        return *std::move(name);
    }
    return parse_error(in_quotes(text) + " is neither a host name nor an IP address");
}

ParseResult<Address> parse_address(std::string_view text, PortZero port_zero) {
    std::string_view host;
    std::string_view rest;  // from the colon before the port on
    const bool bracketed = text.starts_with('[');
    if (bracketed) {
        const std::size_t end = text.find(']');
        if (end == std::string_view::npos) {
            return parse_error(in_quotes(text) + " has no closing bracket");
        }
        host = text.substr(1, end - 1);
        rest = text.substr(end + 1);
        if (host.find(':') == std::string_view::npos) {
            return parse_error(in_quotes(host) + " is not an IPv6 address");
        }
    } else {
        const std::size_t colon = text.find(':');
        host = text.substr(0, colon);
        rest = colon == std::string_view::npos ? std::string_view() : text.substr(colon);
        if (rest.find(':', 1) != std::string_view::npos) {
            return parse_error(
                in_quotes(text) +
                " has more than one colon; an IPv6 address is written [ADDRESS]:PORT");
        }
    }
    if (!rest.starts_with(':')) {
        return parse_error(in_quotes(text) + " is not HOST:PORT");
    }
    ParseResult<std::string> parsed_host = parse_host(host);
    if (!parsed_host) {
        const bool listen_hint = host.empty() && !bracketed;
        return parse_error(listen_hint ? in_quotes(text) + " has no host"
                                       : parsed_host.error().text);
    }
    const ParseResult<std::uint16_t> port = parse_port(rest.substr(1), port_zero);
    if (!port) {
        return port.error();
    }
    return Address{*std::move(parsed_host), *port};
}

}  // namespace cairn::server
