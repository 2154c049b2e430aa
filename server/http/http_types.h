// An HTTP request and response as the router and the handlers see them: plain values, no sockets,
// no Beast.
//
// Owned by one session on its gateway thread. A request's views live as long as the session's
// buffer, until the response is made. Both are reused from request to request without giving memory
// back. append_response() writes the bytes that go out; nothing a client sent can end a line in
// them. This knows nothing of routes, names or values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cairn::server {

bool equal_ignoring_case(std::string_view a, std::string_view b);  // ASCII

struct HttpRequest {
    std::string_view method;
    std::string_view target;     // origin form (or "*"), still encoded
    std::string_view authority;  // of a target in absolute form; data() == nullptr: it wasn't
    std::vector<std::pair<std::string_view, std::string_view>> headers;  // in order, as sent
    std::string_view body;
    bool upgrade_websocket = false;  // a well-formed wish to become a WebSocket

    // First header of that name (ASCII case-insensitive), or an empty view with data() == nullptr.
    std::string_view header(std::string_view name) const;
    std::size_t count(std::string_view name) const;
    // Whom the request is for: the target's authority, or else Host. RFC 9112 §3.2.2.
    std::string_view host() const {
        return authority.data() != nullptr ? authority : header("Host");
    }
};

struct HttpResponse {
    int status = 200;
    std::string_view content_type = "application/json";  // static storage
    // Beside the ones every answer has. The names are in static storage.
    std::vector<std::pair<std::string_view, std::string>> headers;
    std::string server_timing;  // the value of that header, or empty
    std::string body;
    // There is no body here, it follows in pieces: its length.
    std::optional<std::uint64_t> later_bytes;
    std::optional<std::uint8_t> problem;  // the Code of one, for who counts them
    bool close = false;                   // end the connection after this answer
    bool head_only = false;               // HEAD: length of the body, but not the body

    void reset();  // as new, but keeps memory
    void add_header(std::string_view name, std::string_view value);
};

// "Not Found" for 404; "Unknown" for a status this program never sends.
std::string_view reason_phrase(int status);

// Appends the whole HTTP/1.1 message (without a body that follows later). `keep_alive`: what the
// request asked for; the connection ends after this answer when it is false or `response.close` is
// set, and the message says so.
void append_response(const HttpResponse& response, bool keep_alive, std::string& out);

// Appends the head of a message whose body has no length known before: in chunks, or ended by the
// end of the connection. The connection ends after it.
void append_endless_head(const HttpResponse& response, bool chunked, std::string& out);

void append_number(std::uint64_t number, std::string& out);  // decimal

}  // namespace cairn::server
