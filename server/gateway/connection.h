// What all connections of one gateway share, and what the gateway can do to each of them.
//
// Owned by the gateway thread. A connection is kept alive by its own coroutines; the set only knows
// it, from construction to destruction. The state is kept alive by the connections too, so that a
// coroutine that is destroyed late (with its io_context) still finds it; `hub` is then gone.
// Deadlines are data: the gateway sweeps them, a connection has no timer of its own.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <boost/asio/buffer.hpp>

#include "server/api/gateway_statistics.h"
#include "server/base/coroutine.h"
#include "server/base/random_number.h"
#include "server/gateway/address_counts.h"
#include "server/gateway/body_room.h"
#include "server/gateway/gateway_options.h"
#include "server/log/request_trace.h"
#include "server/node/backend.h"
#include "server/streams/send_turns.h"
#include "server/streams/stream_hub.h"
#include "server/streams/stream_source.h"

namespace cairn::server {

using TimePoint = std::chrono::steady_clock::time_point;

class Connection;

struct GatewayState : std::enable_shared_from_this<GatewayState> {
    GatewayState(const Executor& gateway_executor, Backend& gateway_backend,
                 const GatewayOptions& gateway_options)
        : executor(gateway_executor),
          backend(gateway_backend),
          options(gateway_options),
          hub(std::in_place, gateway_backend, gateway_options.streams, statistics->streams,
              [this] {
                  net::post(executor, [self = shared_from_this()] {
                      if (self->hub) {
                          self->hub->run_turn();
                      }
                  });
              }),
          turns(
              [this] { net::post(executor, [self = shared_from_this()] { self->turns.run(); }); }),
          reading_room(gateway_options.large_bodies_read_max,
                       gateway_options.large_bodies_waiting_max),
          working_room(gateway_options.large_bodies_in_work_max,
                       gateway_options.large_bodies_waiting_max) {}

    bool is_draining() const { return draining || backend.view().draining.load(); }
    // Whether a connection may have come to need `bytes` of buffered_bytes. What is larger than the
    // bound passes while the others leave half of it, or it never could.
    bool has_room_for(std::size_t bytes) const {
        const std::size_t others = buffered_bytes - bytes;
        return buffered_bytes <= options.buffered_bytes_max ||
               others <= options.buffered_bytes_max / 2;
    }

    Executor executor;
    Backend& backend;  // not to be used once hub is gone
    const GatewayOptions options;
    const std::shared_ptr<GatewayStatistics> statistics = std::make_shared<GatewayStatistics>();
    std::optional<StreamHub> hub;          // none: the gateway has ended
    SendTurns turns;                       // of the WebSockets
    std::vector<Connection*> connections;  // in no order
    AddressCounts addresses;               // of the connections
    TimePoint now =
        std::chrono::steady_clock::now();  // of the last sweep: exact enough for deadlines
    std::size_t buffered_bytes = 0;        // of large requests and answers
    BodyRoom reading_room;                 // for large bodies: while they are received
    BodyRoom working_room;                 // and while the node has them
    RequestIds request_ids{random_number()};
    // Lent to whoever receives or sends, until it returns: idle connections hold none.
    std::vector<char> read_buffer;
    std::vector<OutgoingFrame> outgoing_frames;
    std::vector<net::const_buffer> outgoing_buffers;
    bool draining = false;
    std::function<void()> on_empty;  // called when the last connection has gone
};

class Connection {
 public:
    explicit Connection(std::shared_ptr<GatewayState> gateway);
    virtual ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // Ends it now, whatever it is doing.
    virtual void close() = 0;
    // Its deadline has passed.
    virtual void expire() { close(); }
    // Lets it finish what it is doing, then ends it.
    virtual void drain() = 0;

    TimePoint deadline() const { return deadline_; }

 protected:
    void set_deadline(std::chrono::milliseconds from_now) { deadline_ = gateway_->now + from_now; }
    void set_deadline_at(TimePoint at) { deadline_ = at; }
    void clear_deadline() { deadline_ = TimePoint::max(); }
    // From now on it counts for the address at the other end.
    void count_address(const Socket& socket);

    std::shared_ptr<GatewayState> gateway_;

 private:
    std::size_t place_;  // in gateway_->connections
    AddressCounts::Place address_place_;
    TimePoint deadline_ = TimePoint::max();
};

}  // namespace cairn::server
