#include "tests/checker/recording.h"

#include <doctest/doctest.h>

#include "tests/checker/linearizability.h"

using namespace cairn::checker;

namespace {

Recording parsed(const std::string& lines) {
    std::string error;
    std::optional<Recording> recording = parse_recording(lines, error);
    REQUIRE_MESSAGE(recording, error);
    return *std::move(recording);
}

std::string error_of(std::string_view lines) {
    std::string error;
    CHECK_FALSE(parse_recording(lines, error));
    return error;
}

// "a" is created at 5, updated at 6 and expires at 8; a stream of events over two nodes and a watch
// see it; key "k" was sent twice.
const std::string sound =
    R"({"kind":"set","name":"a","value":"x","outcome":"ok","invoked_ns":1,"returned_ns":2,)"
    R"("index":5})"
    "\n"
    R"({"kind":"set","name":"a","value":"y","ttl_ns":5,"outcome":"ok","invoked_ns":3,)"
    R"("returned_ns":4,)"
    R"("index":6,"idempotency_key":"k"})"
    "\n"
    R"({"kind":"set","name":"a","value":"y","ttl_ns":5,"outcome":"ok","invoked_ns":5,)"
    R"("returned_ns":6,)"
    R"("index":6,"idempotency_key":"k"})"
    "\n"
    R"({"kind":"set","name":"a","value":"z","outcome":"not_applied","invoked_ns":5,)"
    R"("returned_ns":6})"
    "\n"
    R"({"record":"event","kind":"created","name":"a","index":5,"value":"x","value_index":5})"
    "\n"
    R"({"record":"event","kind":"updated","name":"a","index":6,"value":"y","value_index":6,)"
    R"("previous_index":5,"previous_value":"x"})"
    "\n"
    R"({"record":"event","kind":"expired","name":"a","index":8,"value":"y","value_index":6})"
    "\n"
    R"({"record":"stream","stream":1,"name":"a","complete_up_to":"9"})"
    "\n"
    R"({"record":"message","stream":1,"node":1,"type":"opened"})"
    "\n"
    R"({"record":"message","stream":1,"node":1,"type":"subscribed","cursor":"4"})"
    "\n"
    R"({"record":"message","stream":1,"type":"created","name":"a","value":"x","index":5,)"
    R"("cursor":"5"})"
    "\n"
    R"({"record":"message","stream":1,"type":"closed"})"
    "\n"
    R"({"record":"message","stream":1,"node":2,"type":"opened","cursor":"5"})"
    "\n"
    R"({"record":"message","stream":1,"type":"subscribed","cursor":"5"})"
    "\n"
    R"({"record":"message","stream":1,"type":"updated","name":"a","value":"y","index":6,)"
    R"("prev_value":{"value":"x","index":5},"cursor":"6"})"
    "\n"
    R"({"record":"message","stream":1,"type":"deleted","name":"a","value":"y","index":6,)"
    R"("expired":true,"deleted_index":8,"cursor":"8.1"})"
    "\n"
    R"({"record":"message","stream":1,"type":"progress","cursor":"9"})"
    "\n"
    R"({"record":"stream","stream":2,"name":"","prefix":true,"watch":true})"
    "\n"
    R"({"record":"message","stream":2,"type":"opened"})"
    "\n"
    R"({"record":"message","stream":2,"type":"value","name":"a","value":"y","index":6,)"
    R"("cursor":"6"})"
    "\n"
    R"({"record":"message","stream":2,"type":"value","name":"a","value":null,"expired":true,)"
    R"("index":8,"cursor":"8"})"
    "\n"
    R"({"record":"keyed","index":6,"time_ns":10,"key":"k","fingerprint":3,"result":"applied",)"
    R"("outcome":6})"
    "\n"
    R"({"record":"keyed","index":7,"time_ns":11,"key":"k","fingerprint":3,"result":"replayed",)"
    R"("first_index":6,"outcome":6})"
    "\n";

// The sound recording after one change, which must be there to be made.
std::string changed(const std::string& from, const std::string& to) {
    const std::size_t at = sound.find(from);
    REQUIRE(at != std::string::npos);
    return std::string(sound).replace(at, from.size(), to);
}

// The one thing that is wrong after the change.
std::string found(const std::string& from, const std::string& to) {
    const std::vector<std::string> problems = check_recording(parsed(changed(from, to)));
    REQUIRE_MESSAGE(!problems.empty(), from);
    return problems.front();
}

bool tells(const std::string& problem, const std::string& text) {
    INFO(problem);
    return problem.find(text) != std::string::npos;
}

}  // namespace

