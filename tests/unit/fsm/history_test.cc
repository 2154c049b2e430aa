#include "fsm/history.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace {

using namespace cairn::fsm;

constexpr std::uint32_t whole = Cursor::whole_entry;

Event event(Index index, std::uint32_t position, bool last, std::string name,
            std::size_t value_bytes = 0) {
    Event result;
    result.at_index = index;
    result.at_position = position;
    result.last_of_index = last;
    result.name = std::move(name);
    result.value.bytes = std::make_shared<const std::string>(value_bytes, 'v');
    result.value.index = index;
    return result;
}

// All events of entry `index`, one for each of `names`.
std::vector<Event> entry(Index index, const std::vector<std::string>& names) {
    std::vector<Event> events;
    for (std::uint32_t i = 0; i < names.size(); ++i) {
        events.push_back(event(index, i, i + 1 == names.size(), names[i]));
    }
    return events;
}

std::string places(const std::vector<Event>& events) {
    std::string text;
    for (const Event& one : events) {
        text += std::to_string(one.at_index) + "." + std::to_string(one.at_position) + " ";
    }
    return text;
}

// The places of what a replay answers, or "gap".
std::string replay(const History& history, Index index, std::uint32_t position,
                   std::string_view name = "", bool prefix = true) {
    std::vector<Event> out;
    if (!history.replay(index, position, name, prefix, out)) {
        CHECK(out.empty());
        return "gap";
    }
    return places(out);
}

}  // namespace

TEST_CASE("cursor: text and back") {
    CHECK(Cursor{42, whole}.format() == "42");
    CHECK(Cursor{42, 3}.format() == "42.3");
    CHECK(Cursor{0, whole}.format() == "0");
    for (const char* text :
         {"0", "42", "42.0", "42.3", "18446744073709551615", "18446744073709551615.4294967294"}) {
        const auto cursor = Cursor::parse(text);
        REQUIRE(cursor);
        CHECK(cursor->format() == text);
    }
    for (const char* text : {"",
                             ".",
                             "42.",
                             ".3",
                             "-1",
                             "+1",
                             " 1",
                             "1 ",
                             "042",
                             "42.03",
                             "00",
                             "18446744073709551616",
                             "42.4294967295",
                             "42.4294967296",
                             "42.-1",
                             "42.3.1",
                             "0x1",
                             "1e3",
                             "a",
                             "4\x01"}) {
        CAPTURE(text);
        CHECK_FALSE(Cursor::parse(text));
    }
    CHECK_FALSE(Cursor::parse(std::string_view("4\0", 2)));
}

TEST_CASE("cursor: after an event, and the order of places") {
    CHECK(Cursor::after(event(42, 2, true, "a")) == Cursor{42, whole});
    CHECK(Cursor::after(event(42, 0, false, "a")) == Cursor{42, 1});
    CHECK(Cursor{42, 1} < Cursor{42, 2});
    CHECK(Cursor{42, 2} < Cursor{42, whole});
    CHECK(Cursor{42, whole} < Cursor{43, 0});
}

TEST_CASE("history: replays what follows a place") {
    History history({});
    history.append(entry(3, {"a", "b", "a"}));
    history.append(entry(5, {"a/x"}));
    CHECK(replay(history, 0, whole) == "3.0 3.1 3.2 5.0 ");
    CHECK(replay(history, 3, 0) == "3.0 3.1 3.2 5.0 ");
    CHECK(replay(history, 3, 1) == "3.1 3.2 5.0 ");
    CHECK(replay(history, 3, 3) == "5.0 ");
    CHECK(replay(history, 3, whole) == "5.0 ");
    CHECK(replay(history, 4, whole) == "5.0 ");
    CHECK(replay(history, 5, whole) == "");
    CHECK(replay(history, 99, whole) == "");
    CHECK(replay(history, 0, whole, "a", false) == "3.0 3.2 ");
    CHECK(replay(history, 0, whole, "a", true) == "3.0 3.2 5.0 ");
    CHECK(replay(history, 3, 1, "a", false) == "3.2 ");
    CHECK(replay(history, 0, whole, "a/", true) == "5.0 ");
    CHECK(replay(history, 0, whole, "", false) == "");
    std::vector<Event> first;
    REQUIRE(history.replay(3, 0, "a", true, first, 2));
    REQUIRE(first.size() == 2);
    CHECK(Cursor::after(first.back()) == Cursor{3, whole});
    REQUIRE(history.replay(3, whole, "a", true, first, 2));
    CHECK(first.size() == 3);

    std::vector<Event> out = {event(1, 0, true, "kept")};
    REQUIRE(history.replay(4, whole, "a/x", false, out));
    CHECK(places(out) == "1.0 5.0 ");
}

