// The state machine against a model of it that is too simple to be wrong, over long random
// histories.
#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "atomix/multiraft/atomic/value/v1/fsm.pb.h"
#include "fsm/command.h"
#include "fsm/snapshot.h"
#include "fsm/state_machine.h"

namespace {

using namespace cairn::fsm;
using Kind = Output::Kind;

struct ModelValue {
    std::string bytes;
    Index index = 0;
    std::int64_t deadline_ns = 0;

    std::string text() const {
        return bytes + "#" + std::to_string(index) + "@" + std::to_string(deadline_ns);
    }
};

std::string text(const Value& value) {
    return ModelValue{*value.bytes, value.index, value.deadline_ns}.text();
}

struct Action {
    Kind kind = Kind::none;
    std::string name;
    std::string bytes;
    std::optional<std::int64_t> ttl_ns;
    Index prev_index = 0;
    bool create_only = false;
    std::string key;
    std::uint64_t fingerprint = 0;

    std::string encode() const {
        std::string command;
        const Idempotency idempotency{key, fingerprint};
        if (kind == Kind::set) {
            encode_set(name, bytes, ttl_ns, create_only, command, idempotency);
        } else if (kind == Kind::update) {
            encode_update(name, bytes, ttl_ns, prev_index, command, idempotency);
        } else if (kind == Kind::remove) {
            encode_delete(name, prev_index, command, idempotency);
        } else if (kind == Kind::get) {
            ::atomix::multiraft::atomic::value::v1::AtomicValueInput input;
            input.mutable_get();
            encode_input(name, input.SerializeAsString(), command, idempotency);
        }
        return command;
    }
};

// Outputs and events are lines of text, as the real ones are made below.
class Model {
 public:
    std::string apply(Index index, std::int64_t stamp_ns, const Action& action) {
        events.clear();
        time_ns = std::max(time_ns, stamp_ns);
        std::vector<std::pair<std::int64_t, std::string>> due;
        for (const auto& [name, value] : values) {
            if (value.deadline_ns != 0 && value.deadline_ns <= time_ns) {
                due.emplace_back(value.deadline_ns, name);
            }
        }
        std::sort(due.begin(), due.end());
        for (const auto& [deadline, name] : due) {
            events.push_back("expired " + name + " " + values[name].text());
            values.erase(name);
        }
        std::erase_if(kept, [this](const auto& one) { return one.second.deadline_ns <= time_ns; });
        if (action.kind == Kind::none || action.key.empty()) {
            return run(index, action);
        }
        if (const auto found = kept.find(action.key); found != kept.end()) {
            const Kept& first = found->second;
            return first.fingerprint == action.fingerprint
                       ? first.outcome + " replayed of " + std::to_string(first.index)
                       : "mismatch";
        }
        const std::string outcome = run(index, action);
        if (outcome != "invalid") {
            kept[action.key] = {outcome, action.fingerprint, time_ns + 600'000'000'000, index};
        }
        return outcome;
    }

    struct Kept {
        std::string outcome;
        std::uint64_t fingerprint = 0;
        std::int64_t deadline_ns = 0;
        Index index = 0;
    };

    std::map<std::string, ModelValue> values;
    std::map<std::string, Kept> kept;
    std::int64_t time_ns = 0;
    std::vector<std::string> events;

 private:
    std::string run(Index index, const Action& action) {
        const auto found = values.find(action.name);
        const bool exists = found != values.end();
        if (action.kind == Kind::none) {
            return "none";
        }
        if (action.ttl_ns && *action.ttl_ns <= 0) {
            return "invalid";
        }
        const ModelValue value{action.bytes, index, action.ttl_ns ? time_ns + *action.ttl_ns : 0};
        if (action.kind == Kind::set) {
            if (exists && action.create_only) {
                return "exists " + std::to_string(found->second.index);
            }
            write(action.name, value);
            return (exists ? "set " : "created ") + std::to_string(index);
        }
        if (!exists) {
            return "not found";
        }
        const ModelValue old = found->second;
        if (action.kind == Kind::get) {
            return "got " + old.text();
        }
        if (action.prev_index != 0 && action.prev_index != old.index) {
            return "conflict " + std::to_string(old.index);
        }
        if (action.kind == Kind::update) {
            write(action.name, value);
            return "updated " + std::to_string(index) + " was " + old.text();
        }
        values.erase(found);
        events.push_back("deleted " + action.name + " " + old.text());
        return "removed " + old.text();
    }

    void write(const std::string& name, const ModelValue& value) {
        if (values.contains(name)) {
            events.push_back("updated " + name + " " + value.text() + " was " +
                             values[name].text());
        } else {
            events.push_back("created " + name + " " + value.text());
        }
        values[name] = value;
    }
};

std::string first_text(const Output& output) {
    const std::string index = std::to_string(output.index);
    switch (output.status) {
        case Status::not_found:
            return "not found";
        case Status::conflict:
            return "conflict " + index;
        case Status::already_exists:
            return "exists " + index;
        case Status::invalid:
            return "invalid";
        case Status::idempotency_mismatch:
            return "mismatch";
        case Status::ok:
            break;
    }
    switch (output.kind) {
        case Kind::none:
            return "none";
        case Kind::get:
            return "got " + text(*output.value);
        case Kind::set:
            return (output.created ? "created " : "set ") + index;
        case Kind::update:
            return "updated " + index + " was " + text(*output.prev_value);
        case Kind::remove:
            return "removed " + text(*output.value);
    }
    return "?";
}

std::string text(const Output& output) {
    return first_text(output) +
           (output.replayed ? " replayed of " + std::to_string(output.first_applied_index) : "");
}

std::vector<std::string> texts(const std::vector<Event>& events, Index index) {
    std::vector<std::string> lines;
    for (std::size_t i = 0; i < events.size(); ++i) {
        const Event& event = events[i];
        CHECK(event.at_index == index);
        CHECK(event.at_position == i);
        CHECK(event.last_of_index == (i + 1 == events.size()));
        const char* kinds[] = {"created ", "updated ", "deleted "};
        std::string line = event.expired ? "expired " : kinds[static_cast<int>(event.kind)];
        line += event.name + " " + text(event.value);
        line += event.prev_value ? " was " + text(*event.prev_value) : "";
        lines.push_back(line);
    }
    return lines;
}

class Generator {
 public:
    explicit Generator(std::uint64_t seed) : random_(seed) {}

