#include "raft/peers/peer_acceptor.h"

#include <algorithm>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/write.hpp>
#include <spdlog/spdlog.h>

#include "raft/peers/listening.h"
#include "raft/peers/peer_socket.h"

namespace cairn::raft {

namespace net = boost::asio;
using boost::system::error_code;
using std::chrono::steady_clock;

namespace {

constexpr auto as_value = net::as_tuple(net::deferred);

// After an error of accept (no file descriptors left, mostly) the backlog waits this long.
constexpr std::chrono::milliseconds accept_pause{100};
constexpr std::size_t logged_refusals_max = 256;

}  // namespace

struct PeerAcceptor::Connection {
    Connection(net::ip::tcp::socket accepted, std::uint64_t frame_bytes_max)
        : socket(std::move(accepted)), reader(frame_bytes_max) {}

    void close() {
        is_open = false;
        error_code ignored;  // closed is closed, whatever close() says
        socket.close(ignored);
    }

    net::ip::tcp::socket socket;
    std::string remote_address;  // without the port
    steady_clock::time_point deadline;
    bool is_open = true;
    bool timed_out = false;
    bool is_accepted = false;
    Hello hello;
    HandshakeBuffer handshake{HandshakeKind::hello};
    FrameReader reader;
};

PeerAcceptor::PeerAcceptor(net::io_context& context, const TcpTransportOptions& options,
                           PeerAcceptorEvents& events, TransportReceiver& receiver)
    : cluster_id_(options.cluster_id),
      node_id_(options.node_id),
      listen_host_(options.listen_host),
      listen_port_(options.listen_port),
      http_address_(options.http_address),
      frame_bytes_max_(options.frame_bytes_max),
      handshake_timeout_(options.handshake_timeout_ms),
      connections_max_(static_cast<std::size_t>(std::max(options.incoming_connections_max, 0))),
      events_(events),
      receiver_(receiver),
      acceptor_(context),
      accept_timer_(context),
      deadline_timer_(context),
      log_once_(logged_refusals_max) {}

HandshakeExpectation PeerAcceptor::expectation() const {
    return {cluster_id_, node_id_, members_, removed_};
}

void PeerAcceptor::set_members(std::span<const Member> members, std::span<const NodeId> removed) {
    members_.assign(members.begin(), members.end());
    removed_.assign(removed.begin(), removed.end());
    std::vector<ConnectionPointer> unwelcome;
    for (const ConnectionPointer& connection : connections_) {
        if (connection->is_accepted &&
            validate_hello(connection->hello, expectation()) != HandshakeReason::accepted) {
            unwelcome.push_back(connection);
        }
    }
    for (const ConnectionPointer& connection : unwelcome) {
        remove(connection);
    }
}

std::string PeerAcceptor::listen() {
    // Once, at the start: nothing runs yet that could be held up.
    error_code error = listen_on(listen_host_, listen_port_, acceptor_);
    if (!error) {
        port_ = acceptor_.local_endpoint(error).port();
    }
    if (error) {
        return "can't listen on " + address_text(listen_host_, listen_port_) + ": " +
               error.message();
    }
    return {};
}

void PeerAcceptor::start() {
    const auto executor = acceptor_.get_executor();
    net::co_spawn(executor, accept_all(shared_from_this()), TaskEnd{"the peers' acceptor"});
    net::co_spawn(executor, enforce_deadlines(shared_from_this()),
                  TaskEnd{"the handshakes' deadlines"});
}

void PeerAcceptor::stop() {
    stopped_ = true;
    error_code ignored;  // closed is closed, whatever close() says
    acceptor_.close(ignored);
    accept_timer_.cancel();
    deadline_timer_.cancel();
    for (const ConnectionPointer& connection : connections_) {
        connection->close();
    }
    connections_.clear();
}

const Hello* PeerAcceptor::hello_of(NodeId peer) const {
    for (const ConnectionPointer& connection : connections_) {
        if (connection->is_accepted && connection->hello.from == peer) {
            return &connection->hello;
        }
    }
    return nullptr;
}

net::awaitable<void> PeerAcceptor::accept_all(std::shared_ptr<PeerAcceptor> self) {
    while (!self->stopped_) {
        auto [error, socket] = co_await self->acceptor_.async_accept(as_value);
        if (self->stopped_) {
            co_return;
        }
        if (!error) {
            self->take(std::move(socket));
            continue;
        }
        if (self->log_once_.admits("accept " + error.message(), steady_clock::now())) {
            spdlog::warn("can't accept a peer's connection: {}", error.message());
        }
        self->accept_timer_.expires_after(accept_pause);
        co_await self->accept_timer_.async_wait(as_value);
    }
}

void PeerAcceptor::take(net::ip::tcp::socket socket) {
    auto connection = std::make_shared<Connection>(std::move(socket), frame_bytes_max_);
    error_code error;
    const auto remote = connection->socket.remote_endpoint(error);
    if (error) {  // gone already
        return;
    }
    connection->remote_address = remote.address().to_string();
    if (connections_.size() >= connections_max_) {
        refuse(*connection, "too many connections");
        return;
    }
    tune_peer_socket(connection->socket);
    connection->deadline = steady_clock::now() + handshake_timeout_;
    connections_.push_back(connection);
    // All handshakes have the same time, so an earlier deadline comes first anyway.
    if (deadline_timer_.expiry() == steady_clock::time_point::max()) {
        deadline_timer_.cancel();  // wakes enforce_deadlines()
    }
    net::co_spawn(acceptor_.get_executor(), serve(shared_from_this(), std::move(connection)),
                  TaskEnd{"a peer's connection"});
}

net::awaitable<void> PeerAcceptor::enforce_deadlines(std::shared_ptr<PeerAcceptor> self) {
    while (!self->stopped_) {
        const auto now = steady_clock::now();
        auto next = steady_clock::time_point::max();
        for (const ConnectionPointer& connection : self->connections_) {
            if (connection->is_accepted || !connection->is_open) {
                continue;
            }
            if (connection->deadline > now) {
                next = std::min(next, connection->deadline);
            } else {
                connection->timed_out = true;
                connection->close();  // serve() removes it
            }
        }
        self->deadline_timer_.expires_at(next);
        co_await self->deadline_timer_.async_wait(as_value);
    }
}

net::awaitable<void> PeerAcceptor::serve(std::shared_ptr<PeerAcceptor> self,
                                         ConnectionPointer connection) {
    const bool welcome = co_await shake_hands(self, connection);
    if (welcome && !self->stopped_) {
        self->adopt(connection);
        co_await receive_frames(self, connection);
    }
    if (!self->stopped_) {
        self->remove(connection);
    }
}

net::awaitable<bool> PeerAcceptor::receive_hello(std::shared_ptr<PeerAcceptor> self,
                                                 ConnectionPointer connection) {
    HandshakeStatus status = HandshakeStatus::incomplete;
    while (status == HandshakeStatus::incomplete) {
        const std::span<char> space = connection->handshake.space();
        const net::mutable_buffer buffer(space.data(), space.size());
        const auto [error, bytes_read] =
            co_await connection->socket.async_read_some(buffer, as_value);
        if (self->stopped_) {
            co_return false;
        }
        if (connection->timed_out) {
            self->refuse(*connection, "no handshake within the deadline");
            co_return false;
        }
        if (error) {
            // A look whether the port is open is nobody's trouble; half a hello may be.
            if (!connection->handshake.empty()) {
                self->refuse(*connection, "connection ended within the handshake");
            }
            co_return false;
        }
        status = connection->handshake.commit(bytes_read);
    }
    if (status != HandshakeStatus::complete) {
        self->refuse(*connection, to_string(status));
        co_return false;
    }
    if (!decode_hello(connection->handshake.body(), connection->hello)) {
        self->refuse(*connection, "malformed handshake");
        co_return false;
    }
    co_return true;
}

net::awaitable<bool> PeerAcceptor::shake_hands(std::shared_ptr<PeerAcceptor> self,
                                               ConnectionPointer connection) {
    const bool received = co_await receive_hello(self, connection);
    if (!received) {
        co_return false;
    }
    const HandshakeExpectation expected = self->expectation();
    HelloReply reply;
    reply.reason = validate_hello(connection->hello, expected);
    const bool welcome = reply.reason == HandshakeReason::accepted;
    if (welcome) {
        reply.http_address = self->http_address_;
    } else {
        reply.text = refusal_text(reply.reason, connection->hello, expected);
        self->refuse(*connection, reply.text);
    }
    if (reply.reason == HandshakeReason::readmission) {
        // What the lost data directory had to say doesn't count any more.
        self->remove_connection_of(connection->hello.from);
        if (self->stopped_) {  // by whom remove() told
            co_return false;
        }
        self->receiver_.on_disk_replaced(connection->hello.from, connection->hello.disk_id);
    }
    const std::string bytes = encode_hello_reply(reply);
    const net::const_buffer buffer = net::buffer(bytes);
    const auto [error, written] = co_await net::async_write(connection->socket, buffer, as_value);
    // Who is welcome may have changed meanwhile.
    co_return welcome && !error && connection->is_open &&
        validate_hello(connection->hello, self->expectation()) == HandshakeReason::accepted;
}

// A peer that dials again has given up its older connection, whether we have noticed or not.
void PeerAcceptor::adopt(const ConnectionPointer& connection) {
    remove_connection_of(connection->hello.from);
    if (stopped_) {  // by whom remove() told
        return;
    }
    connection->is_accepted = true;
    events_.on_peer_heard(connection->hello);
}

void PeerAcceptor::remove_connection_of(NodeId peer) {
    const auto older =
        std::find_if(connections_.begin(), connections_.end(),
                     [peer](const auto& c) { return c->is_accepted && c->hello.from == peer; });
    if (older != connections_.end()) {
        remove(ConnectionPointer(*older));  // a copy: the list's own goes
    }
}

void PeerAcceptor::remove(const ConnectionPointer& connection) {
    const auto found = std::find(connections_.begin(), connections_.end(), connection);
    if (found == connections_.end()) {
        return;
    }
    connection->close();
    connections_.erase(found);
    if (connection->is_accepted) {
        events_.on_peer_lost(connection->hello.from);
    }
}

net::awaitable<void> PeerAcceptor::receive_frames(std::shared_ptr<PeerAcceptor> self,
                                                  ConnectionPointer connection) {
    while (connection->is_open) {
        const std::span<char> space = connection->reader.prepare();
        const net::mutable_buffer buffer(space.data(), space.size());
        const auto [error, bytes_read] =
            co_await connection->socket.async_read_some(buffer, as_value);
        if (error || !connection->is_open) {
            co_return;
        }
        connection->reader.commit(bytes_read);
        self->events_.on_bytes_received(connection->hello.from, bytes_read);
        const bool good = self->deliver(*connection);
        if (!good) {
            co_return;
        }
    }
}

// False: the connection is of no more use.
bool PeerAcceptor::deliver(Connection& connection) {
    Frame frame;
    FrameFault fault = FrameFault::none;
    bool delivered = false;
    while (fault == FrameFault::none && connection.reader.next(frame)) {
        fault = deliver_frame(frame, connection.hello.from);
        if (!connection.is_open) {  // stopped, or replaced
            return false;
        }
        delivered = delivered || fault == FrameFault::none;
    }
    if (delivered) {
        receiver_.on_delivered();
    } else if (const FrameHeader* large = connection.reader.large_frame_under_way()) {
        receiver_.on_receiving(connection.hello.from, large->type == FrameType::raft);
    }
    if (!connection.is_open) {
        return false;
    }
    if (fault == FrameFault::none) {
        fault = connection.reader.fault();
    }
    if (fault != FrameFault::none) {
        refuse(connection, to_string(fault));
    }
    return fault == FrameFault::none;
}

FrameFault PeerAcceptor::deliver_frame(const Frame& frame, NodeId peer) {
    if (frame.header.type == FrameType::application) {
        receiver_.on_application(peer, frame.body);
        return FrameFault::none;
    }
    Message message;
    const FrameFault fault = decode_message(frame, peer, node_id_, message);
    if (fault == FrameFault::none) {
        receiver_.on_message(std::move(message));
    }
    return fault;
}

// Says in the log, once, why a connection gets closed.
void PeerAcceptor::refuse(const Connection& connection, std::string_view reason) {
    std::string key(reason);
    key += '\n';
    key += connection.remote_address;
    if (!log_once_.admits(key, steady_clock::now())) {
        return;
    }
    if (connection.hello.from == 0) {
        spdlog::warn("closing a connection from {}: {}", connection.remote_address, reason);
    } else {
        spdlog::warn("closing the connection of node {} from {} (its address: {}): {}",
                     connection.hello.from, connection.remote_address,
                     connection.hello.raft_address, reason);
    }
}

}  // namespace cairn::raft