TEST_CASE("history: exact at the boundary of what was dropped") {
    HistoryOptions options;
    options.events_max = 3;
    History history(options);
    history.append(entry(3, {"a", "b", "c"}));
    CHECK(history.oldest() == Cursor{0, whole});
    history.append(entry(7, {"d"}));  // drops 3.0
    CHECK(history.oldest() == Cursor{3, 1});
    CHECK(replay(history, 2, whole) == "gap");
    CHECK(replay(history, 3, 0) == "gap");
    CHECK(replay(history, 3, 1) == "3.1 3.2 7.0 ");
    CHECK(replay(history, 3, whole) == "7.0 ");
    history.append(entry(8, {"e", "f"}));  // drops 3.1 and 3.2, the last of its entry
    CHECK(replay(history, 3, 2) == "gap");
    CHECK(replay(history, 3, 3) == "7.0 8.0 8.1 ");
    CHECK(replay(history, 3, whole) == "7.0 8.0 8.1 ");
    CHECK(replay(history, 4, whole) == "7.0 8.0 8.1 ");
    CHECK(history.size() == 3);
    // Dropped events of other names are a gap too: the history can't know whose they were.
    CHECK(replay(history, 2, whole, "e", false) == "gap");
}

TEST_CASE("history: bounded by bytes") {
    HistoryOptions options;
    options.bytes_max = 10'000;
    History history(options);
    for (Index index = 1; index <= 20; ++index) {
        history.append({event(index, 0, true, "a", 2'000)});
        CHECK(history.bytes() <= options.bytes_max);
    }
    CHECK(history.size() == 4);
    CHECK(history.oldest() == Cursor{16, 1});
    CHECK(replay(history, 16, whole) == "17.0 18.0 19.0 20.0 ");
    CHECK(replay(history, 15, whole) == "gap");

    history.append({event(21, 0, true, "a", 20'000)});  // more than all that may be kept
    CHECK(history.size() == 0);
    CHECK(history.bytes() == 0);
    CHECK(replay(history, 20, whole) == "gap");
    CHECK(replay(history, 21, whole) == "");
    history.append({event(22, 0, true, "a")});
    CHECK(replay(history, 21, whole) == "22.0 ");
}

TEST_CASE("history: begins where it is told") {
    History history({}, 10);
    CHECK(history.oldest() == Cursor{10, whole});
    CHECK(replay(history, 9, whole) == "gap");
    CHECK(replay(history, 10, 5) == "gap");
    CHECK(replay(history, 10, whole) == "");
    history.append(entry(11, {"a"}));
    CHECK(replay(history, 10, whole) == "11.0 ");
    history.reset(50);
    CHECK(history.size() == 0);
    CHECK(history.bytes() == 0);
    CHECK(replay(history, 11, whole) == "gap");
    CHECK(replay(history, 50, whole) == "");
    history.append(entry(60, {"b"}));
    CHECK(replay(history, 50, whole) == "60.0 ");
}

TEST_CASE("history: nothing kept at all") {
    HistoryOptions options;
    options.events_max = 0;
    History history(options);
    CHECK(replay(history, 0, whole) == "");
    history.append(entry(3, {"a", "b"}));
    CHECK(replay(history, 2, whole) == "gap");
    CHECK(replay(history, 3, 1) == "gap");
    CHECK(replay(history, 3, 2) == "");
    CHECK(replay(history, 3, whole) == "");
}

TEST_CASE("history: against a list of everything") {
    std::mt19937 random(20240607);
    const std::vector<std::string> names = {"a", "a/b", "b", "ab"};
    for (int round = 0; round < 20; ++round) {
        HistoryOptions options;
        options.events_max = 1 + random() % 12;
        History history(options);
        std::vector<Event> all;
        Index index = 0;
        for (int step = 0; step < 60; ++step) {
            index += 1 + random() % 3;
            std::vector<std::string> chosen(random() % 5);
            for (std::string& name : chosen) {
                name = names[random() % names.size()];
            }
            const std::vector<Event> events = entry(index, chosen);
            history.append(events);
            all.insert(all.end(), events.begin(), events.end());

            const std::size_t dropped = all.size() - history.size();
            for (std::size_t seen = 0; seen <= all.size(); ++seen) {
                const Cursor after = seen == 0 ? Cursor{} : Cursor::after(all[seen - 1]);
                std::vector<Event> expected(all.begin() + static_cast<std::ptrdiff_t>(seen),
                                            all.end());
                const std::string name = names[random() % names.size()];
                const bool prefix = random() % 2 == 0;
                std::erase_if(expected, [&](const Event& one) {
                    return prefix ? !one.name.starts_with(name) : one.name != name;
                });
                CHECK(replay(history, after.index, after.position, name, prefix) ==
                      (seen < dropped ? "gap" : places(expected)));
            }
        }
    }
}
