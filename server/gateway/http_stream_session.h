// One HTTP answer that never ends by itself: a stream as server-sent events or as lines.
//
// Owned by two coroutines on the gateway thread: one writes, the other notices when the client has
// gone. The stream was opened before the answer began, so a client that gets a 200 gets it. All
// that waits for a client leaves in one write. A reader that is too slow for its queue isn't told:
// once it has taken what is on its way, the session subscribes anew from its cursor, and the
// history gives what it missed, in parts, or the stream says "gap". A reader that takes nothing for
// too long is cut off. A body ends cleanly (the last chunk) when the node drains or can't go on;
// the client resumes where it likes. What a client sends behind its request is thrown away, up to a
// bound; when it ends its side, it has gone.
#pragma once

#include <cstddef>
#include <memory>

#include "server/gateway/connection.h"
#include "server/http/http_types.h"
#include "server/streams/stream_body.h"
#include "server/streams/subscription.h"

namespace cairn::server {

class HttpStreamSession : public Connection {
 public:
    // `response` has the headers that go with any answer to the request. An HTTP/1.0 client knows
    // no chunks: its body ends with the connection.
    static void start(std::shared_ptr<GatewayState> gateway, Socket socket, HttpResponse response,
                      bool chunked, std::shared_ptr<Subscription> subscription);

    HttpStreamSession(std::shared_ptr<GatewayState> gateway, Socket socket, bool chunked,
                      std::shared_ptr<Subscription> subscription);
    ~HttpStreamSession() override;

    void close() override;
    void drain() override;

 private:
    static Task run(std::shared_ptr<HttpStreamSession> self);
    static Task read_loop(std::shared_ptr<HttpStreamSession> self);
    static net::awaitable<bool, Executor> send(HttpStreamSession& session);
    static Task linger(HttpStreamSession& session);

    void begin_body(HttpResponse response, bool chunked);
    // Fills the body with what waits; false when the stream has come to its end.
    bool gather();
    // Goes on with a new subscription where this one stopped; false when that can't be.
    bool continue_stream();
    void set_subscription(std::shared_ptr<Subscription> subscription);
    void unsubscribe();
    // Throws away what has been received; false when the client has gone or sends too much.
    bool discard_input();
    void set_write_deadline();

    Socket socket_;
    Event wake_;  // a message, a change of the subscription's state, draining, or the end
    std::shared_ptr<Subscription> subscription_;
    StreamBody body_;
    std::size_t discarded_bytes_ = 0;
    bool is_draining_ = false;
    bool ended_ = false;
};

}  // namespace cairn::server
