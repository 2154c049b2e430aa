// A register that is correct by its shortness, and clients that use it at random: the source of
// histories for the tests of the checkers.
//
// One place applies one operation at a time, at a moment between invocation and answer. Answers get
// lost, and what nobody waits for any more may be applied much later, or never.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tests/checker/history.h"

namespace cairn::checker::testing {

// splitmix64
class Random {
 public:
    explicit Random(std::uint64_t seed) : state_(seed) {}
    std::uint64_t next() {
        std::uint64_t x = state_ += 0x9e3779b97f4a7c15;
        x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
        x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
        return x ^ (x >> 31);
    }
    std::uint64_t below(std::uint64_t bound) { return next() % bound; }
    bool chance(std::uint64_t percent) { return below(100) < percent; }

 private:
    std::uint64_t state_;
};

struct SimulatedOptions {
    std::size_t operations = 1000;
    std::uint64_t clients = 8;
    std::uint64_t names = 5;
    std::uint64_t unknown_percent = 10;
    std::uint64_t ttl_percent = 10;  // of writes
    std::uint64_t values = 0;        // how many different ones; 0: each is written once
};

History simulate(Random& random, const SimulatedOptions& options);

}  // namespace cairn::checker::testing
