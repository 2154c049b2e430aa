#include "server/client/curl.h"

#include <algorithm>

#include "server/base/printable.h"
#include "server/client/request.h"

namespace cairn::client {
namespace {

bool is_plain(char letter) {
    return (letter >= '0' && letter <= '9') || (letter >= 'a' && letter <= 'z') ||
           (letter >= 'A' && letter <= 'Z') ||
           std::string_view("-._/:,=@%+").find(letter) != std::string_view::npos;
}

// Whether it can stand between quotes: text, without what a terminal or a shell's line editor would
// act on.
bool is_quotable(std::string_view text) {
    while (!text.empty()) {
        const server::DecodedCharacter character = server::decode_utf8(text);
        if (!character.valid ||
            (server::is_unprintable(character.code_point) && character.code_point != U'\n')) {
            return false;
        }
        text.remove_prefix(character.size_bytes);
    }
    return true;
}

// For printf: each byte that isn't plain as \ooo.
std::string printf_format(std::string_view bytes) {
    std::string format;
    for (const char letter : bytes) {
        if (is_plain(letter) && letter != '%' && letter != '-') {
            format += letter;
            continue;
        }
        const auto byte = static_cast<unsigned char>(letter);
        format += '\\';
        for (const int shift : {6, 3, 0}) {
            format += static_cast<char>('0' + ((byte >> shift) & 7));
        }
    }
    return "'" + format + "'";
}

}  // namespace

std::string shell_word(std::string_view text) {
    if (!text.empty() && std::ranges::all_of(text, is_plain)) {
        return std::string(text);
    }
    std::string word = "'";
    for (const char letter : text) {
        if (letter == '\'') {
            word += "'\\''";
        } else {
            word += letter;
        }
    }
    return word + "'";
}

std::string curl_line(const Options& options, const server::Address& address,
                      const server::HttpQuestion& question) {
    std::string line;
    std::string data;
    if (takes_value(options.verb)) {
        switch (options.source) {
            case ValueSource::text:
                if (is_quotable(options.value)) {
                    data = " --data-raw " + shell_word(options.value);
                } else {
                    line = "printf " + printf_format(options.value) + " | ";
                    data = " --data-binary @-";
                }
                break;
            case ValueSource::standard_input:
                data = " --data-binary @-";
                break;
            case ValueSource::file:
                data = " --data-binary " + shell_word("@" + options.value);
                break;
        }
    } else if (question.has_body) {
        data = " --data-raw " + shell_word(question.body);
    }
    line += "curl -sS";
    if (options.verb == Verb::watch || options.verb == Verb::events) {
        line += " -N";
    }
    if (question.method != "GET") {
        line += " -X " + question.method;
    }
    for (const auto& [name, value] : question.headers) {
        line += " -H " + shell_word(name + ": " + value);
    }
    line += data;
    if (!options.output.empty()) {
        line += " -f -o " + shell_word(options.output);
    }
    return line + " " + shell_word("http://" + address.text() + question.target) + "\n";
}

}  // namespace cairn::client
