// CORS: what pages of the configured origins may see and send. Off unless an origin is configured.
//
// Plain functions, owned by no thread. No answer ever allows "*", and none allows credentials. A
// page of another origin gets its answer without these headers, and its browser keeps it from the
// page; whether such a page may write is decided elsewhere (host_check.h).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/http_types.h"

namespace cairn::server {

// What an answer has to say, kept while the request is in work.
struct Cors {
    bool is_on = false;  // origins are configured: the answer may depend on Origin
    std::string origin;  // the request's, when it is one of them
};

void read_cors(const HttpRequest& request, const std::vector<std::string>& allowed_origins,
               Cors& cors);
// Of every answer.
void append_cors_headers(const Cors& cors, HttpResponse& response);
// Of the answer to OPTIONS on a path with these methods, when it asks before a request.
void append_preflight_headers(const HttpRequest& request, const Cors& cors,
                              std::string_view methods, HttpResponse& response);

}  // namespace cairn::server
