#include "tests/checker/history_json.h"

#include <doctest/doctest.h>

using namespace cairn::checker;

namespace {

std::string error_of(std::string_view lines) {
    std::string error;
    CHECK_FALSE(parse_history(lines, error));
    return error;
}

}  // namespace

TEST_CASE("history as JSON: every member") {
    std::string error;
    const auto history = parse_history(
        R"({"client":1,"node":2,"incarnation":3,"kind":"update","name":"a","value":"x",)"
        R"("prev_index":4,"ttl_ns":5,"idempotency_key":"k","invoked_ns":6,"returned_ns":7,)"
        R"("outcome":"ok","index":8,"previous":"present","previous_index":4,)"
        R"("previous_value":"w","applied_index":9})"
        "\n\n"
        R"({"kind":"get","name":"a","outcome":"ok","invoked_ns":-1,"returned_ns":1,)"
        R"("returned_value":"x","index":8})"
        "\n"
        R"({"kind":"delete","name":"a","outcome":"unknown","invoked_ns":9})",
        error);
    REQUIRE(history);
    REQUIRE(history->size() == 3);
    const Operation& op = history->front();
    CHECK(op.client == 1);
    CHECK(op.node == 2);
    CHECK(op.incarnation == 3);
    CHECK(op.kind == OpKind::update);
    CHECK(op.name == "a");
    CHECK(op.value == "x");
    CHECK(op.prev_index == 4);
    CHECK(op.ttl_ns == 5);
    CHECK(op.idempotency_key == "k");
    CHECK(op.invoked_ns == 6);
    CHECK(op.returned_ns == 7);
    CHECK(op.outcome == Outcome::ok);
    CHECK(op.index == 8);
    CHECK(op.previous == Previous::present);
    CHECK(op.previous_index == 4);
    CHECK(op.previous_value == "w");
    CHECK(op.applied_index == 9);
    CHECK((*history)[1].returned_value == "x");
    CHECK((*history)[1].invoked_ns == -1);
    CHECK((*history)[2].kind == OpKind::remove);
    CHECK((*history)[2].outcome == Outcome::unknown);
}

TEST_CASE("history as JSON: what is no operation") {
    CHECK(error_of("{") == "line 1: not a JSON object");
    CHECK(error_of("\n[1]") == "line 2: not a JSON object");
    CHECK(error_of(R"({"kind":"get","name":"a","invoked_ns":1})") ==
          "line 1: no member \"outcome\"");
    const std::string most = R"({"kind":"get","name":"a","outcome":"unknown","invoked_ns":1)";
    CHECK(error_of(most + R"(,"colour":1})") == "line 1: bad member \"colour\"");
    CHECK(error_of(most + R"(,"index":-1})") == "line 1: bad member \"index\"");
    CHECK(error_of(most + R"(,"value":1})") == "line 1: bad member \"value\"");
    CHECK(error_of(most + R"(,"ttl_ns":"1s"})") == "line 1: bad member \"ttl_ns\"");
    CHECK(error_of(R"({"kind":"put","name":"a","outcome":"ok","invoked_ns":1})") ==
          "line 1: bad member \"kind\"");
    CHECK(error_of(R"({"kind":"get","name":"a","outcome":"ok","invoked_ns":1})") ==
          "line 1: an answer without \"returned_ns\"");
}
