#include "fsm/idempotency.h"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "atomix/multiraft/atomic/value/v1/fsm.pb.h"
#include "fsm/command.h"
#include "fsm/state_machine.h"

namespace {

using namespace cairn::fsm;
using Kind = Output::Kind;

constexpr std::int64_t retention_ns = 600'000'000'000;

// A state machine with the next index and a clock at hand; keeps the last entry's events.
struct Machine {
    Output apply(const std::string& command) {
        events.clear();
        return machine.apply(++index, now, command, events);
    }
    Output set(const std::string& name, const std::string& value, const Idempotency& idempotency,
               std::optional<std::int64_t> ttl_ns = {}, bool create_only = false) {
        std::string command;
        encode_set(name, value, ttl_ns, create_only, command, idempotency);
        return apply(command);
    }
    Output update(const std::string& name, const std::string& value, Index prev_index,
                  const Idempotency& idempotency) {
        std::string command;
        encode_update(name, value, {}, prev_index, command, idempotency);
        return apply(command);
    }
    Output remove(const std::string& name, Index prev_index, const Idempotency& idempotency) {
        std::string command;
        encode_delete(name, prev_index, command, idempotency);
        return apply(command);
    }

    StateMachine machine;
    std::vector<Event> events;
    Index index = 0;
    std::int64_t now = 1'000;
};

std::string text(const std::optional<Value>& value) {
    return value ? "'" + *value->bytes + "'#" + std::to_string(value->index) + "@" +
                       std::to_string(value->deadline_ns)
                 : "-";
}

std::string text(const Output& output) {
    return std::to_string(static_cast<int>(output.status)) + " kind " +
           std::to_string(static_cast<int>(output.kind)) + (output.created ? " created" : "") +
           " index " + std::to_string(output.index) + " value " + text(output.value) + " was " +
           text(output.prev_value);
}

// The output again, of the entry at `index`, and nothing done.
void check_replayed(const Machine& m, const Output& output, const Output& first, Index index) {
    CHECK(output.replayed);
    CHECK(output.first_applied_index == index);
    CHECK(text(output) == text(first));
    CHECK(m.events.empty());
}

void check_first(const Output& output, Status status) {
    CHECK(output.status == status);
    CHECK_FALSE(output.replayed);
    CHECK(output.first_applied_index == 0);
}

Output made(Kind kind, Status status, Index index) {
    Output output;
    output.kind = kind;
    output.status = status;
    output.index = index;
    return output;
}

// A table, and what has to be in it: the list of what was kept, searched from end to end.
struct TableModel {
    struct Kept {
        Index index = 0;
        std::string key;
        std::size_t bytes = 0;
        std::int64_t deadline_ns = 0;
    };

    std::size_t bytes() const {
        std::size_t sum = 0;
        for (const Kept& one : kept) {
            sum += one.bytes;
        }
        return sum;
    }

    void expire(std::int64_t now, PinnedOutcomes* pinned) {
        table.expire(now, pinned);
        while (!kept.empty() && kept.front().deadline_ns <= now) {
            kept.pop_front();
        }
    }

    void keep_if_unknown(Index index, std::int64_t now, const std::string& key,
                         std::size_t value_bytes, PinnedOutcomes* pinned) {
        const auto found =
            std::find_if(kept.begin(), kept.end(), [&](const Kept& one) { return one.key == key; });
        const bool known = found != kept.end() && found->deadline_ns > now;
        REQUIRE((table.find(key, now) != nullptr) == known);
        if (known) {
            return;
        }
        if (found != kept.end()) {
            kept.erase(found);
        }
        Output output = made(Kind::remove, Status::ok, 1);
        output.value = Value{std::make_shared<const std::string>(value_bytes, 'v'), 1, 0};
        table.keep(index, now, key, index, output, pinned);
        kept.push_back({index, key, key.size() + value_bytes, now + retention_ns});
        while (kept.size() > limits.outcomes_max || bytes() > limits.bytes_max) {
            kept.pop_front();
        }
    }

    void check() const {
        REQUIRE(table.bytes() == bytes());
        REQUIRE(table.outcomes().size() == kept.size());
        auto next = table.outcomes().begin();
        for (const Kept& one : kept) {
            CHECK(next->first == one.index);
            CHECK(next->second.key == one.key);
            CHECK(next->second.deadline_ns == one.deadline_ns);
            CHECK(next->second.output.first_applied_index == one.index);
            ++next;
        }
    }

