#include "tests/checker/stream_check.h"

#include <doctest/doctest.h>

using namespace cairn::checker;

namespace {

using Kind = Received::Kind;
using Messages = std::vector<Received>;
constexpr std::uint32_t whole = Place::whole_entry;

// a: 2 created, 4 updated, 7 deleted, 8 created, 12 expired; b: 5 created, 12 updated after that.
std::vector<CanonicalEvent> canonical() {
    return {{EventKind::created, "a", 2, 0, "a2", 2, 0, ""},
            {EventKind::updated, "a", 4, 0, "a4", 4, 2, "a2"},
            {EventKind::created, "b", 5, 0, "b5", 5, 0, ""},
            {EventKind::deleted, "a", 7, 0, "a4", 4, 0, ""},
            {EventKind::created, "a", 8, 0, "a8", 8, 0, ""},
            {EventKind::expired, "a", 12, 0, "a8", 8, 0, ""},
            {EventKind::updated, "b", 12, 1, "b12", 12, 5, "b5"}};
}

Received message(Kind kind, std::optional<Place> cursor = std::nullopt) {
    Received made;
    made.kind = kind;
    made.cursor = cursor;
    return made;
}

Received opened(std::optional<Place> cursor = std::nullopt) {
    return message(Kind::opened, cursor);
}
Received subscribed(Place place) {
    return message(Kind::subscribed, place);
}
Received progress(Place place) {
    return message(Kind::progress, place);
}
Received gap(Place place) {
    return message(Kind::gap, place);
}

// The canonical event with this number as a stream tells it.
Received event(std::size_t number) {
    const CanonicalEvent from = canonical()[number];
    const bool is_last = number != 5;
    Received made = message(Kind::event, Place{from.index, is_last ? whole : from.position + 1});
    made.event = from.kind;
    made.name = from.name;
    made.value = from.value;
    made.index = from.value_index;
    made.previous_index = from.previous_index;
    made.previous_value = from.previous_value;
    if (from.kind == EventKind::deleted || from.kind == EventKind::expired) {
        made.deleted_index = from.index;
    }
    return made;
}

Received value(std::string name, std::string bytes, std::uint64_t index, Place cursor) {
    Received made = message(Kind::value, cursor);
    made.name = std::move(name);
    made.is_set = true;
    made.value = std::move(bytes);
    made.index = index;
    return made;
}

Received unset(std::string name, std::uint64_t index, Place cursor, bool expired = false) {
    Received made = message(Kind::value, cursor);
    made.name = std::move(name);
    made.index = index;
    made.is_expired = expired;
    return made;
}

std::vector<std::string> check(const StreamSelection& selection, const Messages& received,
                               std::optional<Place> complete = std::nullopt) {
    return check_stream(canonical(), selection, received, complete);
}

bool fails(const StreamSelection& selection, const Messages& received, const std::string& text,
           std::optional<Place> complete = std::nullopt) {
    for (const std::string& problem : check(selection, received, complete)) {
        if (problem.find(text) != std::string::npos) {
            return true;
        }
    }
    return false;
}

const StreamSelection all_events{"", true, false};
const StreamSelection events_of_a{"a", false, false};
const StreamSelection all_values{"", true, true};
const StreamSelection value_of_a{"a", false, true};

Messages all_from_the_start() {
    return {opened(), subscribed({1}), event(0), event(1), event(2),
            event(3), event(4),        event(5), event(6)};
}

}  // namespace

TEST_CASE("stream check: canonical events") {
    CHECK(check_canonical_events(canonical()).empty());
    const auto broken = [](auto change) {
        std::vector<CanonicalEvent> events = canonical();
        change(events);
        return !check_canonical_events(events).empty();
    };
    CHECK(broken([](auto& e) { std::swap(e[0], e[1]); }));
    CHECK(broken([](auto& e) { e[6].position = 2; }));
    CHECK(broken([](auto& e) { e[2].position = 1; }));
    CHECK(broken([](auto& e) { e[1].previous_index = 1; }));
    CHECK(broken([](auto& e) { e[1].previous_value = "x"; }));
    CHECK(broken([](auto& e) { e[3].value = "x"; }));
    CHECK(broken([](auto& e) { e[4].kind = EventKind::updated; }));
    CHECK(broken([](auto& e) { e[6].value_index = 4; }));
    CHECK(broken([](auto& e) { e[3].value_index = 2; }));
    CHECK(broken([](auto& e) { e.erase(e.begin() + 3); }));
}

