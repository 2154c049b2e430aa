#include "server/api/value_api.h"

#include <algorithm>

#include "fsm/command.h"
#include "server/api/idempotency_key.h"
#include "server/api/value_json.h"
#include "server/base/optional_whitespace.h"

namespace cairn::server {
namespace {

// One list answer stops growing here and says where to go on.
constexpr std::size_t list_bytes_max = std::size_t{8} << 20;

constexpr std::string_view json_hint =
    "Send the value as JSON with \"Content-Type: application/json\", or its bytes alone to "
    "/v1/raw/ and the name.";

// Reads If-Match; true when it was refused.
bool refuse_if_match(const HttpRequest& request, Exchange& exchange) {
    exchange.if_match = parse_if_match(request.header("If-Match"));
    exchange.is_conditional = exchange.if_match.kind != IfMatch::Kind::absent;
    if (request.count("If-Match") > 1 || exchange.if_match.kind == IfMatch::Kind::several) {
        respond_invalid(exchange, "If-Match takes one entity tag here, such as \"42\", or *.");
        return true;
    }
    if (exchange.if_match.kind == IfMatch::Kind::malformed) {
        respond_invalid(exchange,
                        "If-Match must be an index in double quotes, such as \"42\", or *.");
        return true;
    }
    return false;
}

// Reads If-None-Match; true when it was refused.
bool refuse_if_none_match(const HttpRequest& request, Exchange& exchange) {
    parse_if_none_match(request.header("If-None-Match"), exchange.if_none_match);
    if (exchange.if_none_match.kind == IfNoneMatch::Kind::malformed ||
        request.count("If-None-Match") > 1) {
        respond_invalid(exchange,
                        "If-None-Match must be * or indexes in double quotes, such as \"42\".");
        return true;
    }
    return false;
}

bool has_if_none_match(const Exchange& exchange) {
    return exchange.if_none_match.kind != IfNoneMatch::Kind::absent;
}

// 0, which is any, for If-Match: *.
fsm::Index prev_index_of(const IfMatch& match) {
    return match.kind == IfMatch::Kind::any ? 0 : match.index;
}

// Fills exchange.put_body; true when the body was refused.
bool refuse_put_body(const HttpRequest& request, const ApiOptions& options, Exchange& exchange) {
    if (has_foreign_coding(request)) {
        respond_problem(exchange, Code::unsupported_media_type,
                        "Content-Encoding is not supported; send the bytes as they are.");
        return true;
    }
    PutBody& body = exchange.put_body;
    if (exchange.is_raw) {
        body.value.assign(request.body);
        body.ttl_ns = exchange.parameters.ttl_ns;
        body.prev_index.reset();
    } else {
        const auto content_type = request.header("Content-Type");
        if (content_type.data() != nullptr &&
            !equal_ignoring_case(media_type(content_type), "application/json")) {
            respond_problem(exchange, Code::unsupported_media_type, json_hint);
            return true;
        }
        if (const auto error = parse_put_body(request.body, body)) {
            respond_invalid(exchange, *error);
            return true;
        }
    }
    if (body.value.size() > options.max_value_bytes) {
        respond_too_large(exchange, options.max_value_bytes);
        return true;
    }
    return false;
}

// Preconditions that contradict each other; true when they were refused.
bool refuse_put_preconditions(const HttpRequest& request, Exchange& exchange) {
    if (refuse_if_match(request, exchange) || refuse_if_none_match(request, exchange)) {
        return true;
    }
    const bool in_body = exchange.put_body.prev_index.has_value();
    const int given =
        int{exchange.is_conditional} + int{has_if_none_match(exchange)} + int{in_body};
    if (given > 1) {
        respond_invalid(exchange, "If-Match, If-None-Match and \"prev_index\" exclude each other.");
        return true;
    }
    if (exchange.if_none_match.kind == IfNoneMatch::Kind::tags) {
        respond_invalid(exchange, "If-None-Match of a write must be *: only if there is no value.");
        return true;
    }
    return false;
}

void set_entity_tag(fsm::Index index, HttpResponse& response) {
    response.add_header("ETag", entity_tag(index));
}

// Value bytes are anybody's: no browser may take them for a page of ours (CVE-2020-25864).
void set_raw_body(const fsm::Value& value, HttpResponse& response) {
    response.content_type = "application/octet-stream";
    response.add_header("X-Content-Type-Options", "nosniff");
    response.add_header("Content-Security-Policy", "sandbox; default-src 'none'");
    response.body = *value.bytes;
}

}  // namespace

std::string_view media_type(std::string_view content_type) {
    const auto end = std::min(content_type.find(';'), content_type.size());
    const auto type = trim(content_type.substr(0, end));
    auto rest = content_type.substr(end);
    while (!rest.empty()) {
        rest.remove_prefix(1);
        const auto next = std::min(rest.find(';'), rest.size());
        const auto parameter = trim(rest.substr(0, next));
        rest.remove_prefix(next);
        const auto equals = parameter.find('=');
        if (equals == std::string_view::npos ||
            !equal_ignoring_case(parameter.substr(0, equals), "charset")) {
            continue;
        }
        auto charset = parameter.substr(equals + 1);
        if (charset.size() >= 2 && charset.front() == '"' && charset.back() == '"') {
            charset = charset.substr(1, charset.size() - 2);
        }
        if (!equal_ignoring_case(charset, "utf-8")) {
            return {};
        }
    }
    return type;
}

bool has_foreign_coding(const HttpRequest& request) {
    const auto coding = request.header("Content-Encoding");
    return !coding.empty() && !equal_ignoring_case(coding, "identity");
}

Decision decide_get(const HttpRequest& request, std::string_view query, const ApiOptions& options,
                    Operation& operation, Exchange& exchange) {
    if (const auto error = parse_parameters(query, Known::read | Known::poll | Known::lease,
                                            exchange.parameters)) {
        return respond_invalid(exchange, *error);
    }
    exchange.is_read = true;
    if (refuse_if_match(request, exchange) || refuse_if_none_match(request, exchange)) {
        return Decision::respond;
    }
    exchange.answer = Exchange::Answer::value;
    begin_operation(exchange, options, Operation::Kind::get, operation);
    if (const auto known_index = exchange.parameters.known_index) {
        const int wait_ms = exchange.parameters.wait_ms;
        operation.known_index = *known_index;
        operation.wait_ms = wait_ms != 0 ? wait_ms : operation.timeout_ms;
    }
    return Decision::operate;
}

Decision decide_put(const HttpRequest& request, std::string_view query, const ApiOptions& options,
                    Operation& operation, Exchange& exchange) {
    const std::uint32_t known = exchange.is_raw ? Known::timeout | Known::ttl : Known::timeout;
    if (const auto error = parse_parameters(query, known, exchange.parameters)) {
        return respond_invalid(exchange, *error);
    }
    if (refuse_idempotency_key(request, exchange) || refuse_put_body(request, options, exchange) ||
        refuse_put_preconditions(request, exchange)) {
        return Decision::respond;
    }
    exchange.answer = Exchange::Answer::written;
    begin_operation(exchange, options, Operation::Kind::write, operation);
    encode_idempotent(exchange, operation.command, [&](const fsm::Idempotency& idempotency) {
        const PutBody& body = exchange.put_body;
        if (exchange.is_conditional || body.prev_index) {
            const auto prev_index =
                body.prev_index ? *body.prev_index : prev_index_of(exchange.if_match);
            fsm::encode_update(exchange.name, body.value, body.ttl_ns, prev_index,
                               operation.command, idempotency);
        } else {
            fsm::encode_set(exchange.name, body.value, body.ttl_ns, has_if_none_match(exchange),
                            operation.command, idempotency);
        }
    });
    return Decision::operate;
}

Decision decide_delete(const HttpRequest& request, std::string_view query,
                       const ApiOptions& options, Operation& operation, Exchange& exchange) {
    if (const auto error = parse_parameters(query, Known::timeout, exchange.parameters)) {
        return respond_invalid(exchange, *error);
    }
    if (refuse_idempotency_key(request, exchange) || refuse_if_match(request, exchange)) {
        return Decision::respond;
    }
    if (request.count("If-None-Match") > 0) {
        return respond_invalid(exchange, "If-None-Match has no meaning for DELETE; use If-Match.");
    }
    exchange.answer = Exchange::Answer::deleted;
    begin_operation(exchange, options, Operation::Kind::write, operation);
    encode_idempotent(exchange, operation.command, [&](const fsm::Idempotency& idempotency) {
        fsm::encode_delete(exchange.name, prev_index_of(exchange.if_match), operation.command,
                           idempotency);
    });
    return Decision::operate;
}

Decision decide_list(std::string_view query, const ApiOptions& options, Operation& operation,
                     Exchange& exchange) {
    if (const auto error =
            parse_parameters(query, Known::list | Known::lease, exchange.parameters)) {
        return respond_invalid(exchange, *error);
    }
    exchange.is_read = true;
    exchange.answer = Exchange::Answer::list;
    exchange.name = exchange.parameters.prefix;
    begin_operation(exchange, options, Operation::Kind::list, operation);
    return Decision::operate;
}

void render_value(const Operation& operation, Exchange& exchange) {
    const fsm::Output& output = operation.output;
    HttpResponse& response = exchange.response;
    if (operation.unchanged) {
        response.status = 304;
        if (output.index != 0) {
            set_entity_tag(output.index, response);
        }
        return;
    }
    if (output.status != fsm::Status::ok || !output.value) {
        render_output_problem(output, exchange);
        return;
    }
    const fsm::Value& value = *output.value;
    const IfMatch& match = exchange.if_match;
    if (match.kind == IfMatch::Kind::index && match.index != value.index) {
        ProblemExtras extras;
        extras.current_index = value.index;
        respond_problem(exchange, Code::conflict, "The value has another index.", extras);
        return;
    }
    set_entity_tag(value.index, response);
    if (exchange.if_none_match.names(value.index)) {
        response.status = 304;
        return;
    }
    if (exchange.is_raw) {
        set_raw_body(value, response);
    } else {
        append_value_json(exchange.name, value, operation.utc_offset_ns, response.body);
    }
}

void render_written(const Operation& operation, Exchange& exchange) {
    const fsm::Output& output = operation.output;
    if (output.status != fsm::Status::ok) {
        render_output_problem(output, exchange);
        return;
    }
    HttpResponse& response = exchange.response;
    response.status = output.created ? 201 : 200;
    set_entity_tag(output.index, response);
    append_written_json(exchange.name, output.index,
                        output.prev_value ? &*output.prev_value : nullptr, response.body);
}

void render_deleted(const Operation& operation, Exchange& exchange) {
    const fsm::Output& output = operation.output;
    if (output.status != fsm::Status::ok || !output.value) {
        render_output_problem(output, exchange);
        return;
    }
    set_entity_tag(output.value->index, exchange.response);
    if (exchange.is_raw) {
        set_raw_body(*output.value, exchange.response);
    } else {
        append_deleted_json(exchange.name, *output.value, exchange.response.body);
    }
}

void render_list(const Operation& operation, Exchange& exchange) {
    if (operation.too_old) {
        ProblemExtras extras;
        extras.status = 410;
        respond_problem(exchange, Code::not_found,
                        "This node can't tell any more how it was at this at_index: begin the "
                        "list again.",
                        extras);
        return;
    }
    append_list_json(operation.items, operation.more, exchange.parameters.keys_only,
                     operation.served_index, operation.utc_offset_ns, list_bytes_max,
                     exchange.response.body);
}

void render_output_problem(const fsm::Output& output, Exchange& exchange) {
    ProblemExtras extras;
    switch (output.status) {
        case fsm::Status::not_found:
            // RFC 9110 §13.1.1: a header's precondition fails when there is nothing.
            extras.status = exchange.is_conditional ? 412 : 404;
            respond_problem(exchange, Code::not_found, "There is no value of this name.", extras);
            return;
        case fsm::Status::conflict:
            extras.current_index = output.index;
            respond_problem(exchange, Code::conflict, "The value has another index.", extras);
            return;
        case fsm::Status::already_exists:
            extras.current_index = output.index;
            respond_problem(exchange, Code::already_exists, "There is a value of this name.",
                            extras);
            return;
        case fsm::Status::idempotency_mismatch:
            respond_problem(exchange, Code::idempotency_mismatch,
                            "This Idempotency-Key belongs to another request.");
            return;
        case fsm::Status::invalid:
            respond_invalid(exchange, "The state machine refused the command.");
            return;
        case fsm::Status::ok:
            break;
    }
    // Only a peer that breaks the protocol gets here; what it did is not known.
    if (exchange.is_write) {
        extras.outcome = Outcome::unknown;
    }
    respond_problem(exchange, Code::internal, "The result does not fit the request.", extras);
}

}  // namespace cairn::server
