// POST of a value: the seed's AtomicValueInput as it is, in binary or in the protobuf JSON mapping,
// answered with an AtomicValueOutput in the same form.
//
// Pure functions, owned by no thread. What the mapping accepts (base64 of either alphabet, numbers
// as strings, either spelling of a field) is protobuf's own parser's affair.
#pragma once

#include <string_view>

#include "server/api/exchange.h"

namespace atomix::multiraft::atomic::value::v1 {
class AtomicValueInput;
}

namespace cairn::server {

Decision decide_post(const HttpRequest& request, std::string_view query, const ApiOptions& options,
                     Operation& operation, Exchange& exchange);

// The same for an input that is here already. Set in the exchange: name, parameters, idempotency
// key, is_binary, and is_write.
Decision decide_input(const ::atomix::multiraft::atomic::value::v1::AtomicValueInput& input,
                      const ApiOptions& options, Operation& operation, Exchange& exchange);

// The operation was carried out (Failure::none).
void render_protobuf(const Operation& operation, Exchange& exchange);

}  // namespace cairn::server
