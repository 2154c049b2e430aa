// The simulated network: connections between hosts as TCP makes them. Bytes of a connection arrive
// in order, in pieces cut anywhere; what is in flight is bounded, and lost when the connection is
// reset. What can't get through waits, and a connection that gets nothing through for long breaks.
//
// Knows no frames and no Raft. Hosts are called only from events, never from within a call.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/event_queue.h"
#include "tests/sim/random.h"
#include "tests/sim/swarm.h"
#include "tests/sim/trace.h"

namespace cairn::sim {

using HostId = std::uint64_t;
using ConnectionId = std::uint64_t;

// A process, as the network sees it.
class Host {
 public:
    virtual ~Host() = default;
    // Somebody dials; bytes follow.
    virtual void on_dialled(ConnectionId connection) = 0;
    virtual void on_bytes(ConnectionId connection, const std::string& bytes) = 0;
    virtual void on_writable(ConnectionId connection) = 0;
    virtual void on_closed(ConnectionId connection) = 0;
};

class Network {
 public:
    Network(EventQueue& queue, Trace& trace, const Swarm& swarm, Random random)
        : queue_(queue), trace_(trace), swarm_(swarm), random_(random) {}

    // `host` listens from now on.
    void attach(HostId id, Host& host) { hosts_[id] = &host; }
    // The process is gone. `with_goodbye`: its system tells the other ends; otherwise (power) they
    // find out when nothing gets through.
    void detach(HostId id, bool with_goodbye);

    ConnectionId dial(HostId from, HostId to);
    std::size_t room(ConnectionId connection, HostId from);
    // Takes as much as there is room for; returns how much.
    std::size_t send(ConnectionId connection, HostId from, std::string_view bytes);
    void close(ConnectionId connection, HostId by);

    void block(HostId from, HostId to);
    void unblock(HostId from, HostId to);
    void unblock_all();
    void set_extra_delay(HostId from, HostId to, std::int64_t delay_ns);
    // Connections between these two break.
    void reset(HostId a, HostId b);
    bool is_blocked(HostId from, HostId to) const { return blocked_.contains({from, to}); }

 private:
    enum class Kind : std::uint8_t { dial, bytes, closed };
    struct Item {
        Kind kind = Kind::bytes;
        std::string bytes;
    };
    struct Stream {  // one direction
        std::deque<Item> in_flight;
        std::size_t in_flight_bytes = 0;
        std::int64_t last_arrival_ns = 0;
        std::size_t arrived = 0;  // of in_flight, but the way was blocked
        bool full = false;        // the sender waits for room
    };
    struct Connection {
        HostId ends[2] = {0, 0};  // who dialled, who was dialled
        Stream streams[2];        // from ends[0], from ends[1]
        bool open[2] = {true, true};
    };

    static int side_of(const Connection& connection, HostId id) {
        return connection.ends[0] == id ? 0 : 1;
    }
    void put(ConnectionId id, int side, Item item);
    void arrive(ConnectionId id, int side);
    void deliver(ConnectionId id, int side, const Item& item);
    void drop_in_flight(Stream& stream);
    void break_connection(ConnectionId id);
    void watch(ConnectionId id, int side);
    void forget_if_over(ConnectionId id);
    void release(HostId from, HostId to);
    std::int64_t delay(HostId from, HostId to);

    EventQueue& queue_;
    Trace& trace_;
    const Swarm& swarm_;
    Random random_;
    std::map<HostId, Host*> hosts_;
    std::map<ConnectionId, Connection> connections_;
    ConnectionId last_id_ = 0;
    std::set<std::pair<HostId, HostId>> blocked_;
    std::map<std::pair<HostId, HostId>, std::int64_t> extra_delay_ns_;
};

}  // namespace cairn::sim
