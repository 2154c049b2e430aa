#include "server/api/value_json.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "fsm/utf8.h"
#include "server/api/cluster_json.h"
#include "server/api/value_body.h"
#include "server/base/base64.h"
#include "server/base/json_text.h"

namespace {

using namespace cairn;
using namespace cairn::server;
using Json = nlohmann::json;
using namespace std::string_literals;

fsm::Value value_of(std::string bytes, fsm::Index index, std::int64_t deadline_ns = 0) {
    return {std::make_shared<const std::string>(std::move(bytes)), index, deadline_ns};
}

std::string value_json(std::string bytes, std::int64_t deadline_ns = 0, std::int64_t offset = 0) {
    std::string out;
    append_value_json("a/b", value_of(std::move(bytes), 7, deadline_ns), offset, out);
    return out;
}

std::string body_error(std::string_view body) {
    PutBody result;
    return parse_put_body(body, result).value_or("");
}

TEST_CASE("value json: text, bytes and expiry") {
    CHECK(value_json("x") == R"({"name":"a/b","value":"x","index":7})");
    CHECK(value_json("") == R"({"name":"a/b","value":"","index":7})");
    CHECK(value_json("\xff\xfe") == R"({"name":"a/b","value_base64":"//4=","index":7})");
    CHECK(value_json("x", 5'678'000'000, 1'767'323'040'000'000'000) ==
          R"({"name":"a/b","value":"x","index":7,"expire":"2026-01-02T03:04:05.678Z"})");
    // An absurd offset out of the log must not overflow.
    CHECK(Json::parse(value_json("x", INT64_MAX, INT64_MAX))["expire"] ==
          "2262-04-11T23:47:16.854Z");
    CHECK(Json::parse(value_json("x", 1, INT64_MIN))["expire"] == "1970-01-01T00:00:00.000Z");
}

TEST_CASE("value json: every byte comes back") {
    std::string ascii;
    for (int c = 0; c < 128; ++c) {
        ascii += static_cast<char>(c);
    }
    const std::string text = ascii + "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80" + ascii;
    CHECK(Json::parse(value_json(text))["value"].get<std::string>() == text);
    std::string all;
    for (int c = 0; c < 256; ++c) {
        all += static_cast<char>(c);
    }
    std::string back;
    REQUIRE(decode_base64(Json::parse(value_json(all))["value_base64"].get<std::string>(), back));
    CHECK(back == all);
}

TEST_CASE("value json: written, deleted") {
    std::string out;
    append_written_json("a", 9, nullptr, out);
    CHECK(out == R"({"name":"a","index":9})");
    out.clear();
    const auto previous = value_of("x", 7, 1);
    append_written_json("a", 9, &previous, out);
    CHECK(out == R"({"name":"a","index":9,"prev_value":{"value":"x","index":7}})");
    out.clear();
    append_deleted_json("a\"", previous, out);
    CHECK(out == R"({"name":"a\"","value":"x","index":7})");
}

TEST_CASE("value json: lists") {
    const std::vector<fsm::ListItem> items = {{"a", value_of("x", 1)}, {"b", value_of("y", 2, 1)}};
    const auto list = [&](bool more, bool keys_only, std::size_t bytes_max) {
        std::string out;
        append_list_json(items, more, keys_only, 57, 0, bytes_max, out);
        return out;
    };
    CHECK(list(false, false, 1000) ==
          R"({"values":[{"name":"a","value":"x","index":1},{"name":"b","value":"y","index":2,)"
          R"("expire":"1970-01-01T00:00:00.000Z"}]})");
    CHECK(list(true, true, 1000) ==
          R"({"values":[{"name":"a","index":1},{"name":"b","index":2,)"
          R"("expire":"1970-01-01T00:00:00.000Z"}],"next":"b","index":57})");
    // At least one item, then the bound; where it ends, the list says so.
    CHECK(list(false, true, 1) == R"({"values":[{"name":"a","index":1}],"next":"a","index":57})");
    std::string empty;
    append_list_json({}, false, false, 57, 0, 1000, empty);
    CHECK(empty == R"({"values":[]})");
}

TEST_CASE("put body: what is one") {
    PutBody body;
    REQUIRE_FALSE(parse_put_body(R"({"value":"x"})", body));
    CHECK(body.value == "x");
    CHECK_FALSE(body.ttl_ns);
    CHECK_FALSE(body.prev_index);
    REQUIRE_FALSE(parse_put_body(
        " {\"prev_index\" : 18446744073709551615,\n\"ttl\":\"1.5s\", \"value_base64\":\"//4=\"} ",
        body));
    CHECK(body.value == "\xff\xfe");
    CHECK(body.ttl_ns == 1'500'000'000);
    CHECK(body.prev_index == UINT64_MAX);
    REQUIRE_FALSE(parse_put_body(R"({"value":"","prev_index":0})", body));
    CHECK(body.value.empty());
    CHECK_FALSE(body.ttl_ns);
    CHECK(body.prev_index == 0);
    REQUIRE_FALSE(parse_put_body(R"({"value":"\u0000\ud83d\ude00\"ä"})", body));
    CHECK(body.value == "\0\xf0\x9f\x98\x80\"\xc3\xa4"s);
    REQUIRE_FALSE(parse_put_body(R"({"value_base64":""})", body));
    CHECK(body.value.empty());
}

TEST_CASE("put body: what is none, and the error names it") {
    const std::vector<std::pair<std::string, const char*>> rows = {
        {"", "empty"},
        {"x", "valid JSON"},
        {"{", "valid JSON"},
        {R"({"value":"x"} x)", "valid JSON"},
        {R"({"value":"x"}{})", "valid JSON"},
        {R"({"value":"x",})", "valid JSON"},
        {R"({"value":"x"/*c*/})", "valid JSON"},
        {R"({'value':'x'})", "valid JSON"},
        {R"({"value":"\ud800"})", "valid JSON"},
        {"{\"value\":\"\xff\"}", "valid JSON"},
        {"{\"value\":\"\xed\xa0\x80\"}", "valid JSON"},
        {"{\"value\":\"a\nb\"}", "valid JSON"},
        {"{\"value\":\"x\"}\0"s, "NUL"},
        {"{\"value\":\"x\"}\0{}"s, "NUL"},
        {"[]", "object"},
        {"\"x\"", "object"},
        {"42", "object"},
        {"null", "object"},
        {"true", "object"},
        {"{}", "no \"value\""},
        {R"({"ttl":"1s"})", "no \"value\""},
        {R"({"value":"x","value_base64":"eA=="})", "both"},
        {R"({"value_base64":"eA==","value":"x"})", "both"},
        {R"({"value":"x","value":"y"})", "\"value\" is there more than once"},
        {R"({"value":"x","ttl":"1s","ttl":"1s"})", "\"ttl\" is there more than once"},
        {R"({"value":"x","val\u0075e":"y"})", "more than once"},
        {R"({"value":"x","tll":"1s"})", "\"tll\""},
        {R"({"Value":"x"})", "\"Value\""},
        {R"({"value":"x","":1})", "unknown member"},
        {R"({"value":1})", "\"value\" must be a string"},
        {R"({"value":null})", "\"value\" must be a string"},
        {R"({"value":true})", "\"value\" must be a string"},
        {R"({"value":["x"]})", "\"value\" must be a string"},
        {R"({"value":{"a":1}})", "\"value\" must be a string"},
        {R"({"value_base64":7})", "\"value_base64\" must be a string"},
        {R"({"value_base64":"eA"})", "base64"},
        {R"({"value_base64":"eB=="})", "base64"},
        {R"({"value_base64":"_-8="})", "base64"},
        {R"({"value_base64":"eA== "})", "base64"},
        {R"({"value":"x","ttl":30})", "\"ttl\" must be a string"},
        {R"({"value":"x","ttl":null})", "\"ttl\" must be a string"},
        {R"({"value":"x","ttl":"0s"})", "\"0s\""},
        {R"({"value":"x","ttl":"-1s"})", "\"-1s\""},
        {R"({"value":"x","ttl":"soon"})", "\"soon\""},
        {R"({"value":"x","prev_index":-1})", "\"prev_index\" must be"},
        {R"({"value":"x","prev_index":1.0})", "\"prev_index\" must be"},
        {R"({"value":"x","prev_index":1e2})", "\"prev_index\" must be"},
        {R"({"value":"x","prev_index":"1"})", "\"prev_index\" must be"},
        {R"({"value":"x","prev_index":null})", "\"prev_index\" must be"},
        {R"({"value":"x","prev_index":18446744073709551616})", "\"prev_index\" must be"},
    };
    for (const auto& [body, part] : rows) {
        CAPTURE(body);
        const auto error = body_error(body);
        CAPTURE(error);
        CHECK(error.find(part) != std::string::npos);
    }
    // Depth costs nothing: nesting is refused where it begins.
    CHECK_FALSE(body_error("{\"value\":" + std::string(1'000'000, '[')).empty());
    CHECK_FALSE(body_error(std::string(1'000'000, '[')).empty());
}

TEST_CASE("put body: the short way and the parser agree about every text") {
    // The second form has a member that only the parser knows.
    const auto check_both = [](const std::string& text) {
        CAPTURE(text);
        PutBody plain;
        PutBody parsed;
        const auto plain_error = parse_put_body("{\"value\":\"" + text + "\"}", plain);
        const auto parsed_error =
            parse_put_body("{\"value\":\"" + text + "\",\"ttl\":\"1s\"}", parsed);
        CHECK(plain_error.has_value() == parsed_error.has_value());
        if (!plain_error && !parsed_error) {
            CHECK(plain.value == parsed.value);
        }
    };
    for (int first = 0; first < 256; ++first) {
        for (int second = 0; second < 256; ++second) {
            check_both({static_cast<char>(first), static_cast<char>(second)});
        }
        check_both("\xe2"s + static_cast<char>(first) + "\x82");
        check_both("\xf0\x9f"s + static_cast<char>(first) + "\x80");
    }
    PutBody body;
    CHECK_FALSE(parse_put_body(" \n{ \t\"value\" : \r\"x\" } ", body));
    CHECK(body.value == "x");
    for (const char* bad : {"{\"value\":\"x\"", "{\"value\":\"x}", "{\"value\"\"x\"}",
                            "\"value\":\"x\"}", "{\"value\":\"x\"}}", "{\"value\":\"x\",}"}) {
        CAPTURE(bad);
        CHECK(parse_put_body(bad, body));
    }
}

TEST_CASE("base64: strict both ways") {
    const std::vector<std::pair<std::string, std::string>> rows = {
        {"", ""},        {"f", "Zg=="},          {"fo", "Zm8="},
        {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff", "+/8="},
    };
    for (const auto& [bytes, text] : rows) {
        std::string out;
        append_base64(bytes, out);
        CHECK(out == text);
        std::string back;
        CHECK(decode_base64(text, back));
        CHECK(back == bytes);
    }
    for (const char* text : {"Z", "Zg", "Zg=", "Zg===", "=Zg=", "Z===", "====", "Zg==Zg==", "Zh==",
                             "Zm9=", "Zm 8=", "Zm8\n", "-_8=", "Zg=a"}) {
        CAPTURE(text);
        std::string back;
        CHECK_FALSE(decode_base64(text, back));
    }
}

TEST_CASE("utf8: table 3-7 of Unicode") {
    for (const char* text :
         {"", "a", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
          "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
          "12345678\xc3\xa4"
          "12345678"}) {
        CHECK(fsm::is_valid_utf8(text));
    }
    for (const char* text :
         {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc2", "\xc2\x41", "\xe0\x9f\xbf", "\xe0\xa0",
          "\xed\xa0\x80", "\xed\xbf\xbf", "\xe2\x82", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
          "\xf5\x80\x80\x80", "\xff", "\xf0\x9f\x98", "12345678\xff",
          "1234567\xff"
          "8"}) {
        CAPTURE(text);
        CHECK_FALSE(fsm::is_valid_utf8(text));
    }
    CHECK(fsm::valid_utf8_prefix("abc\xff"
                                 "d") == 3);
    std::string lossy;
    append_json_string("a\xff\xfe\xc3\xa4\xc3", lossy);
    CHECK(lossy == "\"a\xef\xbf\xbd\xef\xbf\xbd\xc3\xa4\xef\xbf\xbd\"");
}

TEST_CASE("cluster json") {
    ClusterStatus status;
    status.cluster_id = 0xab12;
    status.node = 1;
    status.state = "leader";
    status.leader = 1;
    status.term = 3;
    status.commit_index = 9;
    status.applied_index = 8;
    status.last_index = 10;
    status.ready = true;
    status.members.resize(2);
    status.leader_since_utc_ns = 1'700'000'000'250'000'000;
    status.started_utc_ns = 1'700'000'000'000'000'000;
    status.snapshot_index = 7;
    status.removed = {3, 12};
    status.disk_ns = 1'234'567;
    status.members[0].id = 1;
    status.members[0].raft_address = "a:1";
    status.members[0].http_address = "a:2";
    status.members[0].disk_id = 0xd15c;
    status.members[0].state = "leader";
    status.members[0].match_index = 10;
    status.members[0].lag = 0;
    status.members[0].last_contact_ms = 0;
    status.members[1].id = 2;
    status.members[1].voter = false;
    status.members[1].state = "unknown";
    status.members[1].rtt_ns = 50'999;
    status.members[1].hears = true;
    status.members[1].reaches = false;
    std::string out;
    append_cluster_json(status, out);
    CHECK(Json::parse(out) ==
          Json::parse(R"({"cluster_id":"000000000000ab12","node":1,"state":"leader","leader":1,
            "term":3,"commit_index":9,"applied_index":8,"last_index":10,"ready":true,
            "version":")" CAIRN_VERSION R"(","snapshot_index":7,"disk_ms":1.234,
            "started_at":"2023-11-14T22:13:20.000Z","leader_since":"2023-11-14T22:13:20.250Z",
            "members":[
            {"id":1,"raft":"a:1","http":"a:2","role":"voter","state":"leader",
             "disk_id":"000000000000d15c","match_index":10,
             "lag":0,"last_contact_ms":0},
            {"id":2,"raft":"","role":"learner","state":"unknown","rtt_ms":0.050,
             "hears":true,"reaches":false}],"removed":[3,12]})"));
    // What is not known is left out.
    status = {};
    out.clear();
    append_cluster_json(status, out);
    CHECK(!Json::parse(out).contains("leader_since"));
    CHECK(!Json::parse(out).contains("disk_ms"));
    CHECK(!Json::parse(out).contains("not_ready_reason"));
    CHECK(Json::parse(out)["removed"] == Json::array());
    status.not_ready_reason = "Nobody leads.";
    out.clear();
    append_cluster_json(status, out);
    CHECK(Json::parse(out)["not_ready_reason"] == "Nobody leads.");
}

}  // namespace
