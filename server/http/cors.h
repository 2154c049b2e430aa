// CORS: what pages of the allowed origins (allowed_origins.h) may see and send.
//
// Plain functions, owned by no thread. No answer ever allows "*", and none allows credentials. A
// page of another origin gets its answer without these headers, and its browser keeps it from the
// page; whether such a page may write is decided elsewhere (host_check.h).
#pragma once

#include <string>
#include <string_view>

#include "server/http/allowed_origins.h"
#include "server/http/http_types.h"

namespace cairn::server {

// What an answer has to say, kept while the request is in work.
struct Cors {
    bool depends_on_origin = false;  // caches have to know it
    std::string origin;              // the request's, when it is allowed

    void reset() {  // keeps its memory
        depends_on_origin = false;
        origin.clear();
    }
};

void read_cors(const HttpRequest& request, const AllowedOrigins& allowed, Cors& cors);
// Of every answer.
void append_cors_headers(const Cors& cors, HttpResponse& response);
// Of the answer to OPTIONS on a path with these methods, when it asks before a request.
void append_preflight_headers(const HttpRequest& request, const Cors& cors,
                              std::string_view methods, HttpResponse& response);

}  // namespace cairn::server
