#include "server/settings/settings_file.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

#include "server/base/printable.h"

namespace cairn::server {
namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_bare_key_character(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '-' || c == '_';
}

// Walks over the content once. Functions that read something answer false after fail(), which
// keeps the first reason.
class Reader {
 public:
    explicit Reader(std::string_view content) : rest_(content) {}

    ParseResult<std::vector<FileSetting>> read_all() {
        std::vector<FileSetting> settings;
        while (skip_blank_lines(), !rest_.empty()) {
            FileSetting setting;
            setting.line = line_;
            if (!read_setting(setting)) {
                return parse_error("line " + std::to_string(line_) + ": " + reason_);
            }
            if (std::ranges::find(settings, setting.name, &FileSetting::name) != settings.end()) {
                return parse_error("line " + std::to_string(setting.line) + ": " +
                                   in_quotes(setting.name) + " is set twice");
            }
            settings.push_back(std::move(setting));
        }
        return settings;
    }

 private:
    bool fail(std::string reason) {
        reason_ = std::move(reason);
        return false;
    }

    bool at(char c) const { return !rest_.empty() && rest_.front() == c; }

    bool at_line_end() const { return rest_.empty() || at('\n') || rest_.starts_with("\r\n"); }

    char take() {
        const char c = rest_.front();
        rest_.remove_prefix(1);
        return c;
    }

    void skip_spaces() {
        while (at(' ') || at('\t')) {
            take();
        }
    }

    // Spaces, then a comment if there is one, up to the line's end.
    void skip_comment() {
        skip_spaces();
        if (at('#')) {
            while (!at_line_end()) {
                take();
            }
        }
    }

    // Up to the next thing that means something, on this line or a later one.
    void skip_blank_lines() {
        while (skip_comment(), !rest_.empty() && at_line_end()) {
            rest_.remove_prefix(at('\n') ? 1 : 2);
            ++line_;
        }
    }

    bool read_setting(FileSetting& setting) {
        if (at('[')) {
            return fail("a table; settings stand at the top level");
        }
        if (!read_key(setting.name)) {
            return false;
        }
        skip_spaces();
        if (at('.')) {
            return fail("a dotted key; settings stand at the top level");
        }
        if (!at('=')) {
            return fail("\"=\" expected after " + in_quotes(setting.name));
        }
        take();
        skip_spaces();
        if (!read_value(setting)) {
            return false;
        }
        skip_comment();
        if (!at_line_end()) {
            return fail("unexpected " + in_quotes(rest_of_line()) + " after the value of " +
                        in_quotes(setting.name));
        }
        return true;
    }

    std::string_view rest_of_line() const { return rest_.substr(0, rest_.find_first_of("\r\n")); }

    bool read_key(std::string& key) {
        if (at('"') || at('\'')) {
            return read_string(key);
        }
        while (!rest_.empty() && is_bare_key_character(rest_.front())) {
            key.push_back(take());
        }
        return !key.empty() || fail("a name expected, not " + in_quotes(rest_of_line()));
    }

    bool read_value(FileSetting& setting) {
        if (at('"') || at('\'')) {
            setting.kind = FileSetting::Kind::string;
            return read_string(setting.texts.emplace_back());
        }
        if (at('[')) {
            setting.kind = FileSetting::Kind::array;
            return read_array(setting.texts);
        }
        const std::string_view word = rest_.substr(0, rest_.find_first_of(" \t\r\n#"));
        if (word.empty()) {
            return fail("no value for " + in_quotes(setting.name));
        }
        rest_.remove_prefix(word.size());
        if (word == "true" || word == "false") {
            setting.kind = FileSetting::Kind::boolean;
            setting.texts.emplace_back(word);
            return true;
        }
        std::optional<std::string> digits = integer_digits(word);
        if (!digits) {
            return fail("the value of " + in_quotes(setting.name) + ", " + in_quotes(word) +
                        ", is no string in quotes, decimal integer, boolean or array");
        }
        setting.kind = FileSetting::Kind::integer;
        setting.texts.push_back(*std::move(digits));
        return true;
    }

    // A sign, digits without leading zero, single underscores between digits.
    static std::optional<std::string> integer_digits(std::string_view word) {
        std::string digits;
        if (word.front() == '-') {
            digits.push_back('-');
        }
        if (word.front() == '-' || word.front() == '+') {
            word.remove_prefix(1);
        }
        if (word.size() > 1 && word.front() == '0') {
            return std::nullopt;
        }
        bool after_digit = false;
        for (const char c : word) {
            if (!is_digit(c) && (c != '_' || !after_digit)) {
                return std::nullopt;
            }
            after_digit = c != '_';
            if (after_digit) {
                digits.push_back(c);
            }
        }
        return after_digit ? std::optional(std::move(digits)) : std::nullopt;
    }

