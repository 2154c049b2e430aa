#include "server/base/json_text.h"

#include "fsm/utf8.h"
#include "server/base/base64.h"

namespace cairn::server {
namespace {

bool needs_escape(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\';
}

void append_escape(char c, std::string& out) {
    constexpr std::string_view digits = "0123456789abcdef";
    switch (c) {
        case '"':
            out += "\\\"";
            return;
        case '\\':
            out += "\\\\";
            return;
        case '\n':
            out += "\\n";
            return;
        case '\r':
            out += "\\r";
            return;
        case '\t':
            out += "\\t";
            return;
        default:
            out += "\\u00";
            out += digits[static_cast<unsigned char>(c) >> 4];
            out += digits[static_cast<unsigned char>(c) & 15];
    }
}

// `text` is UTF-8.
void append_escaped(std::string_view text, std::string& out) {
    std::size_t begin = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (needs_escape(text[i])) {
            out.append(text, begin, i - begin);
            append_escape(text[i], out);
            begin = i + 1;
        }
    }
    out.append(text, begin, text.size() - begin);
}

}  // namespace

void append_json_string(std::string_view text, std::string& out) {
    out += '"';
    while (!text.empty()) {
        const std::size_t valid = fsm::valid_utf8_prefix(text);
        append_escaped(text.substr(0, valid), out);
        text.remove_prefix(valid);
        if (!text.empty()) {
            out += "\xef\xbf\xbd";
            text.remove_prefix(1);
        }
    }
    out += '"';
}

void append_value_member(std::string_view bytes, std::string& out) {
    if (fsm::is_valid_utf8(bytes)) {
        out += "\"value\":\"";
        append_escaped(bytes, out);
    } else {
        out += "\"value_base64\":\"";
        append_base64(bytes, out);
    }
    out += '"';
}

}  // namespace cairn::server
