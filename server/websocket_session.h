// One WebSocket that carries one stream to its reader.
//
// Owned by two coroutines on the gateway thread: one does the handshake and then is the only one
// that writes and closes, the other only reads. The stream was opened before the upgrade, so a
// client that is let in gets it. Every way to end tells the client why: 1001 when the node drains,
// 1003 for a message on a stream that takes none, 1013 with the cursor when the client is too slow.
// Beast keeps the framing rules (1002, 1007, 1009) and pings a quiet client. The router has checked
// Host and Origin.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/beast/websocket/stream.hpp>

#include "server/connection.h"
#include "server/http_types.h"
#include "server/subscription.h"

namespace cairn::server {

inline constexpr std::string_view json_subprotocol = "cairn.v1.json";

// Whether a client's Sec-WebSocket-Protocol headers offer `subprotocol`.
bool offers_subprotocol(const HttpRequest& request, std::string_view subprotocol);

class WebSocketSession : public Connection {
 public:
    using Headers = std::vector<std::pair<std::string_view, std::string>>;

    // `head` is the upgrade request, which the gate has accepted; `headers` go with the answer.
    static void start(std::shared_ptr<GatewayState> gateway, Socket socket, std::string_view head,
                      Headers headers, std::shared_ptr<Subscription> subscription);

    WebSocketSession(std::shared_ptr<GatewayState> gateway, Socket socket,
                     std::shared_ptr<Subscription> subscription);
    ~WebSocketSession() override;

    void close() override;
    void drain() override;

 private:
    // Without permessage-deflate.
    using WebSocket = boost::beast::websocket::stream<Socket, false>;

    static Task run(std::shared_ptr<WebSocketSession> self, std::string head, Headers headers);
    static Task read_loop(std::shared_ptr<WebSocketSession> self);
    static Task write_loop(WebSocketSession& session);

    void set_options(bool has_subprotocol, Headers headers);
    std::chrono::milliseconds time_to_write(std::size_t bytes) const;
    // Asks the writer to close; the first reason counts.
    void end(boost::beast::websocket::close_reason reason);
    boost::beast::websocket::close_reason too_slow() const;

    WebSocket socket_;
    Event wake_;  // a message, a reason to close, or the end
    std::shared_ptr<Subscription> subscription_;
    std::optional<boost::beast::websocket::close_reason> reason_;
    bool ended_ = false;
};

}  // namespace cairn::server
