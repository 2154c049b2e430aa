// From a request to what is to be done about it, and from a result to the response: the pure middle
// of the gateway.
//
// Plain functions, called by a session on its gateway thread. A request has passed the gate
// (request_gate.h) and its body is complete. Every route is decided here, and so are the checks
// that none may skip: Host, Origin, method, query. No exception leaves but bad_alloc.
//
//     switch (decide(request, options, *operation, exchange)) {
//         case respond: append_standard_headers(view, nullptr, exchange); send exchange.response
//         case operate: submit; then render(*operation, view, exchange);
//                       append_standard_headers(view, operation, exchange); send
//         case stream:  open exchange.stream, or respond_problem() when it can't be
//     }
#pragma once

#include <cstddef>
#include <string_view>

#include "server/api/exchange.h"

namespace cairn::server {

// What a route is called in metrics and logs: "/v1/values/{name}"; number 0 is no route, and so is
// what is beyond the last.
std::string_view route_name(std::size_t number);

Decision decide(const HttpRequest& request, const ApiOptions& options, Operation& operation,
                Exchange& exchange);

// Makes exchange.response from the answered operation that decide() filled.
void render(const Operation& operation, const NodeView& view, Exchange& exchange);

// The problem for an operation that has no result.
void render_failure(Failure failure, std::uint64_t leader, Exchange& exchange);

// Cairn-Index, Cairn-Node, Cairn-Leader, and of a read Cairn-Consistency. `operation` is null when
// the node wasn't asked.
void append_standard_headers(const NodeView& view, const Operation* operation, Exchange& exchange);
// The same for an answer without an exchange: a refusal by the gate.
void append_standard_headers(const NodeView& view, HttpResponse& response);

// The most a body may have: twice the largest value and 64 KiB, which is room for base64 and for
// all but the oddest text in JSON. The session enforces it while reading.
std::size_t body_bytes_max(const ApiOptions& options);

// 413 for a body beyond that; ends the connection, since the body isn't read.
HttpResponse body_too_large_response(const HttpRequest& request, const ApiOptions& options);

}  // namespace cairn::server
