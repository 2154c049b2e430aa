// What the routes of values mean: request to Operation, result to response, exactly as the table
// "Values" of api.md has it.
//
// Pure functions, owned by no thread. They translate preconditions into commands and never decide
// one: the state machine does, in log order. The one exception is a GET's, which changes nothing.
#pragma once

#include <string_view>

#include "server/api/exchange.h"

namespace cairn::server {

// All take a request for exchange.name (a valid name), as JSON or, with exchange.is_raw, as bytes.
Decision decide_get(const HttpRequest& request, std::string_view query, const ApiOptions& options,
                    Operation& operation, Exchange& exchange);
Decision decide_put(const HttpRequest& request, std::string_view query, const ApiOptions& options,
                    Operation& operation, Exchange& exchange);
Decision decide_delete(const HttpRequest& request, std::string_view query,
                       const ApiOptions& options, Operation& operation, Exchange& exchange);
Decision decide_list(std::string_view query, const ApiOptions& options, Operation& operation,
                     Exchange& exchange);

// The operation was carried out (Failure::none).
void render_value(const Operation& operation, Exchange& exchange);
void render_written(const Operation& operation, Exchange& exchange);
void render_deleted(const Operation& operation, Exchange& exchange);
void render_list(const Operation& operation, Exchange& exchange);

// The problem for an output whose status isn't ok.
void render_output_problem(const fsm::Output& output, Exchange& exchange);

// "application/json" of "application/json; charset=utf-8"; empty when the charset is another one.
std::string_view media_type(std::string_view content_type);

// A body that can't be taken as it is (Content-Encoding) or that should not be there.
bool has_foreign_coding(const HttpRequest& request);

}  // namespace cairn::server
