#include "server/api/protobuf_api.h"

#include <google/protobuf/util/json_util.h>

#include "atomix/multiraft/atomic/value/v1/fsm.pb.h"
#include "fsm/command.h"
#include "server/api/idempotency_key.h"
#include "server/api/json_body.h"
#include "server/api/value_api.h"
#include "server/base/percent.h"

namespace cairn::server {
namespace {

namespace seed = ::atomix::multiraft::atomic::value::v1;

constexpr std::string_view binary_type = "application/x-protobuf";

// What comes from a client must parse whole; what it doesn't know is not carried into the log.
bool parse_binary(std::string_view body, seed::AtomicValueInput& input) {
    if (!input.ParseFromArray(body.data(), static_cast<int>(body.size()))) {
        return false;
    }
    input.DiscardUnknownFields();
    return true;
}

// Parses the body; true when it was refused.
bool refuse_input(const HttpRequest& request, Exchange& exchange, seed::AtomicValueInput& input) {
    const auto type = media_type(request.header("Content-Type"));
    exchange.is_binary = equal_ignoring_case(type, binary_type);
    // Without any Content-Type it is refused too: a page of another site can send such a POST.
    if ((!exchange.is_binary && !equal_ignoring_case(type, "application/json")) ||
        has_foreign_coding(request)) {
        respond_problem(exchange, Code::unsupported_media_type,
                        "POST takes an AtomicValueInput as application/json (protobuf's JSON "
                        "mapping) or application/x-protobuf.");
        return true;
    }
    if (exchange.is_binary) {
        if (parse_binary(request.body, input)) {
            return false;
        }
        respond_invalid(exchange, "The body is not an AtomicValueInput.");
        return true;
    }
    if (const CheckedJson checked = check_json(request.body); !checked.fault.empty()) {
        respond_invalid(exchange, "The body " + checked.fault + ".");
        return true;
    }
    const auto status = google::protobuf::util::JsonStringToMessage(
        {request.body.data(), request.body.size()}, &input);
    if (status.ok()) {
        return false;
    }
    constexpr std::size_t reason_bytes_max = 200;
    const std::string reason(status.message().data(), status.message().size());
    respond_invalid(exchange, "The body is not an AtomicValueInput in protobuf's JSON mapping: " +
                                  reason.substr(0, reason_bytes_max));
    return true;
}

// Set and update, which alike hold a value and perhaps a ttl; true when one was refused.
template <typename Input>
bool refuse_value(const Input& input, const ApiOptions& options, Exchange& exchange) {
    if (input.value().size() > options.max_value_bytes) {
        respond_too_large(exchange, options.max_value_bytes);
        return true;
    }
    if (input.has_ttl() && !fsm::ttl_ns_of(input.ttl())) {
        respond_invalid(exchange, "The ttl must be more than zero and at most 100 years.");
        return true;
    }
    return false;
}

Decision respond_is_stream(std::string_view kind, Exchange& exchange) {
    std::string detail = "This input is a stream: open a WebSocket at /v1/";
    detail += kind;
    detail += '/';
    percent_encode_path(exchange.name, detail);
    return respond_invalid(exchange, detail + ".");
}

// Headers that mean something elsewhere and would be ignored here; true when they were refused.
bool refuse_headers(const HttpRequest& request, Exchange& exchange) {
    if (request.count("If-Match") > 0 || request.count("If-None-Match") > 0) {
        respond_invalid(exchange, "The precondition of a POST is its input's prevIndex.");
        return true;
    }
    return false;
}

}  // namespace

Decision decide_post(const HttpRequest& request, std::string_view query, const ApiOptions& options,
                     Operation& operation, Exchange& exchange) {
    if (const auto error = parse_parameters(query, Known::timeout, exchange.parameters)) {
        return respond_invalid(exchange, *error);
    }
    seed::AtomicValueInput input;
    if (refuse_headers(request, exchange) || refuse_idempotency_key(request, exchange) ||
        refuse_input(request, exchange, input)) {
        return Decision::respond;
    }
    return decide_input(input, options, operation, exchange);
}

Decision decide_input(const seed::AtomicValueInput& input, const ApiOptions& options,
                      Operation& operation, Exchange& exchange) {
    exchange.answer = Exchange::Answer::protobuf;
    auto kind = Operation::Kind::write;
    switch (input.input_case()) {
        case seed::AtomicValueInput::kGet:
            kind = Operation::Kind::get;
            exchange.is_write = false;
            exchange.is_read = true;
            break;
        case seed::AtomicValueInput::kSet:
            if (refuse_value(input.set(), options, exchange)) {
                return Decision::respond;
            }
            break;
        case seed::AtomicValueInput::kUpdate:
            if (refuse_value(input.update(), options, exchange)) {
                return Decision::respond;
            }
            break;
        case seed::AtomicValueInput::kDelete:
            break;
        case seed::AtomicValueInput::kWatch:
            return respond_is_stream("watch", exchange);
        case seed::AtomicValueInput::kEvents:
            return respond_is_stream("events", exchange);
        case seed::AtomicValueInput::INPUT_NOT_SET:
            return respond_invalid(exchange,
                                   "The input is empty; it must be one of get, set, "
                                   "update and delete.");
    }
    begin_operation(exchange, options, kind, operation);
    if (kind == Operation::Kind::write) {
        const std::string bytes = input.SerializeAsString();
        encode_idempotent(exchange, operation.command, [&](const fsm::Idempotency& idempotency) {
            fsm::encode_input(exchange.name, bytes, operation.command, idempotency);
        });
    }
    return Decision::operate;
}

void render_protobuf(const Operation& operation, Exchange& exchange) {
    seed::AtomicValueOutput output;
    if (!fsm::encode_value_output(operation.output, output)) {
        render_output_problem(operation.output, exchange);
        return;
    }
    HttpResponse& response = exchange.response;
    if (operation.output.index != 0) {
        response.add_header("ETag", entity_tag(operation.output.index));
    }
    if (exchange.is_binary) {
        response.content_type = binary_type;
        output.SerializeToString(&response.body);
        return;
    }
    const auto status = google::protobuf::util::MessageToJsonString(output, &response.body);
    if (!status.ok()) {
        ProblemExtras extras;
        // It was applied, which an error can't say; whoever asks again sees it.
        extras.outcome = exchange.is_write ? Outcome::unknown : Outcome::none;
        respond_problem(exchange, Code::internal, "The output can't be written as JSON.", extras);
    }
}

}  // namespace cairn::server
