// Blanks and tabs around an element of a header (OWS, RFC 9110 §5.6.3).
//
// A pure function, for any thread.
#pragma once

#include <string_view>

namespace cairn::server {

// Without those at both ends. What is left keeps its place in `text`, also when it is empty.
inline std::string_view trim(std::string_view text) {
    const auto first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) {
        return text.substr(0, 0);
    }
    return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

}  // namespace cairn::server
