#include "server/log/request_trace.h"

#include <algorithm>

namespace cairn::server {
namespace {

constexpr std::string_view hexadecimal = "0123456789abcdef";

bool is_hexadecimal(std::string_view text) {
    return text.find_first_not_of(hexadecimal) == std::string_view::npos;
}

bool is_zero(std::string_view text) {
    return text.find_first_not_of('0') == std::string_view::npos;
}

void append_hexadecimal(std::uint64_t number, int digits, std::string& out) {
    for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
        out += hexadecimal[number >> shift & 15U];
    }
}

}  // namespace

bool is_request_id(std::string_view text) {
    constexpr std::size_t bytes_max = 128;
    constexpr std::string_view others = "-_.~:/+=@";
    return !text.empty() && text.size() <= bytes_max && std::ranges::all_of(text, [&](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               others.find(c) != std::string_view::npos;
    });
}

std::string_view trace_id_of(std::string_view traceparent) {
    constexpr std::size_t bytes = 55;  // 00-<32>-<16>-<2>
    if (traceparent.size() < bytes) {
        return {};
    }
    const std::string_view version = traceparent.substr(0, 2);
    const std::string_view trace_id = traceparent.substr(3, 32);
    const std::string_view parent_id = traceparent.substr(36, 16);
    const std::string_view flags = traceparent.substr(53, 2);
    const bool well_formed = traceparent[2] == '-' && traceparent[35] == '-' &&
                             traceparent[52] == '-' && is_hexadecimal(version) &&
                             is_hexadecimal(trace_id) && is_hexadecimal(parent_id) &&
                             is_hexadecimal(flags);
    if (!well_formed || version == "ff" || is_zero(trace_id) || is_zero(parent_id)) {
        return {};
    }
    // A later version may say more, behind another dash.
    if (traceparent.size() > bytes && (version == "00" || traceparent[bytes] != '-')) {
        return {};
    }
    return trace_id;
}

RequestTrace trace_of(const HttpRequest& request) {
    constexpr std::string_view id_header = "X-Request-Id";
    constexpr std::string_view trace_header = "traceparent";
    RequestTrace trace;
    bool has_trace = false;
    for (const auto& [name, value] : request.headers) {
        if (equal_ignoring_case(name, id_header)) {
            if (trace.request_id.empty() && is_request_id(value)) {
                trace.request_id = value;
            }
        } else if (equal_ignoring_case(name, trace_header)) {
            // Which of two it is part of, nobody can tell.
            trace.trace_id = has_trace ? std::string_view() : trace_id_of(value);
            has_trace = true;
        }
    }
    return trace;
}

std::string RequestIds::next() {
    std::string id;
    id.reserve(24);
    append_hexadecimal(seed_, 16, id);
    append_hexadecimal(++count_, 8, id);
    if (count_ == UINT32_MAX) {
        ++seed_;
        count_ = 0;
    }
    return id;
}

}  // namespace cairn::server
