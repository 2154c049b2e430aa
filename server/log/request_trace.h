// What names a request in logs, beside what it asks: its id, and the trace that it is part of.
//
// Pure functions over what the client sent; what it sent badly is as if it had sent nothing. Their
// results hold no character that could end a line or a field.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "server/http/http_types.h"

namespace cairn::server {

struct RequestTrace {
    std::string_view request_id;  // X-Request-Id; empty: none, or not one that we take
    std::string_view trace_id;    // of traceparent, 32 digits; empty: none, or not a valid one
};

// Views into the request.
RequestTrace trace_of(const HttpRequest& request);

// 1 to 128 letters, digits and -_.~:/+=@
bool is_request_id(std::string_view text);

// The trace id of a traceparent as W3C Trace Context has it (level 1, §3.2), also of a version that
// is not known yet; empty when it is to be ignored.
std::string_view trace_id_of(std::string_view traceparent);

// Makes ids that no other gateway, node or run makes, as far as `seed` is random.
class RequestIds {
 public:
    explicit RequestIds(std::uint64_t seed) : seed_(seed) {}
    // 24 hexadecimal digits.
    std::string next();

 private:
    std::uint64_t seed_;
    std::uint32_t count_ = 0;
};

}  // namespace cairn::server
