// The one table of routes: which paths and methods there are, what each takes and answers.
//
// Constant data and plain functions, for any thread. The router (router.h) decides by it, metrics
// and logs name requests by it, and the OpenAPI document is made from it. It knows no handler.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace cairn::server {

enum class Resource : std::uint8_t {
    value,
    raw,
    list,
    watch,
    events,
    cluster,
    take_snapshot,
    transfer,
    members,
    member,
    backup,
    livez,
    readyz,
    openapi,
    metrics,
    multiplexed,  // many streams and commands on one WebSocket
    page,         // what a person sees in a browser
    file,         // of the dashboard
    server,       // OPTIONS *
};

// Request headers that mean something to an operation. One bit each.
struct KnownHeader {
    static constexpr std::uint32_t if_match = 1U << 0;
    static constexpr std::uint32_t if_none_match = 1U << 1;
    static constexpr std::uint32_t idempotency_key = 1U << 2;
    static constexpr std::uint32_t last_event_id = 1U << 3;
};

// Response headers that not every answer has. One bit each; openapi.cc knows which others come with
// a kind of request.
struct AnswerHeader {
    static constexpr std::uint32_t entity_tag = 1U << 0;         // ETag
    static constexpr std::uint32_t maybe_entity_tag = 1U << 1;   // where there is a value
    static constexpr std::uint32_t maybe_consistency = 1U << 2;  // Cairn-Consistency
    static constexpr std::uint32_t download = 1U << 3;           // its file name and digest
    static constexpr std::uint32_t file_tag = 1U << 4;           // ETag of what isn't a value
};

struct RouteBody {
    std::string_view media_type;
    std::string_view schema;  // of components.schemas; empty: bytes or text
};

// Several of one status: the media types that it may have; the first one has all the rest.
struct RouteAnswer {
    int status;
    std::string_view what;
    std::string_view media_type;  // empty: no body
    std::string_view schema;      // as in RouteBody
    std::uint32_t headers = 0;    // AnswerHeader bits
};

// One method of one route, for people and programs that read about it.
struct RouteOperation {
    std::string_view method;
    std::string_view id;                // unique
    std::string_view summary;           // a sentence
    std::uint32_t parameters;           // Known bits of parameters.h
    std::uint32_t headers;              // KnownHeader bits
    std::span<const RouteBody> bodies;  // one of these; none: takes no body
    std::span<const RouteAnswer> answers;
    std::span<const int> problems;  // statuses, beside those that every operation may answer
};

struct Route {
    std::string_view path;  // with a name behind it when it is more than "/" and ends with '/'
    Resource resource;
    std::string_view allow;
    std::string_view shown;  // in metrics, logs and the document
    std::span<const RouteOperation> operations;
};

std::span<const Route> all_routes();

// The route of a path; `encoded_name` is what stands behind it. Null when there is none.
const Route* find_route(std::string_view path, std::string_view& encoded_name);

bool is_allowed(const Route& route, std::string_view method);
bool takes_body(const Route& route, std::string_view method);

}  // namespace cairn::server
