// What the fuzz targets share. A target is one file that defines run_input() and seed_inputs();
// fuzz_main.cc makes a libFuzzer program of it.
//
// One thread. Whatever the bytes, run_input() has to return: what doesn't hold ends the program
// with a line that says what it was, and libFuzzer keeps the bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::fuzz {

void run_input(std::string_view input);

// Inputs to begin with, made by the program's own encoders.
std::vector<std::string> seed_inputs();

inline void require(bool holds, const char* what) {
    if (!holds) [[unlikely]] {
        std::fprintf(stderr, "fuzz: this does not hold: %s\n", what);
        std::abort();
    }
}

// Sizes of pieces, drawn from the input itself so that the same bytes are always cut the same way.
class Cuts {
 public:
    explicit Cuts(std::string_view input) {
        for (const char c : input) {
            state_ = (state_ ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
        }
    }

    // From 1 to `max`, small ones mostly.
    std::size_t next(std::size_t max) {
        state_ = state_ * 6364136223846793005U + 1442695040888963407U;
        const std::uint64_t random = state_ >> 33U;
        const std::size_t bound = random % 4 == 0 ? 4096 : random % 4 == 1 ? 64 : 7;
        return 1 + (random >> 2U) % (max < bound ? max : bound);
    }

 private:
    std::uint64_t state_ = 0xcbf29ce484222325U;
};

// Takes fields off an input; zeros once it is used up.
class Fields {
 public:
    explicit Fields(std::string_view input) : rest_(input) {}

    bool empty() const { return rest_.empty(); }

    std::uint8_t byte() {
        if (rest_.empty()) {
            return 0;
        }
        const char c = rest_.front();
        rest_.remove_prefix(1);
        return static_cast<std::uint8_t>(c);
    }

    // Mostly small, now and then anything: what lies at the edges of 64 bits.
    std::uint64_t number() {
        const std::uint8_t first = byte();
        if (first < 0xf0) {
            return first;
        }
        std::uint64_t number = 0;
        for (int i = 0; i < 8; ++i) {
            number = number << 8U | byte();
        }
        return (first & 1U) != 0 ? ~number : number;
    }

    std::string_view bytes(std::size_t size) {
        const std::string_view taken = rest_.substr(0, size);
        rest_.remove_prefix(taken.size());
        return taken;
    }

    std::string_view rest() const { return rest_; }

 private:
    std::string_view rest_;
};

}  // namespace cairn::fuzz
