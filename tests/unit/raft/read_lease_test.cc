#include "raft/core/read_lease.h"

#include <doctest/doctest.h>

namespace {

using namespace cairn::raft;

TEST_CASE("lease: ticks last two intervals less than their number") {
    CHECK(duration_of_ticks_ns(30, 10) == 280);
    CHECK(duration_of_ticks_ns(2, 10) == 0);
    CHECK(duration_of_ticks_ns(0, 10) == 0);
}

TEST_CASE("lease: of a promise counts what is left when the other clock runs ahead") {
    CHECK(usable_promise_ns(1000) == 900);
    CHECK(usable_promise_ns(280'000'000) == 252'000'000);
    CHECK(usable_promise_ns(0) == 0);
    CHECK(usable_promise_ns(-1000) == 0);
    CHECK(usable_promise_ns(vote_promise_ns_max) > 0);
    CHECK(usable_promise_ns(vote_promise_ns_max + 1) == 0);
    for (std::int64_t promise = 0; promise < 1000; ++promise) {
        CHECK(usable_promise_ns(promise) * 10 <= promise * 9);
    }
}

TEST_CASE("lease: a promise counts from when the newest round that was heard began") {
    LeaseRounds rounds;
    CHECK(rounds.promised_until_ns(7, 1000) == 0);
    rounds.began(3, 50);
    rounds.began(6, 70);
    CHECK(rounds.promised_until_ns(2, 1000) == 0);
    CHECK(rounds.promised_until_ns(3, 1000) == 950);
    CHECK(rounds.promised_until_ns(5, 1000) == 950);
    CHECK(rounds.promised_until_ns(6, 1000) == 970);
    CHECK(rounds.promised_until_ns(9, 1000) == 970);
    CHECK(rounds.promised_until_ns(9, 0) == 0);
    CHECK(rounds.promised_until_ns(9, 99) == 0);  // too short to count
}

TEST_CASE("lease: rounds that are forgotten give nothing") {
    LeaseRounds rounds;
    for (ReadId round = 1; round <= LeaseRounds::rounds_max + 1; ++round) {
        rounds.began(round, static_cast<std::int64_t>(round));
    }
    CHECK(rounds.promised_until_ns(1, 1000) == 0);
    CHECK(rounds.promised_until_ns(2, 1000) == 902);
}

}  // namespace
