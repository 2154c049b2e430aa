#include "server/api/idempotency_key.h"

#include <algorithm>

namespace cairn::server {

bool refuse_idempotency_key(const HttpRequest& request, Exchange& exchange) {
    exchange.idempotency_key.clear();
    const std::size_t count = request.count("Idempotency-Key");
    if (count > 1) {
        respond_problem(exchange, Code::invalid, "A request has one Idempotency-Key.");
        return true;
    }
    return count == 1 && refuse_idempotency_key(request.header("Idempotency-Key"), exchange);
}

bool refuse_idempotency_key(std::string_view key, Exchange& exchange) {
    constexpr std::size_t key_bytes_max = 255;
    const bool visible =
        std::all_of(key.begin(), key.end(), [](char c) { return c > ' ' && c < '\x7f'; });
    if (key.empty() || key.size() > key_bytes_max || !visible) {
        respond_problem(exchange, Code::invalid,
                        "An Idempotency-Key has 1 to 255 visible ASCII characters.");
        return true;
    }
    exchange.idempotency_key.assign(key);
    return false;
}

// FNV-1a: stable over versions and machines, since it is kept. Whoever makes two requests collide
// fools only himself.
std::uint64_t request_fingerprint(std::string_view command, bool is_conditional) {
    constexpr std::uint64_t prime = 0x100000001b3U;
    std::uint64_t hash = 0xcbf29ce484222325U;
    for (const char c : command) {
        hash = (hash ^ static_cast<unsigned char>(c)) * prime;
    }
    return (hash ^ (is_conditional ? 1U : 0U)) * prime;
}

}  // namespace cairn::server
