#include "fsm/utf8.h"

#include <cstdint>
#include <cstring>

namespace cairn::fsm {
namespace {

// Length of the well-formed character that begins at `i`, 0 when there is none.
std::size_t character_length(std::string_view bytes, std::size_t i) {
    const auto at = [&](std::size_t offset) -> unsigned {
        return i + offset < bytes.size() ? static_cast<unsigned char>(bytes[i + offset]) : 0U;
    };
    const auto continues = [&](std::size_t offset) { return (at(offset) & 0xc0U) == 0x80; };
    const unsigned lead = at(0);
    if (lead < 0x80) {
        return 1;
    }
    if (lead < 0xc2) {
        return 0;
    }
    if (lead < 0xe0) {
        return continues(1) ? 2 : 0;
    }
    // The second byte alone tells overlong forms, surrogates and what is too large.
    unsigned low = 0x80;
    unsigned high = 0xbf;
    if (lead == 0xe0) {
        low = 0xa0;
    } else if (lead == 0xed) {
        high = 0x9f;
    } else if (lead == 0xf0) {
        low = 0x90;
    } else if (lead == 0xf4) {
        high = 0x8f;
    }
    if (lead > 0xf4 || at(1) < low || at(1) > high || !continues(2)) {
        return 0;
    }
    if (lead < 0xf0) {
        return 3;
    }
    return continues(3) ? 4 : 0;
}

}  // namespace

std::size_t valid_utf8_prefix(std::string_view bytes) {
    std::size_t i = 0;
    while (i < bytes.size()) {
        std::uint64_t word = 0;
        while (i + sizeof word <= bytes.size()) {
            std::memcpy(&word, bytes.data() + i, sizeof word);
            if ((word & 0x8080808080808080ULL) != 0) {
                break;
            }
            i += sizeof word;
        }
        if (i == bytes.size()) {
            break;
        }
        const std::size_t length = character_length(bytes, i);
        if (length == 0) {
            return i;
        }
        i += length;
    }
    return i;
}

}  // namespace cairn::fsm
