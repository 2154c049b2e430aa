// What a restart makes of snapshot and log together.

#include "raft/disk/recovered_log.h"

#include <doctest/doctest.h>

using namespace cairn::raft;

namespace {

Entry entry(Index index, Term term) {
    Entry made;
    made.index = index;
    made.term = term;
    made.stamp_ns = static_cast<std::int64_t>(index);
    return made;
}

const Configuration three = configuration_of({1, 2, 3});

std::optional<RecoveredLog> recover(const LogPosition& base, HardState hard_state,
                                    std::vector<Entry> entries, Index log_start = 0) {
    RecoveryFailure failure;
    const Index next_index = entries.empty() ? log_start : entries.back().index + 1;
    auto recovered =
        recover_log(base, three, {hard_state, std::move(entries), next_index}, failure);
    CHECK(recovered.has_value() == failure.text.empty());
    return recovered;
}

}  // namespace

TEST_CASE("recovered log: nothing at all") {
    const auto recovered = recover({}, {}, {});
    REQUIRE(recovered);
    CHECK(recovered->start.base == LogPosition{});
    CHECK(recovered->start.entries.empty());
    CHECK_FALSE(recovered->log_replaced);
}

TEST_CASE("recovered log: a log without a snapshot") {
    const auto recovered = recover({}, {3, 2}, {entry(1, 1), entry(2, 3)});
    REQUIRE(recovered);
    CHECK(recovered->start.entries.size() == 2);
    CHECK(recovered->start.hard_state == HardState{3, 2});
    CHECK_FALSE(recovered->log_replaced);
}

TEST_CASE("recovered log: what the snapshot includes is dropped, what follows stays") {
    const auto recovered = recover({2, 1, 2}, {1, 0}, {entry(1, 1), entry(2, 1), entry(3, 1)});
    REQUIRE(recovered);
    REQUIRE(recovered->start.entries.size() == 1);
    CHECK(recovered->start.entries.front().index == 3);
    CHECK_FALSE(recovered->log_replaced);
}

TEST_CASE("recovered log: one that begins right after the snapshot") {
    const auto recovered = recover({5, 2, 5}, {2, 0}, {entry(6, 2), entry(7, 2)});
    REQUIRE(recovered);
    CHECK(recovered->start.entries.size() == 2);
    CHECK_FALSE(recovered->log_replaced);
}

TEST_CASE("recovered log: one that ends before the snapshot, or contradicts it, is given up") {
    const auto shorter = recover({5, 2, 5}, {2, 0}, {entry(1, 1), entry(2, 1)});
    REQUIRE(shorter);
    CHECK(shorter->start.entries.empty());
    CHECK(shorter->log_replaced);
    const auto other = recover({2, 2, 2}, {2, 0}, {entry(1, 1), entry(2, 1), entry(3, 1)});
    REQUIRE(other);
    CHECK(other->start.entries.empty());
    CHECK(other->log_replaced);
    const auto older = recover({2, 5, 2}, {5, 0}, {entry(3, 1)});
    REQUIRE(older);
    CHECK(older->start.entries.empty());
    CHECK(older->log_replaced);
}

TEST_CASE("recovered log: one without entries, that begins before or right after the snapshot") {
    // As after a restore, or a snapshot of the leader's.
    const auto follows = recover({5, 2, 5}, {2, 0}, {}, 6);
    REQUIRE(follows);
    CHECK_FALSE(follows->log_replaced);
    // A crash came between the next snapshot and giving up that log: it would take 9 for a gap.
    const auto before = recover({8, 2, 8}, {2, 0}, {}, 6);
    REQUIRE(before);
    CHECK(before->start.base.index == 8);
    CHECK(before->log_replaced);
    const auto trimmed = recover({8, 2, 8}, {2, 0}, {});
    REQUIRE(trimmed);
    CHECK_FALSE(trimmed->log_replaced);
}

TEST_CASE("recovered log: entries missing behind the snapshot are an error") {
    CHECK_FALSE(recover({5, 1, 5}, {1, 0}, {}, 7));
    CHECK_FALSE(recover({}, {1, 0}, {entry(3, 1)}));
    CHECK_FALSE(recover({5, 1, 5}, {1, 0}, {entry(7, 1)}));
}

TEST_CASE("recovered log: a snapshot of a later term than was voted in") {
    const auto recovered = recover({5, 4, 5}, {2, 3}, {});
    REQUIRE(recovered);
    CHECK(recovered->start.hard_state == HardState{4, 0});
    // A core begins with it.
    CoreOptions options;
    options.id = 1;
    const Core core(options, recovered->start);
    CHECK(core.commit_index() == 5);
    CHECK(core.term() == 4);
}
