#include "server/api/value_api.h"

#include <string>

#include <doctest/doctest.h>

#include "atomix/multiraft/atomic/value/v1/fsm.pb.h"
#include "tests/unit/server/api_harness.h"

namespace {

using namespace cairn;
using namespace cairn::server;
using Json = nlohmann::json;
using namespace std::string_literals;
namespace seed = ::atomix::multiraft::atomic::value::v1;

constexpr std::string_view put_x = R"({"value":"x"})";
constexpr std::string_view put_y = R"({"value":"y"})";

std::string tag(fsm::Index index) {
    return entity_tag(index);
}

// A write failed and changed nothing.
void check_unchanged(const ApiHarness& api, std::string_view name, std::string_view text,
                     std::size_t events) {
    CHECK(api.stored(name) == text);
    CHECK(api.events.size() == events);
    CHECK(api.json()["outcome"] == "not_applied");
}

TEST_CASE("GET: 200, 304, 404") {
    ApiHarness api;
    CHECK(api.status("GET", "/v1/values/a") == 404);
    CHECK(api.code() == "NOT_FOUND");
    CHECK_FALSE(api.json().contains("outcome"));
    CHECK(api.header("Cairn-Consistency") == "linearizable");
    const auto index = api.put("a", "x");
    CHECK(api.status("GET", "/v1/values/a") == 200);
    CHECK(api.json() == Json{{"name", "a"}, {"value", "x"}, {"index", index}});
    CHECK(api.header("ETag") == tag(index));
    CHECK(api.header("Cairn-Index") == std::to_string(index));
    CHECK(api.header("Cairn-Node") == "1");
    CHECK(api.header("Cairn-Leader") == "2");
    CHECK(api.status("GET", "/v1/values/a", {{"If-None-Match", tag(index)}}) == 304);
    CHECK(api.exchange.response.body.empty());
    CHECK(api.header("ETag") == tag(index));
    CHECK(api.status("GET", "/v1/values/a", {{"If-None-Match", "W/" + tag(index)}}) == 304);
    CHECK(api.status("GET", "/v1/values/a", {{"If-None-Match", "\"9\", " + tag(index)}}) == 304);
    CHECK(api.status("GET", "/v1/values/a", {{"If-None-Match", "*"}}) == 304);
    CHECK(api.status("GET", "/v1/values/b", {{"If-None-Match", "*"}}) == 404);
    CHECK(api.status("GET", "/v1/values/a", {{"If-None-Match", "\"9\""}}) == 200);
    CHECK(api.status("GET", "/v1/values/a", {{"If-None-Match", "9"}}) == 400);
}

TEST_CASE("GET with after: a long poll") {
    ApiHarness api;
    const fsm::Index index = api.put("a", "1");
    const std::string after = "?after=" + std::to_string(index);
    for (const std::string path : {"/v1/values/a", "/v1/raw/a"}) {
        CHECK(api.status("GET", path) == 200);
        CHECK(api.operation.wait_ms == 0);
        CHECK(api.status("GET", path + after + "&wait=1.5s") == 304);
        CHECK(api.operation.wait_ms == 1500);
        CHECK(api.operation.known_index == index);
        CHECK(api.header("ETag") == entity_tag(index));
        CHECK(api.header("Cairn-Consistency") == "linearizable");
        CHECK(api.exchange.response.body.empty());
        CHECK(api.status("HEAD", path + after) == 304);
        CHECK(api.operation.wait_ms == api.options.default_timeout_ms);
        CHECK(api.status("GET", path + after + "&timeout=2s") == 304);
        CHECK(api.operation.wait_ms == 2000);
        CHECK(api.status("GET", path + after + "&wait=60s") == 304);
        CHECK(api.status("GET", path + "?after=0") == 200);
        CHECK(api.status("GET", path + "?after=0&wait=1s") == 200);
        // What is new is an answer like any other, so the conditions count.
        const std::string tag = entity_tag(index);
        CHECK(api.status("GET", path + "?after=1000", {{"If-None-Match", tag}}) == 304);
        CHECK(api.status("GET", path + "?after=1000", {{"If-Match", "\"1000\""}}) == 412);
    }
    CHECK(api.status("GET", "/v1/values/b?after=0") == 304);
    CHECK(api.header("ETag").empty());
    CHECK(api.status("GET", "/v1/values/b?after=7") == 404);
    api.failure = Failure::draining;
    CHECK(api.status("GET", "/v1/values/a" + after) == 503);
    api.failure = Failure::none;
    CHECK(api.status("GET", "/v1/values/a") == 200);
    CHECK(api.operation.wait_ms == 0);
    CHECK(api.status("PUT", "/v1/values/a?after=1", {}, R"({"value":"x"})") == 400);
}

TEST_CASE("GET with If-Match") {
    ApiHarness api;
    CHECK(api.status("GET", "/v1/values/a", {{"If-Match", "*"}}) == 412);
    CHECK(api.code() == "NOT_FOUND");
    const auto index = api.put("a", "x");
    CHECK(api.status("GET", "/v1/values/a", {{"If-Match", "*"}}) == 200);
    CHECK(api.status("GET", "/v1/values/a", {{"If-Match", tag(index)}}) == 200);
    CHECK(api.status("GET", "/v1/values/a", {{"If-Match", tag(99)}}) == 412);
    CHECK(api.json()["current_index"] == index);
    CHECK(api.header("ETag") == tag(index));
}

TEST_CASE("HEAD is GET without the body") {
    ApiHarness api;
    api.put("a", "x");
    const auto body = api.send("GET", "/v1/values/a").body;
    CHECK(api.status("HEAD", "/v1/values/a") == 200);
    CHECK(api.exchange.response.head_only);
    CHECK(api.exchange.response.body == body);
    CHECK(api.status("HEAD", "/v1/values/b") == 404);
    CHECK(api.exchange.response.head_only);
    CHECK(api.status("HEAD", "/v1/raw/a") == 200);
    CHECK(api.status("GET", "/v1/raw/a") == 200);
    CHECK_FALSE(api.exchange.response.head_only);
}

TEST_CASE("PUT: 201 creates, 200 replaces") {
    ApiHarness api;
    CHECK(api.status("PUT", "/v1/values/a", {}, put_x) == 201);
    CHECK(api.json() == Json{{"name", "a"}, {"index", 1}});
    CHECK(api.header("ETag") == "\"1\"");
    CHECK(api.header("Cairn-Consistency").empty());
    CHECK(api.status("PUT", "/v1/values/a", {}, put_y) == 200);
    CHECK(api.json() == Json{{"name", "a"}, {"index", 2}});
    CHECK(api.stored("a") == "y");
    CHECK(api.status("PUT", "/v1/values/b", {}, R"({"value_base64":"AP8="})") == 201);
    CHECK(api.stored("b") == "\0\xff"s);
}

TEST_CASE("PUT with If-Match, header or body") {
    ApiHarness api;
    const auto first = api.put("a", "x");
    SUBCASE("matching header") {
        CHECK(api.status("PUT", "/v1/values/a", {{"If-Match", tag(first)}}, put_y) == 200);
        CHECK(api.json() == Json{{"name", "a"},
                                 {"index", first + 1},
                                 {"prev_value", {{"value", "x"}, {"index", first}}}});
        CHECK(api.header("ETag") == tag(first + 1));
        CHECK(api.stored("a") == "y");
    }
    SUBCASE("matching prev_index") {
        const std::string body = R"({"value":"y","prev_index":)" + std::to_string(first) + "}";
        CHECK(api.status("PUT", "/v1/values/a", {}, body) == 200);
        CHECK(api.json()["prev_value"]["index"] == first);
    }
    SUBCASE("another index changes nothing") {
        for (const auto& [headers, body] : std::vector<std::pair<Headers, std::string_view>>{
                 {{{"If-Match", "\"99\""}}, put_y},
                 {{{"If-Match", "W/\"1\""}}, put_y},
                 {{{"If-Match", "\"0\""}}, put_y},
                 {{{"If-Match", "\"abc\""}}, put_y},
                 {{{"If-Match", "\"18446744073709551616\""}}, put_y},
                 {{}, R"({"value":"y","prev_index":99})"}}) {
            CHECK(api.status("PUT", "/v1/values/a", headers, body) == 412);
            CHECK(api.code() == "CONFLICT");
            CHECK(api.json()["current_index"] == first);
            CHECK(api.header("ETag") == tag(first));
            check_unchanged(api, "a", "x", 1);
        }
    }
    SUBCASE("not set: 412 for a header, 404 for prev_index") {
        for (const char* field : {"\"1\"", "*"}) {
            CHECK(api.status("PUT", "/v1/values/b", {{"If-Match", field}}, put_y) == 412);
            CHECK(api.code() == "NOT_FOUND");
            CHECK_FALSE(api.json().contains("current_index"));
            CHECK(api.header("ETag").empty());
            check_unchanged(api, "b", "(none)", 1);
        }
        for (const char* body :
             {R"({"value":"y","prev_index":1})", R"({"value":"y","prev_index":0})"}) {
            CHECK(api.status("PUT", "/v1/values/b", {}, body) == 404);
            CHECK(api.code() == "NOT_FOUND");
            check_unchanged(api, "b", "(none)", 1);
        }
    }
    SUBCASE("any value, but there must be one") {
        CHECK(api.status("PUT", "/v1/values/a", {{"If-Match", "*"}}, put_y) == 200);
        CHECK(api.json()["prev_value"] == Json{{"value", "x"}, {"index", first}});
        CHECK(api.status("PUT", "/v1/values/a", {}, R"({"value":"z","prev_index":0})") == 200);
        CHECK(api.json()["prev_value"]["value"] == "y");
    }
}

TEST_CASE("PUT with If-None-Match: * only creates") {
    ApiHarness api;
    CHECK(api.status("PUT", "/v1/values/a", {{"If-None-Match", "*"}}, put_x) == 201);
    const auto index = api.json()["index"].get<fsm::Index>();
    CHECK(api.status("PUT", "/v1/values/a", {{"If-None-Match", "*"}}, put_y) == 412);
    CHECK(api.code() == "ALREADY_EXISTS");
    CHECK(api.json()["current_index"] == index);
    CHECK(api.header("ETag") == tag(index));
    check_unchanged(api, "a", "x", 1);
}

TEST_CASE("PUT: preconditions that make no sense are 400 and not sent") {
    ApiHarness api;
    const auto bad = [&](const Headers& headers, std::string_view body = put_x) {
        CHECK(api.status("PUT", "/v1/values/a", headers, body) == 400);
        CHECK(api.code() == "INVALID");
        CHECK(api.decision == Decision::respond);
        check_unchanged(api, "a", "(none)", 0);
    };
    bad({{"If-None-Match", "\"1\""}});
    bad({{"If-None-Match", "1"}});
    bad({{"If-Match", "\"1\""}, {"If-None-Match", "*"}});
    bad({{"If-Match", "\"1\""}}, R"({"value":"x","prev_index":1})");
    bad({{"If-None-Match", "*"}}, R"({"value":"x","prev_index":1})");
    bad({{"If-Match", "\"1\", \"2\""}});
    bad({{"If-Match", "\"1\""}, {"If-Match", "\"2\""}});
    bad({{"If-Match", "1"}});
    bad({{"If-Match", ""}});
    bad({{"Idempotency-Key", "two words"}});
    CHECK(api.json()["detail"].get<std::string>().find("Idempotency-Key") != std::string::npos);
}

TEST_CASE("PUT: content type") {
    ApiHarness api;
    for (const char* type :
         {"application/json", "Application/JSON", "application/json;charset=utf-8",
          "application/json ; charset=\"UTF-8\"", "application/json; x=y"}) {
        CAPTURE(type);
        CHECK(api.send("PUT", "/v1/values/a", {{"Content-Type", type}}, put_x).status < 300);
    }
    for (const char* type : {"application/x-www-form-urlencoded", "text/plain", "", "json",
                             "application/json; charset=latin1", "application/jsonx",
                             "text/plain; application/json"}) {
        CAPTURE(type);
        CHECK(api.status("PUT", "/v1/values/a", {{"Content-Type", type}}, put_x) == 415);
        CHECK(api.code() == "UNSUPPORTED_MEDIA_TYPE");
        CHECK(api.json()["outcome"] == "not_applied");
    }
    CHECK(api.status("PUT", "/v1/values/a", {{"Content-Encoding", "gzip"}}, put_x) == 415);
    CHECK(api.send("PUT", "/v1/values/a", {{"Content-Encoding", "identity"}}, put_x).status == 200);
}

TEST_CASE("the size limit is that of the value's bytes") {
    ApiHarness api;
    api.options.max_value_bytes = 10;
    const auto check_too_large = [&] {
        CHECK(api.exchange.response.status == 413);
        CHECK(api.code() == "TOO_LARGE");
        CHECK(api.json()["detail"].get<std::string>().find("10 bytes") != std::string::npos);
        CHECK(api.json()["outcome"] == "not_applied");
        CHECK(api.machine.size() == 0);
    };
    api.send("PUT", "/v1/values/a", {}, R"({"value":"12345678901"})");
    check_too_large();
    api.send("PUT", "/v1/raw/a", {}, "12345678901");
    check_too_large();
    api.send("PUT", "/v1/values/a", {}, R"({"value_base64":"MTIzNDU2Nzg5MDE="})");
    check_too_large();
    api.send("POST", "/v1/values/a", {{"Content-Type", "application/json"}},
             R"({"set":{"value":"MTIzNDU2Nzg5MDE="}})");
    check_too_large();
    // Sixty bytes of JSON, ten of value.
    CHECK(
        api.status("PUT", "/v1/values/a", {},
                   R"({"value":"\u0061\u0061\u0061\u0061\u0061\u0061\u0061\u0061\u0061\u0061"})") ==
        201);
}

TEST_CASE("ttl: expire is shown, and PUT without it makes permanent") {
    ApiHarness api;
    api.utc_offset_ns = 1'767'323'040'000'000'000;
    CHECK(api.status("PUT", "/v1/values/a", {}, R"({"value":"x","ttl":"4.678s"})") == 201);
    api.send("GET", "/v1/values/a");
    CHECK(api.json()["expire"] == "2026-01-02T03:04:05.678Z");
    CHECK(api.status("PUT", "/v1/values/a", {}, put_x) == 200);
    api.send("GET", "/v1/values/a");
    CHECK_FALSE(api.json().contains("expire"));
    CHECK(api.status("PUT", "/v1/raw/a?ttl=4.678s", {}, "x") == 200);
    api.send("GET", "/v1/values/a");
    CHECK(api.json()["expire"] == "2026-01-02T03:04:05.678Z");
    CHECK(api.status("PUT", "/v1/raw/a?ttl=0s", {}, "x") == 400);
    CHECK(api.status("PUT", "/v1/values/a", {}, R"({"value":"x","ttl":"876600h"})") == 200);
}

TEST_CASE("DELETE") {
    ApiHarness api;
    CHECK(api.status("DELETE", "/v1/values/a") == 404);
    CHECK(api.json()["outcome"] == "not_applied");
    CHECK(api.status("DELETE", "/v1/values/a", {{"If-Match", "*"}}) == 412);
    CHECK(api.code() == "NOT_FOUND");
    CHECK_FALSE(api.json().contains("current_index"));
    const auto index = api.put("a", "x");
    CHECK(api.status("DELETE", "/v1/values/a", {{"If-Match", "\"99\""}}) == 412);
    CHECK(api.code() == "CONFLICT");
    CHECK(api.json()["current_index"] == index);
    CHECK(api.header("ETag") == tag(index));
    check_unchanged(api, "a", "x", 1);
    CHECK(api.status("DELETE", "/v1/values/a", {{"If-Match", "\"0\""}}) == 412);
    check_unchanged(api, "a", "x", 1);
    CHECK(api.status("DELETE", "/v1/values/a", {{"If-Match", tag(index)}}) == 200);
    CHECK(api.json() == Json{{"name", "a"}, {"value", "x"}, {"index", index}});
    CHECK(api.stored("a") == "(none)");
    api.put("a", "y");
    CHECK(api.status("DELETE", "/v1/values/a", {{"If-Match", "*"}}) == 200);
    api.put("a", "z");
    CHECK(api.status("DELETE", "/v1/values/a", {}, "{\"prev_index\":1}") == 400);
    CHECK(api.status("DELETE", "/v1/values/a", {{"If-None-Match", "*"}}) == 400);
    CHECK(api.status("DELETE", "/v1/values/a", {{"Idempotency-Key", ""}}) == 400);
    CHECK(api.stored("a") == "z");
    CHECK(api.status("DELETE", "/v1/values/a") == 200);
    CHECK(api.json()["value"] == "z");
}

TEST_CASE("raw: the body is the bytes themselves") {
    ApiHarness api;
    const std::string bytes = "<script>\0\xff"s;
    CHECK(api.status("PUT", "/v1/raw/a", {{"Content-Type", "text/html"}}, bytes) == 201);
    CHECK(api.json() == Json{{"name", "a"}, {"index", 1}});
    CHECK(api.header("ETag") == "\"1\"");
    CHECK(api.status("GET", "/v1/raw/a") == 200);
    CHECK(api.exchange.response.body == bytes);
    CHECK(api.exchange.response.content_type == "application/octet-stream");
    CHECK(api.header("ETag") == "\"1\"");
    CHECK(api.header("X-Content-Type-Options") == "nosniff");
    CHECK(api.header("Content-Security-Policy") == "sandbox; default-src 'none'");
    CHECK(api.status("GET", "/v1/raw/a", {{"If-None-Match", "\"1\""}}) == 304);
    CHECK(api.status("GET", "/v1/raw/b") == 404);
    CHECK(api.status("PUT", "/v1/raw/a", {{"If-Match", "\"9\""}}, "y") == 412);
    CHECK(api.status("PUT", "/v1/raw/a", {{"If-Match", "\"1\""}}, "") == 200);
    CHECK(api.json()["prev_value"]["value_base64"] == "PHNjcmlwdD4A/w==");
    CHECK(api.status("PUT", "/v1/raw/a", {{"If-None-Match", "*"}}, "y") == 412);
    CHECK(api.status("GET", "/v1/raw/a") == 200);
    CHECK(api.exchange.response.body.empty());
    api.send("PUT", "/v1/raw/a", {}, "last");
    CHECK(api.status("DELETE", "/v1/raw/a", {{"If-Match", "\"9\""}}) == 412);
    CHECK(api.status("DELETE", "/v1/raw/a") == 200);
    CHECK(api.exchange.response.body == "last");
    CHECK(api.status("DELETE", "/v1/raw/a") == 404);
}

TEST_CASE("list") {
    ApiHarness api;
    CHECK(api.status("GET", "/v1/values") == 200);
    CHECK(api.json() == Json{{"values", Json::array()}});
    for (const char* name : {"b/2", "a", "b/1", "b/3", "c"}) {
        api.put(name, name);
    }
    const auto names = [&](std::string_view target) {
        CHECK(api.status("GET", target) == 200);
        const auto body = api.json();
        std::string all;
        for (const auto& value : body["values"]) {
            all += value["name"].get<std::string>() + " ";
        }
        return all + (body.contains("next") ? "+" + body["next"].get<std::string>() : "");
    };
    CHECK(names("/v1/values") == "a b/1 b/2 b/3 c ");
    CHECK(names("/v1/values?prefix=b/") == "b/1 b/2 b/3 ");
    CHECK(names("/v1/values?prefix=b%2F&limit=2") == "b/1 b/2 +b/2");
    CHECK(names("/v1/values?prefix=b/&limit=2&after=b/2") == "b/3 ");
    CHECK(names("/v1/values?prefix=&after=") == "a b/1 b/2 b/3 c ");
    CHECK(names("/v1/values?limit=5") == "a b/1 b/2 b/3 c ");
    CHECK(api.header("Cairn-Index") == "5");
    CHECK(api.header("Cairn-Consistency") == "linearizable");
    api.send("GET", "/v1/values?keys_only=true&limit=1");
    CHECK(api.json()["values"][0] == Json{{"name", "a"}, {"index", 2}});
    api.send("GET", "/v1/values?keys_only=false&limit=1");
    CHECK(api.json()["values"][0] == Json{{"name", "a"}, {"index", 2}, {"value", "a"}});
    for (const char* query : {"limit=0", "limit=1001", "limit=-1", "limit=x", "limit=", "limit=1.5",
                              "keys_only=yes", "keys_only", "prefix=%ff", "after=%C0%80", "foo=1",
                              "limit=1&limit=2", "ttl=1s", "cursor=1"}) {
        CAPTURE(query);
        CHECK(api.status("GET", "/v1/values?"s + query) == 400);
    }
    CHECK(api.status("PUT", "/v1/values", {}, put_x) == 405);
    CHECK(api.header("Allow") == "GET, HEAD, OPTIONS");
}

TEST_CASE("list at an index") {
    ApiHarness api;
    api.put("a", "1");
    const fsm::Index index = api.put("b", "1");
    api.send("GET", "/v1/values?limit=1");
    CHECK(api.json()["next"] == "a");
    CHECK(api.json()["index"] == index);
    CHECK(api.operation.at_index == 0);
    api.send("GET", "/v1/values?limit=1&after=a&at_index=" + std::to_string(index));
    CHECK(api.operation.at_index == index);
    CHECK_FALSE(api.json().contains("index"));
    api.operation.too_old = true;
    render(api.operation, api.view, api.exchange);
    CHECK(api.exchange.response.status == 410);
    CHECK(api.code() == "NOT_FOUND");
    for (const char* query : {"at_index=0", "at_index=x", "at_index=", "wait=1s"}) {
        CHECK(api.status("GET", "/v1/values?"s + query) == 400);
    }
    CHECK(api.status("GET", "/v1/values/a?at_index=1") == 400);
}

TEST_CASE("a list too long in bytes goes on at next") {
    ApiHarness api;
    const std::string megabyte(std::size_t{1} << 20, 'x');
    for (char c = 'a'; c < 'm'; ++c) {
        api.send("PUT", "/v1/raw/"s + c, {}, megabyte);
    }
    std::size_t seen = 0;
    std::string after;
    int pages = 0;
    for (; pages < 10; ++pages) {
        api.send("GET", "/v1/values?after=" + after);
        CHECK(api.exchange.response.body.size() < std::size_t{10} << 20);
        seen += api.json()["values"].size();
        if (!api.json().contains("next")) {
            break;
        }
        after = api.json()["next"].get<std::string>();
    }
    CHECK(seen == 12);
    CHECK(pages == 1);
}

TEST_CASE("POST: protobuf JSON") {
    ApiHarness api;
    const Headers json = {{"Content-Type", "application/json"}};
    const auto post = [&](std::string_view body) {
        return api.status("POST", "/v1/values/a", json, body);
    };
    CHECK(post(R"({"get":{}})") == 404);
    CHECK_FALSE(api.json().contains("outcome"));
    CHECK(api.header("Cairn-Consistency") == "linearizable");
    CHECK(post(R"({"update":{"value":"aGk="}})") == 404);
    CHECK(api.json()["outcome"] == "not_applied");
    CHECK(post(R"({"set":{"value":"aGk="}})") == 200);
    const auto index = std::stoull(api.json()["set"]["index"].get<std::string>());
    CHECK(api.stored("a") == "hi");
    CHECK(post(R"({"get":{}})") == 200);
    CHECK(api.json() ==
          Json{{"get", {{"value", {{"value", "aGk="}, {"index", std::to_string(index)}}}}}});
    CHECK(post(R"({"update":{"value":"eA==","prevIndex":"99"}})") == 412);
    CHECK(api.json()["current_index"] == index);
    CHECK(api.code() == "CONFLICT");
    const auto update =
        R"({"update":{"value":"eA==","prevIndex":")" + std::to_string(index) + R"(","ttl":"30s"}})";
    CHECK(post(update) == 200);
    CHECK(api.json()["update"]["prevValue"]["value"] == "aGk=");
    CHECK(api.machine.get("a")->deadline_ns == api.now_ns + 30'000'000'000);
    CHECK(post(R"({"update":{"value":"eQ==","prev_index":0}})") == 200);
    CHECK(post(R"({"delete":{"prevIndex":"1"}})") == 412);
    CHECK(post(R"({"delete":{}})") == 200);
    CHECK(api.json()["delete"]["value"]["value"] == "eQ==");
}

TEST_CASE("POST: what is refused") {
    ApiHarness api;
    const Headers json = {{"Content-Type", "application/json"}};
    for (const char* body : {"",
                             "{}",
                             "[]",
                             "x",
                             R"({"set":{"value":"a!"}})",
                             R"({"foo":{}})",
                             R"({"set":{"value":"aGk=","foo":1}})",
                             R"({"get":null})",
                             R"({"get":{},"set":{"value":"aGk="}})",
                             R"({"set":{"value":"aGk=","ttl":"0s"}})",
                             R"({"set":{"value":"aGk=","ttl":"-1s"}})",
                             R"({"set":{"value":"aGk=","ttl":"1h"}})",
                             R"({"set":{"value":"aGk=","ttl":"9999999999s"}})",
                             R"({"update":{"value":"aGk=","ttl":"0s"}})",
                             R"({"update":{"value":"aGk=","prevIndex":"-1"}})",
                             R"({"set":{"value":"aGk="},"set":{"value":"aGk="}})",
                             R"({"set":{"value":"aGk=","value":"aGk="}})",
                             R"({"set":{"value":"aGk=","val\u0075e":""}})",
                             R"({"update":{"prev_index":"1","prevIndex":"5","value":"aGk="}})",
                             R"({"update":{"prevIndex":"1","prev_index":"5","value":"aGk="}})",
                             R"({"set":{"value":'aGk='}})",
                             R"({set:{"value":"aGk="}})"}) {
        CAPTURE(body);
        CHECK(api.status("POST", "/v1/values/a", json, body) == 400);
        CHECK(api.code() == "INVALID");
        CHECK(api.json()["outcome"] == "not_applied");
        CHECK(api.machine.size() == 0);
    }
    const auto detail = [&](std::string_view body) {
        CHECK(api.status("POST", "/v1/values/a%20b", json, body) == 400);
        return api.json()["detail"].get<std::string>();
    };
    CHECK(detail(R"({"watch":{}})").find("/v1/watch/a%20b") != std::string::npos);
    CHECK(detail(R"({"events":{}})").find("/v1/events/a%20b") != std::string::npos);
    constexpr std::string_view set = R"({"set":{"value":"aGk="}})";
    CHECK(api.status("POST", "/v1/values/a", {}, set) == 415);
    CHECK(api.status("POST", "/v1/values/a", {{"Content-Type", "text/plain"}}, set) == 415);
    CHECK(api.status("POST", "/v1/values/a",
                     {{"Content-Type", "application/json"}, {"If-Match", "\"1\""}}, set) == 400);
    CHECK(api.status("POST", "/v1/values/a",
                     {{"Content-Type", "application/json"}, {"Idempotency-Key", " "}}, set) == 400);
    CHECK(api.status("POST", "/v1/values/a?min_index=1", json, set) == 400);
    CHECK(api.machine.size() == 0);
}

TEST_CASE("POST: binary protobuf both ways") {
    ApiHarness api;
    const Headers binary = {{"Content-Type", "application/x-protobuf"}};
    seed::AtomicValueInput input;
    input.mutable_set()->set_value("\0\xff"s);
    CHECK(api.status("POST", "/v1/values/a", binary, input.SerializeAsString()) == 200);
    CHECK(api.exchange.response.content_type == "application/x-protobuf");
    seed::AtomicValueOutput output;
    REQUIRE(output.ParseFromString(api.exchange.response.body));
    CHECK(output.set().index() == 1);
    input.mutable_get();
    CHECK(api.status("POST", "/v1/values/a", binary, input.SerializeAsString()) == 200);
    REQUIRE(output.ParseFromString(api.exchange.response.body));
    CHECK(output.get().value().value() == "\0\xff"s);
    CHECK(output.get().value().index() == 1);
    input.mutable_delete_()->set_prev_index(7);
    CHECK(api.status("POST", "/v1/values/a", binary, input.SerializeAsString()) == 412);
    CHECK(api.exchange.response.content_type == "application/problem+json");
    CHECK(api.status("POST", "/v1/values/a", binary, "\xff") == 400);
    CHECK(api.status("POST", "/v1/values/a", binary, "") == 400);
    // A field of the future is not carried into the log.
    input.mutable_set()->set_value("x");
    const std::string unknown = input.SerializeAsString() + "\x82\x7d\x02zz"s;
    CHECK(api.status("POST", "/v1/values/a", binary, unknown) == 200);
    CHECK(api.operation.command.find("zz") == std::string::npos);
    input.mutable_get();
    api.put("empty", "");
    CHECK(api.status("POST", "/v1/values/empty", binary, input.SerializeAsString()) == 200);
    REQUIRE(output.ParseFromString(api.exchange.response.body));
    CHECK(output.get().has_value());
}

}  // namespace

TEST_CASE("Idempotency-Key: the first answer again, for the same request only") {
    ApiHarness api;
    const Headers with_key = {{"Content-Type", "application/json"}, {"Idempotency-Key", "k"}};
    CHECK(api.status("PUT", "/v1/values/a", with_key, R"({"value":"x"})") == 201);
    const Json first = api.json();
    CHECK(api.header("Idempotency-Replayed") == "");
    api.put("a", "y");
    CHECK(api.status("PUT", "/v1/values/a", with_key, R"({"value":"x"})") == 201);
    CHECK(api.json() == first);
    CHECK(api.header("Idempotency-Replayed") == "true");
    CHECK(api.stored("a") == "y");
    CHECK(api.status("PUT", "/v1/values/a", with_key, R"({"value":"z"})") == 422);
    CHECK(api.code() == "IDEMPOTENCY_MISMATCH");
    CHECK(api.status("PUT", "/v1/values/b", with_key, R"({"value":"x"})") == 422);
    CHECK(api.status("PUT", "/v1/values/a", with_key, R"({"value":"x","ttl":"1s"})") == 422);
    CHECK(api.status("DELETE", "/v1/values/a", {{"Idempotency-Key", "k"}}) == 422);
    CHECK(api.status("DELETE", "/v1/values/a",
                     {{"Idempotency-Key", "other"}, {"Idempotency-Key", "k"}}) == 400);
    CHECK(api.stored("a") == "y");
}
