// What a gateway can be told. Plain values; the defaults are meant for production.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "server/api/exchange.h"
#include "server/http/request_gate.h"
#include "server/streams/stream_multiplexer.h"
#include "server/streams/subscription.h"

namespace cairn::server {

class AccessLog;

struct GatewayOptions {
    ApiOptions api;
    GateLimits gate;
    StreamLimits streams;
    MultiplexLimits multiplex;

    std::size_t connections_max = 10'000;  // more are told so and closed
    std::size_t connections_per_address_max = 10'000;
    // Of all connections together: requests and answers beyond what a connection may keep for
    // itself. A request that would exceed it is answered 503, and so is a read whose answer would;
    // but one at a time may be larger than all of it.
    std::size_t buffered_bytes_max = std::size_t{256} << 20;

    // Of bodies too large for what a connection may keep: how much is read at a time, and how much
    // is given to the node at a time, few enough that the leader takes what all nodes have. More
    // wait; those who can't even wait, or for too long, are answered 503.
    std::size_t large_bodies_read_max = std::size_t{128} << 20;
    std::size_t large_bodies_in_work_max = std::size_t{8} << 20;
    std::size_t large_bodies_waiting_max = 2048;
    int large_body_wait_ms = 5'000;  // for each

    int head_timeout_ms = 10'000;  // from its first byte to the end of a request's head
    int idle_timeout_ms = 75'000;  // between requests
    // A body or an answer may take so long, and longer as far as it keeps up this rate.
    int body_timeout_ms = 10'000;
    int write_timeout_ms = 20'000;
    std::size_t bytes_per_second_min = 16 * 1024;
    int linger_timeout_ms = 2'000;           // for a client to take the last answer, or a close
    int websocket_idle_timeout_ms = 60'000;  // pinged after half of it
    std::uint32_t websocket_control_frames_max = 100;     // from a client, per second
    std::size_t websocket_message_bytes_max = 64 * 1024;  // from a client

    std::shared_ptr<AccessLog> access_log;  // null: none

    int drain_timeout_ms = 5'000;
    int sweep_interval_ms = 250;  // how exact the timeouts are
};

}  // namespace cairn::server
