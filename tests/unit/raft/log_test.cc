#include "raft/core/log.h"

#include <doctest/doctest.h>

#include "tests/support/core_cluster.h"

namespace {

using namespace cairn::raft;
using cairn::raft::testing::entries_of_terms;
using cairn::raft::testing::make_entry;

Log log_of(const std::vector<Term>& terms) {
    return {{}, entries_of_terms(terms)};
}

TEST_CASE("log: an empty one") {
    const Log log({}, {});
    CHECK(log.first_index() == 1);
    CHECK(log.last_index() == 0);
    CHECK(log.last_term() == 0);
    CHECK(log.last_stamp_ns() == 0);
    CHECK(log.stable_index() == 0);
    CHECK_FALSE(log.has_unsaved());
    CHECK(log.matches(0, 0));
    CHECK_FALSE(log.matches(0, 1));
    CHECK_FALSE(log.matches(1, 0));
    CHECK(log.is_up_to_date(0, 0));
}

TEST_CASE("log: what was recovered is durable") {
    const Log log = log_of({1, 1, 3});
    CHECK(log.last_index() == 3);
    CHECK(log.last_term() == 3);
    CHECK(log.stable_index() == 3);
    CHECK(log.handed_out_index() == 3);
    CHECK_FALSE(log.has_unsaved());
}

TEST_CASE("log: terms and matches, at the base and beyond the ends") {
    const Log log({10, 4, 0}, {make_entry(11, 4), make_entry(12, 6)});
    CHECK(log.first_index() == 11);
    CHECK(log.last_index() == 12);
    CHECK(log.term_at(9) == std::nullopt);
    CHECK(log.term_at(10) == Term{4});
    CHECK(log.term_at(11) == Term{4});
    CHECK(log.term_at(12) == Term{6});
    CHECK(log.term_at(13) == std::nullopt);
    CHECK(log.matches(12, 6));
    CHECK_FALSE(log.matches(12, 4));
    CHECK_FALSE(log.matches(13, 6));
    CHECK(log.at(12).index == 12);
    const Log bare({10, 4, 0}, {});
    CHECK(bare.last_index() == 10);
    CHECK(bare.last_term() == 4);
}

TEST_CASE("log: up to date is the last term first, then the length (paper, 5.4.1)") {
    const Log log = log_of({1, 2, 2});
    CHECK(log.is_up_to_date(3, 2));
    CHECK(log.is_up_to_date(4, 2));
    CHECK_FALSE(log.is_up_to_date(2, 2));
    CHECK(log.is_up_to_date(1, 3));
    CHECK(log.is_up_to_date(0, 3));
    CHECK_FALSE(log.is_up_to_date(100, 1));
}

TEST_CASE("log: where logs that differ may still agree") {
    const Log log = log_of({1, 1, 3, 3, 5});
    CHECK(log.last_index_with_term_at_most(5, 5) == 5);
    CHECK(log.last_index_with_term_at_most(5, 4) == 4);
    CHECK(log.last_index_with_term_at_most(5, 2) == 2);
    CHECK(log.last_index_with_term_at_most(3, 5) == 3);
    CHECK(log.last_index_with_term_at_most(99, 3) == 4);
    CHECK(log.last_index_with_term_at_most(5, 0) == 0);
    CHECK(log.last_index_with_term_at_most(0, 9) == 0);
    const Log above({10, 4, 0}, {make_entry(11, 6)});
    CHECK(above.last_index_with_term_at_most(11, 5) == 10);
    CHECK(above.last_index_with_term_at_most(11, 1) == 10);  // no further than the base
}

TEST_CASE("log: entries go out once, in order, in pieces of about a size") {
    Log log({}, {});
    for (Index index = 1; index <= 4; ++index) {
        log.append(make_entry(index, 1, "0123456789"));
    }
    CHECK(log.has_unsaved());
    CHECK(log.stable_index() == 0);
    std::vector<Entry> out;
    log.hand_out(15, out);
    REQUIRE(out.size() == 2);
    CHECK(out[0].index == 1);
    CHECK(log.handed_out_index() == 2);
    log.hand_out(1, out);  // a larger one goes all the same
    REQUIRE(out.size() == 3);
    CHECK(out[2].index == 3);
    log.hand_out(1000, out);
    CHECK(out.size() == 4);
    CHECK_FALSE(log.has_unsaved());
    log.hand_out(1000, out);
    CHECK(out.size() == 4);
}

TEST_CASE("log: durable up to what was said, never less than before") {
    Log log({}, {});
    for (Index index = 1; index <= 3; ++index) {
        log.append(make_entry(index, 1));
    }
    std::vector<Entry> out;
    log.hand_out(1000, out);
    log.mark_stable(2);
    CHECK(log.stable_index() == 2);
    log.mark_stable(1);
    CHECK(log.stable_index() == 2);
    log.mark_stable(3);
    CHECK(log.stable_index() == 3);
}

TEST_CASE("log: truncation takes the claim to durability and goes to the disk again") {
    Log log = log_of({1, 1, 2, 2});
    log.truncate_from(3);
    CHECK(log.last_index() == 2);
    CHECK(log.last_term() == 1);
    CHECK(log.stable_index() == 2);
    CHECK(log.handed_out_index() == 2);
    log.append(make_entry(3, 5));
    CHECK(log.stable_index() == 2);
    std::vector<Entry> out;
    log.hand_out(1000, out);
    REQUIRE(out.size() == 1);
    CHECK(out[0].index == 3);
    CHECK(out[0].term == 5);
    log.truncate_from(7);  // nothing there
    CHECK(log.last_index() == 3);
    log.truncate_from(1);
    CHECK(log.last_index() == 0);
    CHECK(log.stable_index() == 0);
}

TEST_CASE("log: compaction moves the base over what is durable") {
    Log log = log_of({1, 1, 2, 2, 5});
    log.compact(3);
    CHECK(log.base() == LogPosition{3, 2, 0});
    CHECK(log.first_index() == 4);
    CHECK(log.last_index() == 5);
    CHECK(log.last_term() == 5);
    CHECK(log.stable_index() == 5);
    CHECK(log.handed_out_index() == 5);
    CHECK(log.term_at(2) == std::nullopt);
    CHECK(log.term_at(3) == Term{2});
    CHECK(log.at(4).term == 2);
    CHECK(log.last_index_with_term_at_most(5, 4) == 4);
    CHECK(log.last_index_with_term_at_most(5, 1) == 3);  // no further than the base
    CHECK(log.last_index_with_term_at_most(2, 9) == 3);
    log.compact(2);  // already
    CHECK(log.first_index() == 4);
    log.compact(5);
    CHECK(log.first_index() == 6);
    CHECK(log.last_index() == 5);
    CHECK(log.last_term() == 5);
    CHECK(log.is_up_to_date(5, 5));
    CHECK_FALSE(log.is_up_to_date(4, 5));
    log.append(make_entry(6, 5));
    CHECK(log.at(6).term == 5);
    CHECK(log.stable_index() == 5);
    CHECK(log.has_unsaved());
}

TEST_CASE("log: compaction takes the stamp of the last entry it forgets") {
    std::vector<Entry> entries = entries_of_terms({1, 1, 1});
    entries[1].stamp_ns = 70;
    entries[2].stamp_ns = 90;
    Log log({}, entries);
    CHECK(log.position_at(0) == LogPosition{});
    CHECK(log.position_at(2) == LogPosition{2, 1, 70});
    log.compact(2);
    CHECK(log.base() == LogPosition{2, 1, 70});
    CHECK(log.position_at(2) == log.base());
    CHECK(log.position_at(3) == LogPosition{3, 1, 90});
    CHECK(log.last_stamp_ns() == 90);
    log.compact(3);
    CHECK(log.last_stamp_ns() == 90);
}

TEST_CASE("log: compaction leaves alone what is on its way to the disk") {
    Log log = log_of({1, 1});
    for (Index index = 3; index <= 5; ++index) {
        log.append(make_entry(index, 1));
    }
    std::vector<Entry> out;
    log.hand_out(2, out);
    REQUIRE(log.handed_out_index() == 4);
    log.compact(2);
    CHECK(log.stable_index() == 2);
    CHECK(log.handed_out_index() == 4);
    log.mark_stable(4);
    log.compact(4);
    out.clear();
    log.hand_out(1000, out);
    REQUIRE(out.size() == 1);
    CHECK(out[0].index == 5);
    log.truncate_from(5);
    CHECK(log.last_index() == 4);
    CHECK(log.last_term() == 1);
}

TEST_CASE("log: a reset forgets everything and goes on after its base, durable up to there") {
    Log log = log_of({1, 1, 1});
    log.append(make_entry(4, 2));
    std::vector<Entry> out;
    Index index = 10;
    SUBCASE("ahead of it") {}
    SUBCASE("within it") {
        index = 2;
    }
    SUBCASE("with entries handed out") {
        log.hand_out(1000, out);
        index = 3;
    }
    log.reset({index, 2, 55});
    CHECK(log.base() == LogPosition{index, 2, 55});
    CHECK(log.last_index() == index);
    CHECK(log.last_term() == 2);
    CHECK(log.last_stamp_ns() == 55);
    CHECK(log.stable_index() == index);
    CHECK(log.handed_out_index() == index);
    CHECK_FALSE(log.has_unsaved());
    Entry next = make_entry(index + 1, 3);
    next.stamp_ns = 55;
    log.append(next);
    out.clear();
    log.hand_out(1000, out);
    REQUIRE(out.size() == 1);
    CHECK(out[0].index == index + 1);
    CHECK(log.stable_index() == index);
}

TEST_CASE("log: truncating what was never handed out leaves the rest as it was") {
    Log log = log_of({1});
    log.append(make_entry(2, 1));
    log.append(make_entry(3, 1));
    std::vector<Entry> out;
    log.hand_out(1, out);
    REQUIRE(log.handed_out_index() == 2);
    log.truncate_from(3);
    CHECK(log.handed_out_index() == 2);
    CHECK(log.stable_index() == 1);
    CHECK_FALSE(log.has_unsaved());
}

}  // namespace

