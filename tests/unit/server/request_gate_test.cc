#include "server/http/request_gate.h"

#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace {

using namespace cairn::server;
using namespace std::string_literals;

const GateLimits limits;

struct Checked {
    int status = 0;  // 0: let through
    RequestHead head;
};

Checked check(std::string_view bytes) {
    Checked checked;
    const auto refusal = check_head(bytes, limits, checked.head);
    checked.status = refusal ? refusal->status : 0;
    if (refusal) {
        CHECK_FALSE(refusal->detail.empty());
    }
    return checked;
}

int status_of(std::string_view bytes) {
    return check(bytes).status;
}

// A POST with these lines beside its Host.
int status_with(const std::string& lines) {
    return status_of("POST /v1/values/a HTTP/1.1\r\nHost: localhost\r\n" + lines + "\r\n");
}

std::string get(const std::string& target) {
    return "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
}

HeadScan scan(std::string_view bytes) {
    std::size_t scanned = 0;
    return scan_head(bytes, scanned, limits);
}

TEST_CASE("gate: an ordinary request passes") {
    const std::string bytes =
        "PUT /v1/values/a?timeout=2s HTTP/1.1\r\nHost: localhost:8080\r\n"
        "Content-Type: application/json\r\nContent-Length:  13 \r\nEmpty:\r\n\r\n";
    const auto [status, head] = check(bytes);
    CHECK(status == 0);
    CHECK(head.request.method == "PUT");
    CHECK(head.request.target == "/v1/values/a?timeout=2s");
    CHECK(head.minor_version == 1);
    CHECK(head.keep_alive);
    CHECK_FALSE(head.chunked);
    CHECK_FALSE(head.expect_continue);
    CHECK(head.content_length == 13);
    CHECK(head.has_body());
    CHECK_FALSE(head.request.upgrade_websocket);
    CHECK(head.request.headers.size() == 4);
    CHECK(head.request.header("content-TYPE") == "application/json");
    CHECK(head.request.header("Empty").empty());
    CHECK(head.request.header("Empty").data() != nullptr);
    CHECK(head.request.header("Missing").data() == nullptr);
}

TEST_CASE("gate: a head that is reused forgets the last request") {
    RequestHead head;
    const std::string first =
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n";
    const std::string second = "GET / HTTP/1.0\r\n\r\n";
    CHECK_FALSE(check_head(first, limits, head));
    CHECK(head.chunked);
    CHECK(head.expect_continue);
    CHECK_FALSE(check_head(second, limits, head));
    CHECK_FALSE(head.chunked);
    CHECK_FALSE(head.expect_continue);
    CHECK_FALSE(head.keep_alive);
    CHECK(head.minor_version == 0);
    CHECK(head.request.headers.empty());
    CHECK_FALSE(head.content_length);
}

