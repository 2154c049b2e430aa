#include "server/base/percent.h"

#include <algorithm>

namespace cairn::server {
namespace {

constexpr std::size_t parameters_max = 16;

int hex_digit(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

bool decode(std::string_view text, bool plus_is_space, std::string& out) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '+' && plus_is_space) {
            out += ' ';
        } else if (text[i] != '%') {
            out += text[i];
        } else {
            const int high = i + 1 < text.size() ? hex_digit(text[i + 1]) : -1;
            const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            out += static_cast<char>(high * 16 + low);
            i += 2;
        }
    }
    return true;
}

bool is_unreserved(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

}  // namespace

bool percent_decode(std::string_view text, std::string& out) {
    return decode(text, false, out);
}

void percent_encode_path(std::string_view text, std::string& out) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    for (char c : text) {
        if (is_unreserved(c) || c == '/') {
            out += c;
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        out += '%';
        out += digits[byte >> 4];
        out += digits[byte & 15];
    }
}

bool parse_query(std::string_view query, std::vector<QueryParameter>& parameters,
                 std::string& error) {
    parameters.clear();
    while (!query.empty()) {
        const auto end = std::min(query.find('&'), query.size());
        const auto part = query.substr(0, end);
        query.remove_prefix(std::min(end + 1, query.size()));
        if (part.empty()) {
            continue;  // "a=1&&b=2", "a=1&": nothing is said, so nothing is lost
        }
        const auto equals = std::min(part.find('='), part.size());
        QueryParameter parameter;
        if (!decode(part.substr(0, equals), true, parameter.name) ||
            !decode(part.substr(std::min(equals + 1, part.size())), true, parameter.value)) {
            error = "The query holds a '%' that is not followed by two hexadecimal digits.";
            return false;
        }
        if (parameter.name.empty()) {
            error = "The query holds a parameter without a name.";
            return false;
        }
        if (parameters.size() == parameters_max) {
            error = "The query holds too many parameters.";
            return false;
        }
        if (std::any_of(parameters.begin(), parameters.end(),
                        [&](const auto& other) { return other.name == parameter.name; })) {
            error = "The query parameter \"" + parameter.name + "\" is there more than once.";
            return false;
        }
        parameters.push_back(std::move(parameter));
    }
    return true;
}

std::pair<std::string_view, std::string_view> split_target(std::string_view target) {
    const auto mark = target.find('?');
    if (mark == std::string_view::npos) {
        return {target, {}};
    }
    return {target.substr(0, mark), target.substr(mark + 1)};
}

}  // namespace cairn::server
