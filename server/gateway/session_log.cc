// What a session says of its requests in logs.
#include <string>

#include <spdlog/spdlog.h>

#include "server/api/router.h"
#include "server/base/printable.h"
#include "server/gateway/http_session.h"
#include "server/log/access_log.h"

namespace cairn::server {
namespace {

// Who changed the cluster, and what they asked for.
bool is_administration(const Exchange& exchange) {
    return exchange.is_write && route_name(exchange.route).starts_with("/v1/cluster/");
}

}  // namespace

void HttpSession::trace_answer(const Operation* asked, int status) {
    const bool logged = gateway_->options.access_log || is_administration(exchange_);
    if (trace_.request_id.empty() && !logged) {
        return;
    }
    const std::string id =
        trace_.request_id.empty() ? gateway_->request_ids.next() : std::string(trace_.request_id);
    exchange_.response.add_header("X-Request-Id", id);
    if (is_administration(exchange_)) {
        spdlog::info("{} {} from {}: {} request_id={}{}{}", head_.request.method,
                     in_quotes(head_.request.target), remote_address(), status, id,
                     trace_.trace_id.empty() ? "" : " trace_id=", trace_.trace_id);
    }
    if (gateway_->options.access_log) {
        log_answer(asked, status, id);
    }
}

void HttpSession::log_answer(const Operation* asked, int status, std::string_view request_id) {
    const NodeView& view = gateway_->backend.view();
    const HttpResponse& response = exchange_.response;
    const bool served = asked != nullptr && asked->served_index != 0;
    AccessLine line;
    line.time = std::chrono::system_clock::now();
    line.remote = remote_address();
    line.method = head_.request.method;
    line.target = head_.request.target;
    line.route = route_name(exchange_.route);
    line.status = status;
    line.bytes = response.head_only ? 0 : response.later_bytes.value_or(response.body.size());
    line.duration_ns = answered_ns_ - received_ns_;
    line.node = view.node;
    line.index = served ? asked->served_index : view.applied_index.load(std::memory_order_relaxed);
    line.request_id = request_id;
    line.trace_id = trace_.trace_id;
    gateway_->options.access_log->write(line);
}

std::string_view HttpSession::remote_address() {
    if (remote_.empty()) {
        boost::system::error_code error;
        const auto remote = socket_.remote_endpoint(error);
        // It may have gone already.
        remote_ =
            error ? "unknown" : remote.address().to_string() + ":" + std::to_string(remote.port());
        if (!error && remote.address().is_v6()) {
            remote_ = "[" + remote.address().to_string() + "]:" + std::to_string(remote.port());
        }
    }
    return remote_;
}

}  // namespace cairn::server
