// Idempotency-Key: a write's own name, under which its outcome is kept in the replicated state, so
// that the same request sent again gets the first outcome and is applied once.
//
// Pure, any thread. What keeps outcomes and compares fingerprints is the state machine.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "fsm/command.h"
#include "server/api/exchange.h"

namespace cairn::server {

// Reads the header into exchange.idempotency_key; true when it was refused (1 to 255 visible ASCII
// characters).
bool refuse_idempotency_key(const HttpRequest& request, Exchange& exchange);
// The same for a key that was given otherwise.
bool refuse_idempotency_key(std::string_view key, Exchange& exchange);

// Tells requests apart: the command that they mean, and whether a missing value is 404 or 412.
std::uint64_t request_fingerprint(std::string_view command, bool is_conditional);

// Calls `encode(idempotency)`, which appends to `command`: with the exchange's key and fingerprint
// when there is one.
template <class Encode>
void encode_idempotent(const Exchange& exchange, std::string& command, const Encode& encode) {
    encode(fsm::Idempotency{});
    if (exchange.idempotency_key.empty()) {
        return;
    }
    const std::uint64_t fingerprint = request_fingerprint(command, exchange.is_conditional);
    command.clear();
    encode(fsm::Idempotency{exchange.idempotency_key, fingerprint});
}

}  // namespace cairn::server
