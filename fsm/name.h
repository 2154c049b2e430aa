// Which names a value may have. Pure, for any thread; the gateway and the state machine ask the
// same question, so that a name refused by one is never stored by the other.
//
// It does not decode URLs and does not normalize: names are compared byte by byte.
#pragma once

#include <cstddef>
#include <string_view>

namespace cairn::fsm {

constexpr std::size_t name_bytes_max = 512;

// 1 to 512 bytes of valid UTF-8 without control characters (C0, DEL, C1), in which no segment
// between slashes is empty, "." or "..".
bool valid_name(std::string_view name);

}  // namespace cairn::fsm
