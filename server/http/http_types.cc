#include "server/http/http_types.h"

#include <algorithm>
#include <charconv>

namespace cairn::server {
namespace {

// The commonest first.
constexpr std::pair<int, std::string_view> reason_phrases[] = {
    {200, "OK"},
    {201, "Created"},
    {101, "Switching Protocols"},
    {204, "No Content"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

char lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

// A line end or a NUL in a value would let it pass for headers or a response of its own.
void append_header_value(std::string_view value, std::string& out) {
    for (char c : value) {
        const auto byte = static_cast<unsigned char>(c);
        out += (byte < 0x20 && c != '\t') || byte == 0x7f ? ' ' : c;
    }
}

void append_header(std::string_view name, std::string_view value, std::string& out) {
    out += name;
    out += ": ";
    append_header_value(value, out);
    out += "\r\n";
}

void append_status_line(int status, std::string& out) {
    out += "HTTP/1.1 ";
    append_number(static_cast<std::uint64_t>(status), out);
    out += ' ';
    out += reason_phrase(status);
    out += "\r\n";
}

// RFC 9110 §6.4.1: these end with their headers, whatever those say.
bool never_has_body(int status) {
    return status < 200 || status == 204 || status == 304;
}

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) {
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                              [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view HttpRequest::header(std::string_view name) const {
    for (const auto& [field, value] : headers) {
        if (equal_ignoring_case(field, name)) {
            return value.data() == nullptr ? std::string_view("") : value;
        }
    }
    return {};
}

std::size_t HttpRequest::count(std::string_view name) const {
    return static_cast<std::size_t>(std::count_if(
        headers.begin(), headers.end(),
        [name](const auto& header) { return equal_ignoring_case(header.first, name); }));
}

void HttpResponse::reset() {
    status = 200;
    content_type = "application/json";
    headers.clear();
    server_timing.clear();
    body.clear();
    later_bytes.reset();
    problem.reset();
    close = false;
    head_only = false;
}

void HttpResponse::add_header(std::string_view name, std::string_view value) {
    headers.emplace_back(name, value);
}

std::string_view reason_phrase(int status) {
    for (const auto& [known, phrase] : reason_phrases) {
        if (known == status) {
            return phrase;
        }
    }
    return "Unknown";
}

void append_number(std::uint64_t number, std::string& out) {
    char digits[20];
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    out.append(digits, end);
}

void append_response(const HttpResponse& response, bool keep_alive, std::string& out) {
    append_status_line(response.status, out);
    const bool bodiless = never_has_body(response.status);
    if (!bodiless) {
        out += "Content-Length: ";
        const std::uint64_t body_bytes = response.later_bytes.value_or(response.body.size());
        append_number(body_bytes, out);
        out += "\r\n";
        if (body_bytes > 0) {
            append_header("Content-Type", response.content_type, out);
        }
    }
    for (const auto& [name, value] : response.headers) {
        append_header(name, value, out);
    }
    if (!response.server_timing.empty()) {
        append_header("Server-Timing", response.server_timing, out);
    }
    // Said in both cases: to an HTTP/1.0 client that asked for it, keep-alive is news.
    out += keep_alive && !response.close ? "Connection: keep-alive" : "Connection: close";
    out += "\r\n\r\n";
    if (!bodiless && !response.head_only) {
        out += response.body;
    }
}

void append_endless_head(const HttpResponse& response, bool chunked, std::string& out) {
    append_status_line(response.status, out);
    append_header("Content-Type", response.content_type, out);
    for (const auto& [name, value] : response.headers) {
        append_header(name, value, out);
    }
    if (chunked) {
        append_header("Transfer-Encoding", "chunked", out);
    }
    out += "Connection: close\r\n\r\n";
}

}  // namespace cairn::server