TEST_CASE("stream check: all events, in order") {
    CHECK(check(all_events, all_from_the_start(), Place{20}).empty());
    CHECK(check(events_of_a,
                {opened(), subscribed({3}), event(1), progress({6}), event(3), event(4), event(5),
                 progress({12})},
                Place{20})
              .empty());
    for (std::size_t i = 2; i < 9; ++i) {
        Messages received = all_from_the_start();
        received.erase(received.begin() + static_cast<std::ptrdiff_t>(i));
        CHECK(fails(all_events, received, i == 8 ? "(at the end)" : "not the next", Place{20}));
        received = all_from_the_start();
        const Received again = received[i];
        received.insert(received.begin() + static_cast<std::ptrdiff_t>(i), again);
        CHECK_FALSE(check(all_events, received).empty());
    }
    Messages swapped = all_from_the_start();
    std::swap(swapped[3], swapped[4]);
    CHECK(fails(all_events, swapped, "not the next"));
    CHECK(fails(events_of_a, {opened(), subscribed({4}), event(2)}, "not the next"));
    Messages beyond = all_from_the_start();
    beyond.push_back(event(6));
    CHECK(fails(all_events, beyond, "never was"));
}

TEST_CASE("stream check: an event as it was") {
    const auto differs = [](std::size_t number, auto change) {
        Messages received = all_from_the_start();
        change(received[number + 2]);
        return fails(all_events, received, "not the next");
    };
    CHECK(differs(0, [](Received& m) { m.event = EventKind::updated; }));
    CHECK(differs(0, [](Received& m) { m.name = "c"; }));
    CHECK(differs(0, [](Received& m) { m.value = "x"; }));
    CHECK(differs(0, [](Received& m) { m.index = 3; }));
    CHECK(differs(1, [](Received& m) { m.previous_index = 1; }));
    CHECK(differs(1, [](Received& m) { m.previous_value = "x"; }));
    CHECK(differs(3, [](Received& m) { m.deleted_index = 8; }));
    CHECK(differs(5, [](Received& m) { m.event = EventKind::deleted; }));
}

TEST_CASE("stream check: cursors and progress") {
    CHECK(fails(all_events, {opened(), subscribed({3}), progress({4})}, "passes updated"));
    CHECK(check(all_events, {opened(), subscribed({3}), progress({3})}).empty());
    CHECK(fails(all_events, {opened(), subscribed({4}), progress({3})}, "went back"));
    Messages received = all_from_the_start();
    received[7].cursor = Place{12};  // 12.0 is followed by 12.1
    CHECK(fails(all_events, received, "passes updated"));
    received = all_from_the_start();
    received[4].cursor = Place{4};
    CHECK(fails(all_events, received, "went back"));
    received = all_from_the_start();
    received[4].cursor.reset();
    CHECK(fails(all_events, received, "no cursor"));
    CHECK(fails(all_events, {opened(), event(0)}, "`subscribed`"));
    CHECK(fails(all_events, {opened(Place{1}), event(0)}, "`subscribed`"));
    CHECK(fails(all_events, {opened(), subscribed({1}), progress({1})}, "(at the end)", Place{2}));
    CHECK(fails(all_events, {opened()}, "ends before", Place{2}));
    CHECK(fails(all_events, {subscribed({1})}, "isn't open"));
    CHECK(fails(all_events, {opened(), opened()}, "it was open"));
}

