#include "fsm/name.h"

#include <cstdint>

namespace cairn::fsm {

namespace {

constexpr char32_t bad_character = 0xffffffff;

// Takes one character off the front of `text`, which isn't empty; bad_character if it isn't valid
// UTF-8 (overlong forms, surrogates and what lies beyond U+10FFFF included).
char32_t take_character(std::string_view& text) {
    const auto lead = static_cast<unsigned char>(text[0]);
    std::size_t length = 0;
    char32_t character = 0;
    char32_t smallest = 0;
    if (lead < 0x80) {
        text.remove_prefix(1);
        return lead;
    }
    if ((lead & 0xe0) == 0xc0) {
        length = 2, character = lead & 0x1f, smallest = 0x80;
    } else if ((lead & 0xf0) == 0xe0) {
        length = 3, character = lead & 0x0f, smallest = 0x800;
    } else if ((lead & 0xf8) == 0xf0) {
        length = 4, character = lead & 0x07, smallest = 0x10000;
    } else {
        return bad_character;
    }
    if (text.size() < length) {
        return bad_character;
    }
    for (const char byte : text.substr(1, length - 1)) {
        const auto continuation = static_cast<unsigned char>(byte);
        if ((continuation & 0xc0) != 0x80) {
            return bad_character;
        }
        character = character << 6 | (continuation & 0x3f);
    }
    const bool surrogate = character >= 0xd800 && character <= 0xdfff;
    if (character < smallest || character > 0x10ffff || surrogate) {
        return bad_character;
    }
    text.remove_prefix(length);
    return character;
}

bool is_control(char32_t character) {
    return character < 0x20 || (character >= 0x7f && character <= 0x9f);
}

bool has_bad_segment(std::string_view name) {
    for (;;) {
        const std::size_t slash = name.find('/');
        const std::string_view segment = name.substr(0, slash);
        if (segment.empty() || segment == "." || segment == "..") {
            return true;
        }
        if (slash == std::string_view::npos) {
            return false;
        }
        name.remove_prefix(slash + 1);
    }
}

}  // namespace

bool valid_name(std::string_view name) {
    if (name.empty() || name.size() > name_bytes_max || has_bad_segment(name)) {
        return false;
    }
    while (!name.empty()) {
        const char32_t character = take_character(name);
        if (character == bad_character || is_control(character)) {
            return false;
        }
    }
    return true;
}

}  // namespace cairn::fsm
