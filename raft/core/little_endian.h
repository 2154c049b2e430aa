// Fixed-width integers in little-endian byte order, whatever the machine's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace cairn::raft {

template <class Integer>
void put_little_endian(char* to, Integer value) {
    static_assert(std::is_unsigned_v<Integer>);
    for (std::size_t i = 0; i < sizeof(Integer); ++i) {
        to[i] = static_cast<char>(static_cast<std::uint8_t>(value >> (8 * i)));
    }
}

template <class Integer>
Integer get_little_endian(const char* from) {
    static_assert(std::is_unsigned_v<Integer>);
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < sizeof(Integer); ++i) {
        value |= std::uint64_t{static_cast<std::uint8_t>(from[i])} << (8 * i);
    }
    return static_cast<Integer>(value);
}

}  // namespace cairn::raft
