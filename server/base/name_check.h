// Whether a name, or the beginning of names, is one that a client may use.
//
// Pure, any thread. The rule for names themselves is fsm/name.h.
#pragma once

#include <string_view>

namespace cairn::server {

inline constexpr std::string_view name_rule =
    "A name has 1 to 512 bytes of UTF-8 without control characters, and no empty, \".\" or \"..\" "
    "segment between slashes.";

// `is_prefix`: it is the beginning of names, which may be empty and end with a slash.
bool is_name(std::string_view name, bool is_prefix);

}  // namespace cairn::server
