#include "server/api/exchange.h"

namespace cairn::server {

void Exchange::reset() {
    response.reset();
    cors.reset();
    route = 0;
    method = 0;
    is_multiplexed = false;
    answer = Answer::none;
    name.clear();
    is_write = false;
    is_read = false;
    is_raw = false;
    is_binary = false;
    is_conditional = false;
    if_match = {};
    if_none_match.kind = IfNoneMatch::Kind::absent;
    if_none_match.indexes.clear();
}

Decision respond_problem(Exchange& exchange, Code code, std::string_view detail,
                         ProblemExtras extras) {
    if (exchange.is_write && extras.outcome == Outcome::none) {
        extras.outcome = Outcome::not_applied;
    }
    make_problem(code, detail, extras, exchange.response);
    return Decision::respond;
}

Decision respond_too_large(Exchange& exchange, std::size_t max_value_bytes) {
    return respond_problem(exchange, Code::too_large,
                           "A value has at most " + std::to_string(max_value_bytes) +
                               " bytes here (--max-value-bytes).");
}

void begin_operation(const Exchange& exchange, const ApiOptions& options, Operation::Kind kind,
                     Operation& operation) {
    operation.kind = kind;
    operation.timeout_ms = exchange.parameters.timeout_ms != 0 ? exchange.parameters.timeout_ms
                                                               : options.default_timeout_ms;
    operation.command.clear();
    operation.name = exchange.name;
    operation.after = exchange.parameters.after;
    operation.limit = exchange.parameters.limit;
    operation.consistency = exchange.parameters.consistency;
    if (operation.consistency == Consistency::lease && !options.lease_reads) {
        operation.consistency = Consistency::linearizable;  // more than was asked for
    }
    operation.min_index = exchange.parameters.min_index;
    operation.at_index = exchange.parameters.at_index;
    operation.too_old = false;
    operation.known_index = 0;
    operation.wait_ms = 0;
    operation.unchanged = false;
    operation.failure = Failure::none;
    operation.output = {};
    operation.items.clear();
    operation.more = false;
    operation.served_index = 0;
    operation.utc_offset_ns = 0;
    operation.cluster = {};
    operation.download.reset();
    operation.error.clear();
    operation.timing = {};
    operation.request_id.clear();
    operation.trace_id.clear();
}

}  // namespace cairn::server
