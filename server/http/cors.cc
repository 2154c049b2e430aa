#include "server/http/cors.h"

namespace cairn::server {

void read_cors(const HttpRequest& request, const AllowedOrigins& allowed, Cors& cors) {
    const auto origin = request.header("Origin");
    cors.origin.clear();
    cors.depends_on_origin = !origin.empty() || !allowed.configured.empty();
    if (!origin.empty() && allowed.contain(origin)) {
        cors.origin = origin;
    }
}

void append_cors_headers(const Cors& cors, HttpResponse& response) {
    if (cors.depends_on_origin) {
        response.add_header("Vary", "Origin");
    }
    if (!cors.origin.empty()) {
        response.add_header("Access-Control-Allow-Origin", cors.origin);
        response.add_header("Access-Control-Expose-Headers",
                            "ETag, Retry-After, Allow, Idempotency-Replayed, Cairn-Index, "
                            "Cairn-Node, Cairn-Leader, Cairn-Consistency");
    }
}

void append_preflight_headers(const HttpRequest& request, const Cors& cors,
                              std::string_view methods, HttpResponse& response) {
    if (cors.origin.empty() || request.count("Access-Control-Request-Method") == 0) {
        return;
    }
    response.add_header("Access-Control-Allow-Methods", methods);
    response.add_header("Access-Control-Allow-Headers",
                        "Content-Type, If-Match, If-None-Match, Idempotency-Key, Last-Event-ID, "
                        "traceparent");
    response.add_header("Access-Control-Max-Age", "600");
}

}  // namespace cairn::server
