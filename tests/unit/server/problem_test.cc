#include "server/http/problem.h"

#include <string>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "server/http/host_check.h"

namespace {

using namespace cairn::server;
using Json = nlohmann::json;
using namespace std::string_literals;

TEST_CASE("problem: members and headers") {
    ProblemExtras extras;
    extras.outcome = Outcome::not_applied;
    extras.current_index = 42;
    extras.leader = 3;
    extras.retry_after_s = 1;
    extras.allow = "GET";
    const auto response = problem(Code::conflict, "Say \"why\"\n", extras);
    CHECK(response.status == 412);
    CHECK(response.content_type == "application/problem+json");
    const auto body = Json::parse(response.body);
    CHECK(body == Json{{"type", "about:blank"},
                       {"title", "Precondition Failed"},
                       {"status", 412},
                       {"detail", "Say \"why\"\n"},
                       {"code", "CONFLICT"},
                       {"outcome", "not_applied"},
                       {"current_index", 42},
                       {"leader", 3}});
    std::string bytes;
    append_response(response, true, bytes);
    CHECK(bytes.find("\r\nETag: \"42\"\r\n") != std::string::npos);
    CHECK(bytes.find("\r\nRetry-After: 1\r\n") != std::string::npos);
    CHECK(bytes.find("\r\nAllow: GET\r\n") != std::string::npos);
}

TEST_CASE("problem: what isn't known is left out, and a status may be another") {
    ProblemExtras extras;
    extras.status = 412;
    const auto response = problem(Code::not_found, "x", extras);
    CHECK(response.status == 412);
    CHECK(response.headers.empty());
    const auto body = Json::parse(response.body);
    CHECK(body["code"] == "NOT_FOUND");
    CHECK(body["status"] == 412);
    CHECK(body.size() == 5);
    extras.outcome = Outcome::unknown;
    CHECK(Json::parse(problem(Code::timeout, "x", extras).body)["outcome"] == "unknown");
}

TEST_CASE("problem: every code has the status of the table") {
    const std::vector<std::tuple<Code, int, const char*>> rows = {
        {Code::invalid, 400, "INVALID"},
        {Code::unauthorized, 401, "UNAUTHORIZED"},
        {Code::forbidden, 403, "FORBIDDEN"},
        {Code::not_found, 404, "NOT_FOUND"},
        {Code::method_not_allowed, 405, "METHOD_NOT_ALLOWED"},
        {Code::conflict, 412, "CONFLICT"},
        {Code::already_exists, 412, "ALREADY_EXISTS"},
        {Code::too_large, 413, "TOO_LARGE"},
        {Code::uri_too_long, 414, "URI_TOO_LONG"},
        {Code::unsupported_media_type, 415, "UNSUPPORTED_MEDIA_TYPE"},
        {Code::idempotency_mismatch, 422, "IDEMPOTENCY_MISMATCH"},
        {Code::headers_too_large, 431, "HEADERS_TOO_LARGE"},
        {Code::overloaded, 503, "OVERLOADED"},
        {Code::unavailable, 503, "UNAVAILABLE"},
        {Code::timeout, 504, "TIMEOUT"},
        {Code::disk_full, 507, "DISK_FULL"},
        {Code::internal, 500, "INTERNAL"},
    };
    for (const auto& [code, status, name] : rows) {
        CHECK(status_of(code) == status);
        CHECK(name_of(code) == name);
        CHECK(reason_phrase(status) != "Unknown");
    }
}

TEST_CASE("problem: what a client sent can't break the answer") {
    const auto response = problem(Code::invalid, shown("\xff\"\\\r\n\0<script>"s));
    CHECK(Json::parse(response.body)["detail"] == "\"\xef\xbf\xbd\"\\\r\n\0<script>\""s);
    CHECK(shown(std::string(1000, 'a')).size() < 80);
    const std::string cut_inside = std::string(63, 'a') + "\xc3\xa4";
    CHECK_NOTHROW(static_cast<void>(Json::parse(problem(Code::invalid, shown(cut_inside)).body)));
}

TEST_CASE("refusals close, with their code") {
    CHECK(refusal_response(400, "x").close);
    CHECK(Json::parse(refusal_response(400, "x").body)["code"] == "INVALID");
    CHECK(Json::parse(refusal_response(414, "x").body)["code"] == "URI_TOO_LONG");
    CHECK(Json::parse(refusal_response(431, "x").body)["code"] == "HEADERS_TOO_LARGE");
    CHECK(Json::parse(refusal_response(505, "x").body)["status"] == 505);
}

TEST_CASE("response: bytes") {
    HttpResponse response;
    response.status = 201;
    response.body = "{}";
    response.add_header("ETag", "\"7\"");
    std::string out;
    append_response(response, true, out);
    CHECK(out ==
          "HTTP/1.1 201 Created\r\nContent-Length: 2\r\nContent-Type: application/json\r\n"
          "ETag: \"7\"\r\nConnection: keep-alive\r\n\r\n{}");
    out.clear();
    response.head_only = true;
    append_response(response, false, out);
    CHECK(out ==
          "HTTP/1.1 201 Created\r\nContent-Length: 2\r\nContent-Type: application/json\r\n"
          "ETag: \"7\"\r\nConnection: close\r\n\r\n");
    out.clear();
    response.reset();
    response.close = true;
    append_response(response, true, out);
    CHECK(out == "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    for (int status : {204, 304}) {
        response.reset();
        response.status = status;
        response.body = "never sent";
        out.clear();
        append_response(response, true, out);
        CHECK(out.find("Content-") == std::string::npos);
        CHECK(out.find("never") == std::string::npos);
    }
}

TEST_CASE("response: the head of a body without a known length") {
    HttpResponse response;
    response.content_type = "text/plain";
    response.add_header("X", "1\r\n2");
    std::string out;
    append_endless_head(response, true, out);
    CHECK(out ==
          "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX: 1  2\r\nTransfer-Encoding: chunked\r\n"
          "Connection: close\r\n\r\n");
    out.clear();
    append_endless_head(response, false, out);
    CHECK(out.find("Transfer-Encoding") == std::string::npos);
}

TEST_CASE("response: a header value can't end its line") {
    HttpResponse response;
    response.add_header("X", "a\r\nSet-Cookie: b\n\0c\td"s);
    std::string out;
    append_response(response, true, out);
    CHECK(out.find("X: a  Set-Cookie: b  c\td\r\n") != std::string::npos);
}

TEST_CASE("hosts that this node answers to") {
    const std::vector<std::string> names = {"cairn.example", "Node-1:8080", "[fe80::1]:80"};
    for (const char* host :
         {"localhost", "LOCALHOST:8080", "localhost.", "127.0.0.1", "127.0.0.1:8080", "10.1.2.3",
          "[::1]", "[::1]:8080", "[fe80::1]", "cairn.example", "Cairn.Example:99",
          "cairn.example.:80", "node-1:1"}) {
        CAPTURE(host);
        CHECK(host_allowed(host, names));
    }
    for (const char* host :
         {"", "evil.example", "evil.example:8080", "localhost.evil.example", "cairn.example.evil",
          "xcairn.example", "127.0.0.1.evil.example", "127.0.0.256", "1.2.3", "1.2.3.4.5",
          "0x7f.0.0.1", "2130706433", "127.0.0.0001", "node-2", ".", ":80"}) {
        CAPTURE(host);
        CHECK_FALSE(host_allowed(host, names));
    }
}

TEST_CASE("origins") {
    HttpRequest request;
    request.headers = {{"Host", "localhost:8080"}};
    CHECK(origin_allowed(request, {}));
    for (const char* origin :
         {"http://localhost:8080", "https://localhost:8080", "http://LocalHost:8080"}) {
        request.headers = {{"Host", "localhost:8080"}, {"Origin", origin}};
        CHECK(origin_allowed(request, {}));
    }
    for (const char* origin :
         {"", "null", "http://localhost", "http://localhost:8081", "http://evil.example",
          "http://localhost:8080.evil.example", "http://localhost:8080/", "localhost:8080",
          "file://localhost:8080", "http://"}) {
        CAPTURE(origin);
        request.headers = {{"Host", "localhost:8080"}, {"Origin", origin}};
        CHECK_FALSE(origin_allowed(request, {}));
    }
    request.headers = {{"Origin", "http://"}};
    CHECK_FALSE(origin_allowed(request, {}));
}

TEST_CASE("origins: without one, what the browser says of the site") {
    HttpRequest request;
    for (const char* site : {"same-origin", "none"}) {
        request.headers = {{"Host", "localhost:8080"}, {"Sec-Fetch-Site", site}};
        CHECK(origin_allowed(request, {}));
    }
    for (const char* site : {"cross-site", "same-site", "Same-Origin", ""}) {
        CAPTURE(site);
        request.headers = {{"Host", "localhost:8080"}, {"Sec-Fetch-Site", site}};
        CHECK_FALSE(origin_allowed(request, {}));
        // An origin that is named is what counts: a page of an allowed one is of another site.
        request.headers.emplace_back("Origin", "https://app.example.com");
        CHECK(origin_allowed(request, {{"https://app.example.com"}}));
    }
}

}  // namespace
