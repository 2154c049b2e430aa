// The simulation's only source of chance: a seeded generator with named streams, so that drawing
// more in one place doesn't shift what another place draws.
//
// Integers only, the same on every machine and library.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace cairn::sim {

inline constexpr std::int64_t us = 1'000;
inline constexpr std::int64_t ms = 1'000'000;
inline constexpr std::int64_t second = 1'000'000'000;

// FNV-1a, for names and digests of the trace.
constexpr std::uint64_t hash_of(std::string_view bytes, std::uint64_t hash = 0xcbf29ce484222325U) {
    for (const char c : bytes) {
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
    }
    return hash;
}

constexpr std::uint64_t mix(std::uint64_t z) {  // splitmix64's finalizer
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31U);
}

class Random {
 public:
    explicit Random(std::uint64_t seed) : state_(seed) {}

    // A generator of its own for `name`, and for the `number`-th of that name.
    Random stream(std::string_view name, std::uint64_t number = 0) const {
        return Random(mix(state_ ^ hash_of(name)) + mix(number + 0x632be59bd9b4e019U));
    }

    std::uint64_t next() {
        state_ += 0x9e3779b97f4a7c15U;
        return mix(state_);
    }
    // In [0, limit).
    std::uint64_t below(std::uint64_t limit) { return next() % limit; }
    // In [low, high].
    std::int64_t between(std::int64_t low, std::int64_t high) {
        return low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low) + 1));
    }
    bool chance(std::uint64_t of_10000) { return below(10'000) < of_10000; }
    // Roughly exponential: halvings by coin, uniform in between. At most about 40 times the mean.
    std::int64_t around(std::int64_t mean) {
        std::int64_t halvings = 0;
        for (std::uint64_t coins = next(); (coins & 1) != 0 && halvings < 56; coins >>= 1) {
            ++halvings;
        }
        const auto fraction = static_cast<std::int64_t>(below(1000));
        return mean * 693 / 1000 * (halvings * 1000 + fraction) / 1000 + 1;
    }
    template <class T>
    const T& pick(const std::vector<T>& from) {
        return from[below(from.size())];
    }

 private:
    std::uint64_t state_;
};

}  // namespace cairn::sim
