#include "raft/core/cluster_clock.h"

#include <doctest/doctest.h>

namespace {

using cairn::raft::ClusterClock;

TEST_CASE("cluster clock: goes on at the speed of the steady clock") {
    ClusterClock clock(1000, 50);
    CHECK(clock.now_ns(50) == 1000);
    CHECK(clock.now_ns(60) == 1010);
    CHECK(clock.now_ns(160) == 1110);
}

TEST_CASE("cluster clock: never goes back, even when the steady time does") {
    ClusterClock clock(1000, 50);
    CHECK(clock.now_ns(100) == 1050);
    CHECK(clock.now_ns(70) == 1050);
    CHECK(clock.now_ns(101) == 1051);
}

TEST_CASE("cluster clock: follows a leader that is ahead and goes on from there") {
    ClusterClock clock(0, 0);
    clock.observe(5000, 10);
    CHECK(clock.now_ns(10) == 5000);
    CHECK(clock.now_ns(15) == 5005);
}

// Whoever heard the last leader late leads with a clock that is behind. What it stamps then must
// not be measured by somebody's clock that is further.
TEST_CASE("cluster clock: goes back with a leader that is behind") {
    ClusterClock clock(0, 0);
    clock.observe(5000, 10);
    CHECK(clock.now_ns(12) == 5002);
    clock.observe(3000, 20);
    CHECK(clock.now_ns(20) == 3000);
    CHECK(clock.now_ns(25) == 3005);
}

// The steady clocks of two machines differ by some 100 ppm. What a follower believes must stay
// within what it gains between two messages: a new leader that were ahead by all that it gained
// over a day (9 s) would let deadlines pass early.
TEST_CASE("cluster clock: a follower whose clock runs fast doesn't run away from its leader") {
    constexpr std::int64_t heartbeat_ns = 50'000'000;
    constexpr std::int64_t gain_ns = heartbeat_ns / 10'000;  // 100 ppm
    ClusterClock follower(0, 0);
    for (std::int64_t beat = 1; beat <= 20'000; ++beat) {
        follower.observe(beat * heartbeat_ns, beat * (heartbeat_ns + gain_ns));
    }
    const std::int64_t leader_ns = 20'000 * heartbeat_ns;
    const std::int64_t ahead_ns = follower.now_ns(20'000 * (heartbeat_ns + gain_ns)) - leader_ns;
    CHECK(ahead_ns >= 0);
    CHECK(ahead_ns <= 2 * gain_ns);
}

}  // namespace
