// Making foreign text safe to show: on a terminal, in a line of the log, in a JSON string.
//
// Pure functions, any thread. What they promise: the result is valid UTF-8, holds no control
// character (C0, DEL, C1), no line or paragraph separator and no bidirectional override, so one
// message stays one line and can't repaint what stands around it. They don't undo anything: a
// backslash in the text stays one backslash, so escaped text is for reading, except in JSON.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace cairn::server {

struct DecodedCharacter {
    char32_t code_point = 0;
    std::size_t size_bytes = 1;
    bool valid = false;  // false: not UTF-8; skip size_bytes and go on
};

// The character at the front of `text`, which is not empty. Overlong forms, surrogates and anything
// beyond U+10FFFF are not valid.
DecodedCharacter decode_utf8(std::string_view text);

void append_utf8(char32_t code_point, std::string& out);

// Whether the character is a control, separates lines or changes the direction of text.
bool is_unprintable(char32_t code_point);

// `text` with unprintable characters as \n, \r, \t, \x1b or \u2028 and bytes that are not UTF-8 as
// \xff.
std::string printable(std::string_view text);

// printable() in double quotes, cut after `bytes_max` bytes of the text: for error messages.
std::string in_quotes(std::string_view text, std::size_t bytes_max = 100);

// Appends `text` as a JSON string with its quotes, as printable inside as printable(); bytes that
// are not UTF-8 become U+FFFD. For logs: json_text.h writes the API's strings.
void append_printable_json(std::string_view text, std::string& out);

}  // namespace cairn::server
