#include "fsm/state_machine.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "atomix/multiraft/atomic/value/v1/fsm.pb.h"
#include "cairn/server/v1/command.pb.h"
#include "fsm/command.h"

namespace {

using namespace cairn::fsm;
namespace seed = ::atomix::multiraft::atomic::value::v1;
using Kind = Output::Kind;

// A state machine with the next index and a clock at hand; keeps the last entry's events.
struct Machine {
    Output apply(const std::string& command) {
        events.clear();
        return machine.apply(++index, now, command, events);
    }
    Output at(std::int64_t stamp_ns) {
        now = stamp_ns;
        return apply("");
    }
    Output set(const std::string& name, const std::string& value,
               std::optional<std::int64_t> ttl_ns = {}, bool create_only = false) {
        std::string command;
        encode_set(name, value, ttl_ns, create_only, command);
        return apply(command);
    }
    Output update(const std::string& name, const std::string& value, Index prev_index = 0,
                  std::optional<std::int64_t> ttl_ns = {}) {
        std::string command;
        encode_update(name, value, ttl_ns, prev_index, command);
        return apply(command);
    }
    Output remove(const std::string& name, Index prev_index = 0) {
        std::string command;
        encode_delete(name, prev_index, command);
        return apply(command);
    }
    Output input(const std::string& name, const seed::AtomicValueInput& message) {
        std::string command;
        encode_input(name, message.SerializeAsString(), command);
        return apply(command);
    }

    StateMachine machine;
    std::vector<Event> events;
    Index index = 0;
    std::int64_t now = 1'000;
};

std::string text(const Value& value) {
    return "'" + *value.bytes + "'#" + std::to_string(value.index) + "@" +
           std::to_string(value.deadline_ns);
}

// One line for each event: its place, "!" when it is its entry's last, what happened, the values.
std::string text(const std::vector<Event>& events) {
    std::string lines;
    for (const Event& event : events) {
        const char* kinds[] = {"created", "updated", "deleted"};
        lines += std::to_string(event.at_index) + "." + std::to_string(event.at_position);
        lines += event.last_of_index ? "! " : " ";
        lines += event.expired ? "expired" : kinds[static_cast<int>(event.kind)];
        lines += " " + event.name + " " + text(event.value);
        lines += event.prev_value ? " was " + text(*event.prev_value) + "\n" : "\n";
    }
    return lines;
}

std::string names(const StateMachine& machine, std::string_view prefix = "",
                  std::string_view after = "", std::size_t limit = 1'000'000) {
    bool more = false;
    std::string line;
    for (const ListItem& item : machine.list(prefix, after, limit, more)) {
        line += item.name + " ";
    }
    return line + (more ? "…" : "");
}

// Everything but the applied index and the time, which every entry moves.
std::string contents(const StateMachine& machine) {
    bool more = false;
    std::string lines = std::to_string(machine.utc_offset_ns()) + "\n";
    for (const ListItem& item : machine.list("", "", 1'000'000, more)) {
        lines += item.name + " " + text(item.value) + "\n";
    }
    return lines + std::to_string(machine.next_deadline_ns());
}

}  // namespace

TEST_CASE("state machine: set writes whatever was there") {
    Machine m;
    Output output = m.set("a", "x");
    CHECK(output.status == Status::ok);
    CHECK(output.kind == Kind::set);
    CHECK(output.created);
    CHECK(output.index == 1);
    CHECK(text(m.events) == "1.0! created a 'x'#1@0\n");
    output = m.set("a", "");
    CHECK(output.status == Status::ok);
    CHECK_FALSE(output.created);
    CHECK(output.index == 2);
    CHECK(text(m.events) == "2.0! updated a ''#2@0 was 'x'#1@0\n");
    CHECK(text(*m.machine.get("a")) == "''#2@0");
    CHECK(m.machine.get("b") == nullptr);
}

