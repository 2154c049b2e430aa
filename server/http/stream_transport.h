// How a stream travels, and what a request says about it.
//
// Pure functions of a request that passed the gate; owned by no thread. The messages are the same
// on every transport (stream_json.h); this decides only which one a request asks for, and reads the
// header by which EventSource says where it was cut. It opens nothing.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "fsm/history.h"
#include "server/http/http_types.h"

namespace cairn::server {

enum class StreamTransport : std::uint8_t {
    websocket,
    event_stream,  // server-sent events (WHATWG HTML §9.2)
    lines,         // one JSON object a line
};

// What a stream's messages are written in.
enum class StreamEncoding : std::uint8_t { json, protobuf };

// For metrics.
inline constexpr auto stream_transport_names =
    std::to_array<std::string_view>({"websocket", "sse", "ndjson"});

// An upgrade is a WebSocket. Else it is server-sent events when Accept names them, and doesn't
// prefer JSON or lines of it by a higher weight. Else lines, whatever Accept says.
StreamTransport transport_of(const HttpRequest& request);

// Takes Last-Event-ID, which counts more than a cursor in the query: EventSource connects again
// with the URL of its first time. What is wrong with it, for people, or none.
std::optional<std::string> take_last_event_id(const HttpRequest& request,
                                              std::optional<fsm::Cursor>& cursor);

}  // namespace cairn::server
