// The handshake of a WebSocket, by Beast; what comes after it is ours (websocket_session.h).
//
// Owned by the session's coroutine on the gateway thread. The gate has accepted the request, the
// router has checked Host and Origin, and nothing has been received behind it. Sets no deadline.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/base/coroutine.h"
#include "server/http/http_types.h"
#include "server/http/request_gate.h"
#include "server/streams/stream_message.h"

namespace cairn::server {

struct Subprotocol {
    std::string_view name;  // empty: the client knows none of ours
    StreamEncoding encoding = StreamEncoding::json;
};

// The first that the client offers and we have. Without one it gets JSON and no subprotocol (RFC
// 6455 §4.2.2: what is not offered must not be answered); a client that insists then closes.
Subprotocol choose_subprotocol(const HttpRequest& request);

struct WebSocketHandshake {
    std::string head;                                               // of the request
    std::vector<std::pair<std::string_view, std::string>> headers;  // for the answer
    GateLimits gate;
};

// Whether the client has got its answer and the socket is a WebSocket now.
net::awaitable<bool, Executor> accept_websocket(Socket& socket,
                                                std::unique_ptr<WebSocketHandshake> handshake);

}  // namespace cairn::server
