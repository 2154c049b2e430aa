// The strict framing check that stands before everything else: what a request's head must look like
// so that no two programs can disagree about where it ends and whom it is for.
//
// Plain functions on the raw bytes, owned by no thread. Any bytes may come in. A refusal is final:
// answer it and close the connection, for nothing behind it can be trusted to be a request. What
// passes is unambiguous: one request line with a path (in origin or
// absolute form), one Host, one framing of the body. This
// does not read bodies, and neither knows nor trusts any parser (Beast 1.81 accepts a lone
// `Transfer-Encoding: gzip`, two Hosts, obs-fold and lists of lengths).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "server/http/http_types.h"

namespace cairn::server {

struct GateLimits {
    std::size_t target_bytes_max = 8192;
    std::size_t fields_bytes_max = 8192;  // all header lines together
    std::size_t fields_max = 64;
};

struct Refusal {
    int status = 400;
    std::string_view detail;  // static storage, a sentence for people
};

// A head that passed. Views into the bytes given to check_head().
struct RequestHead {
    HttpRequest request;  // without its body
    int minor_version = 1;
    bool keep_alive = true;
    bool chunked = false;
    bool expect_continue = false;  // send 100 Continue before reading the body
    std::optional<std::uint64_t> content_length;

    bool has_body() const { return chunked || content_length.value_or(0) > 0; }
};

struct HeadScan {
    enum class Kind : std::uint8_t { need_more, complete, refused };
    Kind kind = Kind::need_more;
    std::size_t head_bytes = 0;  // complete: up to and including the empty line
    Refusal refusal;
};

// Looks for the end of the head in what has been read so far. `scanned` is where the last call on
// the same request left off, 0 at first. Refuses as soon as the bytes can't become a head: a bare
// LF, a TLS hello, too long a line. Linear over all calls together.
HeadScan scan_head(std::string_view buffered, std::size_t& scanned, const GateLimits& limits);

// Checks a head that scan_head() found complete, and fills `head` (which is reset first).
std::optional<Refusal> check_head(std::string_view bytes, const GateLimits& limits,
                                  RequestHead& head);

}  // namespace cairn::server
