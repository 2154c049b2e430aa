#include "server/client/request.h"

#include <algorithm>

#include "server/base/duration.h"
#include "server/base/json_text.h"
#include "server/base/percent.h"

namespace cairn::client {
namespace {

constexpr std::int64_t ns_per_ms = 1'000'000;

void add_parameter(std::string_view name, std::string_view value, std::string& target) {
    target += target.find('?') == std::string::npos ? '?' : '&';
    target += name;
    target += '=';
    server::percent_encode_path(value, target);
}

// Nothing when it wasn't told.
void add_told(std::string_view name, std::string_view value, std::string& target) {
    if (!value.empty()) {
        add_parameter(name, value, target);
    }
}

std::string path_of(std::string_view prefix, std::string_view name) {
    std::string path(prefix);
    server::percent_encode_path(name, path);
    return path;
}

std::string in_tag(const std::string& condition) {
    return condition == "*" ? condition : "\"" + condition + "\"";
}

void make_read(const Options& options, server::HttpQuestion& question) {
    const bool waits = !options.after_index.empty();
    question.target = path_of(options.json || waits ? "/v1/values/" : "/v1/raw/", options.name);
    add_told("consistency", options.consistency, question.target);
    add_told("min_index", options.min_index, question.target);
    if (waits) {
        add_parameter("after", options.after_index, question.target);
        add_parameter("wait", server::format_duration(options.wait.count() * ns_per_ms),
                      question.target);
    }
}

void make_write(const Options& options, std::string value, server::HttpQuestion& question) {
    if (options.verb == Verb::remove) {
        question.method = "DELETE";
        question.target = path_of("/v1/values/", options.name);
    } else {
        question.method = "PUT";
        question.target = path_of("/v1/raw/", options.name);
        question.headers.emplace_back("Content-Type", "application/octet-stream");
        question.body = std::move(value);
        question.has_body = true;
        add_told("ttl", options.ttl, question.target);
    }
    if (options.create) {
        question.headers.emplace_back("If-None-Match", "*");
    }
    if (!options.if_match.empty()) {
        question.headers.emplace_back("If-Match", in_tag(options.if_match));
    }
    if (!options.idempotency_key.empty()) {
        question.headers.emplace_back("Idempotency-Key", options.idempotency_key);
    }
}

void make_list(const Options& options, server::HttpQuestion& question) {
    question.target = "/v1/values";
    add_told("prefix", options.name, question.target);
    const std::uint64_t page_max = options.keys_only ? page_names_max : page_values_max;
    const std::uint64_t limit = options.limit == 0 ? page_max : std::min(options.limit, page_max);
    add_parameter("limit", std::to_string(limit), question.target);
    if (options.keys_only) {
        add_parameter("keys_only", "true", question.target);
    }
    add_told("consistency", options.consistency, question.target);
    add_told("min_index", options.min_index, question.target);
    add_told("after", options.after_name, question.target);
    add_told("at_index", options.at_index, question.target);
}

void make_stream(const Options& options, server::HttpQuestion& question) {
    question.target =
        path_of(options.verb == Verb::watch ? "/v1/watch/" : "/v1/events/", options.name);
    if (options.is_prefix) {
        add_parameter("prefix", "true", question.target);
    }
    add_told("cursor", options.cursor, question.target);
    question.headers.emplace_back("Accept", "application/x-ndjson");
}

void make_json(std::string_view target, std::string body, server::HttpQuestion& question) {
    question.method = "POST";
    question.target = target;
    question.headers.emplace_back("Content-Type", "application/json");
    question.body = std::move(body);
    question.has_body = true;
}

std::string new_member(const Options& options) {
    std::string body = "{\"id\":" + options.member_id + ",\"raft\":";
    server::append_json_string(options.member_address, body);
    body += options.learner ? ",\"learner\":true}" : "}";
    return body;
}

}  // namespace

Repeat repeat_of(Verb verb) {
    switch (verb) {
        case Verb::set:
        case Verb::update:
        case Verb::remove:
            return Repeat::keyed;
        case Verb::add_member:
        case Verb::remove_member:
        case Verb::lead:
            return Repeat::unsafe;
        default:
            return Repeat::harmless;
    }
}

bool takes_value(Verb verb) {
    return verb == Verb::set || verb == Verb::update;
}

server::HttpQuestion make_question(const Options& options, std::string value) {
    server::HttpQuestion question;
    switch (options.verb) {
        case Verb::get:
            make_read(options, question);
            break;
        case Verb::set:
        case Verb::update:
        case Verb::remove:
            make_write(options, std::move(value), question);
            break;
        case Verb::list:
            make_list(options, question);
            break;
        case Verb::watch:
        case Verb::events:
            make_stream(options, question);
            break;
        case Verb::add_member:
            make_json("/v1/cluster/members", new_member(options), question);
            break;
        case Verb::remove_member:
            question.method = "DELETE";
            question.target = "/v1/cluster/members/" + options.member_id;
            break;
        case Verb::lead:
            make_json("/v1/cluster/leader", "{\"id\":" + options.member_id + "}", question);
            break;
        case Verb::status:
        case Verb::members:
        case Verb::completion:
        case Verb::complete:
            question.target = "/v1/cluster";
            break;
    }
    return question;
}

void add_deadline(std::chrono::milliseconds deadline, server::HttpQuestion& question) {
    add_parameter("timeout", server::format_duration(deadline.count() * ns_per_ms),
                  question.target);
}

}  // namespace cairn::client
