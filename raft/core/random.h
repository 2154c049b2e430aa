// A small seeded generator (SplitMix64), the same on every machine and library: the only source of
// randomness the core has, so that its output is a function of its input.
#pragma once

#include <cstdint>

namespace cairn::raft {

class Random {
 public:
    explicit Random(std::uint64_t seed) : state_(seed) {}

    std::uint64_t next() {
        state_ += 0x9e3779b97f4a7c15U;
        std::uint64_t z = state_;
        z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
        z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
        return z ^ (z >> 31U);
    }

    // In [low, high]; the bias of the remainder doesn't matter for what it is used for.
    std::uint64_t between(std::uint64_t low, std::uint64_t high) {
        return low + next() % (high - low + 1);
    }

 private:
    std::uint64_t state_;
};

}  // namespace cairn::raft