    bool read_array(std::vector<std::string>& texts) {
        take();
        while (true) {
            skip_blank_lines();
            if (at(']')) {
                take();
                return true;
            }
            if (!at('"') && !at('\'')) {
                return fail(rest_.empty() ? "an array without end"
                                          : "only strings in quotes can be in an array");
            }
            if (!read_string(texts.emplace_back())) {
                return false;
            }
            skip_blank_lines();
            if (at(',')) {
                take();
            } else if (!at(']')) {
                return fail("\",\" or \"]\" expected in an array");
            }
        }
    }

    bool read_string(std::string& out) {
        if (rest_.starts_with("\"\"\"") || rest_.starts_with("'''")) {
            return fail("multi-line strings are not supported");
        }
        const char quote = take();
        while (!at_line_end()) {
            const char c = take();
            if (c == quote) {
                return true;
            }
            if (c == '\\' && quote == '"') {
                if (!read_escape(out)) {
                    return false;
                }
            } else {
                out.push_back(c);
            }
        }
        return fail("a string without closing quote");
    }

    bool read_escape(std::string& out) {
        static constexpr std::string_view letters = "btnfr\"\\";
        static constexpr std::string_view meanings = "\b\t\n\f\r\"\\";
        const char letter = rest_.empty() ? '\0' : take();
        if (const std::size_t i = letters.find(letter); i != std::string_view::npos) {
            out.push_back(meanings[i]);
            return true;
        }
        if (letter == 'u' || letter == 'U') {
            return read_unicode_escape(letter == 'u' ? 4 : 8, out);
        }
        return fail("an unknown escape in a string; 'single quotes' take backslashes as they are");
    }

    bool read_unicode_escape(int digits, std::string& out) {
        static constexpr std::string_view hexadecimal = "0123456789abcdef";
        char32_t code_point = 0;
        for (int i = 0; i < digits; ++i) {
            const char digit = rest_.empty() ? '\0' : take();
            const char lower =
                digit >= 'A' && digit <= 'F' ? static_cast<char>(digit | 0x20) : digit;
            const std::size_t value = hexadecimal.find(lower);
            if (value == std::string_view::npos || code_point > 0x10ffff) {
                return fail("a Unicode escape that names no character");
            }
            code_point = code_point << 4U | static_cast<char32_t>(value);
        }
        if (code_point > 0x10ffff || (code_point >= 0xd800 && code_point <= 0xdfff)) {
            return fail("a Unicode escape that names no character");
        }
        append_utf8(code_point, out);
        return true;
    }

    std::string_view rest_;
    std::size_t line_ = 1;
    std::string reason_;
};

// The first line that holds a byte TOML forbids everywhere: a control character other than tab, a
// carriage return that ends no line, or bytes that are not UTF-8. 0: none.
std::size_t first_bad_line(std::string_view content) {
    std::size_t line = 1;
    while (!content.empty()) {
        const DecodedCharacter character = decode_utf8(content);
        const char c = content.front();
        const bool control = character.valid && (static_cast<unsigned char>(c) < 0x20 || c == 0x7f);
        const bool welcome = c == '\t' || c == '\n' || content.starts_with("\r\n");
        if (!character.valid || (control && !welcome)) {
            return line;
        }
        line += c == '\n' ? 1 : 0;
        content.remove_prefix(character.size_bytes);
    }
    return 0;
}

}  // namespace

ParseResult<std::vector<FileSetting>> parse_settings(std::string_view content) {
    static constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
    if (content.starts_with(byte_order_mark)) {
        content.remove_prefix(byte_order_mark.size());
    }
    if (const std::size_t line = first_bad_line(content); line != 0) {
        return parse_error("line " + std::to_string(line) +
                           ": a control character, or bytes that are not UTF-8");
    }
    return Reader(content).read_all();
}

ParseResult<std::string> read_settings_file(const std::string& path) {
    const auto reason = [](int error) { return std::generic_category().message(error); };
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"),
                                                               std::fclose);
    if (!file) {
        return parse_error(reason(errno));
    }
    // One byte more than allowed tells a file that is too large.
    std::string content(settings_file_bytes_max + 1, '\0');
    errno = 0;
    content.resize(std::fread(content.data(), 1, content.size(), file.get()));
    if (std::ferror(file.get()) != 0) {
        return parse_error(reason(errno));
    }
    if (content.size() > settings_file_bytes_max) {
        return parse_error("larger than " + std::to_string(settings_file_bytes_max) + " bytes");
    }
    return ParseResult<std::string>(std::move(content));
}

}  // namespace cairn::server
