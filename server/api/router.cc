#include "server/api/router.h"

#include "server/api/backup_api.h"
#include "server/api/cluster_api.h"
#include "server/api/cluster_json.h"
#include "server/api/dashboard_page.h"
#include "server/api/gateway_statistics.h"
#include "server/api/members_api.h"
#include "server/api/openapi.h"
#include "server/api/protobuf_api.h"
#include "server/api/routes.h"
#include "server/api/value_api.h"
#include "server/base/duration.h"
#include "server/base/name_check.h"
#include "server/base/percent.h"
#include "server/http/host_check.h"

namespace cairn::server {
namespace {

static_assert(duration_max_ns == fsm::ttl_ns_max, "a ttl that we accept must not fail to apply");

constexpr int retry_after_s = 1;
// Room is made by people, or by the next snapshot.
constexpr int disk_full_retry_after_s = 10;

bool is_stream(Resource resource) {
    return resource == Resource::watch || resource == Resource::events ||
           resource == Resource::multiplexed;
}

// Decodes into exchange.name; false when it was refused.
bool take_name(std::string_view encoded_name, bool is_prefix, Exchange& exchange) {
    if (!percent_decode(encoded_name, exchange.name)) {
        respond_invalid(exchange,
                        "The path holds a '%' that is not followed by two hexadecimal digits.");
        return false;
    }
    if (is_name(exchange.name, is_prefix)) {
        return true;
    }
    respond_invalid(exchange, name_rule);
    return false;
}

constexpr std::string_view websocket_version = "13";  // RFC 6455 has one only

Decision respond_upgrade_required(std::string_view detail, Exchange& exchange) {
    ProblemExtras extras;
    extras.status = 426;
    respond_problem(exchange, Code::invalid, detail, extras);
    exchange.response.add_header("Upgrade", "websocket");
    exchange.response.add_header("Sec-WebSocket-Version", websocket_version);
    return Decision::respond;
}

// True when the request was answered: it asks for a WebSocket that we don't speak.
bool refuse_websocket_version(const HttpRequest& request, Exchange& exchange) {
    if (!request.upgrade_websocket ||
        request.header("Sec-WebSocket-Version") == websocket_version) {
        return false;
    }
    respond_upgrade_required("Sec-WebSocket-Version must be 13.", exchange);
    return true;
}

Decision decide_stream(const HttpRequest& request, Resource resource, std::string_view query,
                       std::string_view encoded_name, Exchange& exchange) {
    if (const auto error = parse_parameters(query, Known::stream, exchange.parameters)) {
        return respond_invalid(exchange, *error);
    }
    if (!take_name(encoded_name, exchange.parameters.is_prefix, exchange)) {
        return Decision::respond;
    }
    if (refuse_websocket_version(request, exchange)) {
        return Decision::respond;
    }
    StreamRequest& stream = exchange.stream;
    stream.kind =
        resource == Resource::watch ? StreamRequest::Kind::watch : StreamRequest::Kind::events;
    stream.name = exchange.name;
    stream.prefix = exchange.parameters.is_prefix;
    stream.cursor = exchange.parameters.cursor;
    stream.transport = transport_of(request);
    stream.encoding = StreamEncoding::json;  // until a WebSocket's subprotocols are looked at
    stream.in_parts = stream.transport != StreamTransport::websocket;
    if (stream.in_parts) {
        if (const auto error = take_last_event_id(request, stream.cursor)) {
            return respond_invalid(exchange, *error);
        }
    }
    return Decision::stream;
}

Decision decide_multiplexed(const HttpRequest& request, std::string_view query,
                            Exchange& exchange) {
    if (const auto error = parse_parameters(query, 0, exchange.parameters)) {
        return respond_invalid(exchange, *error);
    }
    if (!request.upgrade_websocket) {
        return respond_upgrade_required("This is a WebSocket.", exchange);
    }
    if (refuse_websocket_version(request, exchange)) {
        return Decision::respond;
    }
    exchange.is_multiplexed = true;
    exchange.stream.transport = StreamTransport::websocket;
    return Decision::stream;
}

Decision decide_value(const HttpRequest& request, std::string_view query,
                      std::string_view encoded_name, const ApiOptions& options,
                      Operation& operation, Exchange& exchange) {
    if (!take_name(encoded_name, false, exchange)) {
        return Decision::respond;
    }
    if (request.method == "PUT") {
        return decide_put(request, query, options, operation, exchange);
    }
    if (request.method == "DELETE") {
        return decide_delete(request, query, options, operation, exchange);
    }
    if (request.method == "POST") {
        return decide_post(request, query, options, operation, exchange);
    }
    return decide_get(request, query, options, operation, exchange);
}

Decision decide_status(Exchange::Answer answer, std::string_view query, const ApiOptions& options,
                       Operation& operation, Exchange& exchange) {
    if (const auto error = parse_parameters(query, Known::timeout, exchange.parameters)) {
        return respond_invalid(exchange, *error);
    }
    exchange.answer = answer;
    begin_operation(exchange, options, Operation::Kind::cluster_status, operation);
    // What this node sees, also when nobody leads; ready is one whose reads are served.
    operation.consistency =
        answer == Exchange::Answer::readiness ? Consistency::linearizable : Consistency::local;
    return Decision::operate;
}

Decision decide_metrics(std::string_view query, const ApiOptions& options, Operation& operation,
                        Exchange& exchange) {
    if (const auto error = parse_parameters(query, Known::timeout, exchange.parameters)) {
        return respond_invalid(exchange, *error);
    }
    exchange.answer = Exchange::Answer::metrics;
    begin_operation(exchange, options, Operation::Kind::metrics, operation);
    return Decision::operate;
}

Decision respond_livez(std::string_view query, Exchange& exchange) {
    if (const auto error = parse_parameters(query, 0, exchange.parameters)) {
        return respond_invalid(exchange, *error);
    }
    exchange.response.body = "{\"status\":\"ok\"}";
    return Decision::respond;
}

Decision respond_openapi(std::string_view query, Exchange& exchange) {
    if (const auto error = parse_parameters(query, 0, exchange.parameters)) {
        return respond_invalid(exchange, *error);
    }
    exchange.response.add_header("Cache-Control", "no-cache");
    exchange.response.body = openapi_document();
    return Decision::respond;
}

// The page, once it is known with which members it may speak.
Decision decide_page(const HttpRequest& request, std::string_view query, const ApiOptions& options,
                     Operation& operation, Exchange& exchange) {
    if (const auto error = parse_parameters(query, 0, exchange.parameters)) {
        return respond_invalid(exchange, *error);
    }
    exchange.answer = Exchange::Answer::page;
    remember_page_request(request, exchange);
    begin_operation(exchange, options, Operation::Kind::cluster_status, operation);
    operation.consistency = Consistency::local;
    return Decision::operate;
}

Decision respond_file(const HttpRequest& request, std::string_view query, std::string_view name,
                      Exchange& exchange) {
    if (const auto error = parse_parameters(query, 0, exchange.parameters)) {
        return respond_invalid(exchange, *error);
    }
    respond_dashboard_file(dashboard_files(), request, name, exchange);
    return Decision::respond;
}

// The checks that come before any route's own; false when one answered.
bool admit(const HttpRequest& request, const ApiOptions& options, const Route* route,
           Exchange& exchange) {
    const auto host = request.host();
    if (host.data() != nullptr && !host_allowed(host, options.allowed_hosts)) {
        ProblemExtras extras;
        extras.status = 421;
        respond_problem(exchange, Code::forbidden,
                        "This node does not answer to the host " + shown(host) + ".", extras);
        return false;
    }
    if (route == nullptr) {
        respond_problem(exchange, Code::not_found, "There is nothing at this path.");
        return false;
    }
    if (!is_allowed(*route, request.method)) {
        ProblemExtras extras;
        extras.allow = route->allow;
        extras.outcome = Outcome::not_applied;
        respond_problem(exchange, Code::method_not_allowed,
                        "This path does not know the method " + shown(request.method) + ".",
                        extras);
        return false;
    }
    if ((exchange.is_write || is_stream(route->resource)) &&
        !origin_allowed(request, options.origins)) {
        respond_problem(exchange, Code::forbidden, "Pages of other origins may not do this.");
        return false;
    }
    return true;
}

Decision dispatch(const HttpRequest& request, const Route& route, std::string_view query,
                  std::string_view encoded_name, const ApiOptions& options, Operation& operation,
                  Exchange& exchange) {
    exchange.is_raw = route.resource == Resource::raw;
    switch (route.resource) {
        case Resource::value:
        case Resource::raw:
            return decide_value(request, query, encoded_name, options, operation, exchange);
        case Resource::list:
            return decide_list(query, options, operation, exchange);
        case Resource::watch:
        case Resource::events:
            return decide_stream(request, route.resource, query, encoded_name, exchange);
        case Resource::multiplexed:
            return decide_multiplexed(request, query, exchange);
        case Resource::cluster:
            return decide_status(Exchange::Answer::cluster, query, options, operation, exchange);
        case Resource::readyz:
            return decide_status(Exchange::Answer::readiness, query, options, operation, exchange);
        case Resource::take_snapshot:
            return decide_take_snapshot(query, options, operation, exchange);
        case Resource::transfer:
            return decide_transfer(request, query, options, operation, exchange);
        case Resource::members:
            return decide_add_member(request, query, options, operation, exchange);
        case Resource::member:
            return decide_remove_member(query, encoded_name, options, operation, exchange);
        case Resource::backup:
            return decide_backup(query, options, operation, exchange);
        case Resource::metrics:
            return decide_metrics(query, options, operation, exchange);
        case Resource::livez:
            return respond_livez(query, exchange);
        case Resource::openapi:
            return respond_openapi(query, exchange);
        case Resource::page:
            return decide_page(request, query, options, operation, exchange);
        case Resource::file:
            return respond_file(request, query, encoded_name, exchange);
        case Resource::server:
            break;
    }
    return Decision::respond;
}

void render_readiness(const ClusterStatus& status, Exchange& exchange) {
    if (status.ready) {
        exchange.response.body = "{\"status\":\"ok\"}";
        return;
    }
    ProblemExtras extras;
    extras.leader = status.leader;
    extras.retry_after_s = retry_after_s;
    respond_problem(exchange, Code::unavailable,
                    status.not_ready_reason.empty() ? "This node is not ready."
                                                    : std::string_view(status.not_ready_reason),
                    extras);
}

bool is_write_method(std::string_view method) {
    return method == "PUT" || method == "DELETE" || method == "POST";
}

std::string_view consistency_name(Consistency consistency) {
    switch (consistency) {
        case Consistency::linearizable:
            return "linearizable";
        case Consistency::lease:
            return "lease";
        case Consistency::local:
            break;
    }
    return "local";
}

void append_number_header(std::string_view name, std::uint64_t number, HttpResponse& response) {
    std::string text;
    append_number(number, text);
    response.add_header(name, text);
}

void append_node_headers(const NodeView& view, std::uint64_t index, HttpResponse& response) {
    append_number_header("Cairn-Index", index, response);
    append_number_header("Cairn-Node", view.node, response);
    append_number_header("Cairn-Leader", view.leader.load(std::memory_order_relaxed), response);
}

}  // namespace

std::string_view route_name(std::size_t number) {
    return number == 0 || number > all_routes().size() ? "none" : all_routes()[number - 1].shown;
}

Decision decide(const HttpRequest& request, const ApiOptions& options, Operation& operation,
                Exchange& exchange) {
    exchange.reset();
    exchange.is_write = is_write_method(request.method);
    exchange.response.head_only = request.method == "HEAD";
    read_cors(request, options.origins, exchange.cors);
    const auto [path, query] = split_target(request.target);
    std::string_view encoded_name;
    const Route* route = find_route(path, encoded_name);
    exchange.route =
        route == nullptr ? 0 : static_cast<std::uint8_t>(route - all_routes().data() + 1);
    exchange.method = static_cast<std::uint8_t>(method_number(request.method));
    if (!admit(request, options, route, exchange)) {
        return Decision::respond;
    }
    if (request.method == "OPTIONS") {
        exchange.response.status = 204;
        exchange.response.add_header("Allow", route->allow);
        append_preflight_headers(request, exchange.cors, route->allow, exchange.response);
        return Decision::respond;
    }
    // It would mean something to whoever sent it.
    if (!request.body.empty() && !takes_body(*route, request.method)) {
        return respond_invalid(exchange,
                               request.method == "DELETE"
                                   ? "DELETE takes no body; a precondition goes into If-Match."
                                   : "This request takes no body.");
    }
    return dispatch(request, *route, query, encoded_name, options, operation, exchange);
}

void render(const Operation& operation, const NodeView& view, Exchange& exchange) {
    if (exchange.answer == Exchange::Answer::backup) {
        return render_backup(operation, view, exchange);
    }
    if (operation.failure != Failure::none) {
        render_failure(operation.failure, view.leader.load(std::memory_order_relaxed), exchange);
        return;
    }
    switch (exchange.answer) {
        case Exchange::Answer::value:
            return render_value(operation, exchange);
        case Exchange::Answer::list:
            return render_list(operation, exchange);
        case Exchange::Answer::written:
            return render_written(operation, exchange);
        case Exchange::Answer::deleted:
            return render_deleted(operation, exchange);
        case Exchange::Answer::protobuf:
            return render_protobuf(operation, exchange);
        case Exchange::Answer::cluster:
            return append_cluster_json(operation.cluster, exchange.response.body);
        case Exchange::Answer::readiness:
            return render_readiness(operation.cluster, exchange);
        case Exchange::Answer::page:
            return render_page(dashboard_files(), operation.cluster, exchange);
        case Exchange::Answer::snapshot_taken:
            return render_snapshot_taken(operation, exchange);
        case Exchange::Answer::transferred:
            return render_transferred(operation, exchange);
        case Exchange::Answer::member_added:
            return render_member_added(operation, exchange);
        case Exchange::Answer::member_removed:
            return render_member_removed(operation, exchange);
        case Exchange::Answer::metrics:
            exchange.response.content_type = metrics_content_type;
            exchange.response.body = operation.piece;
            return;
        case Exchange::Answer::backup:
        case Exchange::Answer::none:
            break;
    }
    respond_problem(exchange, Code::internal, "There is no answer to this request.");
}

void render_failure(Failure failure, std::uint64_t leader, Exchange& exchange) {
    ProblemExtras extras;
    extras.leader = leader;
    extras.retry_after_s = retry_after_s;
    switch (failure) {
        case Failure::no_leader:
            respond_problem(exchange, Code::unavailable,
                            "There is no leader, or it can't be reached.", extras);
            return;
        case Failure::overloaded:
            respond_problem(exchange, Code::overloaded,
                            "The cluster has as much work in hand as it takes.", extras);
            return;
        case Failure::dropped:
            respond_problem(exchange, Code::unavailable,
                            "The leader changed before the write was committed.", extras);
            return;
        case Failure::interrupted:
            extras.outcome = exchange.is_write ? Outcome::unknown : Outcome::none;
            respond_problem(exchange, Code::unavailable,
                            exchange.is_write
                                ? "The leader was lost; the write may or may not be applied."
                                : "The leader was lost.",
                            extras);
            return;
        case Failure::draining:
            respond_problem(exchange, Code::unavailable, "This node is shutting down.", extras);
            return;
        case Failure::disk_full:
            extras.retry_after_s = disk_full_retry_after_s;
            respond_problem(exchange, Code::disk_full,
                            "The leader's disk is full: reads and deletes go on, and so will "
                            "writes once there is room.",
                            extras);
            return;
        case Failure::unknown:
            extras.retry_after_s = 0;
            extras.outcome = exchange.is_write ? Outcome::unknown : Outcome::none;
            respond_problem(exchange, Code::timeout,
                            exchange.is_write
                                ? "The deadline passed; the write may or may not be applied."
                                : "The deadline passed.",
                            extras);
            return;
        case Failure::timeout:
        case Failure::none:
            break;
    }
    extras.retry_after_s = 0;
    respond_problem(exchange, Code::timeout, "The deadline passed.", extras);
}

void append_standard_headers(const NodeView& view, const Operation* operation, Exchange& exchange) {
    const bool served = operation != nullptr && operation->served_index != 0;
    const std::uint64_t index =
        served ? operation->served_index : view.applied_index.load(std::memory_order_relaxed);
    append_node_headers(view, index, exchange.response);
    append_cors_headers(exchange.cors, exchange.response);
    if (operation != nullptr && operation->kind == Operation::Kind::write &&
        operation->failure == Failure::none && operation->output.replayed) {
        exchange.response.add_header("Idempotency-Replayed", "true");
    }
    if (exchange.is_read) {
        // What it was in the end: without a lease, one that asked for it is linearizable.
        exchange.response.add_header(
            "Cairn-Consistency",
            consistency_name(operation != nullptr ? operation->consistency
                                                  : exchange.parameters.consistency));
        // A cache that answers for us would break what that header says.
        exchange.response.add_header("Cache-Control", "no-cache");
    }
}

void append_standard_headers(const NodeView& view, HttpResponse& response) {
    append_node_headers(view, view.applied_index.load(std::memory_order_relaxed), response);
}

std::size_t body_bytes_max(const ApiOptions& options) {
    // A byte of the value is up to six in JSON (\u0001).
    return options.max_value_bytes * 6 + (std::size_t{64} << 10);
}

HttpResponse body_too_large_response(const HttpRequest& request, const ApiOptions& options) {
    ProblemExtras extras;
    extras.outcome = is_write_method(request.method) ? Outcome::not_applied : Outcome::none;
    HttpResponse response =
        problem(Code::too_large,
                "A body has at most " + std::to_string(body_bytes_max(options)) +
                    " bytes here, a value " + std::to_string(options.max_value_bytes) +
                    " (--max-value-bytes); /v1/raw/ takes a value's bytes as they are.",
                extras);
    response.close = true;
    return response;
}

}  // namespace cairn::server
