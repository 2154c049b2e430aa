#include "server/api/cluster_api.h"

#include <string>

#include "server/api/json_body.h"
#include "server/api/value_api.h"

namespace cairn::server {

namespace {

// The id in {"id":N}, or nothing.
std::optional<std::uint64_t> parse_member(std::string_view body) {
    std::string fault;
    const nlohmann::json json = parse_json_body(body, fault);
    if (!json.is_object() || json.size() != 1 || !json.contains("id") ||
        !json["id"].is_number_unsigned()) {
        return std::nullopt;
    }
    const auto id = json["id"].get<std::uint64_t>();
    return id == 0 ? std::nullopt : std::optional(id);
}

}  // namespace

Decision decide_take_snapshot(std::string_view query, const ApiOptions& options,
                              Operation& operation, Exchange& exchange) {
    if (const auto error = parse_parameters(query, Known::timeout, exchange.parameters)) {
        return respond_invalid(exchange, *error);
    }
    exchange.answer = Exchange::Answer::snapshot_taken;
    begin_operation(exchange, options, Operation::Kind::take_snapshot, operation);
    return Decision::operate;
}

Decision decide_transfer(const HttpRequest& request, std::string_view query,
                         const ApiOptions& options, Operation& operation, Exchange& exchange) {
    if (const auto error = parse_parameters(query, Known::timeout, exchange.parameters)) {
        return respond_invalid(exchange, *error);
    }
    const std::string_view type = media_type(request.header("Content-Type"));
    if (!equal_ignoring_case(type, "application/json")) {
        return respond_problem(exchange, Code::unsupported_media_type,
                               "The body is JSON, with Content-Type: application/json.");
    }
    const std::optional<std::uint64_t> member = parse_member(request.body);
    if (!member) {
        return respond_invalid(exchange, "The body is {\"id\":N}, the member that is to lead.");
    }
    exchange.answer = Exchange::Answer::transferred;
    begin_operation(exchange, options, Operation::Kind::transfer_leadership, operation);
    operation.member = *member;
    return Decision::operate;
}

void render_snapshot_taken(const Operation& operation, Exchange& exchange) {
    if (!operation.error.empty()) {
        respond_problem(exchange, Code::internal, operation.error);
        return;
    }
    exchange.response.body = "{\"index\":" + std::to_string(operation.snapshot_index) + "}";
}

void render_transferred(const Operation& operation, Exchange& exchange) {
    if (!operation.error.empty()) {
        respond_problem(exchange, Code::not_found, operation.error);
        return;
    }
    exchange.response.body = "{\"leader\":" + std::to_string(operation.member) + "}";
}

}  // namespace cairn::server
