#include "server/http/problem.h"

#include <iterator>

#include "server/base/json_text.h"

namespace cairn::server {
namespace {

struct CodeFacts {
    int status;
    std::string_view name;
};

// In the order of Code.
constexpr CodeFacts code_facts[] = {
    {400, "INVALID"},
    {401, "UNAUTHORIZED"},
    {403, "FORBIDDEN"},
    {404, "NOT_FOUND"},
    {405, "METHOD_NOT_ALLOWED"},
    {412, "CONFLICT"},
    {412, "ALREADY_EXISTS"},
    {413, "TOO_LARGE"},
    {414, "URI_TOO_LONG"},
    {415, "UNSUPPORTED_MEDIA_TYPE"},
    {422, "IDEMPOTENCY_MISMATCH"},
    {431, "HEADERS_TOO_LARGE"},
    {503, "OVERLOADED"},
    {503, "UNAVAILABLE"},
    {504, "TIMEOUT"},
    {507, "DISK_FULL"},
    {500, "INTERNAL"},
};
static_assert(std::size(code_facts) == code_count);

const CodeFacts& facts_of(Code code) {
    return code_facts[static_cast<std::size_t>(code)];
}

Code code_of_refusal(int status) {
    switch (status) {
        case 408:
            return Code::timeout;
        case 414:
            return Code::uri_too_long;
        case 431:
            return Code::headers_too_large;
        default:
            return Code::invalid;
    }
}

void append_member(std::string_view name, std::string_view text, std::string& out) {
    out += ",\"";
    out += name;
    out += "\":";
    append_json_string(text, out);
}

void append_member(std::string_view name, std::uint64_t number, std::string& out) {
    out += ",\"";
    out += name;
    out += "\":";
    append_number(number, out);
}

}  // namespace

int status_of(Code code) {
    return facts_of(code).status;
}

std::string_view name_of(Code code) {
    return facts_of(code).name;
}

void make_problem(Code code, std::string_view detail, const ProblemExtras& extras,
                  HttpResponse& response) {
    response.status = extras.status != 0 ? extras.status : status_of(code);
    response.content_type = "application/problem+json";
    response.problem = static_cast<std::uint8_t>(code);
    response.headers.clear();
    std::string& body = response.body;
    body = "{\"type\":\"about:blank\"";
    append_member("title", reason_phrase(response.status), body);
    append_member("status", static_cast<std::uint64_t>(response.status), body);
    append_member("detail", detail, body);
    append_member("code", name_of(code), body);
    if (extras.outcome != Outcome::none) {
        append_member(
            "outcome",
            std::string_view(extras.outcome == Outcome::unknown ? "unknown" : "not_applied"), body);
    }
    if (extras.current_index) {
        append_member("current_index", *extras.current_index, body);
        response.add_header("ETag", entity_tag(*extras.current_index));
    }
    if (extras.leader != 0) {
        append_member("leader", extras.leader, body);
    }
    if (extras.retry_after_s != 0) {
        response.add_header("Retry-After", std::to_string(extras.retry_after_s));
    }
    if (!extras.allow.empty()) {
        response.add_header("Allow", extras.allow);
    }
    body += '}';
}

HttpResponse problem(Code code, std::string_view detail, const ProblemExtras& extras) {
    HttpResponse response;
    make_problem(code, detail, extras, response);
    return response;
}

HttpResponse refusal_response(int status, std::string_view detail) {
    ProblemExtras extras;
    extras.status = status;
    extras.outcome = Outcome::not_applied;  // whatever it was to be
    HttpResponse response = problem(code_of_refusal(status), detail, extras);
    response.close = true;
    return response;
}

std::string entity_tag(std::uint64_t index) {
    std::string tag = "\"";
    append_number(index, tag);
    tag += '"';
    return tag;
}

std::string shown(std::string_view text) {
    constexpr std::size_t shown_bytes_max = 64;
    std::string result = "\"";
    result += text.substr(0, shown_bytes_max);
    result += text.size() > shown_bytes_max ? "…\"" : "\"";
    return result;
}

}  // namespace cairn::server
