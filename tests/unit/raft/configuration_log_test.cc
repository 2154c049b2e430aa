#include "raft/core/configuration_log.h"

#include <doctest/doctest.h>

namespace {

using namespace cairn::raft;

Configuration of(std::vector<NodeId> voters) {
    return configuration_of(std::move(voters));
}

// In force from 10, 20 and 30 on, behind a base at 5.
ConfigurationLog example() {
    ConfigurationLog log(5, of({1}));
    log.append(10, of({1, 2}));
    log.append(20, of({1, 2, 3}));
    log.append(30, of({2, 3}));
    return log;
}

TEST_CASE("configuration log: begins with its base") {
    const ConfigurationLog log(5, of({1}));
    CHECK(log.current() == of({1}));
    CHECK(log.current_index() == 5);
    CHECK(log.at(5) == of({1}));
    CHECK(log.at(1000) == of({1}));
}

TEST_CASE("configuration log: in force from its entry on, until the next") {
    const ConfigurationLog log = example();
    CHECK(log.current() == of({2, 3}));
    CHECK(log.current_index() == 30);
    CHECK(log.at(5) == of({1}));
    CHECK(log.at(9) == of({1}));
    CHECK(log.at(10) == of({1, 2}));
    CHECK(log.at(19) == of({1, 2}));
    CHECK(log.at(20) == of({1, 2, 3}));
    CHECK(log.at(29) == of({1, 2, 3}));
    CHECK(log.at(30) == of({2, 3}));
}

TEST_CASE("configuration log: truncation brings back what was before, never the base's loss") {
    ConfigurationLog log = example();
    const std::uint64_t version = log.version();
    log.truncate_from(31);
    CHECK(log.current() == of({2, 3}));
    CHECK(log.version() == version);
    log.truncate_from(30);
    CHECK(log.current() == of({1, 2, 3}));
    CHECK(log.current_index() == 20);
    CHECK(log.version() > version);
    log.truncate_from(6);
    CHECK(log.current() == of({1}));
    log.truncate_from(5);
    CHECK(log.current() == of({1}));
    log.append(6, of({1, 4}));
    CHECK(log.current() == of({1, 4}));
    CHECK(log.at(6) == of({1, 4}));
}

TEST_CASE("configuration log: compaction keeps the one in force at the log's new begin") {
    for (Index index = 5; index <= 40; ++index) {
        CAPTURE(index);
        const ConfigurationLog whole = example();
        ConfigurationLog log = example();
        const std::uint64_t version = log.version();
        log.compact(index);
        CHECK(log.version() == version);  // nothing in force has changed
        CHECK(log.current() == whole.current());
        for (Index later = index; later <= 40; ++later) {
            CHECK(log.at(later) == whole.at(later));
        }
        log.truncate_from(index + 1);
        CHECK(log.current() == whole.at(index));
    }
}

TEST_CASE("configuration log: begins anew with a snapshot's") {
    ConfigurationLog log = example();
    const std::uint64_t version = log.version();
    SUBCASE("the log behind it is void") {
        log.reset(20, of({7}), false);
        CHECK(log.current() == of({7}));
        CHECK(log.current_index() == 20);
        CHECK(log.at(35) == of({7}));
    }
    SUBCASE("the log behind it stays") {
        log.reset(20, of({1, 2, 3}), true);
        CHECK(log.current() == of({2, 3}));
        CHECK(log.current_index() == 30);
        CHECK(log.at(20) == of({1, 2, 3}));
        log.truncate_from(21);
        CHECK(log.current() == of({1, 2, 3}));
    }
    SUBCASE("beyond all that it has") {
        log.reset(50, of({7}), true);
        CHECK(log.current() == of({7}));
        CHECK(log.current_index() == 50);
    }
    CHECK(log.version() > version);
}

}  // namespace