    const IdempotencyLimits limits{20, 300};
    IdempotencyTable table{limits};
    std::deque<Kept> kept;
};

// What a snapshot that is being taken has yet to read.
struct PinnedModel {
    void begin(const TableModel& model, Index last) {
        pinned.emplace();
        pinned->last = last;
        unread.clear();
        for (const auto& one : model.kept) {
            unread.push_back(one.index);
        }
    }

    void read_next() {
        if (!unread.empty()) {
            pinned->read = unread.front();
            pinned->forgotten.erase(unread.front());
            unread.pop_front();
        }
    }

    // All of it is there, live or forgotten, and no more than that is kept.
    void check(const IdempotencyTable& table) const {
        std::size_t forgotten = 0;
        for (const Index one : unread) {
            const bool live = table.outcomes().contains(one);
            REQUIRE(pinned->forgotten.contains(one) == !live);
            forgotten += live ? 0 : 1;
        }
        REQUIRE(pinned->forgotten.size() == forgotten);
    }

    std::optional<PinnedOutcomes> pinned;
    std::deque<Index> unread;
};

}  // namespace

TEST_CASE("idempotency: every outcome is given again, exactly, and done once") {
    Machine m;
    m.set("a", "one", {});                                         // 1
    const Output created = m.set("b", "x", {"create", 1}, 5'000);  // 2
    check_first(created, Status::ok);
    CHECK(created.created);
    const Output updated = m.update("a", "two", 1, {"update", 2});  // 3
    check_first(updated, Status::ok);
    CHECK(text(updated.prev_value) == "'one'#1@0");
    const Output conflict = m.update("a", "three", 1, {"conflict", 3});  // 4
    check_first(conflict, Status::conflict);
    const Output removed = m.remove("b", 0, {"remove", 4});  // 5
    check_first(removed, Status::ok);
    CHECK(text(removed.value) == "'x'#2@6000");
    const Output missing = m.remove("b", 0, {"missing", 5});  // 6
    check_first(missing, Status::not_found);
    const Output refused = m.set("a", "y", {"refused", 6}, {}, true);  // 7
    check_first(refused, Status::already_exists);
    ::atomix::multiraft::atomic::value::v1::AtomicValueInput input;
    input.mutable_get();
    std::string get;
    encode_input("a", input.SerializeAsString(), get, {"get", 7});
    const Output got = m.apply(get);  // 8
    check_first(got, Status::ok);
    CHECK(text(got.value) == "'two'#3@0");

    // Everything is otherwise now.
    m.set("a", "another", {});
    m.set("b", "another", {});
    for (int i = 0; i < 2; ++i) {
        check_replayed(m, m.set("b", "x", {"create", 1}, 5'000), created, 2);
        check_replayed(m, m.update("a", "two", 1, {"update", 2}), updated, 3);
        check_replayed(m, m.update("a", "three", 1, {"conflict", 3}), conflict, 4);
        check_replayed(m, m.remove("b", 0, {"remove", 4}), removed, 5);
        check_replayed(m, m.remove("b", 0, {"missing", 5}), missing, 6);
        check_replayed(m, m.set("a", "y", {"refused", 6}, {}, true), refused, 7);
        check_replayed(m, m.apply(get), got, 8);
    }
    CHECK(*m.machine.get("a")->bytes == "another");
    CHECK(*m.machine.get("b")->bytes == "another");
    CHECK(m.machine.size() == 2);
}

TEST_CASE("idempotency: the same key with another request changes nothing") {
    Machine m;
    m.set("a", "x", {"key", 1});
    const Output output = m.set("b", "y", {"key", 2});  // one space of keys for all names
    check_first(output, Status::idempotency_mismatch);
    CHECK(output.kind == Kind::set);
    CHECK(output.index == 0);
    CHECK_FALSE(output.created);
    CHECK(m.events.empty());
    CHECK(m.machine.size() == 1);
    CHECK(m.remove("a", 0, {"key", 0}).status == Status::idempotency_mismatch);
    CHECK(m.remove("a", 0, {"key", 0}).kind == Kind::remove);
    // The first outcome stays, and its deadline isn't moved.
    CHECK(m.set("a", "x", {"key", 1}).replayed);
    m.now += retention_ns - 1;
    CHECK(m.set("a", "x", {"key", 1}).replayed);
    m.now += 1;
    check_first(m.set("b", "y", {"key", 2}), Status::ok);
}

TEST_CASE("idempotency: an outcome is known until ten minutes of log time later, not longer") {
    Machine m;
    m.set("a", "x", {"key", 1});  // 1
    m.now += retention_ns - 1;
    CHECK(m.set("a", "x", {"key", 1}).first_applied_index == 1);
    m.now += 1;
    const Output again = m.set("a", "x", {"key", 1});  // 3
    check_first(again, Status::ok);
    CHECK_FALSE(again.created);
    CHECK(again.index == 3);
    CHECK(m.events.size() == 1);
    m.now += 5;
    CHECK(m.set("a", "x", {"key", 1}).first_applied_index == 3);

    // To the end of time, where there are no ten minutes left.
    m.now = std::numeric_limits<std::int64_t>::max() - 1;
    check_first(m.set("a", "x", {"key", 1}), Status::ok);
    CHECK(m.set("a", "x", {"key", 1}).replayed);
    m.now += 1;
    check_first(m.set("a", "x", {"key", 1}), Status::ok);
    check_first(m.set("a", "x", {"key", 1}), Status::ok);
}

TEST_CASE("idempotency: no key, and what is invalid, isn't kept") {
    Machine m;
    for (int i = 0; i < 2; ++i) {
        check_first(m.set("a", "x", {"", 5}), Status::ok);
        check_first(m.set("a/", "x", {"name", 1}), Status::invalid);
        check_first(m.set("a", "x", {"ttl", 1}, 0), Status::invalid);
        check_first(m.set("a", "x", {std::string(256, 'k'), 1}), Status::invalid);
    }
    CHECK(m.events.empty());
    check_first(m.set("a", "x", {"name", 2}), Status::ok);
    check_first(m.set("a", "x", {"ttl", 2}), Status::ok);
    check_first(m.set("a", "x", {std::string(255, 'k'), 1}), Status::ok);
    CHECK(m.set("a", "x", {std::string(255, 'k'), 1}).replayed);
    CHECK_FALSE(m.set("a", "x", {std::string(254, 'k'), 1}).replayed);
    const std::string bytes("\0\xff", 2);
    check_first(m.set("a", "x", {bytes, 1}), Status::ok);
    CHECK(m.set("a", "x", {bytes, 1}).replayed);
}

TEST_CASE("idempotency: a replay still moves time, and what expires then is its entry's") {
    Machine m;
    m.set("a", "x", {"key", 1}, 100);
    m.now += 100;
    const Output output = m.set("a", "x", {"key", 1}, 100);
    CHECK(output.replayed);
    REQUIRE(m.events.size() == 1);
    CHECK(m.events[0].expired);
    CHECK(m.events[0].last_of_index);
    CHECK(m.machine.get("a") == nullptr);
    CHECK(m.machine.next_deadline_ns() == 0);  // the kept outcome's is no reason for an entry
}

TEST_CASE("idempotency: what is kept is in the digest") {
    std::vector<std::uint64_t> digests;
    const auto add = [&](const std::string& key, std::uint64_t fingerprint, std::int64_t now) {
        Machine m;
        m.now = now;
        m.set("a", "x", {key, fingerprint});
        m.now = 2'000;
        m.set("a", "x", {});
        digests.push_back(m.machine.digest());
    };
    add("", 0, 1'000);
    add("k", 0, 1'000);
    add("k", 1, 1'000);
    add("l", 1, 1'000);
    add("k", 1, 1'001);
    add("kk", 1, 1'000);
    // The outcome, and its value.
    for (const char* value : {"x", "y"}) {
        Machine m;
        m.set("a", value, {});
        m.set("a", value, {});
        m.update("a", "z", 0, {"k", 1});
        m.set("a", "z", {});
        digests.push_back(m.machine.digest());
    }
    for (const char* second : {"a", "b"}) {  // the index that the refusal names
        Machine m;
        m.set("a", "x", {});
        m.set(second, "x", {});
        m.update("a", "y", 9, {"k", 1});
        m.set("b", "x", {});
        m.set("a", "x", {});
        digests.push_back(m.machine.digest());
    }
    for (std::size_t i = 0; i < digests.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
            CAPTURE(i);
            CAPTURE(j);
            CHECK(digests[i] != digests[j]);
        }
    }
    // A replay and a mismatch are not; and what is forgotten leaves nothing behind.
    Machine one;
    Machine other;
    one.set("a", "x", {"k", 1});
    other.set("a", "x", {"k", 1});
    one.set("a", "x", {"k", 1});
    other.set("b", "x", {"k", 2});
    CHECK(one.machine.digest() == other.machine.digest());
    Machine none;
    none.set("a", "x", {});
    none.index = one.index;
    one.now = none.now = 1'000 + retention_ns;
    one.apply("");
    none.apply("");
    CHECK(one.machine.digest() == none.machine.digest());
}

TEST_CASE("idempotency: forgetting is bounded, and what is left is unknown all the same") {
    Machine m;
    const std::size_t count = 2 * idempotency_expiries_per_entry_max + 10;
    for (std::size_t i = 0; i < count; ++i) {
        m.set("a", "x", {"k" + std::to_string(i), 1});
    }
    m.now += retention_ns;
    const std::string last = "k" + std::to_string(count - 1);
    check_first(m.set("a", "y", {last, 2}), Status::ok);  // takes the old one's place
    CHECK(m.set("a", "y", {last, 2}).replayed);
    m.apply("");
    CHECK(m.set("a", "y", {last, 2}).replayed);

    // The state is that of one that never had them.
    Machine other;
    other.now = m.now;
    other.set("a", "x", {});
    other.index = count;
    other.set("a", "y", {last, 2});
    other.index = m.index - 1;
    other.apply("");
    CHECK(other.machine.digest() == m.machine.digest());
}

TEST_CASE("idempotency: the values in kept outcomes are bounded; the oldest go first") {
    Machine m;
    const std::size_t size = idempotency_bytes_max / 4 - 1;  // and keys of one byte
    REQUIRE(size <= value_bytes_max);
    const std::string large(size, 'v');
    m.set("a", large, {});
    for (const char* key : {"1", "2", "3", "4"}) {
        m.update("a", large, 0, {key, 1});
    }
    CHECK(m.update("a", large, 0, {"1", 1}).replayed);
    m.set("b", "", {"5", 1});                                    // one byte too many
    check_first(m.update("a", large, 0, {"1", 1}), Status::ok);  // pushes out 2
    CHECK(m.update("a", large, 0, {"3", 1}).replayed);
    CHECK(m.update("a", large, 0, {"4", 1}).replayed);
    CHECK(m.set("b", "", {"5", 1}).replayed);
    check_first(m.update("a", "", 0, {"2", 1}), Status::ok);
    check_first(m.update("a", "", 0, {"3", 1}), Status::ok);
}

TEST_CASE("idempotency: as many outcomes as the bound says are kept, in a table of that size") {
    IdempotencyTable table;
    for (Index index = 1; index <= idempotency_outcomes_max + 1; ++index) {
        table.keep(index, 5, std::to_string(index), index, made(Kind::set, Status::ok, index),
                   nullptr);
    }
    CHECK(table.outcomes().size() == idempotency_outcomes_max);
    CHECK(table.find("1", 5) == nullptr);
    REQUIRE(table.find("2", 5) != nullptr);
    CHECK(table.find("2", 5)->fingerprint == 2);
}

TEST_CASE("idempotency: a table against a model, with what a snapshot pins") {
    for (std::uint64_t seed = 1; seed <= 30; ++seed) {
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        TableModel model;
        PinnedModel pinned;
        std::int64_t now = 0;
        for (Index index = 1; index <= 3'000; ++index) {
            now += random() % 20 == 0 ? retention_ns / 4 : 1;
            if (!pinned.pinned) {
                pinned.begin(model, index - 1);
            }
            if (random() % 4 != 0) {  // else some are left to be found past their deadline
                model.expire(now, &*pinned.pinned);
            }
            const std::string key(1 + random() % 3, static_cast<char>('a' + random() % 10));
            model.keep_if_unknown(index, now, key, random() % 60, &*pinned.pinned);
            model.check();
            if (random() % 3 == 0) {
                pinned.read_next();
            }
            pinned.check(model.table);
            if (pinned.unread.empty() && random() % 5 == 0) {
                pinned.pinned.reset();
            }
        }
    }
}

TEST_CASE("idempotency: a table takes from a snapshot what it could have kept, no more") {
    IdempotencyTable table({2, 10});
    KeptOutcome outcome;
    outcome.key = "abc";
    CHECK(table.restore(3, outcome));
    CHECK_FALSE(table.restore(4, outcome));  // the same key
    outcome.key = "12345678";
    CHECK_FALSE(table.restore(4, outcome));
    outcome.key = "1234567";
    CHECK(table.restore(4, outcome));
    outcome.key = "";
    CHECK_FALSE(table.restore(5, outcome));
    CHECK(table.bytes() == 10);
}
