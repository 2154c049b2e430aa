#include "server/base/duration.h"

#include <iterator>

namespace cairn::server {
namespace {

struct Unit {
    std::string_view name;
    std::int64_t ns;
};

// Larger first.
constexpr Unit units[] = {
    {"h", 3'600'000'000'000}, {"m", 60'000'000'000}, {"s", 1'000'000'000},
    {"ms", 1'000'000},        {"us", 1'000},         {"ns", 1},
};

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

std::string_view take_digits(std::string_view& text) {
    std::size_t count = 0;
    while (count < text.size() && is_digit(text[count])) {
        ++count;
    }
    const auto digits = text.substr(0, count);
    text.remove_prefix(count);
    return digits;
}

// The unit at the front of `text`, at or after `from`; none when there is no such unit.
std::size_t take_unit(std::string_view& text, std::size_t from) {
    std::size_t length = 0;
    while (length < text.size() && text[length] >= 'a' && text[length] <= 'z') {
        ++length;
    }
    for (std::size_t i = from; i < std::size(units); ++i) {
        if (units[i].name == text.substr(0, length)) {
            text.remove_prefix(length);
            return i;
        }
    }
    return std::size(units);
}

// whole.fraction times the unit; none when it is too much or no whole number of nanoseconds.
std::optional<std::int64_t> scale(std::string_view whole, std::string_view fraction,
                                  std::int64_t unit_ns) {
    std::int64_t total = 0;
    for (char c : whole) {
        if (total > duration_max_ns / 10) {
            return std::nullopt;
        }
        total = total * 10 + (c - '0') * unit_ns;
    }
    for (char c : fraction) {
        if (c == '0') {
            unit_ns = unit_ns % 10 == 0 ? unit_ns / 10 : 0;
            continue;
        }
        if (unit_ns % 10 != 0 || unit_ns == 0) {
            return std::nullopt;
        }
        unit_ns /= 10;
        total += (c - '0') * unit_ns;
    }
    return total <= duration_max_ns ? std::optional(total) : std::nullopt;
}

}  // namespace

std::optional<std::int64_t> parse_duration(std::string_view text) {
    if (text.empty()) {
        return std::nullopt;
    }
    std::int64_t total = 0;
    std::size_t unit = 0;
    while (!text.empty()) {
        const auto whole = take_digits(text);
        std::string_view fraction;
        if (!text.empty() && text.front() == '.') {
            text.remove_prefix(1);
            fraction = take_digits(text);
            if (fraction.empty()) {
                return std::nullopt;
            }
        }
        unit = take_unit(text, unit);
        if (whole.empty() || unit == std::size(units)) {
            return std::nullopt;
        }
        const auto part = scale(whole, fraction, units[unit].ns);
        if (!part || *part > duration_max_ns - total) {
            return std::nullopt;
        }
        total += *part;
        ++unit;
    }
    return total > 0 ? std::optional(total) : std::nullopt;
}

std::string format_duration(std::int64_t duration_ns) {
    std::string text;
    const std::int64_t hours = duration_ns / units[0].ns;
    const std::int64_t minutes = duration_ns % units[0].ns / units[1].ns;
    const std::int64_t rest = duration_ns % units[1].ns;
    if (hours > 0) {
        text += std::to_string(hours) + "h";
    }
    if (minutes > 0) {
        text += std::to_string(minutes) + "m";
    }
    if (rest == 0 && !text.empty()) {
        return text;
    }
    std::size_t unit = 2;
    while (unit + 1 < std::size(units) && rest < units[unit].ns) {
        ++unit;
    }
    text += std::to_string(rest / units[unit].ns);
    if (std::int64_t fraction = rest % units[unit].ns; fraction > 0) {
        text += '.';
        for (std::int64_t place = units[unit].ns / 10; fraction > 0; place /= 10) {
            text += static_cast<char>('0' + fraction / place);
            fraction %= place;
        }
    }
    text += units[unit].name;
    return text;
}

}  // namespace cairn::server