    std::uint64_t below(std::uint64_t bound) { return random_() % bound; }

    // Back now and then; and far enough that what is kept under keys is forgotten, or just not.
    std::int64_t step_ns() {
        const auto step_ns = static_cast<std::int64_t>(below(12)) - 1;
        const std::int64_t jumps_ns[] = {600'000'000'000, 599'999'999'990, 200'000'000'000};
        return below(60) == 0 ? step_ns + jumps_ns[below(std::size(jumps_ns))] : step_ns;
    }

    Action action(const Model& model) {
        static const std::vector<std::string> pool = {
            "a", "b", "a/b", "a/c", "ab", "zz/y", std::string(40, 'l'), "\xc3\xa4"};
        static constexpr Kind kinds[] = {Kind::none,   Kind::get,    Kind::set,    Kind::set,
                                         Kind::update, Kind::update, Kind::remove, Kind::update};
        Action action;
        action.kind = kinds[below(std::size(kinds))];
        action.name = pool[below(pool.size())];
        action.bytes = std::string(below(40), static_cast<char>('a' + below(26)));
        const bool writes = action.kind == Kind::set || action.kind == Kind::update;
        if (writes && below(2) == 0) {
            action.ttl_ns = static_cast<std::int64_t>(below(60)) - (below(10) == 0 ? 30 : 0);
        }
        action.create_only = action.kind == Kind::set && below(3) == 0;
        const auto found = model.values.find(action.name);
        const Index current = found == model.values.end() ? 1 : found->second.index;
        const Index choices[] = {0, current, current, current + 1, current - 1};
        action.prev_index = choices[below(std::size(choices))];
        if (below(2) == 0) {
            action.key = std::string(1 + below(2) * 254, static_cast<char>('k' + below(6)));
            action.fingerprint = below(8) == 0 ? 0 : ~std::uint64_t{below(2)};
        }
        return action;
    }

 private:
    std::mt19937_64 random_;
};

void check_state(const StateMachine& machine, const Model& model, Generator& generator) {
    CHECK(machine.size() == model.values.size());
    CHECK(machine.time_ns() == model.time_ns);
    std::int64_t next_deadline_ns = 0;
    std::uint64_t bytes = 0;
    std::vector<std::string> expected;
    for (const auto& [name, value] : model.values) {
        const Value* found = machine.get(name);
        REQUIRE(found != nullptr);
        CHECK(text(*found) == value.text());
        bytes += name.size() + found->bytes->size();
        expected.push_back(name + " " + value.text());
        if (value.deadline_ns != 0 &&
            (next_deadline_ns == 0 || value.deadline_ns < next_deadline_ns)) {
            next_deadline_ns = value.deadline_ns;
        }
    }
    CHECK(machine.next_deadline_ns() == next_deadline_ns);
    CHECK(machine.bytes() == bytes);
    // All of it in pages of a random size.
    const std::size_t limit = 1 + generator.below(4);
    std::vector<std::string> listed;
    std::string after;
    for (bool more = true; more;) {
        const auto items = machine.list("", after, limit, more);
        CHECK(items.size() <= limit);
        for (const ListItem& item : items) {
            listed.push_back(item.name + " " + text(item.value));
            after = item.name;
        }
        REQUIRE((items.size() == limit || !more));
    }
    CHECK(listed == expected);
}

void check_expiries(const std::vector<Event>& events, std::int64_t time_before_ns,
                    std::int64_t time_ns) {
    for (const Event& event : events) {
        if (event.expired) {
            CHECK(event.value.deadline_ns <= time_ns);        // never early
            CHECK(event.value.deadline_ns > time_before_ns);  // at the first entry that may
        }
    }
}

// Takes snapshots of a machine while it goes on, and puts what they were loaded into in its place.
class Snapshots {
 public:
    // `replica` is in the same state.
    void step(std::unique_ptr<StateMachine>& machine, StateMachine& replica, Generator& generator) {
        if (!machine->snapshot_in_progress()) {
            expected_.clear();
            read_.clear();
            replica.begin_snapshot();
            CHECK_FALSE(replica.read_snapshot(SIZE_MAX, expected_));
            replica.end_snapshot();
            machine->begin_snapshot();
        }
        if (machine->read_snapshot(1 + generator.below(100), read_)) {
            return;
        }
        machine->end_snapshot();
        REQUIRE(read_ == expected_);
        expected_.clear();
        read_.clear();
        machine->begin_snapshot();
        machine->read_snapshot(SIZE_MAX, read_);
        SnapshotLoader loader;
        CHECK(loader.feed(read_));
        std::string error;
        auto loaded = loader.finish(error);
        REQUIRE(loaded);
        machine = std::make_unique<StateMachine>(std::move(*loaded));
    }