TEST_CASE("recording: one that is sound") {
    const Recording recording = parsed(sound);
    CHECK(recording.operations.size() == 4);
    CHECK(recording.events.size() == 3);
    REQUIRE(recording.streams.size() == 2);
    CHECK(recording.streams[0].messages.size() == 9);
    CHECK(recording.streams[0].complete_up_to == Place{9});
    CHECK(recording.streams[0].messages[7].cursor == Place{8, 1});
    CHECK(recording.streams[0].messages[7].event == EventKind::expired);
    CHECK(recording.streams[1].selection.watch);
    CHECK(recording.keyed.size() == 2);
    for (const std::string& problem : check_recording(recording)) {
        FAIL_CHECK(problem);
    }
    CHECK(check_linearizability(recording.operations).verdict == Verdict::linearizable);
}

TEST_CASE("recording: what clients were told and the log doesn't have") {
    CHECK(tells(found(R"("value":"x","outcome":"ok")", R"("value":"w","outcome":"ok")"),
                "acknowledged, and it is not in the log"));
    CHECK(tells(found(R"("returned_ns":2,"index":5)", R"("returned_ns":2,"index":4)"),
                "acknowledged, and it is elsewhere in the log"));
    // The same value as another write: it may be the other's.
    CHECK(check_recording(parsed(changed(R"("value":"z")", R"("value":"x")"))).empty());
    CHECK(tells(found(R"("kind":"set","name":"a","value":"x","outcome":"ok")",
                      R"("kind":"set","name":"a","value":"x","outcome":"not_applied")"),
                "refused, and it is in the log"));
    CHECK(tells(found(R"({"kind":"set","name":"a","value":"x","outcome":"ok")",
                      R"({"kind":"delete","name":"a","previous_index":5,"outcome":"ok")"),
                "acknowledged, and it is not in the log"));
}

TEST_CASE("recording: events that don't fit each other") {
    CHECK(tells(found(R"("previous_index":5,"previous_value":"x")",
                      R"("previous_index":4,"previous_value":"x")"),
                "another value was there"));
}

TEST_CASE("recording: streams that lose, double or go back") {
    CHECK(tells(found(R"({"record":"message","stream":1,"type":"updated","name":"a","value":"y",)"
                      R"("index":6,"prev_value":{"value":"x","index":5},"cursor":"6"})",
                      ""),
                "stream 1, message 6: not the next event"));
    CHECK(tells(found(R"("opened","cursor":"5")", R"("opened","cursor":"4")"), "stream 1"));
    CHECK(tells(found(R"("expired":true,"deleted_index":8)", R"("deleted_index":8)"), "stream 1"));
    CHECK(tells(found(R"("type":"progress","cursor":"9")", R"("type":"progress","cursor":"7")"),
                "the cursor went back"));
    CHECK(tells(found(R"("value":null,"expired":true,)", R"("value":null,)"), "stream 2"));
    const std::string removal = R"({"record":"message","stream":2,"type":"value","name":"a",)"
                                R"("value":null,"expired":true,"index":8,"cursor":"8"})";
    CHECK(check_recording(parsed(changed(removal, ""))).empty());  // it had no time to come
    const std::string selection = R"("name":"","prefix":true,"watch":true)";
    std::string ended = changed(removal, "");
    ended.replace(ended.find(selection), selection.size(), selection + R"(,"complete_up_to":"9")");
    CHECK(tells(check_recording(parsed(ended)).at(0), "which was not delivered"));
}

TEST_CASE("recording: a key whose command was done twice") {
    CHECK(tells(found(R"("result":"replayed")", R"("result":"applied")"), "keys: "));
    CHECK(
        tells(found(R"("first_index":6,"outcome":6)", R"("first_index":6,"outcome":7)"), "keys: "));
}

TEST_CASE("recording: lines that are nothing") {
    CHECK(error_of("[]") == "line 1: not a JSON object");
    CHECK(error_of(R"({"record":"else"})") == "line 1: bad member \"record\"");
    CHECK(error_of(R"({"record":"event","kind":"created","index":1})") ==
          "line 1: no member \"name\"");
    CHECK(error_of(R"({"record":"event","kind":"gone","name":"a","index":1})") ==
          "line 1: bad member \"kind\"");
    CHECK(
        error_of(
            R"({"record":"event","kind":"created","name":"a","index":1,"position":4294967296})") ==
        "line 1: bad member \"position\"");
    CHECK(error_of(R"({"record":"message","stream":1,"type":"opened"})") ==
          "line 1: a message of stream 1, which is not known");
    const std::string stream = R"({"record":"stream","stream":1,"name":"a"})"
                               "\n";
    CHECK(error_of(stream + stream) == "line 2: stream 1 again");
    const std::string message = stream + R"({"record":"message","stream":1,"type":"progress",)";
    for (const char* cursor : {"", "x", "1.", ".1", "-1", "1.2.3", "1 "}) {
        CHECK(error_of(message + R"("cursor":")" + cursor + R"("})") ==
              "line 2: bad member \"cursor\"");
    }
    CHECK(error_of(message + R"("prev_value":{"value":"a"}})") ==
          "line 2: bad member \"prev_value\"");
    CHECK(error_of(message + R"("colour":1})") == "line 2: bad member \"colour\"");
}
