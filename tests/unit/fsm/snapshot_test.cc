#include "fsm/snapshot.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "fsm/command.h"
#include "fsm/snapshot_format.h"

namespace {

using namespace cairn::fsm;

struct Entry {
    Index index = 0;
    std::int64_t stamp_ns = 0;
    std::string command;
};

// Entries that write and delete all over a space of names, with deadlines and keys.
class Entries {
 public:
    Entries(std::uint64_t seed, std::uint64_t names) : random_(seed), names_(names) {}

    std::uint64_t below(std::uint64_t bound) { return random_() % bound; }

    Entry next() {
        entry_.index += 1 + below(2);
        entry_.stamp_ns += static_cast<std::int64_t>(below(10));
        if (below(200) == 0) {
            entry_.stamp_ns += idempotency_retention_ns / 2;
        }
        entry_.command.clear();
        const std::string name = "n" + std::to_string(below(names_));
        const std::string value(below(4) == 0 ? below(300) : below(12),
                                static_cast<char>('a' + below(26)));
        const std::optional<std::int64_t> ttl_ns =
            below(3) == 0 ? std::optional<std::int64_t>(1 + below(2'000)) : std::nullopt;
        const std::string key = below(2) == 0 ? "" : "k" + std::to_string(below(names_));
        const Idempotency idempotency{key, below(8) == 0 ? 1U : 2U};
        switch (below(6)) {
            case 0:
                encode_delete(name, 0, entry_.command, idempotency);
                break;
            case 1:
                encode_clock(static_cast<std::int64_t>(below(100)) - 50, entry_.command);
                break;
            case 2:
            case 3:
                encode_update(name, value, ttl_ns, 0, entry_.command, idempotency);
                break;
            default:
                encode_set(name, value, ttl_ns, below(4) == 0, entry_.command, idempotency);
        }
        return entry_;
    }

 private:
    std::mt19937_64 random_;
    std::uint64_t names_;
    Entry entry_;
};

std::string text(const std::optional<Value>& value) {
    return value ? *value->bytes + "#" + std::to_string(value->index) + "@" +
                       std::to_string(value->deadline_ns) + " "
                 : "- ";
}

// The output and the events of an entry, all of them.
std::string apply(StateMachine& machine, const Entry& entry) {
    std::vector<Event> events;
    const Output output = machine.apply(entry.index, entry.stamp_ns, entry.command, events);
    std::string line = std::to_string(static_cast<int>(output.status)) + " " +
                       std::to_string(static_cast<int>(output.kind)) + " " +
                       std::to_string(output.created) + std::to_string(output.replayed) + " " +
                       std::to_string(output.index) + " " +
                       std::to_string(output.first_applied_index) + " " + text(output.value) +
                       text(output.prev_value);
    for (const Event& event : events) {
        line += event.name + " " + std::to_string(static_cast<int>(event.kind)) +
                std::to_string(event.expired) + std::to_string(event.last_of_index) + " " +
                std::to_string(event.at_position) + " " + text(event.value) +
                text(event.prev_value);
    }
    return line;
}

std::string snapshot_of(StateMachine& machine) {
    std::string bytes;
    machine.begin_snapshot();
    CHECK_FALSE(machine.read_snapshot(std::numeric_limits<std::size_t>::max(), bytes));
    machine.end_snapshot();
    return bytes;
}

std::optional<StateMachine> load(std::string_view bytes) {
    SnapshotLoader loader;
    const bool fed = loader.feed(bytes);
    std::string error;
    auto machine = loader.finish(error);
    CHECK((fed || !machine));
    CHECK(machine.has_value() == error.empty());
    return machine;
}

// A loader's words about bytes that it refuses.
std::string refusal(std::string_view bytes) {
    SnapshotLoader loader;
    loader.feed(bytes);
    std::string error;
    CHECK_FALSE(loader.finish(error));
    const std::size_t colon = error.find(": ");
    return colon == std::string::npos ? error : error.substr(colon + 2);
}

std::string set(const std::string& name, const std::string& value,
                const Idempotency& idempotency = {}, std::optional<std::int64_t> ttl_ns = {}) {
    std::string command;
    encode_set(name, value, ttl_ns, false, command, idempotency);
    return command;
}

// A stream record by record, with the digest it must have.
struct Stream {
    explicit Stream(snapshot::Header with = {10, 1'000, 7, 0, 0}) : header(with) {
        snapshot::append_header(header, bytes);
        snapshot::add_header(header, digest);
    }
    Stream& value(const std::string& name, const std::string& content, Index index = 3,
                  std::int64_t deadline_ns = 0) {
        const Value added{std::make_shared<const std::string>(content), index, deadline_ns};
        snapshot::append_value_head(name, added, bytes);
        snapshot::add_value_head(name, added, digest);
        bytes += content;
        digest.add_part(content);
        return *this;
    }
    Stream& outcome(Index index, const KeptOutcome& kept) {
        snapshot::append_outcome_head(index, kept, bytes);
        snapshot::add_outcome_head(index, kept, digest);
        if (const Value* const content = snapshot::value_of(kept.output)) {
            bytes += *content->bytes;
            digest.add_part(*content->bytes);
        }
        return *this;
    }
    std::string end() {
        std::string all = bytes;
        snapshot::append_footer({header.values, header.outcomes, digest.value()}, all);
        return all;
    }

    snapshot::Header header;
    Digest digest;
    std::string bytes;
};

KeptOutcome kept(const std::string& key, Status status, Output::Kind kind, Index index) {
    KeptOutcome outcome;
    outcome.key = key;
    outcome.fingerprint = 9;
    outcome.deadline_ns = idempotency_retention_ns + 500;
    outcome.output.status = status;
    outcome.output.kind = kind;
    outcome.output.index = index;
    return outcome;
}

Value value_at(Index index, std::int64_t deadline_ns = 0) {
    return {std::make_shared<const std::string>("v"), index, deadline_ns};
}

}  // namespace

TEST_CASE("snapshot: an empty state") {
    StateMachine machine;
    const std::string bytes = snapshot_of(machine);
    CHECK(bytes.size() == snapshot::header_bytes + snapshot::footer_bytes);
    const auto loaded = load(bytes);
    REQUIRE(loaded);
    CHECK(loaded->applied_index() == 0);
    CHECK(loaded->digest() == machine.digest());
}

TEST_CASE("snapshot: the bytes are pinned; what was written must stay readable") {
    StateMachine machine;
    apply(machine, {2, 1'000, set("b", "xyz", {"key", 0x0807060504030201}, 5)});
    std::string command;
    encode_clock(-2, command);
    apply(machine, {3, 1'001, command});
    using namespace std::string_literals;
    const std::string expected =
        "CairnFSM\1\0\0\0"
        "\3\0\0\0\0\0\0\0\xe9\3\0\0\0\0\0\0\xfe\xff\xff\xff\xff\xff\xff\xff"
        "\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"
        "v\1\0\3\0\0\0\2\0\0\0\0\0\0\0\xed\3\0\0\0\0\0\0bxyz"
        "k\3\0\0\0\0\2\0\0\0\0\0\0\0\xe8\x73\xc9\xb2\x8b\0\0\0\1\2\3\4\5\6\7\x8\0\2\1"
        "\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0key"
        "e\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0"s;
    const std::string bytes = snapshot_of(machine);
    CHECK(bytes.substr(0, expected.size()) == expected);
    CHECK(bytes.size() == expected.size() + 8);
    std::uint64_t digest = 0;
    for (std::size_t i = 0; i < 8; ++i) {
        digest |= std::uint64_t{static_cast<unsigned char>(bytes[expected.size() + i])} << (8 * i);
    }
    CHECK(digest == machine.digest());
}

TEST_CASE("snapshot: applies between the parts don't show, however they fall") {
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        CAPTURE(seed);
        Entries entries(seed, seed % 2 == 0 ? 40 : 400);
        StateMachine machine;
        StateMachine replay;
        for (std::uint64_t i = entries.below(800); i > 0; --i) {
            const Entry entry = entries.next();
            apply(machine, entry);
            apply(replay, entry);
        }
        const std::string expected = snapshot_of(replay);
        const std::uint64_t digest = machine.digest();
        CHECK(digest == replay.digest());
        machine.begin_snapshot();
        CHECK(machine.snapshot_in_progress());
        const std::uint64_t part_max = 1 + entries.below(1'000);
        const std::uint64_t applies_max = 1 + entries.below(40);
        std::string bytes;
        for (bool more = true; more;) {
            for (std::uint64_t i = entries.below(applies_max); i > 0; --i) {
                const Entry entry = entries.next();
                REQUIRE(apply(machine, entry) == apply(replay, entry));
            }
            if (entries.below(10) == 0) {
                machine = StateMachine(std::move(machine));
            }
            const std::size_t before = bytes.size();
            const std::size_t part = entries.below(part_max);
            more = machine.read_snapshot(part, bytes);
            REQUIRE(bytes.size() - before < part + 600);
        }
        CHECK_FALSE(machine.read_snapshot(100, bytes));
        REQUIRE(bytes == expected);
        machine.end_snapshot();
        CHECK_FALSE(machine.snapshot_in_progress());
        CHECK(machine.digest() == replay.digest());
        const auto loaded = load(bytes);
        REQUIRE(loaded);
        CHECK(loaded->digest() == digest);
    }
}

TEST_CASE("snapshot: what is loaded is the same state, and goes on the same") {
    for (std::uint64_t seed = 100; seed < 130; ++seed) {
        CAPTURE(seed);
        Entries entries(seed, 60);
        StateMachine machine;
        for (int i = 0; i < 700; ++i) {
            apply(machine, entries.next());
        }
        const std::string bytes = snapshot_of(machine);
        // Cut anywhere.
        SnapshotLoader loader;
        for (std::size_t at = 0; at < bytes.size();) {
            const std::size_t part = std::min<std::size_t>(entries.below(50), bytes.size() - at);
            REQUIRE(loader.feed(std::string_view(bytes).substr(at, part)));
            at += part;
        }
        std::string error;
        auto loaded = loader.finish(error);
        REQUIRE(loaded);
        CHECK(error.empty());
        CHECK(loaded->applied_index() == machine.applied_index());
        CHECK(loaded->time_ns() == machine.time_ns());
        CHECK(loaded->utc_offset_ns() == machine.utc_offset_ns());
        CHECK(loaded->size() == machine.size());
        CHECK(loaded->next_deadline_ns() == machine.next_deadline_ns());
        CHECK(loaded->digest() == machine.digest());
        CHECK(snapshot_of(*loaded) == bytes);
        for (int i = 0; i < 700; ++i) {
            const Entry entry = entries.next();
            REQUIRE(apply(*loaded, entry) == apply(machine, entry));
            if (i % 20 == 0) {
                REQUIRE(loaded->digest() == machine.digest());
            }
        }
        CHECK(snapshot_of(*loaded) == snapshot_of(machine));
        // A loader gives its state once.
        CHECK_FALSE(loader.finish(error));
        CHECK_FALSE(error.empty());
    }
}

TEST_CASE("snapshot: one that is abandoned leaves nothing behind") {
    Entries entries(5, 50);
    StateMachine machine;
    for (int i = 0; i < 300; ++i) {
        apply(machine, entries.next());
    }
    machine.begin_snapshot();
    std::string part;
    CHECK(machine.read_snapshot(200, part));
    for (int i = 0; i < 300; ++i) {
        apply(machine, entries.next());
    }
    machine.end_snapshot();
    CHECK_FALSE(machine.snapshot_in_progress());
    machine.begin_snapshot();
    machine.end_snapshot();
    const auto loaded = load(snapshot_of(machine));
    REQUIRE(loaded);
    CHECK(loaded->digest() == machine.digest());
}

TEST_CASE("snapshot: a part is as large as asked for, whatever the values and the new names are") {
    StateMachine machine;
    const std::string large(1'000'003, 'v');
    apply(machine, {1, 1, set("m", large)});
    apply(machine, {2, 1, set("m", large, {"key", 1})});
    std::string update;
    encode_update("m", "x", {}, 0, update, {"update", 1});
    apply(machine, {3, 1, update});
    apply(machine, {4, 1, set("m", large)});
    const std::string expected = snapshot_of(machine);
    CHECK(expected.size() > 2 * large.size());
    machine.begin_snapshot();
    std::string bytes;
    Index index = 4;
    for (int i = 0; i < 20'000; ++i) {
        apply(machine, {++index, 1, set("a" + std::to_string(i), "x")});
    }
    std::size_t parts = 0;
    for (bool more = true; more; ++parts) {
        const std::size_t before = bytes.size();
        more = machine.read_snapshot(10'000, bytes);
        REQUIRE(bytes.size() - before < 10'600);
        apply(machine, {++index, 1, set("m", std::to_string(parts))});
    }
    // Passing over the new names takes parts too.
    CHECK(parts > 200 + 20'000 / 200);
    CHECK(bytes == expected);
}

TEST_CASE("snapshot: an outcome whose key is used anew, and those that expire, are still read") {
    StateMachine machine;
    Index index = 0;
    const std::size_t count = idempotency_expiries_per_entry_max + 2;
    for (std::size_t i = 0; i < count; ++i) {
        ++index;
        apply(machine, {index, 10, set("a", "x", {"k" + std::to_string(i), 1})});
    }
    const std::string expected = snapshot_of(machine);
    machine.begin_snapshot();
    std::string bytes;
    CHECK(machine.read_snapshot(1'000, bytes));
    const std::string last = "k" + std::to_string(count - 1);
    const Entry reuse{++index, 10 + idempotency_retention_ns, set("a", "y", {last, 2})};
    apply(machine, reuse);
    CHECK_FALSE(machine.read_snapshot(expected.size(), bytes));
    machine.end_snapshot();
    CHECK(bytes == expected);
    auto loaded = load(bytes);
    REQUIRE(loaded);
    apply(*loaded, reuse);
    CHECK(loaded->digest() == machine.digest());
}

TEST_CASE("snapshot: names in the order of their bytes; what can't be cut short") {
    StateMachine machine;
    Index index = 0;
    for (const char* name : {"\xc3\xa4", "a", "Z", "a/b", "ab"}) {
        apply(machine, {++index, 10, set(name, name, {name, 1})});
    }
    const std::string bytes = snapshot_of(machine);
    CHECK(bytes.find("aa") < bytes.find("a/ba/b"));
    CHECK(bytes.find("ZZ") < bytes.find("aa"));
    CHECK(bytes.find("abab") < bytes.find("\xc3\xa4\xc3\xa4"));
    REQUIRE(load(bytes));
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        CHECK(refusal(bytes.substr(0, size)) == "the snapshot is cut short");
    }
    CHECK(refusal(bytes + "e") == "bytes follow the end");
    CHECK(refusal(bytes + bytes) == "bytes follow the end");
}

TEST_CASE("snapshot: no bit of it may change") {
    Entries entries(11, 12);
    StateMachine machine;
    for (int i = 0; i < 120; ++i) {
        apply(machine, entries.next());
    }
    std::string bytes = snapshot_of(machine);
    REQUIRE(load(bytes));
    for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
        const auto mask = static_cast<char>(1 << (bit % 8));
        bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ mask);
        REQUIRE_FALSE(load(bytes));
        bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ mask);
    }
    CHECK(load(bytes));
}

TEST_CASE("snapshot: garbage is refused and breaks nothing") {
    std::mt19937_64 random(3);
    Entries entries(12, 12);
    StateMachine machine;
    for (int i = 0; i < 150; ++i) {
        apply(machine, entries.next());
    }
    const std::string whole = snapshot_of(machine);
    for (int round = 0; round < 20'000; ++round) {
        std::string bytes = whole;
        if (round % 3 == 0) {
            // Bytes moved and doubled: records out of their place.
            const std::size_t from = random() % bytes.size();
            bytes.insert(random() % bytes.size(), bytes.substr(from, random() % 100));
        }
        for (std::uint64_t changes = random() % 4; changes > 0; --changes) {
            bytes[random() % bytes.size()] = static_cast<char>(random());
        }
        if (round % 5 == 0) {
            bytes.erase(random() % bytes.size(), random() % 100);
        }
        if (round % 7 == 0) {
            // Nothing but noise behind a good header.
            bytes.resize(snapshot::header_bytes);
            for (std::uint64_t more = random() % 300; more > 0; --more) {
                bytes += static_cast<char>("vke\0\1\2"[random() % 6]);
            }
        }
        SnapshotLoader loader;
        for (std::string_view rest = bytes; !rest.empty();) {
            const std::size_t part = std::min<std::size_t>(1 + random() % 200, rest.size());
            loader.feed(rest.substr(0, part));
            rest.remove_prefix(part);
        }
        std::string error;
        CHECK(loader.finish(error).has_value() == (bytes == whole));
        CHECK(error.empty() == (bytes == whole));
    }
}

TEST_CASE("snapshot: a header that no state has") {
    CHECK(load(Stream().end()));
    CHECK(refusal("CairnFSN" + Stream().end().substr(8)) == "not a snapshot of this version");
    std::string other_version = Stream().end();
    other_version[8] = 2;
    CHECK(refusal(other_version) == "not a snapshot of this version");
    CHECK(refusal(Stream({10, -1, 0, 0, 0}).end()) == "time is before its beginning");
    CHECK(refusal(Stream({0, 1, 0, 0, 0}).end()) == "a state without entries that isn't empty");
    CHECK(refusal(Stream({0, 0, 1, 0, 0}).end()) == "a state without entries that isn't empty");
    CHECK(refusal(Stream({10, 1, 0, 11, 0}).end()) == "more values or outcomes than entries");
    CHECK(refusal(Stream({10, 1, 0, 0, 11}).end()) == "more values or outcomes than entries");
    // A lie about how many follow costs no memory.
    CHECK(refusal(Stream({~Index{0}, 1, 0, ~Index{0}, ~Index{0}}).end()) ==
          "not the record that has to follow");
    Stream counts({10, 1, 0, 0, 0});
    counts.header.values = 1;
    CHECK(refusal(counts.end()) == "the end counts differently");
}

TEST_CASE("snapshot: a value that no state has") {
    const snapshot::Header one{10, 1'000, 7, 1, 0};
    const snapshot::Header two{10, 1'000, 7, 2, 0};
    constexpr std::int64_t last_ns = 1'000 + ttl_ns_max;
    CHECK(load(Stream(one).value("a", "", 10, last_ns).end()));
    CHECK(load(Stream(one).value(std::string(512, 'n'), "v", 1, 1).end()));
    CHECK(load(Stream(two).value("a", "x").value("b", "").end()));
    CHECK(refusal(Stream(two).value("b", "x").value("a", "").end()) == "names out of order");
    CHECK(refusal(Stream(two).value("a", "x").value("a", "").end()) == "names out of order");
    for (const Index index : {Index{0}, Index{11}}) {
        CHECK(refusal(Stream(one).value("a", "x", index).end()) ==
              "the index or the deadline of a value");
    }
    for (const std::int64_t deadline_ns : {std::int64_t{-1}, last_ns + 1}) {
        CHECK(refusal(Stream(one).value("a", "x", 3, deadline_ns).end()) ==
              "the index or the deadline of a value");
    }
    for (const std::string& name : {std::string(), std::string(513, 'n')}) {
        CHECK(refusal(Stream(one).value(name, "x").end()) == "the length of a name or of a value");
    }
    for (const char* name : {"a/", "../a", "\xff", "\n"}) {
        CHECK(refusal(Stream(one).value(name, "x").end()) == "what isn't a name");
    }
    CHECK(refusal(Stream(one).value("a", "x").value("b", "").end()) ==
          "not the record that has to follow");
    CHECK(refusal(Stream(two).value("a", "x").end()) == "not the record that has to follow");
    Stream other(one);
    other.value("a", "x").digest.add(1);
    CHECK(refusal(other.end()) == "the state isn't the one that was written");
    // The size is refused before the bytes are there.
    std::string head = Stream(one).value("a", "x").bytes.substr(0, snapshot::header_bytes + 23);
    const std::size_t size_at = snapshot::header_bytes + 3;
    head.replace(size_at, 4, std::string("\1\0\0\4", 4));  // 64 MiB and 1
    CHECK(refusal(head) == "the length of a name or of a value");
    head.replace(size_at, 4, std::string("\0\0\0\4", 4));
    CHECK(refusal(head) == "the snapshot is cut short");
}

TEST_CASE("snapshot: an outcome that no state has") {
    using Kind = Output::Kind;
    const snapshot::Header one{10, 1'000, 7, 0, 1};
    const auto is_taken = [&](const KeptOutcome& outcome, Index index = 5) {
        return load(Stream(one).outcome(index, outcome).end()).has_value();
    };
    const KeptOutcome good = kept("k", Status::not_found, Kind::update, 0);
    CHECK(is_taken(good));
    CHECK(is_taken(good, 10));
    CHECK_FALSE(is_taken(good, 11));
    CHECK_FALSE(is_taken(good, 0));
    CHECK(is_taken(kept(std::string(255, 'k'), Status::not_found, Kind::update, 0)));
    CHECK_FALSE(is_taken(kept("", Status::not_found, Kind::update, 0)));
    KeptOutcome late = good;
    late.deadline_ns = 1'000 + idempotency_retention_ns;
    CHECK(is_taken(late));
    late.deadline_ns += 1;
    CHECK_FALSE(is_taken(late));
    late.deadline_ns = 0;
    CHECK_FALSE(is_taken(late));

    // What was written has its entry's index; what was found, an earlier one.
    CHECK(is_taken(kept("k", Status::ok, Kind::set, 5)));
    CHECK_FALSE(is_taken(kept("k", Status::ok, Kind::set, 4)));
    CHECK(is_taken(kept("k", Status::conflict, Kind::update, 4)));
    CHECK_FALSE(is_taken(kept("k", Status::conflict, Kind::update, 5)));
    KeptOutcome updated = kept("k", Status::ok, Kind::update, 5);
    CHECK_FALSE(is_taken(updated));
    updated.output.prev_value = value_at(4);
    CHECK(is_taken(updated));
    updated.output.prev_value = value_at(5);
    CHECK_FALSE(is_taken(updated));
    KeptOutcome removed = kept("k", Status::ok, Kind::remove, 4);
    removed.output.value = value_at(4, 1'000 + ttl_ns_max);
    CHECK(is_taken(removed));
    removed.output.value = value_at(4, 1'001 + ttl_ns_max);
    CHECK_FALSE(is_taken(removed));
    removed.output.value = value_at(3);
    CHECK_FALSE(is_taken(removed));

    // Never kept at all.
    CHECK_FALSE(is_taken(kept("k", Status::invalid, Kind::set, 0)));
    CHECK_FALSE(is_taken(kept("k", Status::idempotency_mismatch, Kind::set, 0)));
    CHECK_FALSE(is_taken(kept("k", Status::ok, Kind::none, 0)));
    CHECK_FALSE(is_taken(kept("k", static_cast<Status>(6), Kind::set, 0)));
    CHECK_FALSE(is_taken(kept("k", Status::ok, static_cast<Kind>(5), 5)));
}

TEST_CASE("snapshot: outcomes out of order, doubled, missing or too large") {
    using Kind = Output::Kind;
    const snapshot::Header one{10, 1'000, 7, 0, 1};
    const snapshot::Header two{10, 1'000, 7, 0, 2};
    const KeptOutcome good = kept("k", Status::not_found, Kind::update, 0);
    const auto pair = [&](Index first, const KeptOutcome& a, Index second, const KeptOutcome& b) {
        return load(Stream(two).outcome(first, a).outcome(second, b).end()).has_value();
    };
    const KeptOutcome next = kept("l", Status::not_found, Kind::update, 0);
    CHECK(pair(4, good, 5, next));
    CHECK_FALSE(pair(4, good, 4, next));
    CHECK_FALSE(pair(5, good, 4, next));
    CHECK_FALSE(pair(4, good, 5, good));  // the same key
    KeptOutcome earlier = next;
    earlier.deadline_ns -= 1;
    CHECK_FALSE(pair(4, good, 5, earlier));
    CHECK(pair(4, earlier, 5, good));
    CHECK_FALSE(load(Stream(two).outcome(4, good).end()));

    // The size is refused before the bytes are there.
    KeptOutcome removed = kept("k", Status::ok, Kind::remove, 4);
    removed.output.value = value_at(4);
    std::string head = Stream(one).outcome(5, removed).bytes;
    const std::size_t size_at = snapshot::header_bytes + 2;
    head.resize(snapshot::header_bytes + snapshot::outcome_head_bytes);
    head.replace(size_at, 4, std::string("\1\0\0\4", 4));  // 64 MiB and 1
    CHECK(refusal(head) == "the length of a key or of an outcome's value");
    head.replace(size_at, 4, std::string("\0\0\0\4", 4));
    CHECK(refusal(head) == "the snapshot is cut short");
}