TEST_CASE("log: counts its payloads' bytes through every change") {
    const auto with_bytes = [](Index index, Term term, std::size_t bytes) {
        Entry entry;
        entry.index = index;
        entry.term = term;
        entry.kind = EntryKind::command;
        entry.payload = Payload::copy_of(std::string(bytes, 'x'));
        return entry;
    };
    Log log({}, {with_bytes(1, 1, 10), with_bytes(2, 1, 20)});
    CHECK(log.bytes() == 30);
    log.append(with_bytes(3, 1, 40));
    log.append(with_bytes(4, 2, 80));
    CHECK(log.bytes() == 150);
    log.truncate_from(4);
    CHECK(log.bytes() == 70);
    log.compact(1);
    CHECK(log.bytes() == 60);
    log.reset({9, 2, 0});
    CHECK(log.bytes() == 0);
}

TEST_CASE("log: counts the bytes that are not durable yet through every change") {
    const auto with_bytes = [](Index index, std::size_t bytes) {
        Entry entry = make_entry(index, 1);
        entry.payload = Payload::copy_of(std::string(bytes, 'x'));
        return entry;
    };
    Log log({}, {with_bytes(1, 10)});
    CHECK(log.unstable_bytes() == 0);
    for (Index index = 2; index <= 5; ++index) {
        log.append(with_bytes(index, std::size_t{10} << index));
    }
    CHECK(log.unstable_bytes() == 40 + 80 + 160 + 320);
    std::vector<Entry> out;
    log.hand_out(SIZE_MAX, out);
    CHECK(log.unstable_bytes() == 600);
    log.mark_stable(3);
    CHECK(log.unstable_bytes() == 480);
    log.mark_stable(2);  // older news
    CHECK(log.unstable_bytes() == 480);
    log.compact(2);
    CHECK(log.unstable_bytes() == 480);
    log.truncate_from(5);
    CHECK(log.unstable_bytes() == 160);
    log.truncate_from(3);  // 3 was durable
    CHECK(log.unstable_bytes() == 0);
    log.append(with_bytes(3, 7));
    CHECK(log.unstable_bytes() == 7);
    log.reset({9, 2, 0});
    CHECK(log.unstable_bytes() == 0);
}
