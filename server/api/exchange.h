// One request on its way from bytes to the node and back: what was decided about it, and what is
// needed to make its answer.
//
// Owned by one session on its gateway thread and reused from request to request, so that a steady
// state allocates next to nothing. An Exchange outlives its request's views: it keeps copies.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fsm/history.h"
#include "server/api/parameters.h"
#include "server/api/value_body.h"
#include "server/http/allowed_origins.h"
#include "server/http/cors.h"
#include "server/http/http_types.h"
#include "server/http/precondition.h"
#include "server/http/problem.h"
#include "server/http/stream_transport.h"
#include "server/node/backend.h"

namespace cairn::server {

struct ApiOptions {
    std::size_t max_value_bytes = std::size_t{1} << 20;
    int default_timeout_ms = 5000;
    bool lease_reads = false;  // else consistency=lease is linearizable
    // Host names by which this node may be called, beside localhost and IP addresses.
    std::vector<std::string> allowed_hosts;
    AllowedOrigins origins;  // beside the node's own
};

enum class Decision : std::uint8_t {
    respond,  // exchange.response is the answer
    operate,  // submit the operation, then render()
    stream,   // exchange.stream says what to open
};

struct StreamRequest {
    enum class Kind : std::uint8_t { watch, events };
    Kind kind = Kind::watch;
    std::string name;
    bool prefix = false;
    std::optional<fsm::Cursor> cursor;  // resume after this place; none: from now
    StreamEncoding encoding = StreamEncoding::json;
    StreamTransport transport = StreamTransport::websocket;
    // Whoever reads it goes on by itself where the subscription stopped (Subscription::State), so a
    // replay may come in parts.
    bool in_parts = false;
    bool is_continued = false;  // such a further part: the reader has been told that it subscribed
};

struct Exchange {
    // How the result of an operation becomes a response.
    enum class Answer : std::uint8_t {
        none,
        value,  // GET of a value, as JSON or as its bytes
        list,
        written,   // PUT
        deleted,   // DELETE
        protobuf,  // POST
        cluster,
        readiness,
        page,
        snapshot_taken,
        transferred,
        member_added,
        member_removed,
        backup,
        metrics,
    };

    HttpResponse response;
    StreamRequest stream;
    Cors cors;

    // For who counts and logs: numbers of the route (route_name) and the method (method_names).
    std::uint8_t route = 0;
    std::uint8_t method = 0;
    bool is_multiplexed = false;  // what to open is GET /v1/stream instead

    Answer answer = Answer::none;
    std::string name;
    bool is_write = false;        // problems then say what became of it
    bool is_read = false;         // the answer says with which consistency
    bool is_raw = false;          // the body is the value's bytes
    bool is_binary = false;       // POST in binary protobuf
    bool is_conditional = false;  // If-Match was there: "not set" is 412
    std::string idempotency_key;  // empty: none
    IfMatch if_match;             // GET
    IfNoneMatch if_none_match;    // GET
    std::string page_tags;        // page: If-None-Match
    bool takes_gzip = false;      // page
    Parameters parameters;
    PutBody put_body;  // its memory is reused

    void reset();
};

// Makes exchange.response a problem and returns Decision::respond. A problem of a write that says
// nothing about its outcome says not_applied.
Decision respond_problem(Exchange& exchange, Code code, std::string_view detail,
                         ProblemExtras extras = {});

inline Decision respond_invalid(Exchange& exchange, std::string_view detail) {
    return respond_problem(exchange, Code::invalid, detail);
}

Decision respond_too_large(Exchange& exchange, std::size_t max_value_bytes);

// Readies `operation` for a new question, keeping its memory, with the deadline the request asked
// for and its name.
void begin_operation(const Exchange& exchange, const ApiOptions& options, Operation::Kind kind,
                     Operation& operation);

}  // namespace cairn::server
