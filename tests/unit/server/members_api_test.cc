// POST /v1/cluster/members and DELETE /v1/cluster/members/{id}, by the real router.
#include "server/api/members_api.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/unit/server/api_harness.h"

namespace {

using namespace cairn;
using namespace cairn::server;

const Headers as_json = {{"Content-Type", "application/json"}};
constexpr std::string_view members_path = "/v1/cluster/members";

int add(ApiHarness& api, std::string_view body, const Headers& headers = as_json) {
    return api.status("POST", members_path, headers, body);
}

}  // namespace

TEST_CASE("members api: what is asked for reaches the node, in one form") {
    ApiHarness api;
    CHECK(add(api, R"({"id":4,"raft":"Node-4.Example:7004"})") == 201);
    CHECK(api.operation.kind == Operation::Kind::add_member);
    CHECK(api.operation.member == 4);
    CHECK(api.operation.member_address == "node-4.example:7004");
    CHECK_FALSE(api.operation.stays_learner);
    CHECK(api.operation.timeout_ms == api.options.default_timeout_ms);
    CHECK(api.status("POST", "/v1/cluster/members?timeout=2s",
                     {{"Content-Type", "Application/JSON; charset=utf-8"}},
                     R"( { "learner" : true , "raft":"[::1]:1","id":9223372036854775808 } )") ==
          201);
    CHECK(api.operation.member == std::uint64_t{1} << 63U);
    CHECK(api.operation.member_address == "[::1]:1");
    CHECK(api.operation.stays_learner);
    CHECK(api.operation.timeout_ms == 2000);
    CHECK(add(api, R"({"id":4,"raft":"a:1","learner":false})") == 201);
    CHECK_FALSE(api.operation.stays_learner);

    CHECK(api.status("DELETE", "/v1/cluster/members/17?timeout=3s") == 200);
    CHECK(api.operation.kind == Operation::Kind::remove_member);
    CHECK(api.operation.member == 17);
    CHECK(api.operation.timeout_ms == 3000);
}