TEST_CASE("state machine: create-only refuses what is there and changes nothing") {
    Machine m;
    CHECK(m.set("a", "x", 5'000, true).created);
    const std::string before = contents(m.machine);
    const Output output = m.set("a", "y", {}, true);
    CHECK(output.status == Status::already_exists);
    CHECK(output.index == 1);
    CHECK_FALSE(output.created);
    CHECK(m.events.empty());
    CHECK(contents(m.machine) == before);
}

TEST_CASE("state machine: update needs a value, and the index when it names one") {
    Machine m;
    CHECK(m.update("a", "x").status == Status::not_found);
    CHECK(m.update("a", "x", 1).status == Status::not_found);
    CHECK(m.events.empty());
    CHECK(m.machine.size() == 0);
    m.set("a", "x");  // 3
    Output output = m.update("a", "y");
    CHECK(output.status == Status::ok);
    CHECK(output.kind == Kind::update);
    CHECK(output.index == 4);
    CHECK(text(*output.prev_value) == "'x'#3@0");
    CHECK(text(m.events) == "4.0! updated a 'y'#4@0 was 'x'#3@0\n");
    output = m.update("a", "z", 4);
    CHECK(output.index == 5);
    const std::string before = contents(m.machine);
    output = m.update("a", "lost", 4, 9'000);
    CHECK(output.status == Status::conflict);
    CHECK(output.index == 5);
    CHECK_FALSE(output.prev_value);
    CHECK(m.events.empty());
    CHECK(contents(m.machine) == before);
}

TEST_CASE("state machine: delete answers what it deleted; a recreated value has a new index") {
    Machine m;
    CHECK(m.remove("a").status == Status::not_found);
    CHECK(m.remove("a", 7).status == Status::not_found);
    m.set("a", "x", 500);  // 3
    const std::string before = contents(m.machine);
    Output output = m.remove("a", 2);
    CHECK(output.status == Status::conflict);
    CHECK(output.index == 3);
    CHECK_FALSE(output.value);
    CHECK(m.events.empty());
    CHECK(contents(m.machine) == before);
    output = m.remove("a", 3);  // 5
    CHECK(output.status == Status::ok);
    CHECK(output.kind == Kind::remove);
    CHECK(output.index == 3);
    CHECK(text(*output.value) == "'x'#3@1500");
    CHECK(text(m.events) == "5.0! deleted a 'x'#3@1500\n");
    CHECK(m.machine.get("a") == nullptr);
    CHECK(m.machine.next_deadline_ns() == 0);
    m.set("a", "x");
    CHECK(m.update("a", "y", 3).status == Status::conflict);
}

TEST_CASE("state machine: get through the log") {
    Machine m;
    seed::AtomicValueInput get;
    get.mutable_get();
    Output output = m.input("a", get);
    CHECK(output.status == Status::not_found);
    CHECK(output.kind == Kind::get);
    m.set("a", "x", 7);
    output = m.input("a", get);
    CHECK(output.status == Status::ok);
    CHECK(output.index == 2);
    CHECK(text(*output.value) == "'x'#2@1007");
    CHECK(m.events.empty());
}

TEST_CASE("state machine: what isn't a command changes nothing") {
    Machine m;
    m.set("a", "x", 100);
    const std::string before = contents(m.machine);
    const auto refused = [&](const Output& output) {
        CHECK(output.status == Status::invalid);
        CHECK(output.index == 0);
        CHECK(m.events.empty());
        CHECK(contents(m.machine) == before);
        CHECK(m.machine.applied_index() == m.index);
    };
    refused(m.apply("\x0a"));              // cut short
    refused(m.apply("\xff\xff\xff\xff"));  // no tag at all
    refused(m.apply("\x98\x06\x01"));      // only a field of another version
    refused(m.apply(std::string("\x0a\x00", 2)));
    for (const std::string& name :
         {std::string(), std::string("a/"), std::string("../a"), std::string(513, 'n'),
          std::string("\xff"), std::string("\n")}) {
        refused(m.set(name, "y"));
        refused(m.update(name, "y"));
        refused(m.remove(name));
    }
    std::string bad_input;
    encode_input("a", "\xff", bad_input);
    refused(m.apply(bad_input));
    seed::AtomicValueInput input;
    refused(m.input("a", input));
    input.mutable_watch();
    refused(m.input("a", input));
    input.mutable_events();
    refused(m.input("a", input));
    for (const std::int64_t ttl_ns : {std::int64_t{0}, std::int64_t{-1}, ttl_ns_max + 1,
                                      std::numeric_limits<std::int64_t>::min()}) {
        refused(m.set("a", "y", ttl_ns));
        refused(m.update("a", "y", 0, ttl_ns));
    }
    input.mutable_set()->mutable_ttl()->set_seconds(1);
    input.mutable_set()->mutable_ttl()->set_nanos(-1);
    refused(m.input("a", input));
    input.mutable_set()->mutable_ttl()->set_nanos(1'000'000'000);
    refused(m.input("a", input));
    cairn::server::v1::Command command;
    command.mutable_value()->set_name("a");
    command.mutable_value()->set_create_only(true);
    command.mutable_value()->mutable_input()->mutable_update()->set_value("y");
    refused(m.apply(command.SerializeAsString()));
}

TEST_CASE("state machine: the largest value and the longest ttl") {
    Machine m;
    CHECK(m.set("a", std::string(value_bytes_max, 'v')).status == Status::ok);
    CHECK(m.set("a", std::string(value_bytes_max + 1, 'w')).status == Status::invalid);
    CHECK(m.machine.get("a")->index == 1);
    CHECK(m.set("b", "x", ttl_ns_max).status == Status::ok);
    CHECK(m.machine.get("b")->deadline_ns == 1'000 + ttl_ns_max);
    m.at(std::numeric_limits<std::int64_t>::max() - 10);
    CHECK(m.set("a", "x", 11).status == Status::invalid);  // past the end of time
    CHECK(m.set("a", "x", 10).status == Status::ok);
}

TEST_CASE("state machine: expires at its deadline, not before, in the order of deadline and name") {
    Machine m;
    m.set("b", "1", 100);
    m.set("a", "2", 100);
    m.set("c", "3", 50);
    m.set("d", "4", 101);
    CHECK(m.machine.next_deadline_ns() == 1'050);
    m.at(1'049);
    CHECK(m.events.empty());
    CHECK(names(m.machine) == "a b c d ");
    m.now = 1'100;
    m.set("e", "5");
    CHECK(text(m.events) ==
          "6.0 expired c '3'#3@1050\n"
          "6.1 expired a '2'#2@1100\n"
          "6.2 expired b '1'#1@1100\n"
          "6.3! created e '5'#6@0\n");
    CHECK(names(m.machine) == "d e ");
    CHECK(m.machine.next_deadline_ns() == 1'101);
    std::string clock;
    encode_clock(-7, clock);
    m.now = 1'101;
    const Output output = m.apply(clock);
    CHECK(output.status == Status::ok);
    CHECK(output.kind == Kind::none);
    CHECK(text(m.events) == "7.0! expired d '4'#4@1101\n");
    CHECK(m.machine.utc_offset_ns() == -7);
    clock.clear();
    encode_clock({}, clock);
    m.apply(clock);
    CHECK(m.machine.utc_offset_ns() == -7);
    CHECK(m.machine.next_deadline_ns() == 0);
}

TEST_CASE("state machine: a command finds its value already expired") {
    Machine m;
    m.set("a", "x", 100);
    m.now = 1'100;
    CHECK(m.update("a", "y", 1).status == Status::not_found);
    CHECK(text(m.events) == "2.0! expired a 'x'#1@1100\n");
    m.set("a", "x", 100);
    m.now = 1'200;
    CHECK(m.set("a", "y", {}, true).created);
    CHECK(text(m.events) == "4.0 expired a 'x'#3@1200\n4.1! created a 'y'#4@0\n");
    CHECK(m.machine.size() == 1);
}

TEST_CASE("state machine: writing anew moves, sets or clears the deadline") {
    Machine m;
    m.set("a", "1", 100);
    m.set("a", "2", 300);
    m.at(1'299);
    CHECK(m.machine.get("a") != nullptr);
    m.update("a", "3");
    CHECK(m.machine.next_deadline_ns() == 0);
    m.at(9'000);
    CHECK(text(*m.machine.get("a")) == "'3'#4@0");
    m.update("a", "4", 0, 1);
    CHECK(m.machine.next_deadline_ns() == 9'001);
    m.set("a", "5");
    CHECK(m.machine.next_deadline_ns() == 0);
    CHECK(m.machine.size() == 1);
}

TEST_CASE("state machine: time never goes back") {
    Machine m;
    m.at(2'000);
    m.now = 1'500;
    m.set("a", "x", 100);
    CHECK(m.machine.time_ns() == 2'000);
    CHECK(m.machine.get("a")->deadline_ns == 2'100);
}

TEST_CASE("state machine: expiry is bounded, and what is left is gone all the same") {
    Machine m;
    const std::size_t count = 2 * expiries_per_entry_max + 500;
    const auto name_of = [](std::size_t i) {
        std::string digits = std::to_string(i);
        return "n" + std::string(6 - digits.size(), '0') + digits;
    };
    for (std::size_t i = 0; i < count; ++i) {
        m.set(name_of(i), "x", 100);
    }
    m.set("z", "permanent");
    CHECK(m.machine.size() == count + 1);

    const std::string last = name_of(count - 1);
    m.now = 1'100;
    CHECK(m.update(last, "y").status == Status::not_found);
    REQUIRE(m.events.size() == expiries_per_entry_max + 1);
    CHECK(m.events.front().name == name_of(0));
    CHECK(m.events.back().name == last);
    CHECK(m.events.back().expired);
    CHECK(m.events.back().last_of_index);
    CHECK_FALSE(m.events[expiries_per_entry_max - 1].last_of_index);
    CHECK(m.events.back().at_position == expiries_per_entry_max);
    CHECK(m.machine.size() == count - expiries_per_entry_max);

    CHECK(m.machine.next_deadline_ns() == 1'100);  // due at once
    CHECK(m.machine.next_deadline_ns() <= m.machine.time_ns());
    CHECK(m.machine.get(name_of(count - 2)) == nullptr);
    CHECK(names(m.machine) == "z ");
    CHECK(names(m.machine, "", "", 1) == "z ");

    const std::string other = name_of(count - 3);
    CHECK(m.set(other, "again", {}, true).created);  // the second bound's worth goes before
    REQUIRE(m.events.size() == expiries_per_entry_max + 2);
    CHECK(m.events[expiries_per_entry_max].expired);
    CHECK(m.events[expiries_per_entry_max].name == other);
    CHECK(m.events.back().kind == Event::Kind::created);
    m.at(1'100);
    CHECK(m.events.size() == 498);
    CHECK(names(m.machine) == other + " z ");
    CHECK(m.machine.size() == 2);
    CHECK(m.machine.next_deadline_ns() == 0);
}

TEST_CASE("state machine: events are appended, positions begin anew in each entry") {
    StateMachine machine;
    std::vector<Event> events;
    std::string command;
    encode_set("a", "x", 10, false, command);
    machine.apply(5, 100, command, events);
    machine.apply(9, 110, command, events);
    CHECK(text(events) ==
          "5.0! created a 'x'#5@110\n9.0 expired a 'x'#5@110\n9.1! created a 'x'#9@120\n");
    CHECK(machine.applied_index() == 9);
}

TEST_CASE("state machine: lists by byte, by prefix and in pages") {
    Machine m;
    for (const char* name : {"b", "a/c", "a", "\xc3\xa4", "a/b", "ab", "Z"}) {
        m.set(name, name);
    }
    CHECK(names(m.machine) == "Z a a/b a/c ab b \xc3\xa4 ");
    CHECK(names(m.machine, "a") == "a a/b a/c ab ");
    CHECK(names(m.machine, "a/") == "a/b a/c ");
    CHECK(names(m.machine, "a", "a/b") == "a/c ab ");
    CHECK(names(m.machine, "a", "a/b", 1) == "a/c …");
    CHECK(names(m.machine, "a", "a/c", 1) == "ab ");
    CHECK(names(m.machine, "a", "a") == "a/b a/c ab ");
    CHECK(names(m.machine, "a", "0") == "a a/b a/c ab ");
    CHECK(names(m.machine, "a", "b") == "");
    CHECK(names(m.machine, "", "a/bb", 2) == "a/c ab …");
    CHECK(names(m.machine, "", "", 0) == "…");
    CHECK(names(m.machine, "q", "", 0) == "");
    bool more = true;
    CHECK(m.machine.list("\xff", "", 5, more).empty());
    CHECK_FALSE(more);
}

TEST_CASE("state machine: the digest is of the state, not of how it came about") {
    const auto apply = [](StateMachine& machine, Index index, const std::string& command) {
        std::vector<Event> events;
        machine.apply(index, 1'000, command, events);
    };
    std::string set_a, set_b, set_x, remove_x;
    encode_set("a", "1", 500, false, set_a);
    encode_set("b", "2", {}, false, set_b);
    encode_set("x", "3", 70, false, set_x);
    encode_delete("x", 0, remove_x);
    StateMachine one;
    apply(one, 1, set_b);
    apply(one, 2, set_x);
    apply(one, 3, set_a);
    apply(one, 4, remove_x);
    apply(one, 5, set_b);
    StateMachine other;
    apply(other, 3, set_a);
    CHECK(other.digest() != one.digest());
    apply(other, 5, set_b);
    CHECK(other.digest() == one.digest());
    // Pinned: the same on every platform and in every version, or nodes can't be compared.
    CHECK(one.digest() == 1496901084795555988U);

    StateMachine moved = std::move(one);
    CHECK(moved.digest() == other.digest());
    apply(moved, 6, set_x);
    apply(other, 6, "");
    CHECK(moved.digest() != other.digest());
    CHECK(names(moved) == "a b x ");
}

TEST_CASE("state machine: every part of the state is in the digest") {
    struct Case {
        Index index = 5;
        std::int64_t stamp_ns = 1'000;
        std::string name = "ab";
        std::string bytes = "c";
        std::optional<std::int64_t> ttl_ns = {};
        std::optional<std::int64_t> utc_offset_ns = {};
        Index last_index = 9;
    };
    std::vector<Case> cases(10);
    cases[1].index = 6;
    cases[2].stamp_ns = 1'001;
    cases[3].name = "a";
    cases[3].bytes = "bc";
    cases[4].bytes = std::string("c\0", 2);
    cases[5].ttl_ns = 5;
    cases[6].ttl_ns = 6;
    cases[7].utc_offset_ns = 1;
    cases[8].last_index = 10;
    cases[9].bytes = "";
    std::vector<std::uint64_t> digests = {StateMachine().digest()};
    for (const Case& one : cases) {
        StateMachine machine;
        std::vector<Event> events;
        std::string command;
        encode_set(one.name, one.bytes, one.ttl_ns, false, command);
        machine.apply(one.index, one.stamp_ns, command, events);
        std::string clock;
        encode_clock(one.utc_offset_ns, clock);
        machine.apply(one.last_index, one.stamp_ns, clock, events);
        digests.push_back(machine.digest());
    }
    std::sort(digests.begin(), digests.end());
    CHECK(std::adjacent_find(digests.begin(), digests.end()) == digests.end());
}
