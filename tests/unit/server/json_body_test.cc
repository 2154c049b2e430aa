#include "server/api/json_body.h"

#include <string>

#include <doctest/doctest.h>

namespace {

using namespace cairn::server;
using namespace std::string_literals;

std::string fault_of(std::string_view text) {
    return check_json(text).fault;
}

std::string repeated(std::string_view text, int times) {
    std::string result;
    for (int i = 0; i < times; ++i) {
        result += text;
    }
    return result;
}

}  // namespace

TEST_CASE("json body: what everybody reads alike passes") {
    for (const std::string& text :
         {"{}"s, "[]"s, "4"s, R"("text")"s, R"( {"a":{"a":1},"b":{"a":[1,-1,1.5,null,true]}} )"s,
          R"({"prev_index":1,"previndex":2})"s, R"({"a":")" + std::string(3'000'000, 'x') + "\"}",
          repeated("[", 8) + repeated("]", 8), "[0" + repeated(",0", 62) + "]"}) {
        CAPTURE(text.substr(0, 100));
        CHECK(fault_of(text).empty());
    }
}

TEST_CASE("json body: what isn't JSON says where") {
    CHECK(fault_of("") == "is not JSON in UTF-8 (at byte 1)");
    CHECK(fault_of(R"({"a":x})") == "is not JSON in UTF-8 (at byte 6)");
    for (const std::string& text : {R"({"a":1}x)"s, R"({"a":1)"s, R"({'a':1})"s, R"({a:1})"s,
                                    R"({"a":1,})"s, "\"\xff\""s, R"("\ud800")"s, "1e999"s}) {
        CAPTURE(text);
        CHECK(fault_of(text).starts_with("is not JSON in UTF-8 (at byte "));
    }
    CHECK(fault_of("{\"a\":1}\0x"s) == "is not JSON: it holds a NUL byte");
}

TEST_CASE("json body: a member that is there twice, by whichever name") {
    CHECK(fault_of(R"({"a":1,"a":1})") == R"(has the member "a" twice)");
    CHECK(fault_of(R"({"x":{"a":1,"b":{"a":{}},"\u0061":1}})") == R"(has the member "a" twice)");
    CHECK(fault_of(R"([{"a":1},{"a":1,"b":2,"b":3}])") == R"(has the member "b" twice)");
    CHECK(fault_of(R"({"prev_index":1,"prevIndex":2})") == R"(has the member "prevIndex" twice)");
    CHECK(fault_of(R"({"prevIndex":1,"prev_index":2})") == R"(has the member "prev_index" twice)");
}

// Megabytes of brackets took seconds, and memory a hundred times their size.
TEST_CASE("json body: what is nested or has many parts is not read to its end") {
    const std::string deep = "is nested deeper than any request";
    CHECK(fault_of(repeated("[", 6'000'000)) == deep);
    CHECK(fault_of(repeated(R"({"a":)", 9)) == deep);
    const std::string many = "holds more than any request says";
    CHECK(fault_of("[0" + repeated(",0", 3'000'000)) == many);
    CHECK(fault_of("[" + repeated("[],", 3'000'000)) == many);
    std::string members = "{";
    for (int i = 0; i < 100; ++i) {
        members += "\"" + std::to_string(i) + "\":0,";
    }
    CHECK(fault_of(members) == many);
}

TEST_CASE("json body: the id, as far as there is one and no other") {
    const auto id_of = [](std::string_view text) { return check_json(text).id; };
    CHECK(id_of(R"({"id":4})") == 4);
    CHECK(id_of(R"({"a":{"id":1},"id":18446744073709551615,"b":[2]})") == UINT64_MAX);
    CHECK(id_of(R"({"a":1,"a":1,"id":4})") == 4);
    CHECK(id_of(R"({"id":4,"a":)" + repeated("[", 100)) == 4);
    for (const char* text :
         {"4", "{}", R"([{"id":4}])", R"({"a":{"id":4}})", R"({"id":"4"})", R"({"id":-4})",
          R"({"id":[4]})", R"({"id":{"x":4}})", R"({"id":null,"a":4})", R"({"id":4,"id":4})",
          R"({"id":4,"i\u0064":4})", R"({"id":18446744073709551616})", R"({"id":4,)",
          R"({"id":4}})"}) {
        CAPTURE(text);
        CHECK_FALSE(id_of(text).has_value());
    }
}
