#include "server/api/parameters.h"

#include <charconv>
#include <utility>
#include <vector>

#include "fsm/name.h"
#include "fsm/utf8.h"
#include "server/api/value_body.h"
#include "server/base/duration.h"
#include "server/base/percent.h"
#include "server/http/problem.h"

namespace cairn::server {
namespace {

using Error = std::optional<std::string>;

Error parse_number(const QueryParameter& parameter, std::uint64_t& number) {
    const auto& text = parameter.value;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) {
        return parameter.name + " must be a whole number, not " + shown(text) + ".";
    }
    return std::nullopt;
}

Error parse_flag(const QueryParameter& parameter, bool& flag) {
    if (parameter.value != "true" && parameter.value != "false") {
        return parameter.name + " must be true or false, not " + shown(parameter.value) + ".";
    }
    flag = parameter.value == "true";
    return std::nullopt;
}

// Part of a name: any that a name can begin with, the empty one too.
Error take_name_part(QueryParameter& parameter, std::string& out) {
    if (parameter.value.size() > fsm::name_bytes_max || !fsm::is_valid_utf8(parameter.value)) {
        return parameter.name + " must be at most 512 bytes of UTF-8.";
    }
    out = std::move(parameter.value);
    return std::nullopt;
}

static_assert(wait_ms_max == timeout_ms_max, "what the error says");

// Of a timeout or a wait.
Error parse_milliseconds(const QueryParameter& parameter, int& out) {
    constexpr std::int64_t ms = 1'000'000;
    const auto time_ns = parse_duration(parameter.value);
    if (!time_ns || *time_ns > timeout_ms_max * ms) {
        return parameter.name + " must be a duration of more than zero and at most 60s, not " +
               shown(parameter.value) + ".";
    }
    out = static_cast<int>((*time_ns + ms - 1) / ms);
    return std::nullopt;
}

Error parse_at_index(const QueryParameter& parameter, Parameters& out) {
    if (auto error = parse_number(parameter, out.at_index)) {
        return error;
    }
    return out.at_index != 0
               ? std::nullopt
               : Error("at_index must be the Cairn-Index of the list's first page, not \"0\".");
}

Error parse_known_index(const QueryParameter& parameter, Parameters& out) {
    std::uint64_t index = 0;
    auto error = parse_number(parameter, index);
    out.known_index = index;
    return error;
}

Error parse_consistency(const QueryParameter& parameter, std::uint32_t known, Parameters& out) {
    if (parameter.value == "linearizable") {
        out.consistency = Consistency::linearizable;
    } else if (parameter.value == "local") {
        out.consistency = Consistency::local;
    } else if (parameter.value == "lease") {
        if ((known & Known::lease) == 0) {
            return "consistency=lease is for values and lists only.";
        }
        out.consistency = Consistency::lease;
    } else {
        return "consistency must be linearizable, local or lease, not " + shown(parameter.value) +
               ".";
    }
    return std::nullopt;
}

Error parse_limit(const QueryParameter& parameter, Parameters& out) {
    std::uint64_t number = 0;
    if (auto error = parse_number(parameter, number)) {
        return error;
    }
    if (number == 0 || number > list_limit_max) {
        return "limit must be from 1 to 1000, not " + shown(parameter.value) + ".";
    }
    out.limit = number;
    return std::nullopt;
}

Error parse_cursor(const QueryParameter& parameter, Parameters& out) {
    out.cursor = fsm::Cursor::parse(parameter.value);
    if (!out.cursor) {
        return "cursor must be one that a stream gave, not " + shown(parameter.value) + ".";
    }
    return std::nullopt;
}

Error parse_ttl(const QueryParameter& parameter, Parameters& out) {
    out.ttl_ns = parse_duration(parameter.value);
    return out.ttl_ns ? std::nullopt : Error(ttl_error(parameter.value));
}

// Which bit a parameter is, or 0. Only "prefix" means different things on different routes.
std::uint32_t bit_of(std::string_view name, std::uint32_t known) {
    constexpr std::pair<std::string_view, std::uint32_t> bits[] = {
        {"timeout", Known::timeout},     {"consistency", Known::consistency},
        {"min_index", Known::min_index}, {"ttl", Known::ttl},
        {"prefix", Known::prefix_text},  {"prefix", Known::prefix_flag},
        {"limit", Known::limit},         {"after", Known::after},
        {"keys_only", Known::keys_only}, {"cursor", Known::cursor},
        {"after", Known::known_index},   {"wait", Known::wait},
        {"at_index", Known::at_index},
    };
    for (const auto& [known_name, bit] : bits) {
        if (known_name == name && (known & bit) != 0) {
            return bit;
        }
    }
    return 0;
}

Error unknown_parameter(std::string_view name) {
    return "The query parameter " + shown(name) + " is not known here.";
}

Error take(QueryParameter& parameter, std::uint32_t known, Parameters& out) {
    switch (bit_of(parameter.name, known)) {
        case Known::timeout:
            return parse_milliseconds(parameter, out.timeout_ms);
        case Known::consistency:
            return parse_consistency(parameter, known, out);
        case Known::min_index:
            return parse_number(parameter, out.min_index);
        case Known::ttl:
            return parse_ttl(parameter, out);
        case Known::prefix_text:
            return take_name_part(parameter, out.prefix);
        case Known::prefix_flag:
            return parse_flag(parameter, out.is_prefix);
        case Known::limit:
            return parse_limit(parameter, out);
        case Known::after:
            return take_name_part(parameter, out.after);
        case Known::keys_only:
            return parse_flag(parameter, out.keys_only);
        case Known::cursor:
            return parse_cursor(parameter, out);
        case Known::at_index:
            return parse_at_index(parameter, out);
        case Known::known_index:
            return parse_known_index(parameter, out);
        case Known::wait:
            return parse_milliseconds(parameter, out.wait_ms);
        default:
            return unknown_parameter(parameter.name);
    }
}

}  // namespace

std::optional<std::string> parse_parameters(std::string_view query, std::uint32_t known,
                                            Parameters& parameters) {
    parameters = {};
    if (query.empty()) {
        return std::nullopt;
    }
    std::vector<QueryParameter> all;
    std::string error;
    if (!parse_query(query, all, error)) {
        return error;
    }
    for (auto& parameter : all) {
        if (auto refusal = take(parameter, known, parameters)) {
            return refusal;
        }
    }
    if (parameters.wait_ms != 0 && !parameters.known_index) {
        return "wait needs after: the index that is known, or 0 for a value that is not set.";
    }
    return std::nullopt;
}

}  // namespace cairn::server
