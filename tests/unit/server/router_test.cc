#include "server/api/router.h"

#include <string>
#include <tuple>
#include <vector>

#include <doctest/doctest.h>

#include "server/api/gateway_statistics.h"
#include "tests/unit/server/api_harness.h"

namespace {

using namespace cairn;
using namespace cairn::server;
using Json = nlohmann::json;
using namespace std::string_literals;

constexpr std::string_view put_x = R"({"value":"x"})";

TEST_CASE("router: names in paths are decoded once") {
    ApiHarness api;
    const std::vector<std::pair<std::string, std::string>> good = {
        {"a", "a"},       {"a/b", "a/b"},     {"a%2Fb", "a/b"},       {"a%2fb/c", "a/b/c"},
        {"%2525", "%25"}, {"a+b", "a+b"},     {"%C3%A4", "\xc3\xa4"}, {"...", "..."},
        {"a%20b", "a b"}, {".a/b.", ".a/b."}, {"a%3Fb", "a?b"},       {"values", "values"},
    };
    for (const auto& [path, name] : good) {
        CAPTURE(path);
        CHECK(api.send("PUT", "/v1/values/" + path, {}, put_x).status < 300);
        CHECK(api.stored(name) == "x");
        CHECK(api.json()["name"] == name);
    }
    for (const char* path :
         {"",      "/",      "/a",        "a/",      "a//b",       ".",     "..",
          "a/./b", "a/../b", "%2e%2e",    "a/%2e/b", "a%2f..%2fb", "..%2f", "%",
          "%zz",   "a%0",    "%00",       "a%0Ab",   "a%0d%0aX:b", "%7f",   "%C2%80",
          "%ff",   "%C0%AF", "%ED%A0%80", "%C3"}) {
        CAPTURE(path);
        for (const char* prefix : {"/v1/values/", "/v1/raw/"}) {
            CHECK(api.status("PUT", std::string(prefix) + path, {}, put_x) == 400);
            CHECK(api.code() == "INVALID");
            CHECK(api.status("GET", std::string(prefix) + path) == 400);
        }
    }
    CHECK(api.status("GET", "/v1/values/" + std::string(512, 'a')) == 404);
    CHECK(api.status("GET", "/v1/values/" + std::string(513, 'a')) == 400);
}

TEST_CASE("router: paths that aren't there") {
    ApiHarness api;
    for (const char* target :
         {"//", "/index.html", "/..", "/v1", "/v1/", "/v1/value/a", "/v1/valuesa", "/V1/values/a",
          "//v1/values/a", "/v1/raw", "/v1/watch", "/livez/", "/v1/cluster/", "/v2/values/a",
          "/v1%2Fvalues/a", "/./v1/values/a", "/metrics/"}) {
        CAPTURE(target);
        CHECK(api.status("GET", target) == 404);
        CHECK(api.code() == "NOT_FOUND");
        CHECK(api.exchange.response.content_type == "application/problem+json");
        CHECK(api.header("Cairn-Node") == "1");
    }
}

TEST_CASE("router: a body where none is taken is refused") {
    ApiHarness api;
    const std::vector<std::pair<const char*, const char*>> rows = {
        {"GET", "/v1/values/a"},
        {"HEAD", "/v1/values/a"},
        {"GET", "/v1/raw/a"},
        {"DELETE", "/v1/values/a"},
        {"DELETE", "/v1/raw/a"},
        {"GET", "/v1/values"},
        {"GET", "/v1/watch/a"},
        {"GET", "/v1/events/a"},
        {"GET", "/v1/stream"},
        {"GET", "/v1/cluster"},
        {"GET", "/v1/cluster/backup"},
        {"POST", "/v1/cluster/snapshot"},
        {"DELETE", "/v1/cluster/members/4"},
        {"GET", "/metrics"},
        {"GET", "/livez"},
        {"GET", "/readyz"},
        {"GET", "/openapi.json"},
        {"GET", "/"},
    };
    for (const auto& [method, target] : rows) {
        CAPTURE(method);
        CAPTURE(target);
        CHECK(api.status(method, target, {}, "x") == 400);
        CHECK(api.json()["detail"].get<std::string>().find("takes no body") != std::string::npos);
    }
    CHECK(api.status("OPTIONS", "/v1/values/a", {}, "x") == 204);
}

TEST_CASE("router: methods") {
    ApiHarness api;
    const std::vector<std::tuple<const char*, const char*, const char*>> rows = {
        {"PATCH", "/v1/values/a", "GET, HEAD, PUT, DELETE, POST, OPTIONS"},
        {"get", "/v1/values/a", "GET, HEAD, PUT, DELETE, POST, OPTIONS"},
        {"TRACE", "/v1/values/a", "GET, HEAD, PUT, DELETE, POST, OPTIONS"},
        {"POST", "/v1/raw/a", "GET, HEAD, PUT, DELETE, OPTIONS"},
        {"POST", "/v1/values", "GET, HEAD, OPTIONS"},
        {"HEAD", "/v1/watch/a", "GET, OPTIONS"},
        {"POST", "/v1/events/a", "GET, OPTIONS"},
        {"DELETE", "/v1/cluster", "GET, HEAD, OPTIONS"},
        {"POST", "/livez", "GET, HEAD, OPTIONS"},
        {"PUT", "/readyz", "GET, HEAD, OPTIONS"},
        {"GE", "/livez", "GET, HEAD, OPTIONS"},
        {"GET, HEAD", "/livez", "GET, HEAD, OPTIONS"},
    };
    for (const auto& [method, target, allow] : rows) {
        CAPTURE(method);
        CAPTURE(target);
        CHECK(api.status(method, target) == 405);
        CHECK(api.code() == "METHOD_NOT_ALLOWED");
        CHECK(api.header("Allow") == allow);
        CHECK(api.status("OPTIONS", target) == 204);
        CHECK(api.header("Allow") == allow);
    }
    CHECK(api.status("OPTIONS", "*") == 204);
    CHECK(api.header("Access-Control-Allow-Origin").empty());
    // No header or parameter makes one method another.
    CHECK(api.status("GET", "/v1/values/a", {{"X-HTTP-Method-Override", "DELETE"}}) == 404);
    CHECK(api.status("GET", "/v1/values/a?method=DELETE") == 400);
}

TEST_CASE("router: read parameters reach the operation") {
    ApiHarness api;
    api.options.default_timeout_ms = 1234;
    api.send("GET", "/v1/values/a");
    CHECK(api.operation.kind == Operation::Kind::get);
    CHECK(api.operation.name == "a");
    CHECK(api.operation.timeout_ms == 1234);
    CHECK(api.operation.consistency == Consistency::linearizable);
    CHECK(api.operation.min_index == 0);
    api.send("GET", "/v1/values/a?consistency=local&min_index=17&timeout=1.5s");
    CHECK(api.operation.consistency == Consistency::local);
    CHECK(api.operation.min_index == 17);
    CHECK(api.operation.timeout_ms == 1500);
    CHECK(api.header("Cairn-Consistency") == "local");
    api.send("GET", "/v1/values/a?timeout=1ns");
    CHECK(api.operation.timeout_ms == 1);
    api.send("GET", "/v1/values/a?timeout=60s");
    CHECK(api.operation.timeout_ms == 60'000);
    api.send("PUT", "/v1/values/a?timeout=2s", {}, put_x);
    CHECK(api.operation.timeout_ms == 2000);
    api.send("GET", "/v1/values/a");
    CHECK(api.operation.timeout_ms == 1234);
    CHECK(api.operation.consistency == Consistency::linearizable);
    CHECK(api.operation.min_index == 0);
    CHECK(api.operation.command.empty());
}

TEST_CASE("router: a lease can be asked for, and the answer says what it was") {
    ApiHarness api;
    api.put("a", "1");
    for (const char* target : {"/v1/values/a", "/v1/raw/a", "/v1/values"}) {
        CAPTURE(target);
        const std::string asked = std::string(target) + "?consistency=lease";
        api.options.lease_reads = false;
        CHECK(api.status("GET", asked) == 200);
        CHECK(api.operation.consistency == Consistency::linearizable);
        CHECK(api.header("Cairn-Consistency") == "linearizable");
        api.options.lease_reads = true;
        CHECK(api.status("GET", asked) == 200);
        CHECK(api.operation.consistency == Consistency::lease);
        CHECK(api.header("Cairn-Consistency") == "lease");
        // A node without a lease serves it as what it says here.
        api.operation.consistency = Consistency::linearizable;
        api.exchange.response.headers.clear();
        append_standard_headers(api.view, &api.operation, api.exchange);
        CHECK(api.header("Cairn-Consistency") == "linearizable");
        CHECK(api.status("GET", target) == 200);
        CHECK(api.header("Cairn-Consistency") == "linearizable");
    }
}

TEST_CASE("router: a parameter that isn't known or isn't right is refused by name") {
    ApiHarness api;
    const std::vector<std::pair<const char*, const char*>> rows = {
        {"timeout=61s", "timeout"},
        {"timeout=0s", "timeout"},
        {"timeout=5", "timeout"},
        {"consistency=strong", "consistency"},
        {"consistency=", "consistency"},
        {"min_index=-1", "min_index"},
        {"min_index=18446744073709551616", "min_index"},
        {"min_index=0x1", "min_index"},
        {"consistencey=local", "\"consistencey\""},
        {"Timeout=1s", "\"Timeout\""},
        {"ttl=1s", "\"ttl\""},
        {"timeout=1s&timeout=1s", "\"timeout\""},
        {"timeout=%", "two hexadecimal"},
        {"wait=30s", "wait needs after"},
        {"after=42&wait=0s", "wait must be"},
        {"after=42&wait=61s", "wait must be"},
        {"after=-1", "after must be"},
        {"after=x&wait=1s", "after must be"},
        {"after=18446744073709551616", "after must be"},
        {"=1", "without a name"},
    };
    for (const auto& [query, part] : rows) {
        CAPTURE(query);
        CHECK(api.status("GET", "/v1/values/a?"s + query) == 400);
        CHECK(api.code() == "INVALID");
        CHECK(api.json()["detail"].get<std::string>().find(part) != std::string::npos);
    }
    CHECK(api.status("PUT", "/v1/values/a?ttl=30s", {}, put_x) == 400);
    CHECK(api.status("PUT", "/v1/values/a?consistency=local", {}, put_x) == 400);
    CHECK(api.status("DELETE", "/v1/raw/a?ttl=30s") == 400);
    CHECK(api.status("GET", "/livez?verbose") == 400);
    CHECK(api.status("GET", "/v1/cluster?x=1") == 400);
    CHECK(api.status("GET", "/v1/values/a", {}, "body") == 400);
}

TEST_CASE("router: failures") {
    ApiHarness api;
    struct Row {
        Failure failure;
        int status;
        const char* code;
        const char* outcome;  // of a write
        const char* retry_after;
    };
    for (const Row& row : {Row{Failure::no_leader, 503, "UNAVAILABLE", "not_applied", "1"},
                           Row{Failure::overloaded, 503, "OVERLOADED", "not_applied", "1"},
                           Row{Failure::dropped, 503, "UNAVAILABLE", "not_applied", "1"},
                           Row{Failure::interrupted, 503, "UNAVAILABLE", "unknown", "1"},
                           Row{Failure::draining, 503, "UNAVAILABLE", "not_applied", "1"},
                           Row{Failure::disk_full, 507, "DISK_FULL", "not_applied", "10"},
                           Row{Failure::unknown, 504, "TIMEOUT", "unknown", ""},
                           Row{Failure::timeout, 504, "TIMEOUT", "not_applied", ""}}) {
        api.failure = row.failure;
        for (const char* method : {"PUT", "DELETE", "POST", "GET", "HEAD"}) {
            const auto body = method == "PUT"s    ? R"({"value":"x"})"
                              : method == "POST"s ? R"({"set":{}})"
                                                  : "";
            CHECK(api.status(method, "/v1/values/a", {{"Content-Type", "application/json"}},
                             body) == row.status);
            CHECK(api.code() == row.code);
            CHECK(api.header("Retry-After") == row.retry_after);
            CHECK(api.json()["leader"] == 2);
            const bool is_write = method != "GET"s && method != "HEAD"s;
            CHECK(api.json().value("outcome", "") == (is_write ? row.outcome : ""));
            CHECK(api.header("Cairn-Leader") == "2");
        }
    }
    api.failure = Failure::unknown;
    api.send("POST", "/v1/values/a", {{"Content-Type", "application/json"}}, R"({"get":{}})");
    CHECK_FALSE(api.json().contains("outcome"));
    api.view.leader = 0;
    api.send("GET", "/v1/values/a");
    CHECK_FALSE(api.json().contains("leader"));
}

TEST_CASE("router: hosts and origins") {
    ApiHarness api;
    const auto send_to = [&](std::string_view host, std::string_view method,
                             std::string_view target, const char* origin = nullptr) {
        HttpRequest request;
        request.method = method;
        request.target = target;
        request.body = method == "PUT" ? put_x : "";
        request.headers = {{"Host", host}};
        if (origin != nullptr) {
            request.headers.emplace_back("Origin", origin);
        }
        request.upgrade_websocket = target.find("watch") != std::string_view::npos;
        request.headers.emplace_back("Sec-WebSocket-Version", "13");
        const auto decision = decide(request, api.options, api.operation, api.exchange);
        return decision == Decision::respond ? api.exchange.response.status : 0;
    };
    for (const char* target :
         {"/v1/values/a", "/livez", "/readyz", "/v1/cluster", "/nothing", "/v1/watch/a"}) {
        CHECK(send_to("evil.example", "GET", target) == 421);
        CHECK(api.code() == "FORBIDDEN");
    }
    CHECK(send_to("cairn.example:80", "GET", "/livez") == 421);
    api.options.allowed_hosts = {"cairn.example"};
    CHECK(send_to("cairn.example:80", "GET", "/livez") == 200);
    CHECK(send_to("[::1]:80", "GET", "/livez") == 200);

    constexpr const char* evil = "http://evil.example";
    for (const char* method : {"PUT", "DELETE", "POST"}) {
        CHECK(send_to("localhost", method, "/v1/values/a", evil) == 403);
        CHECK(api.code() == "FORBIDDEN");
        CHECK(api.json()["outcome"] == "not_applied");
    }
    CHECK(send_to("localhost", "PUT", "/v1/values/a", "null") == 403);
    CHECK(send_to("localhost", "PUT", "/v1/values/a", "http://localhost") == 0);
    CHECK(send_to("localhost", "GET", "/v1/watch/a", evil) == 403);
    CHECK(send_to("localhost", "GET", "/v1/watch/a", "http://localhost") == 0);
    CHECK(send_to("localhost", "GET", "/v1/values/a", evil) == 0);
}

TEST_CASE("router: CORS is off unless an origin is configured, and then for it only") {
    ApiHarness api;
    api.put("a", "1");
    const std::string app = "https://app.example.com";
    const Headers from_app = {{"Origin", app}};
    const Headers preflight = {{"Origin", app}, {"Access-Control-Request-Method", "PUT"}};
    const auto says_nothing = [&] {
        for (const auto& [name, value] : api.exchange.response.headers) {
            if (name.starts_with("Access-Control-")) {
                return false;
            }
        }
        return true;
    };
    for (const char* method : {"GET", "OPTIONS"}) {
        api.send(method, "/v1/values/a", preflight);
        CHECK(says_nothing());
        CHECK(api.header("Vary") == "Origin");
        api.send(method, "/v1/values/a", {});
        CHECK(api.header("Vary").empty());
    }
    api.options.origins.configured = {app};
    CHECK(api.status("GET", "/v1/values/a", from_app) == 200);
    CHECK(api.header("Access-Control-Allow-Origin") == app);
    CHECK(api.header("Access-Control-Expose-Headers").find("ETag") != std::string::npos);
    CHECK(api.header("Vary") == "Origin");
    CHECK(api.status("GET", "/v1/values/b", from_app) == 404);
    CHECK(api.header("Access-Control-Allow-Origin") == app);
    CHECK(api.status("PUT", "/v1/values/a", from_app, put_x) == 200);
    CHECK(api.header("Access-Control-Allow-Origin") == app);
    CHECK(api.status("OPTIONS", "/v1/values/a", preflight) == 204);
    CHECK(api.header("Access-Control-Allow-Origin") == app);
    CHECK(api.header("Access-Control-Allow-Methods") == api.header("Allow"));
    CHECK(api.header("Access-Control-Allow-Headers").find("If-Match") != std::string::npos);
    CHECK(api.status("OPTIONS", "/v1/values/a", from_app) == 204);  // asks before nothing
    CHECK(api.header("Access-Control-Allow-Methods").empty());
    for (const char* other :
         {"https://evil.example.com", "null", "https://app.example.com:444", "*"}) {
        CAPTURE(other);
        for (const char* method : {"GET", "OPTIONS", "PUT"}) {
            api.send(method, "/v1/values/a",
                     {{"Origin", other}, {"Access-Control-Request-Method", "PUT"}}, {});
            CHECK(says_nothing());
            CHECK(api.header("Vary") == "Origin");
        }
    }
    CHECK(api.status("GET", "/v1/values/a") == 200);
    CHECK(says_nothing());
}

TEST_CASE("router: streams") {
    ApiHarness api;
    api.upgrade_websocket = true;
    api.send("GET", "/v1/watch/a%2Fb");
    REQUIRE(api.decision == Decision::stream);
    CHECK(api.exchange.stream.kind == StreamRequest::Kind::watch);
    CHECK(api.exchange.stream.name == "a/b");
    CHECK_FALSE(api.exchange.stream.prefix);
    CHECK_FALSE(api.exchange.stream.cursor);
    api.send("GET", "/v1/events/a/?prefix=true&cursor=42.3");
    REQUIRE(api.decision == Decision::stream);
    CHECK(api.exchange.stream.kind == StreamRequest::Kind::events);
    CHECK(api.exchange.stream.name == "a/");
    CHECK(api.exchange.stream.prefix);
    REQUIRE(api.exchange.stream.cursor);
    CHECK(*api.exchange.stream.cursor == fsm::Cursor{42, 3});
    for (const char* target :
         {"/v1/watch/?prefix=true", "/v1/watch/a?prefix=true", "/v1/watch/a/.?prefix=true",
          "/v1/watch/..?prefix=true", "/v1/events/a?prefix=false&cursor=7"}) {
        CAPTURE(target);
        api.send("GET", target);
        CHECK(api.decision == Decision::stream);
    }
    CHECK_FALSE(api.exchange.stream.prefix);
    for (const char* target :
         {"/v1/watch/", "/v1/watch/a/", "/v1/watch/a/?prefix=false", "/v1/watch/../a?prefix=true",
          "/v1/watch/a//?prefix=true", "/v1/watch/%ff?prefix=true", "/v1/watch//?prefix=true",
          "/v1/watch/a?prefix=1", "/v1/watch/a?prefix", "/v1/watch/a?cursor=",
          "/v1/watch/a?cursor=x", "/v1/watch/a?cursor=-1", "/v1/watch/a?cursor=1&cursor=2",
          "/v1/watch/a?curser=1", "/v1/watch/a?consistency=local"}) {
        CAPTURE(target);
        CHECK(api.status("GET", target) == 400);
        CHECK(api.decision == Decision::respond);
    }
    // An upgrade asked for where there is no stream is an ordinary request.
    CHECK(api.status("GET", "/v1/values/a") == 404);
}

TEST_CASE("router: a stream's transport follows the request") {
    ApiHarness api;
    const StreamRequest& stream = api.exchange.stream;
    api.send("GET", "/v1/watch/a");
    REQUIRE(api.decision == Decision::stream);
    CHECK(stream.transport == StreamTransport::lines);
    CHECK(stream.in_parts);
    api.send("GET", "/v1/events/a?cursor=7", {{"Accept", "text/event-stream"}});
    REQUIRE(api.decision == Decision::stream);
    CHECK(stream.transport == StreamTransport::event_stream);
    CHECK(stream.cursor == fsm::Cursor{7});
    // The newer of the two, whichever is larger.
    api.send("GET", "/v1/events/a?cursor=7", {{"last-event-id", "5.1"}});
    REQUIRE(api.decision == Decision::stream);
    CHECK(stream.cursor == fsm::Cursor{5, 1});
    for (const char* id : {"", "x", "7 ", "-1"}) {
        CAPTURE(id);
        CHECK(api.status("GET", "/v1/events/a", {{"Last-Event-ID", id}}) == 400);
        CHECK(api.decision == Decision::respond);
    }
    CHECK(api.status("GET", "/v1/events/a", {{"Last-Event-ID", "5"}, {"Last-Event-ID", "6"}}) ==
          400);
    api.upgrade_websocket = true;
    api.send("GET", "/v1/watch/a?cursor=7", {{"Last-Event-ID", "x"}});
    REQUIRE(api.decision == Decision::stream);
    CHECK(stream.transport == StreamTransport::websocket);
    CHECK_FALSE(stream.in_parts);
    CHECK(stream.cursor == fsm::Cursor{7});
    // What a WebSocket that wasn't opened had agreed on says nothing about the next request.
    api.exchange.stream.encoding = StreamEncoding::protobuf;
    api.exchange.is_multiplexed = true;
    api.send("GET", "/v1/watch/a");
    CHECK(stream.encoding == StreamEncoding::json);
    CHECK_FALSE(api.exchange.is_multiplexed);
    const Headers evil = {{"Origin", "http://evil.example"}};
    api.upgrade_websocket = false;
    CHECK(api.status("GET", "/v1/watch/a", evil) == 403);
}

TEST_CASE("router: cluster and health") {
    ApiHarness api;
    api.cluster.node = 1;
    api.cluster.leader = 2;
    CHECK(api.status("GET", "/livez") == 200);
    CHECK(api.json() == Json{{"status", "ok"}});
    CHECK(api.status("GET", "/v1/cluster") == 200);
    CHECK(api.json()["node"] == 1);
    CHECK(api.status("GET", "/readyz") == 503);
    CHECK(api.code() == "UNAVAILABLE");
    CHECK(api.header("Retry-After") == "1");
    api.cluster.not_ready_reason = "It has no leader.";
    api.send("GET", "/readyz");
    CHECK(api.json()["detail"] == "It has no leader.");
    api.cluster.ready = true;
    CHECK(api.status("GET", "/readyz") == 200);
    CHECK(api.status("HEAD", "/readyz") == 200);
    CHECK(api.exchange.response.head_only);
    api.failure = Failure::draining;
    CHECK(api.status("GET", "/readyz") == 503);
    CHECK(api.status("GET", "/livez") == 200);
}

TEST_CASE("router: metrics, and the names of routes and methods") {
    ApiHarness api;
    CHECK(api.status("GET", "/metrics") == 200);
    CHECK(api.exchange.response.content_type == metrics_content_type);
    CHECK(api.exchange.response.body == "cairn_test 1\n");
    CHECK(route_name(api.exchange.route) == "/metrics");
    CHECK(api.status("GET", "/metrics?a=1") == 400);
    api.status("DELETE", "/v1/values/a/b?timeout=1s");
    CHECK(route_name(api.exchange.route) == "/v1/values/{name}");
    CHECK(method_names[api.exchange.method] == "DELETE");
    api.status("BREW", "/v1/cluster/members/4");
    CHECK(route_name(api.exchange.route) == "/v1/cluster/members/{id}");
    CHECK(method_names[api.exchange.method] == "other");
    api.status("GET", "/nothing");
    CHECK(route_name(api.exchange.route) == "none");
}

TEST_CASE("router: body limit") {
    ApiOptions options;
    options.max_value_bytes = 1000;
    CHECK(body_bytes_max(options) == 6000 + 65536);
    HttpRequest request;
    request.method = "PUT";
    const auto response = body_too_large_response(request, options);
    CHECK(response.status == 413);
    CHECK(response.close);
    const auto body = Json::parse(response.body);
    CHECK(body["code"] == "TOO_LARGE");
    CHECK(body["outcome"] == "not_applied");
    CHECK(body["detail"].get<std::string>().find("71536") != std::string::npos);
}

TEST_CASE("router: one exchange after another leaves no trace") {
    ApiHarness api;
    api.put("a", "x");
    api.send("GET", "/v1/raw/a", {{"If-Match", "\"9\""}, {"If-None-Match", "\"1\""}});
    CHECK(api.exchange.response.status == 412);
    CHECK(api.status("GET", "/v1/values/a") == 200);
    CHECK(api.exchange.response.content_type == "application/json");
    CHECK(api.json()["value"] == "x");
    CHECK(api.header("ETag") == "\"1\"");
    api.send("PUT", "/v1/values/a", {}, R"({"value":"y","ttl":"5s","prev_index":1})");
    CHECK(api.exchange.response.status == 200);
    CHECK(api.status("PUT", "/v1/values/b", {}, R"({"value":"z"})") == 201);
    CHECK(api.machine.get("b")->deadline_ns == 0);
    CHECK(api.status("GET", "/v1/values/c") == 404);
    CHECK_FALSE(api.json().contains("outcome"));
}

}  // namespace

TEST_CASE("cluster: snapshots and leadership on request") {
    ApiHarness api;
    api.put("a", "x");
    CHECK(api.status("POST", "/v1/cluster/snapshot") == 200);
    CHECK(api.json() == Json{{"index", api.machine.applied_index()}});
    CHECK(api.status("POST", "/v1/cluster/snapshot", {}, "{}") == 400);
    CHECK(api.status("GET", "/v1/cluster/snapshot") == 405);
    const Headers json = {{"Content-Type", "application/json"}};
    CHECK(api.status("POST", "/v1/cluster/leader", json, R"({"id":1})") == 200);
    CHECK(api.json() == Json{{"leader", 1}});
    CHECK(api.status("POST", "/v1/cluster/leader", json, R"({"id":7})") == 404);
    for (const std::string& body :
         {""s, "{}"s, "[]"s, R"({"id":0})"s, R"({"id":-1})"s, R"({"id":"1"})"s,
          R"({"id":1,"x":1})"s, "{"s, R"({"id":1,"id":1})"s, "{\"id\":1}\0x"s}) {
        CAPTURE(body);
        CHECK(api.status("POST", "/v1/cluster/leader", json, body) == 400);
    }
    CHECK(api.status("POST", "/v1/cluster/leader", {}, R"({"id":1})") == 415);
    CHECK(api.status("POST", "/v1/cluster/leader",
                     {{"Content-Type", "application/json"}, {"Origin", "http://evil.example"}},
                     R"({"id":1})") == 403);
}

TEST_CASE("router: a page for people") {
    ApiHarness api;
    CHECK(api.status("GET", "/") == 200);
    CHECK(api.exchange.response.content_type == "text/html; charset=utf-8");
    CHECK(api.exchange.response.body.find("Cairn") != std::string::npos);
    CHECK(api.header("Content-Security-Policy").find("default-src 'none'") == 0);
    CHECK(api.status("HEAD", "/") == 200);
    CHECK(api.exchange.response.head_only);
    CHECK(api.status("POST", "/") == 405);
    CHECK(api.header("Allow") == "GET, HEAD, OPTIONS");
    CHECK(api.status("GET", "/?x=1") == 400);
    CHECK(api.status("GET", "/dashboard/nothing.js") == 404);
    CHECK(api.status("GET", "/dashboard/") == 404);
    CHECK(api.status("GET", "/dashboard") == 404);
}

TEST_CASE("cluster: a backup's head") {
    ApiHarness api;
    api.put("a", "x");
    api.download = std::make_shared<const Download>(
        Download{.cluster_id = 0xab, .index = 42, .bytes = 1000, .crc = 0x01020304});
    CHECK(api.status("GET", "/v1/cluster/backup") == 200);
    CHECK(api.operation.kind == Operation::Kind::backup);
    CHECK(api.operation.consistency == Consistency::linearizable);
    CHECK(api.exchange.response.later_bytes == 1000);
    CHECK(api.exchange.response.body.empty());
    CHECK(api.header("Content-Disposition") ==
          "attachment; filename=\"cairn-00000000000000ab-42.backup\"");
    CHECK(api.header("Repr-Digest") == "crc32c=:AQIDBA==:");
    CHECK(api.header("Cairn-Consistency") == "linearizable");
    std::string message;
    append_response(api.exchange.response, true, message);
    CHECK(message.find("\r\nContent-Length: 1000\r\n") != std::string::npos);
    CHECK(message.find("\r\nContent-Type: application/octet-stream\r\n") != std::string::npos);
    CHECK(message.ends_with("\r\n\r\n"));
    // It doesn't stick to what is answered next.
    CHECK(api.status("GET", "/v1/values/a") == 200);
    CHECK_FALSE(api.exchange.response.later_bytes.has_value());

    CHECK(api.status("GET", "/v1/cluster/backup?consistency=local&min_index=1&timeout=3s") == 200);
    CHECK(api.operation.consistency == Consistency::local);
    CHECK(api.operation.timeout_ms == 3000);
    CHECK(api.status("GET", "/v1/cluster/backup?consistency=lease") == 400);
    CHECK(api.status("GET", "/v1/cluster/backup?x=1") == 400);
    CHECK(api.status("POST", "/v1/cluster/backup") == 405);
    CHECK(api.header("Allow") == "GET, OPTIONS");
    api.download = nullptr;
    CHECK(api.status("GET", "/v1/cluster/backup") == 500);
    CHECK(api.json()["detail"].get<std::string>().find("the disk said no") != std::string::npos);
    CHECK_FALSE(api.exchange.response.later_bytes.has_value());
    api.failure = Failure::overloaded;
    CHECK(api.status("GET", "/v1/cluster/backup") == 503);
    CHECK(api.code() == "OVERLOADED");
    CHECK(api.header("Retry-After") == "10");
    api.failure = Failure::no_leader;
    CHECK(api.status("GET", "/v1/cluster/backup") == 503);
    CHECK(api.code() == "UNAVAILABLE");
}