TEST_CASE("stream check: resumed elsewhere") {
    const Received closed = message(Kind::closed);
    CHECK(check(all_events,
                {opened(), subscribed({1}), event(0), event(1), closed, opened(Place{4}),
                 subscribed({4}), event(2), event(3), event(4), event(5), closed,
                 opened(Place{12, 1}), subscribed({12, 1}), event(6)},
                Place{20})
              .empty());
    CHECK(fails(all_events, {opened(Place{4}), subscribed({4}), event(1)}, "not the next"));
    CHECK(fails(all_events, {opened(Place{4}), subscribed({4}), event(3)}, "not the next"));
    CHECK(fails(all_events, {opened(Place{4}), subscribed({5})}, "passes created"));
    CHECK(fails(all_events, {opened(Place{4}), subscribed({3})}, "went back"));
    CHECK(fails(all_events, {opened(), subscribed({1}), closed, event(0)}, "isn't open"));
    // After `closed` nothing is owed.
    CHECK(check(all_events, {opened(), subscribed({1}), closed}, Place{20}).empty());
}

TEST_CASE("stream check: a gap, then the present, then everything") {
    const Received start = opened(Place{1});
    const Messages good = {
        start,    subscribed({1}), gap({1}), value("a", "a8", 8, {1}), value("b", "b5", 5, {9}),
        event(5), event(6)};
    CHECK(check(all_events, good, Place{20}).empty());
    Messages received = good;
    received.erase(received.begin() + 2);
    CHECK(fails(all_events, received, "no gap before"));
    received = good;
    received.erase(received.begin() + 3);
    CHECK(fails(all_events, received, "present state of \"a\""));
    received = good;
    received[3].index = 7;
    CHECK(fails(all_events, received, "present state of \"a\""));
    received = good;
    received[3].value = "x";
    CHECK(fails(all_events, received, "present state of \"a\""));
    received = good;
    received[3] = value("b", "b5", 5, {1});
    CHECK(fails(all_events, received, "twice"));
    received = good;
    received[4].cursor = Place{12};
    CHECK(fails(all_events, received, "present state"));
    received = good;
    received.erase(received.begin() + 5);
    CHECK(fails(all_events, received, "not the next"));
    CHECK(fails(all_events, {start, subscribed({1}), gap({3}), progress({3})}, "present state"));
    CHECK(check(events_of_a, {start, subscribed({1}), gap({1}), unset("a", 7, {7}), event(4)})
              .empty());
    CHECK(fails(events_of_a, {start, subscribed({1}), gap({1}), unset("a", 7, {9})}, "present"));
    CHECK(fails(events_of_a, {start, subscribed({1}), gap({7}), progress({7})}, "no present"));
    CHECK(fails(all_events,
                {start, subscribed({1}), gap({1}), value("a", "a8", 8, {1}),
                 value("b", "b5", 5, {1}), value("c", "x", 3, {9})},
                "never was"));
    CHECK(fails(all_events, {opened(Place{4}), subscribed({4}), gap({3})}, "went back"));
    // Nothing is there, nothing follows.
    const StreamSelection none{"z", true, false};
    CHECK(check(none, {start, subscribed({1}), gap({9}), progress({10})}, Place{20}).empty());
    CHECK(check(none, {start, subscribed({1}), gap({9})}, Place{20}).empty());
    CHECK(fails(all_events, {start, subscribed({1}), gap({1}), value("a", "a8", 8, {1})}, "present",
                Place{20}));
}

TEST_CASE("stream check: values, the newest of each name") {
    CHECK(check(value_of_a,
                {opened(), unset("a", 1, {1}), value("a", "a2", 2, {2}), value("a", "a4", 4, {4}),
                 unset("a", 7, {7}), value("a", "a8", 8, {8}), unset("a", 12, {12, 1}, true)},
                Place{20})
              .empty());
    // Older ones may be left out, a removal too, but not the last.
    CHECK(check(value_of_a, {opened(), unset("a", 1, {1}), value("a", "a8", 8, {8})}).empty());
    CHECK(fails(value_of_a, {opened(), unset("a", 1, {1}), value("a", "a8", 8, {8})},
                "(at the end)", Place{12}));
    CHECK(check(value_of_a, {opened(), unset("a", 1, {1}), value("a", "a8", 8, {8})}, Place{11})
              .empty());
    CHECK(check(all_values,
                {opened(), value("a", "a4", 4, {4}), value("b", "b5", 5, {6}), unset("a", 7, {7}),
                 value("a", "a8", 8, {8}), unset("a", 12, {12, 1}, true),
                 value("b", "b12", 12, {12})},
                Place{20})
              .empty());
    CHECK(check(all_values, {opened(), value("a", "a4", 4, {4}), value("a", "a8", 8, {8}),
                             value("b", "b12", 12, {12})})
              .size() == 1);  // 12 passes the expiry of a
}

