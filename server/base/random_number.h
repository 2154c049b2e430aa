// 64 bits that nobody can guess, from the system. For seeds, salts and ids; never within a turn.
#pragma once

#include <cstdint>
#include <random>

namespace cairn::server {

// Never 0.
inline std::uint64_t random_number() {
    std::random_device device;
    const std::uint64_t number = (static_cast<std::uint64_t>(device()) << 32U) | device();
    return number == 0 ? 1 : number;
}

}  // namespace cairn::server