TEST_CASE("gate: every row of the smuggling table is refused") {
    const std::vector<std::pair<std::string, int>> rows = {
        {"Transfer-Encoding: gzip\r\nContent-Length: 5\r\n", 501},
        {"Content-Length: 5\r\nTransfer-Encoding: gzip\r\n", 501},
        {"Transfer-Encoding: gzip\r\n", 501},
        {"Transfer-Encoding: xchunked\r\n", 501},
        {"Transfer-Encoding: identity\r\n", 501},
        {"Transfer-Encoding: chunked, identity\r\n", 400},
        {"Transfer-Encoding: gzip, chunked\r\n", 400},
        {"Transfer-Encoding: chunked, chunked\r\n", 400},
        {"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", 501},
        {"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400},
        {"Transfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n", 400},
        {"Transfer-Encoding:\r\n", 400},
        {"Transfer-Encoding: \"chunked\"\r\n", 400},
        {"Transfer-Encoding: chunked;a=b\r\n", 400},
        {"Transfer-Encoding: \x0b"s + "chunked\r\n", 400},
        {"Transfer-Encoding : chunked\r\n", 400},
        {"Transfer-Encoding\t: chunked\r\n", 400},
        {" Transfer-Encoding: chunked\r\n", 400},
        {"Transfer-Encoding:\r\n chunked\r\n", 400},
        {"X: a\r\n\tb\r\n", 400},
        {"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400},
        {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400},
        {"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", 400},
        {"Content-Length: 5\r\nContent-Length: 6\r\n", 400},
        {"Content-Length: 5\r\nContent-Length: 5\r\n", 400},
        {"Content-Length: 5, 5\r\n", 400},
        {"Content-Length: +5\r\n", 400},
        {"Content-Length: -5\r\n", 400},
        {"Content-Length: 0x5\r\n", 400},
        {"Content-Length: 5 5\r\n", 400},
        {"Content-Length: 5.0\r\n", 400},
        {"Content-Length:\r\n", 400},
        {"Content-Length: 18446744073709551621\r\n", 400},
        {"Content-Length : 5\r\n", 400},
        {"Host: localhost\r\n", 400},
        {"X: a\nContent-Length: 5\r\n", 400},
        {"X: a\rContent-Length: 5\r\n", 400},
        {"X: a\0b\r\n"s, 400},
        {"X\0: b\r\n"s, 400},
        {"X: a\x01\r\n"s, 400},
        {"X: a\x7f\r\n"s, 400},
        {": b\r\n", 400},
        {"no colon\r\n", 400},
        {"X(: b\r\n", 400},
        {"X\xc3\xa4: b\r\n", 400},
    };
    for (const auto& [lines, status] : rows) {
        CAPTURE(lines);
        CHECK(status_with(lines) == status);
    }
    CHECK(status_with("Transfer-Encoding: Chunked\r\n") == 0);
    CHECK(status_with("Content-Length: 5\r\n") == 0);
    CHECK(status_with("X: a\tb \xc3\xa4\r\n") == 0);
}

TEST_CASE("gate: HTTP/1.0 has no Transfer-Encoding and needs no Host") {
    CHECK(status_of("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n") == 400);
    CHECK(status_of("GET / HTTP/1.0\r\n\r\n") == 0);
    CHECK(status_of("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n") == 400);
    const auto expecting =
        check("POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n");
    CHECK(expecting.status == 0);
    CHECK_FALSE(expecting.head.expect_continue);
}

TEST_CASE("gate: Host") {
    CHECK(status_of("GET / HTTP/1.1\r\n\r\n") == 400);
    for (const char* host : {"localhost", "localhost:8080", "127.0.0.1:1", "[::1]", "[::1]:8080",
                             "a-b_c.example", "A.Example:65535"}) {
        CAPTURE(host);
        CHECK(status_of("GET / HTTP/1.1\r\nHost: "s + host + "\r\n\r\n") == 0);
    }
    for (const char* host : {"",     "a b",      "a,b", "a/b",    "user@a", "a:b",      "a:",
                             ":80",  "[::1",     "[]",  "[::1]x", "[::1]:", "a:123456", "a\xc3\xa4",
                             "a%41", "http://a", "a?b", "a#b",    "a\\b",   "a\"b"}) {
        CAPTURE(host);
        CHECK(status_of("GET / HTTP/1.1\r\nHost: "s + host + "\r\n\r\n") == 400);
    }
}

TEST_CASE("gate: a target in absolute form says whom it is for") {
    RequestHead head;
    const auto check = [&](const std::string& line) {
        const std::string bytes = line + " HTTP/1.1\r\nHost: other.example\r\n\r\n";
        const auto refusal = check_head(bytes, GateLimits(), head);
        return refusal ? refusal->status : 0;
    };
    // The views are into what is gone, so the strings are taken at once.
    const auto parts = [&](const std::string& line) {
        const std::string bytes = line + " HTTP/1.1\r\nHost: other.example\r\n\r\n";
        REQUIRE_FALSE(check_head(bytes, GateLimits(), head));
        return std::string(head.request.host()) + " " + std::string(head.request.target);
    };
    CHECK(parts("GET http://localhost:80/v1/values/a?x=1") == "localhost:80 /v1/values/a?x=1");
    CHECK(parts("GET HTTP://[::1]/") == "[::1] /");
    CHECK(parts("GET http://a.example") == "a.example /");
    CHECK(parts("OPTIONS http://a.example") == "a.example *");
    CHECK(parts("GET /http://a.example/") == "other.example /http://a.example/");
    CHECK(parts("GET /") == "other.example /");  // nothing stays from the last
    for (const char* target :
         {"http://", "http:///", "http://user@a.example/", "http://a.example?x=1", "http:/a/",
          "https://a.example/", "http://a:b/", "ws://a.example/", "a.example:80"}) {
        CAPTURE(target);
        CHECK(check("GET "s + target) == 400);
    }
    CHECK(check("CONNECT a.example:80") == 400);
    CHECK(status_of("GET http://a.example/ HTTP/1.1\r\n\r\n") == 400);  // Host all the same
}

TEST_CASE("gate: the request line") {
    CHECK(status_of(get("/")) == 0);
    CHECK(status_of(get("/v1/values/a%20b?x=1&y=[2]|")) == 0);
    for (const char* target : {"https://localhost/", "localhost:80", "v1", "*", "/a b", "/a#b",
                               "/a\tb", "/\xc3\xa4", "", "/a\x7f", "?a"}) {
        CAPTURE(target);
        CHECK(status_of(get(target)) == 400);
    }
    CHECK(status_of("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n") == 0);
    CHECK(status_of("G@T / HTTP/1.1\r\nHost: a\r\n\r\n") == 400);
    CHECK(status_of(" GET / HTTP/1.1\r\nHost: a\r\n\r\n") == 400);
    CHECK(status_of("GET  / HTTP/1.1\r\nHost: a\r\n\r\n") == 400);
    CHECK(status_of("GET / HTTP/1.1 \r\nHost: a\r\n\r\n") == 400);
    CHECK(status_of("GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n") == 400);
    CHECK(status_of("GET /\r\n\r\n") == 400);
    CHECK(status_of("GET\r\n\r\n") == 400);
    CHECK(status_of("\r\n\r\n") == 400);
    CHECK(status_of(std::string(100, 'A') + " / HTTP/1.1\r\nHost: a\r\n\r\n") == 400);
}

TEST_CASE("gate: versions") {
    CHECK(status_of("PRI * HTTP/2.0\r\n\r\n") == 505);
    CHECK(status_of("GET / HTTP/1.2\r\nHost: a\r\n\r\n") == 505);
    CHECK(status_of("GET / HTTP/0.9\r\nHost: a\r\n\r\n") == 505);
    CHECK(status_of("GET / HTTP/11\r\nHost: a\r\n\r\n") == 400);
    CHECK(status_of("GET / http/1.1\r\nHost: a\r\n\r\n") == 400);
    CHECK(status_of("GET / HTTP/1.10\r\nHost: a\r\n\r\n") == 400);
    CHECK(status_of("GET / XTTP/1.1\r\nHost: a\r\n\r\n") == 400);
}

TEST_CASE("gate: limits") {
    const std::string fits(limits.target_bytes_max - 1, 'a');
    CHECK(status_of(get("/" + fits)) == 0);
    CHECK(status_of(get("/a" + fits)) == 414);
    std::string lines;
    for (std::size_t i = 1; i < limits.fields_max; ++i) {
        lines += "X: y\r\n";
    }
    CHECK(status_with(lines) == 0);
    CHECK(status_with(lines + "X: y\r\n") == 431);
    const std::size_t host_bytes = std::string("Host: localhost\r\n").size();
    const std::string filler(limits.fields_bytes_max - host_bytes - 5, 'x');
    CHECK(status_with("X: " + filler + "\r\n") == 0);
    CHECK(status_with("X: x" + filler + "\r\n") == 431);
}

TEST_CASE("gate: headers that must not come twice") {
    for (const char* name : {"Host", "Content-Length", "Content-Type", "Idempotency-Key",
                             "Authorization", "Origin", "Expect", "Sec-WebSocket-Key",
                             "Sec-WebSocket-Version", "Content-Encoding", "Last-Event-ID"}) {
        CAPTURE(name);
        const std::string value = name == "Content-Length"s ? "5"
                                  : name == "Expect"s       ? "100-continue"
                                                            : "a";
        std::string other(name);
        other.front() = static_cast<char>(other.front() + ('a' - 'A'));
        const std::string once = std::string(name) + ": " + value + "\r\n";
        const std::string request = "POST / HTTP/1.1\r\n";
        const std::string host = name == "Host"s ? "" : "Host: b\r\n";
        CHECK(status_of(request + host + once + "\r\n") == 0);
        CHECK(status_of(request + host + once + other + ": " + value + "\r\n\r\n") == 400);
    }
}

TEST_CASE("gate: Expect") {
    CHECK(status_with("Expect: 100-continue\r\n") == 0);
    CHECK(status_with("Expect: 200-ok\r\n") == 417);
    CHECK(status_with("Expect:\r\n") == 417);
    const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n";
    CHECK(check(head + "Content-Length: 1\r\n\r\n").head.expect_continue);
    CHECK(check(head + "Transfer-Encoding: chunked\r\n\r\n").head.expect_continue);
    CHECK_FALSE(check(head + "\r\n").head.expect_continue);
    CHECK_FALSE(check(head + "Content-Length: 0\r\n\r\n").head.expect_continue);
}

TEST_CASE("gate: Connection") {
    const std::string eleven = "GET / HTTP/1.1\r\nHost: a\r\n";
    CHECK(check(eleven + "\r\n").head.keep_alive);
    CHECK_FALSE(check(eleven + "Connection: close\r\n\r\n").head.keep_alive);
    CHECK_FALSE(check(eleven + "Connection: Upgrade , Close\r\n\r\n").head.keep_alive);
    CHECK_FALSE(check(eleven + "Connection: x\r\nConnection: close\r\n\r\n").head.keep_alive);
    CHECK(check(eleven + "Connection: closed\r\n\r\n").head.keep_alive);
    CHECK_FALSE(check("GET / HTTP/1.0\r\n\r\n").head.keep_alive);
    CHECK(check("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").head.keep_alive);
    CHECK_FALSE(check("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n").head.keep_alive);
}

TEST_CASE("gate: a WebSocket key is 16 bytes in base64") {
    const auto status_with = [](const std::string& key_field) {
        return check("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
                     key_field + "\r\n")
            .status;
    };
    CHECK(status_with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n") == 0);
    CHECK(status_with("") == 400);
    CHECK(status_with("Sec-WebSocket-Key: short\r\n") == 400);
    CHECK(status_with("Sec-WebSocket-Key: c2hvcnQ=\r\n") == 400);
    CHECK(status_with("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSBsb25n\r\n") == 400);
}

TEST_CASE("gate: WebSocket upgrades") {
    const std::string upgrade =
        "Host: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    const auto wishes = [](const std::string& bytes) {
        const auto checked = check(bytes);
        CHECK(checked.status == 0);
        return checked.head.request.upgrade_websocket;
    };
    CHECK(wishes("GET / HTTP/1.1\r\n" + upgrade + "\r\n"));
    CHECK_FALSE(wishes("POST / HTTP/1.1\r\n" + upgrade + "\r\n"));
    CHECK_FALSE(wishes("GET / HTTP/1.0\r\n" + upgrade + "\r\n"));
    CHECK_FALSE(wishes("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n"));
    CHECK_FALSE(wishes("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"));
    CHECK(status_of("GET / HTTP/1.1\r\n" + upgrade + "Content-Length: 3\r\n\r\n") == 400);
    CHECK(status_of("GET / HTTP/1.1\r\n" + upgrade + "Transfer-Encoding: chunked\r\n\r\n") == 400);
}

TEST_CASE("scan: finds the end however the bytes arrive") {
    const std::string head = get("/a");
    const std::string more = head + "GET /next HTTP/1.1\r\n";
    CHECK(scan(more).kind == HeadScan::Kind::complete);
    CHECK(scan(more).head_bytes == head.size());
    std::size_t scanned = 0;
    for (std::size_t size = 0; size < head.size(); ++size) {
        CHECK(scan_head(std::string_view(head).substr(0, size), scanned, limits).kind ==
              HeadScan::Kind::need_more);
        CHECK(scanned == size);
    }
    const auto last = scan_head(head, scanned, limits);
    CHECK(last.kind == HeadScan::Kind::complete);
    CHECK(last.head_bytes == head.size());
}

TEST_CASE("scan: refuses at once what can't become a head") {
    CHECK(scan("\x16\x03\x01").refusal.status == 400);  // a TLS hello
    CHECK(scan("\x16\x03\x01").kind == HeadScan::Kind::refused);
    CHECK(scan("GET / HTTP/1.1\n").kind == HeadScan::Kind::refused);
    CHECK(scan("GET / HTTP/1.1\rX").kind == HeadScan::Kind::refused);
    CHECK(scan("\r\n").kind == HeadScan::Kind::refused);
    CHECK(scan("\n").kind == HeadScan::Kind::refused);
    CHECK(scan("GET /\0"s).kind == HeadScan::Kind::refused);
    CHECK(scan("GET / HTTP/1.1\r").kind == HeadScan::Kind::need_more);
}

TEST_CASE("scan: bounds what is read before the head ends") {
    const std::string endless_target = "GET /" + std::string(9000, 'a');
    CHECK(scan(endless_target).kind == HeadScan::Kind::refused);
    CHECK(scan(endless_target).refusal.status == 414);
    const std::string line = "GET / HTTP/1.1\r\n";
    CHECK(scan(line + "X: " + std::string(8000, 'a')).kind == HeadScan::Kind::need_more);
    const auto endless_field = scan(line + "X: " + std::string(9000, 'a'));
    CHECK(endless_field.kind == HeadScan::Kind::refused);
    CHECK(endless_field.refusal.status == 431);
    // Complete but too long counts as well.
    CHECK(scan(line + "X: " + std::string(9000, 'a') + "\r\n\r\n").refusal.status == 431);
}

TEST_CASE("gate: any byte anywhere neither crashes nor passes unseen") {
    const std::string good =
        "PUT /v1/values/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n";
    RequestHead head;
    for (std::size_t at = 0; at < good.size(); ++at) {
        for (int byte = 0; byte < 256; ++byte) {
            std::string bytes = good;
            bytes[at] = static_cast<char>(byte);
            const auto refusal = check_head(bytes, limits, head);
            const auto scanned = scan(bytes);
            // What passes the gate is what the scan found whole.
            if (!refusal) {
                CHECK(scanned.kind == HeadScan::Kind::complete);
                CHECK(scanned.head_bytes == bytes.size());
            }
        }
        CHECK(check_head(good.substr(0, at), limits, head));
    }
    CHECK(status_of(good + "GET / HTTP/1.1\r\nHost: a\r\n\r\n") == 400);
}

}  // namespace
