// One HTTP/1.1 request to one node, and its answer: for `cairn get` and the like, and for a node
// that asks to join.
//
// Blocks the calling thread, any but one that runs an io_context of the gateway; each call has a
// connection of its own. Whoever answers may be anybody: an answer is bounded in size and time.
// It never asks twice: whether that is safe, only the caller knows, and
// HttpReply::may_have_arrived says what it needs for that. Looking up a host's name takes as long
// as the system's resolver takes.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/base/address.h"

namespace cairn::server {

struct HttpQuestion {
    std::string method = "GET";
    std::string target;
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;
    bool has_body = false;  // an empty body is one too
};

struct HttpReply {
    std::string failure;            // why there is no whole answer; empty: there is one
    bool may_have_arrived = false;  // something was sent
    unsigned status = 0;            // 0: not even the answer's head came
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;

    // Empty when it isn't there.
    std::string_view header(std::string_view name) const;
};

struct HttpPatience {
    std::chrono::milliseconds timeout{10'000};
    // Not 0: `timeout` ends with the answer's head, and this is the time between two pieces of the
    // body.
    std::chrono::milliseconds silence{0};
    std::size_t answer_bytes_max = std::size_t{1} << 20;  // of what is kept in HttpReply::body
};

// Hears one piece of a body; false: it has heard enough.
using BodySink = std::function<bool(std::string_view piece)>;

// With a sink, the body of a 200 goes there, however long it is.
HttpReply http_ask(const Address& address, const HttpQuestion& question,
                   const HttpPatience& patience, const BodySink& sink = nullptr);

}  // namespace cairn::server