TEST_CASE("members api: bodies that don't say who") {
    ApiHarness api;
    const std::vector<std::string> bad = {
        "",
        "4",
        "null",
        "[]",
        "{}",
        "\xff",
        std::string("{\"id\":4,\"raft\":\"a\0:1\"}", 22),
        R"({"id":4,"raft":"a:1")",
        R"({"id":4,"raft":"a:1"} x)",
        R"({"id":4,"raft":"a:1"}{"id":4,"raft":"a:1"})",
        R"({"id":4})",
        R"({"raft":"a:1"})",
        R"({"id":0,"raft":"a:1"})",
        R"({"id":-4,"raft":"a:1"})",
        R"({"id":-0,"raft":"a:1"})",
        R"({"id":4.0,"raft":"a:1"})",
        R"({"id":4e0,"raft":"a:1"})",
        R"({"id":"4","raft":"a:1"})",
        R"({"id":null,"raft":"a:1"})",
        R"({"id":[4],"raft":"a:1"})",
        R"({"id":true,"raft":"a:1"})",
        R"({"id":9223372036854775809,"raft":"a:1"})",
        R"({"id":18446744073709551616,"raft":"a:1"})",
        R"({"id":99999999999999999999999999,"raft":"a:1"})",
        R"({"id":4,"raft":null})",
        R"({"id":4,"raft":7000})",
        R"({"id":4,"raft":["a:1"]})",
        R"({"id":4,"raft":""})",
        R"({"id":4,"raft":"a"})",
        R"({"id":4,"raft":"a:"})",
        R"({"id":4,"raft":"a:0"})",
        R"({"id":4,"raft":"a:65536"})",
        R"({"id":4,"raft":"a:-1"})",
        R"({"id":4,"raft":"a b:1"})",
        R"({"id":4,"raft":"a\n:1"})",
        R"({"id":4,"raft":"http://a:1"})",
        R"({"id":4,"raft":"0.0.0.0:1"})",
        R"({"id":4,"raft":"[::]:1"})",
        R"({"id":4,"raft":")" + std::string(10'000, 'a') + R"(:1"})",
        R"({"id":4,"raft":"a:1","learner":1})",
        R"({"id":4,"raft":"a:1","learner":"true"})",
        R"({"id":4,"raft":"a:1","learner":null})",
        R"({"id":4,"raft":"a:1","voter":true})",
        R"({"id":4,"raft":"a:1","":1})",
        R"({"id":4,"raft":"a:1","ID":5})",
        R"({"id":4,"id":5,"raft":"a:1"})",
        R"({"id":4,"raft":"a:1","raft":"a:1"})",
        R"({"learner":true,"id":4,"raft":"a:1","learner":false})",
        std::string(100'000, '['),
        R"({"id":)" + std::string(100'000, '[') + std::string(100'000, ']') + R"(,"raft":"a:1"})",
    };
    for (const std::string& body : bad) {
        CAPTURE(body.substr(0, 100));
        api.operation.kind = Operation::Kind::get;
        CHECK(add(api, body) == 400);
        CHECK(api.code() == "INVALID");
        CHECK(api.json()["outcome"] == "not_applied");
        CHECK(api.operation.kind == Operation::Kind::get);  // nothing was begun
    }
    CHECK(add(api, R"({"id":4,"id":5,"raft":"a:1"})") == 400);
    CHECK(api.json()["detail"] == "The body has the member \"id\" twice.");
}

TEST_CASE("members api: media types, parameters, origins") {
    ApiHarness api;
    constexpr std::string_view body = R"({"id":4,"raft":"a:1"})";
    CHECK(add(api, body, {}) == 415);
    CHECK(add(api, body, {{"Content-Type", "text/plain"}}) == 415);
    CHECK(add(api, body, {{"Content-Type", "application/jsonx"}}) == 415);
    CHECK(add(api, body, {{"Content-Type", "application/x-www-form-urlencoded"}}) == 415);
    for (const char* query : {"?x=1", "?timeout=", "?timeout=0s", "?timeout=61s",
                              "?consistency=local", "?timeout=1s&timeout=2s"}) {
        CAPTURE(query);
        CHECK(api.status("POST", std::string(members_path) + query, as_json, body) == 400);
        CHECK(api.status("DELETE", std::string(members_path) + "/4" + query) == 400);
    }
    constexpr const char* evil = "http://evil.example";
    CHECK(add(api, body, {{"Content-Type", "application/json"}, {"Origin", evil}}) == 403);
    CHECK(add(api, body, {{"Content-Type", "application/json"}, {"Origin", "null"}}) == 403);
    CHECK(api.status("DELETE", "/v1/cluster/members/4", {{"Origin", evil}}) == 403);
    CHECK(api.json()["outcome"] == "not_applied");
    CHECK(api.status("DELETE", "/v1/cluster/members/4", {{"Origin", "http://localhost:8080"}}) ==
          200);
}

TEST_CASE("members api: ids in the path, and a body where there is none") {
    ApiHarness api;
    for (const char* id : {"", "abc", "0", "-1", "+1", "1.0", "1e0", "1/2", "1/", "%31", "1%20",
                           " 1", "0x1", "9223372036854775809", "18446744073709551616", "%"}) {
        CAPTURE(id);
        CHECK(api.status("DELETE", "/v1/cluster/members/" + std::string(id)) == 400);
        CHECK(api.code() == "INVALID");
    }
    CHECK(api.status("DELETE", "/v1/cluster/members/1", {}, "{}") == 400);
    CHECK(api.status("DELETE", "/v1/cluster/members/9223372036854775808") == 200);
}

TEST_CASE("members api: methods") {
    ApiHarness api;
    for (const char* method : {"GET", "HEAD", "PUT", "DELETE", "PATCH", "post"}) {
        CAPTURE(method);
        CHECK(api.status(method, members_path) == 405);
        CHECK(api.header("Allow") == "POST, OPTIONS");
    }
    for (const char* method : {"GET", "PUT", "POST", "delete"}) {
        CAPTURE(method);
        CHECK(api.status(method, "/v1/cluster/members/4") == 405);
        CHECK(api.header("Allow") == "DELETE, OPTIONS");
    }
    CHECK(api.status("OPTIONS", members_path) == 204);
    CHECK(api.header("Allow") == "POST, OPTIONS");
    CHECK(api.status("OPTIONS", "/v1/cluster/members/4") == 204);
    CHECK(api.header("Allow") == "DELETE, OPTIONS");
}

TEST_CASE("members api: what became of it") {
    ApiHarness api;
    api.cluster.cluster_id = 0xabc;
    MemberStatus member;
    member.id = 4;
    member.raft_address = "a:1";
    member.voter = false;
    member.disk_id = 0x1f;
    api.cluster.members = {member};
    constexpr std::string_view body = R"({"id":4,"raft":"A:1"})";
    CHECK(add(api, body) == 201);
    CHECK(api.json()["id"] == 4);
    CHECK(api.json()["raft"] == "a:1");
    CHECK(api.json()["cluster"]["cluster_id"] == "0000000000000abc");
    CHECK(api.json()["cluster"]["members"][0]["role"] == "learner");
    CHECK(api.json()["cluster"]["members"][0]["disk_id"] == "000000000000001f");
    CHECK(api.status("DELETE", "/v1/cluster/members/4") == 200);
    CHECK(api.json()["id"] == 4);
    CHECK(api.json()["cluster"]["members"].size() == 1);

    api.membership = MembershipOutcome::unchanged;
    CHECK(add(api, body) == 200);
    CHECK(api.json()["id"] == 4);
    CHECK(api.status("DELETE", "/v1/cluster/members/4") == 200);

    api.membership = MembershipOutcome::conflict;
    api.membership_error = "Not \"now\".";
    for (const bool adds : {true, false}) {
        CHECK((adds ? add(api, body) : api.status("DELETE", "/v1/cluster/members/4")) == 409);
        CHECK(api.json()["status"] == 409);
        CHECK(api.code() == "CONFLICT");
        CHECK(api.json()["detail"] == "Not \"now\".");
        CHECK(api.json()["outcome"] == "not_applied");
        CHECK_FALSE(api.json().contains("cluster"));
    }

    api.membership = MembershipOutcome::not_found;
    CHECK(api.status("DELETE", "/v1/cluster/members/4") == 404);
    CHECK(api.code() == "NOT_FOUND");

    api.failure = Failure::unknown;
    CHECK(add(api, body) == 504);
    CHECK(api.json()["outcome"] == "unknown");
    api.failure = Failure::interrupted;
    CHECK(api.status("DELETE", "/v1/cluster/members/4") == 503);
    CHECK(api.json()["outcome"] == "unknown");
    for (const Failure failure : {Failure::timeout, Failure::no_leader, Failure::overloaded}) {
        api.failure = failure;
        CHECK(add(api, body) >= 503);
        CHECK(api.json()["outcome"] == "not_applied");
    }
}
