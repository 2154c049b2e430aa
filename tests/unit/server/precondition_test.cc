#include "server/http/precondition.h"

#include <doctest/doctest.h>

namespace {

using namespace cairn::server;
using Kind = IfMatch::Kind;
using NoneKind = IfNoneMatch::Kind;

IfNoneMatch none_match(std::string_view field) {
    IfNoneMatch result;
    parse_if_none_match(field, result);
    return result;
}

TEST_CASE("If-Match: one tag or *") {
    CHECK(parse_if_match({}).kind == Kind::absent);
    CHECK(parse_if_match("*").kind == Kind::any);
    CHECK(parse_if_match("\"42\"").kind == Kind::index);
    CHECK(parse_if_match("\"42\"").index == 42);
    CHECK(parse_if_match("\"42\",").index == 42);
    CHECK(parse_if_match("\"18446744073709551614\"").index == 18446744073709551614ULL);
}

TEST_CASE("If-Match: tags that were never ours match nothing") {
    for (const char* field :
         {"W/\"42\"", "\"0\"", "\"042\"", "\"abc\"", "\"\"", "\"-1\"", "\"+42\"", "\"42x\"",
          "\"18446744073709551615\"", "\"18446744073709551616\"", "\"99999999999999999999999999\"",
          "\"*\""}) {
        CAPTURE(field);
        CHECK(parse_if_match(field).kind == Kind::index);
        CHECK(parse_if_match(field).index == never_index);
    }
}

TEST_CASE("If-Match: lists and garbage") {
    CHECK(parse_if_match("\"1\", \"2\"").kind == Kind::several);
    CHECK(parse_if_match("\"1\",\"1\"").kind == Kind::several);
    CHECK(parse_if_match("W/\"1\", \"2\", \"3\"").kind == Kind::several);
    for (const char* field : {"", ",", "42", "\"42", "42\"", "'42'", "\"4 2\"", "w/\"42\"",
                              "W/ \"42\"", "W/42", "\"42\" \"43\"", "\"42\"x", "*,\"42\"",
                              "\"42\",*", "**", "* *", "\"1\", 2", "\"1\x01\""}) {
        CAPTURE(field);
        CHECK(parse_if_match(field).kind == Kind::malformed);
    }
}

TEST_CASE("If-None-Match: lists, weakly") {
    CHECK(none_match({}).kind == NoneKind::absent);
    CHECK_FALSE(none_match({}).names(42));
    CHECK(none_match("*").kind == NoneKind::any);
    CHECK(none_match("*").names(42));
    CHECK(none_match("\"42\"").names(42));
    CHECK_FALSE(none_match("\"42\"").names(43));
    CHECK(none_match("W/\"42\"").names(42));
    CHECK(none_match("\"abc\" ,, W/\"7\",\t\"42\",").names(42));
    CHECK(none_match("\"18446744073709551615\"").kind == NoneKind::tags);
    CHECK_FALSE(none_match("\"18446744073709551615\"").names(never_index));
    CHECK_FALSE(none_match("\"042\"").names(42));
    for (const char* field : {"", "42", "\"42", "*, \"42\"", "\"1\" \"2\""}) {
        CAPTURE(field);
        CHECK(none_match(field).kind == NoneKind::malformed);
        CHECK_FALSE(none_match(field).names(42));
    }
}

TEST_CASE("If-None-Match: what is reused forgets") {
    IfNoneMatch result;
    parse_if_none_match("\"1\", \"2\"", result);
    parse_if_none_match("\"3\"", result);
    CHECK_FALSE(result.names(1));
    CHECK(result.names(3));
}

}  // namespace
