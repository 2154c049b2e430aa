#include "tests/sim/network.h"

#include <algorithm>

namespace cairn::sim {

namespace {

// A connection breaks when something waited so long for the way to be free.
constexpr std::int64_t stuck_max_ns = 5 * second;

}  // namespace

std::int64_t Network::delay(HostId from, HostId to) {
    std::int64_t delay_ns = swarm_.delay_ns + random_.between(0, swarm_.jitter_ns);
    if (random_.chance(swarm_.slow_of_10000)) {
        delay_ns *= 10;
    }
    const auto extra = extra_delay_ns_.find({from, to});
    return delay_ns + (extra == extra_delay_ns_.end() ? 0 : extra->second);
}

ConnectionId Network::dial(HostId from, HostId to) {
    const ConnectionId id = ++last_id_;
    Connection& connection = connections_[id];
    connection.ends[0] = from;
    connection.ends[1] = to;
    put(id, 0, {Kind::dial, {}});
    return id;
}

// Whoever finds none is told when there is some.
std::size_t Network::room(ConnectionId id, HostId from) {
    const auto found = connections_.find(id);
    if (found == connections_.end()) {
        return swarm_.socket_bytes_max;  // a closed socket: its end is on its way
    }
    Stream& stream = found->second.streams[side_of(found->second, from)];
    const std::size_t free = swarm_.socket_bytes_max -
                             std::min<std::size_t>(swarm_.socket_bytes_max, stream.in_flight_bytes);
    if (free == 0 && !std::exchange(stream.full, true)) {
        trace_.sometimes("socket full");
    }
    return free;
}

std::size_t Network::send(ConnectionId id, HostId from, std::string_view bytes) {
    const auto found = connections_.find(id);
    if (found == connections_.end()) {
        return bytes.size();
    }
    const int side = side_of(found->second, from);
    const std::size_t taken = std::min(room(id, from), bytes.size());
    if (taken == 0) {
        return 0;
    }
    trace_.note_bytes(bytes.substr(0, taken));
    // Sometimes in two pieces, so that a frame is cut in the middle when the connection breaks.
    const std::size_t cut = random_.chance(2000) ? random_.below(taken) : 0;
    if (cut > 0) {
        put(id, side, {Kind::bytes, std::string(bytes.substr(0, cut))});
    }
    put(id, side, {Kind::bytes, std::string(bytes.substr(cut, taken - cut))});
    return taken;
}

void Network::close(ConnectionId id, HostId by) {
    const auto found = connections_.find(id);
    if (found == connections_.end()) {
        return;
    }
    Connection& connection = found->second;
    const int side = side_of(connection, by);
    if (!connection.open[side]) {
        return;
    }
    connection.open[side] = false;
    drop_in_flight(connection.streams[1 - side]);
    put(id, side, {Kind::closed, {}});
}

void Network::put(ConnectionId id, int side, Item item) {
    Connection& connection = connections_.at(id);
    Stream& stream = connection.streams[side];
    stream.in_flight_bytes += item.bytes.size();
    stream.in_flight.push_back(std::move(item));
    const HostId from = connection.ends[side];
    const HostId to = connection.ends[1 - side];
    stream.last_arrival_ns = std::max(stream.last_arrival_ns, queue_.now_ns() + delay(from, to));
    queue_.after(stream.last_arrival_ns - queue_.now_ns(), [this, id, side] { arrive(id, side); });
}

// Something has come to the end of the way, unless that is blocked.
void Network::arrive(ConnectionId id, int side) {
    const auto found = connections_.find(id);
    if (found == connections_.end() || found->second.streams[side].in_flight.empty()) {
        return;  // reset meanwhile
    }
    Connection& connection = found->second;
    Stream& stream = connection.streams[side];
    if (stream.arrived > 0 || is_blocked(connection.ends[side], connection.ends[1 - side])) {
        if (stream.arrived++ == 0) {
            watch(id, side);
        }
        return;
    }
    const Item item = std::move(stream.in_flight.front());
    stream.in_flight.pop_front();
    stream.in_flight_bytes -= item.bytes.size();
    deliver(id, side, item);
}

void Network::deliver(ConnectionId id, int side, const Item& item) {
    Connection& connection = connections_.at(id);
    const HostId from = connection.ends[side];
    const HostId to = connection.ends[1 - side];
    const auto receiver = hosts_.find(to);
    if (receiver == hosts_.end()) {
        break_connection(id);  // nobody listens there
        return;
    }
    const bool receives = connection.open[1 - side];
    if (item.kind == Kind::closed) {
        connection.open[0] = connection.open[1] = false;
        drop_in_flight(connection.streams[1 - side]);
        if (receives) {
            receiver->second->on_closed(id);
        }
        forget_if_over(id);
        return;
    }
    const bool was_full = std::exchange(connection.streams[side].full, false);
    if (receives && item.kind == Kind::dial) {
        receiver->second->on_dialled(id);
    } else if (receives) {
        receiver->second->on_bytes(id, item.bytes);
    }
    const auto sender = hosts_.find(from);
    if (was_full && sender != hosts_.end() && connections_.contains(id)) {
        sender->second->on_writable(id);
    }
}

void Network::drop_in_flight(Stream& stream) {
    stream.in_flight.clear();
    stream.in_flight_bytes = 0;
    stream.arrived = 0;
    stream.full = false;
}

void Network::forget_if_over(ConnectionId id) {
    const auto found = connections_.find(id);
    if (found != connections_.end() && !found->second.open[0] && !found->second.open[1] &&
        found->second.streams[0].in_flight.empty() && found->second.streams[1].in_flight.empty()) {
        connections_.erase(found);
    }
}

// Both ends hear of it at once; what was under way is lost.
void Network::break_connection(ConnectionId id) {
    const auto found = connections_.find(id);
    if (found == connections_.end()) {
        return;
    }
    const Connection connection = std::move(found->second);
    connections_.erase(found);
    for (const int side : {0, 1}) {
        const HostId end = connection.ends[side];
        if (connection.open[side] && hosts_.contains(end)) {
            hosts_.at(end)->on_closed(id);
        }
    }
}

void Network::watch(ConnectionId id, int side) {
    queue_.after(stuck_max_ns, [this, id, side] {
        const auto found = connections_.find(id);
        if (found != connections_.end() && found->second.streams[side].arrived > 0) {
            trace_.note(0, "connection broke", id);
            break_connection(id);
        }
    });
}

void Network::detach(HostId id, bool with_goodbye) {
    hosts_.erase(id);
    std::vector<ConnectionId> own;
    for (auto& [number, connection] : connections_) {
        if (connection.ends[0] == id || connection.ends[1] == id) {
            own.push_back(number);
        }
    }
    for (const ConnectionId number : own) {
        const auto found = connections_.find(number);
        if (found == connections_.end()) {
            continue;
        }
        Connection& connection = found->second;
        const int side = side_of(connection, id);
        connection.open[side] = false;
        drop_in_flight(connection.streams[1 - side]);
        if (with_goodbye) {
            put(number, side, {Kind::closed, {}});
        } else {
            drop_in_flight(connection.streams[side]);
            queue_.after(stuck_max_ns, [this, number] { break_connection(number); });
        }
    }
}

void Network::block(HostId from, HostId to) {
    blocked_.insert({from, to});
}

void Network::unblock(HostId from, HostId to) {
    if (blocked_.erase({from, to}) > 0) {
        release(from, to);
    }
}

void Network::unblock_all() {
    const auto blocked = std::exchange(blocked_, {});
    for (const auto& [from, to] : blocked) {
        release(from, to);
    }
    extra_delay_ns_.clear();
}

// What waited goes on, in order.
void Network::release(HostId from, HostId to) {
    for (auto& [id, connection] : connections_) {
        for (const int side : {0, 1}) {
            Stream& stream = connection.streams[side];
            if (connection.ends[side] != from || connection.ends[1 - side] != to) {
                continue;
            }
            for (std::size_t waiting = std::exchange(stream.arrived, 0); waiting > 0; --waiting) {
                stream.last_arrival_ns =
                    std::max(stream.last_arrival_ns, queue_.now_ns() + delay(from, to));
                queue_.after(stream.last_arrival_ns - queue_.now_ns(),
                             [this, number = id, side] { arrive(number, side); });
            }
        }
    }
}

void Network::set_extra_delay(HostId from, HostId to, std::int64_t delay_ns) {
    extra_delay_ns_[{from, to}] = delay_ns;
}

void Network::reset(HostId a, HostId b) {
    std::vector<ConnectionId> between;
    for (const auto& [id, connection] : connections_) {
        const auto& ends = connection.ends;
        if ((ends[0] == a && ends[1] == b) || (ends[0] == b && ends[1] == a)) {
            between.push_back(id);
        }
    }
    for (const ConnectionId id : between) {
        break_connection(id);
    }
}

}  // namespace cairn::sim
