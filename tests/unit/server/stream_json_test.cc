#include "server/streams/stream_json.h"

#include <memory>
#include <string>
#include <utility>

#include <doctest/doctest.h>

namespace {

using namespace cairn;
using namespace cairn::server;

fsm::Value value_of(std::string bytes, fsm::Index index, std::int64_t deadline_ns = 0) {
    return {std::make_shared<const std::string>(std::move(bytes)), index, deadline_ns};
}

fsm::Event event_of(fsm::Event::Kind kind, fsm::Index at_index, fsm::Value value) {
    fsm::Event event;
    event.kind = kind;
    event.at_index = at_index;
    event.name = "a";
    event.value = std::move(value);
    return event;
}

template <typename Append>
std::string text(Append append) {
    std::string out;
    append(out);
    return out;
}

std::string event_text(const fsm::Event& event) {
    return text([&](std::string& out) { append_event(event, 0, "9.1", out); });
}

std::string watch_text(const fsm::Event& event) {
    return text([&](std::string& out) { append_watch_event(event, 0, "9", out); });
}

TEST_CASE("stream json: the messages of api.md") {
    CHECK(text([](std::string& out) { append_watch_value("a", value_of("x", 7), 0, "7", out); }) ==
          R"({"type":"value","name":"a","value":"x","index":7,"cursor":"7"})");
    CHECK(text([](std::string& out) { append_watch_absent("a", 9, false, "9", out); }) ==
          R"({"type":"value","name":"a","value":null,"index":9,"cursor":"9"})");
    CHECK(text([](std::string& out) { append_watch_absent("a", 9, true, "9", out); }) ==
          R"({"type":"value","name":"a","value":null,"index":9,"expired":true,"cursor":"9"})");
    CHECK(text([](std::string& out) { append_subscribed("6", out); }) ==
          R"({"type":"subscribed","cursor":"6"})");
    CHECK(text([](std::string& out) { append_progress("57", out); }) ==
          R"({"type":"progress","cursor":"57"})");
    CHECK(text([](std::string& out) { append_gap("57", out); }) ==
          R"({"type":"gap","cursor":"57"})");
}

TEST_CASE("stream json: events") {
    CHECK(event_text(event_of(fsm::Event::Kind::created, 7, value_of("x", 7))) ==
          R"({"type":"created","name":"a","value":"x","index":7,"cursor":"9.1"})");
    auto updated = event_of(fsm::Event::Kind::updated, 8, value_of("y", 8, 1));
    updated.prev_value = value_of("\xff", 7);
    CHECK(event_text(updated) ==
          R"({"type":"updated","name":"a","value":"y","index":8,)"
          R"("expire":"1970-01-01T00:00:00.000Z",)"
          R"("prev_value":{"value_base64":"/w==","index":7},"cursor":"9.1"})");
    auto deleted = event_of(fsm::Event::Kind::deleted, 9, value_of("y", 8, 1));
    CHECK(event_text(deleted) ==
          R"({"type":"deleted","name":"a","value":"y","index":8,"expired":false,)"
          R"("deleted_index":9,"cursor":"9.1"})");
    deleted.expired = true;
    CHECK(event_text(deleted) ==
          R"({"type":"deleted","name":"a","value":"y","index":8,"expired":true,)"
          R"("deleted_index":9,"cursor":"9.1"})");
}

TEST_CASE("stream json: what an event means to a watch") {
    auto updated = event_of(fsm::Event::Kind::updated, 8, value_of("y", 8));
    updated.prev_value = value_of("x", 7);
    CHECK(watch_text(updated) ==
          R"({"type":"value","name":"a","value":"y","index":8,"cursor":"9"})");
    auto deleted = event_of(fsm::Event::Kind::deleted, 9, value_of("y", 8));
    deleted.expired = true;
    CHECK(watch_text(deleted) ==
          R"({"type":"value","name":"a","value":null,"index":9,"expired":true,"cursor":"9"})");
}

TEST_CASE("stream json: names are escaped") {
    CHECK(text([](std::string& out) { append_watch_absent("a\"\\", 1, false, "1", out); }) ==
          R"({"type":"value","name":"a\"\\","value":null,"index":1,"cursor":"1"})");
}

}  // namespace
