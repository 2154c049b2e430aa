// Whether bytes are UTF-8. Pure functions, owned by no thread; any bytes may come in.
//
// The one place that decides; what a name may hold besides is fsm/name.h.
#pragma once

#include <cstddef>
#include <string_view>

namespace cairn::fsm {

// How many bytes at the front are well-formed UTF-8 as in Unicode table 3-7: no overlong forms, no
// surrogates, nothing beyond U+10FFFF, no character cut short.
std::size_t valid_utf8_prefix(std::string_view bytes);

inline bool is_valid_utf8(std::string_view bytes) {
    return valid_utf8_prefix(bytes) == bytes.size();
}

}  // namespace cairn::fsm
