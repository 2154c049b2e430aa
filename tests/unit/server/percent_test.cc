#include "server/base/percent.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace {

using namespace cairn::server;
using namespace std::string_literals;

std::string decoded(std::string_view text) {
    std::string out;
    return percent_decode(text, out) ? out : "bad";
}

std::string query_error(std::string_view query) {
    std::vector<QueryParameter> parameters;
    std::string error;
    CHECK_FALSE(parse_query(query, parameters, error));
    return error;
}

TEST_CASE("percent: decodes once") {
    CHECK(decoded("") == "");
    CHECK(decoded("a/b") == "a/b");
    CHECK(decoded("a%2Fb%2fc") == "a/b/c");
    CHECK(decoded("%25%32%35") == "%25");
    CHECK(decoded("%00%ff") == "\0\xff"s);
    CHECK(decoded("a+b") == "a+b");
    for (const char* text : {"%", "%1", "a%", "%zz", "%1g", "%g1", "% 1", "%%41", "%+1", "%-1"}) {
        CAPTURE(text);
        CHECK(decoded(text) == "bad");
    }
}

TEST_CASE("percent: encodes what can't stand in a path") {
    std::string out;
    percent_encode_path("a/b c%\xc3\xa4~?", out);
    CHECK(out == "a/b%20c%25%C3%A4~%3F");
    CHECK(decoded(out) == "a/b c%\xc3\xa4~?");
}

TEST_CASE("query: names and values") {
    std::vector<QueryParameter> parameters;
    std::string error;
    REQUIRE(parse_query("a=1&b=x%20y+z%2B&c&d==&&e=", parameters, error));
    REQUIRE(parameters.size() == 5);
    CHECK(parameters[0].name == "a");
    CHECK(parameters[0].value == "1");
    CHECK(parameters[1].value == "x y z+");
    CHECK(parameters[2].name == "c");
    CHECK(parameters[2].value == "");
    CHECK(parameters[3].value == "=");
    CHECK(parameters[4].name == "e");
    REQUIRE(parse_query("", parameters, error));
    CHECK(parameters.empty());
}

TEST_CASE("query: duplicates and bad escapes are refused") {
    CHECK(query_error("a=1&a=1").find("\"a\"") != std::string::npos);
    CHECK(query_error("a=1&b=2&%61=3").find("\"a\"") != std::string::npos);
    CHECK_FALSE(query_error("a=%").empty());
    CHECK_FALSE(query_error("%4=1").empty());
    CHECK_FALSE(query_error("=1").empty());
    std::string many;
    for (int i = 0; i < 100; ++i) {
        many += "p" + std::to_string(i) + "&";
    }
    CHECK_FALSE(query_error(many).empty());
}

TEST_CASE("target: path and query") {
    CHECK(split_target("/a").first == "/a");
    CHECK(split_target("/a").second.empty());
    CHECK(split_target("/a?b?c").first == "/a");
    CHECK(split_target("/a?b?c").second == "b?c");
    CHECK(split_target("/a%3Fb").first == "/a%3Fb");
}

}  // namespace
