// An HTTP request and response as the router and the handlers see them: plain values, no sockets,
// no Beast. A request's views live as long as the session's buffer, until the response is made.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cairn::server {

struct HttpRequest {
    std::string_view method;
    std::string_view target;  // as sent: origin form, still encoded
    std::vector<std::pair<std::string_view, std::string_view>> headers;  // in order, as sent
    std::string_view body;

    // First header of that name (ASCII case-insensitive), or an empty view with data() == nullptr.
    std::string_view header(std::string_view name) const;
    std::size_t count(std::string_view name) const;
};

struct HttpResponse {
    int status = 200;
    std::string content_type = "application/json";
    std::vector<std::pair<std::string, std::string>> headers;  // beside the ones every answer has
    std::string body;
    bool close = false;         // end the connection after this answer
    bool head_only = false;     // HEAD: length of the body, but not the body
};

}  // namespace cairn::server
