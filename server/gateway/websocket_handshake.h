// The handshake of a WebSocket, by Beast; what comes after it is ours (websocket_session.h).
//
// Owned by the session's coroutine on the gateway thread. The gate has accepted the request, the
// router has checked Host, Origin and version, and nothing has been received behind it. So nothing
// is refused here, it can only be that the answer doesn't leave. Sets no deadline.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/base/coroutine.h"
#include "server/http/http_types.h"
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
    std::string key;                                                // of the client
    std::string_view subprotocol;                                   // empty: none
    std::vector<std::pair<std::string_view, std::string>> headers;  // for the answer
};

// Whether the client has got its answer and the socket is a WebSocket now.
net::awaitable<bool, Executor> accept_websocket(Socket& socket,
                                                std::unique_ptr<WebSocketHandshake> handshake);

}  // namespace cairn::server
