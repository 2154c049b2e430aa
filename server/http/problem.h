// Errors as people and programs read them: application/problem+json (RFC 9457) with our `code`.
//
// Pure functions, owned by no thread. `type` is about:blank, so that `title` is the status's own
// phrase; programs look at `code`, people read `detail`. What a client sent may stand in `detail`:
// it is escaped, cut and made UTF-8 here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "server/http/http_types.h"

namespace cairn::server {

enum class Code : std::uint8_t {
    invalid,
    unauthorized,
    forbidden,
    not_found,
    method_not_allowed,
    conflict,
    already_exists,
    too_large,
    uri_too_long,
    unsupported_media_type,
    idempotency_mismatch,
    headers_too_large,
    overloaded,
    unavailable,
    timeout,
    disk_full,
    internal,
};

inline constexpr std::size_t code_count = 17;

// What became of a write.
enum class Outcome : std::uint8_t { none, not_applied, unknown };

struct ProblemExtras {
    int status = 0;  // 0: the code's own
    Outcome outcome = Outcome::none;
    std::optional<std::uint64_t> current_index;  // also becomes the ETag
    std::uint64_t leader = 0;                    // 0: not said
    int retry_after_s = 0;                       // 0: not said
    std::string_view allow;                      // empty: not said
};

int status_of(Code code);
std::string_view name_of(Code code);  // "NOT_FOUND"

// Makes `response` the problem; its close and head_only stay as they are.
void make_problem(Code code, std::string_view detail, const ProblemExtras& extras,
                  HttpResponse& response);

HttpResponse problem(Code code, std::string_view detail, const ProblemExtras& extras = {});

// The answer to a head that the gate refused; ends the connection.
HttpResponse refusal_response(int status, std::string_view detail);

// "42" with the quotes: an index as entity tag.
std::string entity_tag(std::uint64_t index);

// Something a client sent, in quotes and at most 64 bytes of it, for a detail.
std::string shown(std::string_view text);

}  // namespace cairn::server