TEST_CASE("stream check: values never go back") {
    const Received first = value("a", "a4", 4, {4});
    CHECK(fails(value_of_a, {opened(), first, value("a", "a4", 4, {5})}, "again, or back"));
    CHECK(fails(value_of_a, {opened(), first, value("a", "a2", 2, {5})}, "again, or back"));
    CHECK(fails(value_of_a, {opened(), first, value("a", "a8", 8, {3})}, "before the value"));
    CHECK(fails(value_of_a, {opened(), first, progress({3})}, "went back"));
    CHECK(fails(value_of_a, {opened(), first, unset("a", 7, {7}), unset("a", 7, {7})},
                "again, or back"));
    CHECK(fails(value_of_a, {opened(Place{4}), first}, "again, or back"));
    CHECK(check(value_of_a, {opened(Place{3}), first}).empty());
}

TEST_CASE("stream check: values as they were") {
    CHECK(fails(value_of_a, {opened(), value("a", "x", 4, {4})}, "never was"));
    CHECK(fails(value_of_a, {opened(), value("a", "a4", 5, {5})}, "never was"));
    CHECK(fails(value_of_a, {opened(), value("b", "b5", 5, {5})}, "wasn't selected"));
    CHECK(
        fails(value_of_a, {opened(), value("a", "a4", 4, {4}), unset("a", 6, {6})}, "not set at"));
    const Received there = value("a", "a8", 8, {8});
    CHECK(fails(value_of_a, {opened(), there, unset("a", 12, {12, 1})}, "not as expired"));
    CHECK(fails(value_of_a, {opened(), there, unset("a", 11, {12, 1}, true)}, "not as expired"));
    CHECK(fails(value_of_a, {opened(), event(0)}, "an event on a watch"));
    Received bare = there;
    bare.cursor.reset();
    CHECK(fails(value_of_a, {opened(), bare}, "no cursor"));
    CHECK(fails(value_of_a, {opened(), progress({1})}, "before the present"));
    CHECK(fails({"z", false, true}, {opened(Place{1}), progress({1}), unset("z", 4, {4})},
                "never set"));
}

TEST_CASE("stream check: progress of values is not ahead of them") {
    const Received first = value("a", "a2", 2, {2});
    // b at 5 is still to come as 12; as long as the node has not applied 12, it owed 5.
    CHECK(check(all_values, {opened(), first, value("a", "a4", 4, {4}), progress({6})}).empty());
    Received sharp = progress({6});
    sharp.applied_index = 11;
    CHECK(fails(all_values, {opened(), first, value("a", "a4", 4, {4}), sharp}, "passes created"));
    sharp.applied_index = 12;
    CHECK(check(all_values, {opened(), first, value("a", "a4", 4, {4}), sharp}).empty());
    CHECK(fails(all_values,
                {opened(), value("a", "a8", 8, {8}), unset("a", 12, {12, 1}, true), progress({12})},
                "passes updated \"b\""));
    CHECK(fails(value_of_a, {opened(Place{8}), progress({13})}, "passes expired"));
    CHECK(check(value_of_a, {opened(Place{8}), progress({11})}).empty());
    // What came and went unseen needs no word.
    CHECK(check(value_of_a, {opened(), unset("a", 1, {1}), progress({12})}).empty());
}

TEST_CASE("stream check: values after a gap") {
    CHECK(check(all_values,
                {opened(Place{1}), gap({1}), value("a", "a8", 8, {1}), value("b", "b5", 5, {9}),
                 unset("a", 12, {12, 1}, true), value("b", "b12", 12, {12})},
                Place{20})
              .empty());
    CHECK(fails(all_values,
                {opened(Place{1}), gap({1}), value("a", "a8", 8, {1}), value("b", "b5", 5, {9}),
                 value("a", "a8", 8, {10})},
                "again, or back"));
    CHECK(fails(value_of_a, {opened(Place{1}), gap({1}), value("a", "a4", 4, {8})}, "present"));
}