 private:
    std::string expected_;
    std::string read_;
};

void run_history(std::uint64_t seed, int entries) {
    CAPTURE(seed);
    Generator generator(seed);
    Model model;
    auto machine = std::make_unique<StateMachine>();
    StateMachine replica;
    Snapshots snapshots;
    Index index = 0;
    std::int64_t stamp_ns = 1;
    for (int i = 0; i < entries; ++i) {
        index += 1 + generator.below(2);
        stamp_ns += generator.step_ns();
        const std::int64_t time_before_ns = model.time_ns;
        const Action action = generator.action(model);
        const std::string command = action.encode();

        const std::string expected = model.apply(index, stamp_ns, action);
        std::vector<Event> events;
        const Output output = machine->apply(index, stamp_ns, command, events);
        REQUIRE(text(output) == expected);
        REQUIRE(texts(events, index) == model.events);
        check_expiries(events, time_before_ns, model.time_ns);
        check_state(*machine, model, generator);

        std::vector<Event> replica_events;
        CHECK(text(replica.apply(index, stamp_ns, command, replica_events)) == expected);
        CHECK(replica.digest() == machine->digest());
        snapshots.step(machine, replica, generator);
        if (generator.below(50) == 0) {
            machine = std::make_unique<StateMachine>(std::move(*machine));
        }
    }
}

}  // namespace

TEST_CASE("state machine: random histories against a model") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        run_history(seed, 1'500);
    }
}

TEST_CASE("state machine: random bytes are applied the same everywhere and break nothing") {
    std::mt19937_64 random(7);
    StateMachine one;
    StateMachine other;
    std::vector<Event> events;
    std::string valid;
    encode_update("a", "some bytes", 5'000, 3, valid);
    encode_set("a", "x", {}, true, valid, {"key", 7});
    for (Index index = 1; index <= 20'000; ++index) {
        std::string command = valid.substr(0, random() % (valid.size() + 1));
        for (std::uint64_t flips = random() % 4; flips > 0 && !command.empty(); --flips) {
            command[random() % command.size()] = static_cast<char>(random());
        }
        const auto stamp_ns = static_cast<std::int64_t>(index);
        events.clear();
        const Output output = one.apply(index, stamp_ns, command, events);
        CHECK(text(other.apply(index, stamp_ns, command, events)) == text(output));
        CHECK(one.digest() == other.digest());
    }
    CHECK(one.size() > 0);
}
