#include "server/base/address.h"

#include <string>

#include <doctest/doctest.h>

using cairn::server::Address;
using cairn::server::parse_address;
using cairn::server::parse_host;
using cairn::server::ParseResult;
using cairn::server::PortZero;

namespace {

// The address in its one form, or "!" and what is wrong.
std::string read(std::string_view text, PortZero port_zero = PortZero::refused) {
    const ParseResult<Address> address = parse_address(text, port_zero);
    return address ? address->text() : "!" + address.error().text;
}

bool refused(std::string_view text) {
    return read(text).starts_with('!');
}

}  // namespace

TEST_CASE("an address is a host and a port") {
    const ParseResult<Address> address = parse_address("127.0.0.1:7080", PortZero::refused);
    REQUIRE(address.has_value());
    CHECK(address->host == "127.0.0.1");
    CHECK(address->port == 7080);
    CHECK(address->text() == "127.0.0.1:7080");
}

TEST_CASE("an IPv6 address is kept without brackets and written with them") {
    const ParseResult<Address> address = parse_address("[::1]:7001", PortZero::refused);
    REQUIRE(address.has_value());
    CHECK(address->host == "::1");
    CHECK(address->port == 7001);
    CHECK(address->text() == "[::1]:7001");
}

TEST_CASE("equal addresses have equal text") {
    CHECK(read("Node-1.Example.COM:1") == "node-1.example.com:1");
    CHECK(read("[2001:DB8:0:0::1]:1") == "[2001:db8::1]:1");
    CHECK(read("cairn-0.cairn.svc.cluster.local.:1") == "cairn-0.cairn.svc.cluster.local.:1");
    CHECK(read("compose_node_1:7080") == "compose_node_1:7080");
    CHECK(read("1a.2b:1") == "1a.2b:1");
}

TEST_CASE("text parses back into the same address") {
    for (const char* text : {"a:1", "10.0.0.1:65535", "[fe80::1:2]:80", "[::]:9", "a.b-c.d:70"}) {
        CHECK(read(text) == text);
    }
}

TEST_CASE("what is no address is refused") {
    for (const char* text : {"",
                             ":",
                             "localhost",
                             "localhost:",
                             ":8080",
                             "a b:1",
                             " a:1",
                             "a:1 ",
                             "::1:7001",
                             "::1",
                             "[::1]",
                             "[::1]7001",
                             "[::1:7001",
                             "[]:1",
                             "[localhost]:1",
                             "[127.0.0.1]:1",
                             "[::g]:1",
                             "[fe80::1%eth0]:1",
                             "http://a:1",
                             "a/b:1",
                             "-a:1",
                             "a-:1",
                             "a..b:1",
                             ".a:1",
                             ".:1",
                             "1.2.3:1",
                             "1.2.3.256:1",
                             "1.2.3.4.5:1",
                             "127.1:1",
                             "10.0.0.01:1",
                             "0x7f.1:1",
                             "5:1",
                             "b\xc3\xbc"
                             "cher:1",
                             "a\n:1",
                             "user@a:1",
                             "*:1"}) {
        CAPTURE(text);
        CHECK(refused(text));
    }
    CHECK(refused(std::string_view("127.0.0.1\0:1", 12)));
    CHECK(refused(std::string(64, 'a') + ":1"));
    CHECK_FALSE(refused(std::string(63, 'a') + ":1"));
    std::string longest;
    for (int i = 0; i < 126; ++i) {
        longest += "a.";
    }
    CHECK_FALSE(refused(longest + "b:1"));  // 253 characters
    CHECK(refused(longest + "bb:1"));
}

TEST_CASE("a port is a number from 1 to 65535, or 0 where any will do") {
    for (const char* port : {"65536", "99999", "100000", "-1", "+1", "1.0", "0x50", "http", " 1",
                             "1 ", "18446744073709551617", "\xd9\xa1"}) {
        CAPTURE(port);
        CHECK(refused(std::string("a:") + port));
    }
    CHECK(read("a:65535") == "a:65535");
    CHECK(read("a:1") == "a:1");
    CHECK(refused("a:0"));
    CHECK(read("a:0", PortZero::allowed) == "a:0");
    CHECK(read("a:70000", PortZero::allowed) == "!port \"70000\" is not a number from 0 to 65535");
}

TEST_CASE("the reason is printable and of one line") {
    CHECK(read("a\n\x1b[2J:1") == "!\"a\\n\\x1b[2J\" is neither a host name nor an IP address");
    CHECK(read("::1:7001") ==
          "!\"::1:7001\" has more than one colon; an IPv6 address is written [ADDRESS]:PORT");
    CHECK(read(":8080") == "!\":8080\" has no host");
    CHECK(read(std::string(100000, 'x')).size() < 200);
}

TEST_CASE("wildcards are told from addresses that can be dialled") {
    CHECK(Address{"0.0.0.0", 1}.is_wildcard());
    CHECK(parse_address("[0::0]:1", PortZero::refused)->is_wildcard());
    CHECK_FALSE(Address{"::1", 1}.is_wildcard());
    CHECK_FALSE(Address{"10.0.0.0", 1}.is_wildcard());
}

TEST_CASE("a host alone") {
    CHECK(*parse_host("::1") == "::1");
    CHECK(*parse_host("LOCALHOST") == "localhost");
    CHECK_FALSE(parse_host("[::1]").has_value());
    CHECK_FALSE(parse_host("a:1").has_value());
    CHECK_FALSE(parse_host("").has_value());
}
