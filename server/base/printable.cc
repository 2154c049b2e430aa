#include "server/base/printable.h"

#include <cstdint>
#include <cstdio>

namespace cairn::server {
namespace {

void append_hex(const char* format, unsigned value, std::string& out) {
    char buffer[16];
    const int size = std::snprintf(buffer, sizeof buffer, format, value);
    out.append(buffer, static_cast<std::size_t>(size));
}

// The escapes that C and JSON have a letter for; 0 when there is none.
char escape_letter(char32_t code_point) {
    switch (code_point) {
        case U'\n':
            return 'n';
        case U'\r':
            return 'r';
        case U'\t':
            return 't';
        default:
            return 0;
    }
}

}  // namespace

DecodedCharacter decode_utf8(std::string_view text) {
    const auto byte_at = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte_at(0);
    if (first < 0x80) {
        return {.code_point = first, .size_bytes = 1, .valid = true};
    }
    std::size_t size_bytes = 0;
    char32_t code_point = 0;
    char32_t lowest = 0;
    if ((first & 0xe0U) == 0xc0) {
        size_bytes = 2, code_point = first & 0x1fU, lowest = 0x80;
    } else if ((first & 0xf0U) == 0xe0) {
        size_bytes = 3, code_point = first & 0x0fU, lowest = 0x800;
    } else if ((first & 0xf8U) == 0xf0) {
        size_bytes = 4, code_point = first & 0x07U, lowest = 0x10000;
    }
    if (size_bytes == 0 || text.size() < size_bytes) {
        return {};
    }
    for (std::size_t i = 1; i < size_bytes; ++i) {
        if ((byte_at(i) & 0xc0U) != 0x80) {
            return {};
        }
        code_point = code_point << 6U | (byte_at(i) & 0x3fU);
    }
    const bool surrogate = code_point >= 0xd800 && code_point <= 0xdfff;
    if (code_point < lowest || code_point > 0x10ffff || surrogate) {
        return {};
    }
    return {.code_point = code_point, .size_bytes = size_bytes, .valid = true};
}

void append_utf8(char32_t code_point, std::string& out) {
    const auto append = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
    if (code_point < 0x80) {
        append(code_point);
    } else if (code_point < 0x800) {
        append(0xc0U | code_point >> 6U);
        append(0x80U | (code_point & 0x3fU));
    } else if (code_point < 0x10000) {
        append(0xe0U | code_point >> 12U);
        append(0x80U | (code_point >> 6U & 0x3fU));
        append(0x80U | (code_point & 0x3fU));
    } else {
        append(0xf0U | code_point >> 18U);
        append(0x80U | (code_point >> 12U & 0x3fU));
        append(0x80U | (code_point >> 6U & 0x3fU));
        append(0x80U | (code_point & 0x3fU));
    }
}

bool is_unprintable(char32_t code_point) {
    const auto within = [&](char32_t first, char32_t last) {
        return code_point >= first && code_point <= last;
    };
    return code_point < 0x20 || within(0x7f, 0x9f) ||  // controls
           within(0x2028, 0x2029) ||                   // line and paragraph separator
           within(0x202a, 0x202e) ||                   // bidirectional embeddings and overrides
           within(0x2066, 0x2069) ||                   // bidirectional isolates
           within(0x200e, 0x200f) || code_point == 0x061c || code_point == 0xfeff;
}

std::string printable(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const DecodedCharacter character = decode_utf8(text);
        if (!character.valid) {
            append_hex("\\x%02x", static_cast<unsigned char>(text.front()), out);
        } else if (const char letter = escape_letter(character.code_point); letter != 0) {
            out.push_back('\\');
            out.push_back(letter);
        } else if (is_unprintable(character.code_point)) {
            append_hex(character.code_point < 0x80 ? "\\x%02x" : "\\u%04x",
                       static_cast<unsigned>(character.code_point), out);
        } else {
            out.append(text.substr(0, character.size_bytes));
        }
        text.remove_prefix(character.size_bytes);
    }
    return out;
}

std::string in_quotes(std::string_view text, std::size_t bytes_max) {
    std::size_t kept = text.size();
    if (kept > bytes_max) {
        kept = bytes_max;
        // Not through the middle of a character.
        while (kept > 0 && (static_cast<unsigned char>(text[kept]) & 0xc0U) == 0x80) {
            --kept;
        }
    }
    return "\"" + printable(text.substr(0, kept)) + (kept < text.size() ? "…\"" : "\"");
}

void append_printable_json(std::string_view text, std::string& out) {
    out.push_back('"');
    while (!text.empty()) {
        const DecodedCharacter character = decode_utf8(text);
        if (!character.valid) {
            out.append("\\ufffd");
        } else if (character.code_point == U'"' || character.code_point == U'\\') {
            out.push_back('\\');
            out.push_back(static_cast<char>(character.code_point));
        } else if (const char letter = escape_letter(character.code_point); letter != 0) {
            out.push_back('\\');
            out.push_back(letter);
        } else if (is_unprintable(character.code_point)) {
            append_hex("\\u%04x", static_cast<unsigned>(character.code_point), out);
        } else {
            out.append(text.substr(0, character.size_bytes));
        }
        text.remove_prefix(character.size_bytes);
    }
    out.push_back('"');
}

}  // namespace cairn::server
