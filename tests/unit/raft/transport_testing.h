// What the transport's test works with: transports on a loop that the test runs, and raw sockets
// that say to them what no node would. Not for other tests.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <doctest/doctest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include "raft/peers/codec.h"
#include "raft/peers/frame_reader.h"
#include "raft/peers/handshake.h"
#include "raft/peers/tcp_transport.h"

namespace cairn::raft::transport_testing {

namespace net = boost::asio;
using boost::system::error_code;
using net::ip::tcp;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::uint64_t cluster = 77;
constexpr GroupId group = 9;

// What the transport logs, as text.
class LogCapture {
 public:
    LogCapture() : previous_(spdlog::default_logger()) {
        auto sink = std::make_shared<spdlog::sinks::ostream_sink_st>(text_);
        spdlog::set_default_logger(std::make_shared<spdlog::logger>("test", sink));
    }
    ~LogCapture() { spdlog::set_default_logger(previous_); }

    int count(const std::string& what) const {
        const std::string text = text_.str();
        int found = 0;
        for (std::size_t at = text.find(what); at != std::string::npos;
             at = text.find(what, at + 1)) {
            ++found;
        }
        return found;
    }

 private:
    std::ostringstream text_;
    std::shared_ptr<spdlog::logger> previous_;
};

class Recorder : public TransportReceiver {
 public:
    void on_message(Message message) override {
        messages.push_back(std::move(message));
        ++undelivered;
        react();
    }
    void on_application(NodeId from, std::string_view bytes) override {
        applications.emplace_back(from, bytes);
        ++undelivered;
        react();
    }
    void on_receiving(NodeId peer, bool entries) override {
        parts[peer] += entries ? 1 : 0;
        react();
    }
    void on_peer_connected(NodeId peer) override {
        ++connects[peer];
        react();
    }
    void on_peer_disconnected(NodeId peer) override {
        ++disconnects[peer];
        react();
    }
    void on_removed(NodeId by) override {
        ++removals[by];
        react();
    }
    void on_disk_replaced(NodeId peer, std::uint64_t disk_id) override {
        replaced_disks[peer] = disk_id;
        react();
    }
    void on_delivered() override {
        ++deliveries;
        undelivered = 0;
        react();
    }
    void react() {
        ++calls;
        if (on_call) {
            on_call();
        }
    }

    std::vector<Message> messages;
    std::vector<std::pair<NodeId, std::string>> applications;
    std::map<NodeId, int> parts;
    std::map<NodeId, int> connects;
    std::map<NodeId, int> disconnects;
    std::map<NodeId, int> removals;
    std::map<NodeId, std::uint64_t> replaced_disks;
    int deliveries = 0;
    int undelivered = 0;  // since the last on_delivered()
    int calls = 0;
    std::function<void()> on_call;
};

// Runs the loop until `done`; the deadline only ends a test that has failed.
inline bool run_until(net::io_context& context, const std::function<bool()>& done) {
    const auto give_up_at = steady_clock::now() + std::chrono::seconds(20);
    while (!done()) {
        if (steady_clock::now() > give_up_at) {
            return false;
        }
        context.restart();
        context.run_one_for(milliseconds(5));
    }
    return true;
}

// A port that nothing listens on now.
inline std::uint16_t free_port(net::io_context& context) {
    tcp::acceptor acceptor(context, tcp::endpoint(net::ip::address_v4::loopback(), 0));
    return acceptor.local_endpoint().port();
}

inline TcpTransportOptions make_options(NodeId node, std::uint16_t port,
                                        std::vector<PeerAddress> peers) {
    TcpTransportOptions options;
    options.cluster_id = cluster;
    options.node_id = node;
    options.listen_host = "127.0.0.1";
    options.listen_port = port;
    options.http_address = "node" + std::to_string(node) + ":8080";
    options.peers = std::move(peers);
    options.reconnect_backoff_min_ms = 2;
    options.reconnect_backoff_max_ms = 20;
    return options;
}

struct TestNode {
    TestNode(net::io_context& context, const TcpTransportOptions& options)
        : transport(std::make_unique<TcpTransport>(context, options, recorder)) {
        error = transport->start();
    }
    bool connected() const { return transport->peers().at(0).connected; }
    bool heard() const { return transport->peers().at(0).heard; }

    Recorder recorder;
    std::unique_ptr<TcpTransport> transport;
    std::string error;
};

// Nodes 1 and 2, connected both ways.
struct Pair {
    explicit Pair(const std::function<void(TcpTransportOptions&)>& adjust = {}) {
        const std::uint16_t port_1 = free_port(context);
        const std::uint16_t port_2 = free_port(context);
        options_1 = make_options(1, port_1, {{2, "127.0.0.1", port_2}});
        options_2 = make_options(2, port_2, {{1, "127.0.0.1", port_1}});
        if (adjust) {
            adjust(options_1);
            adjust(options_2);
        }
        a = std::make_unique<TestNode>(context, options_1);
        b = std::make_unique<TestNode>(context, options_2);
        REQUIRE(a->error.empty());
        REQUIRE(b->error.empty());
        REQUIRE(run_until(context, [this] { return both_ways(); }));
    }
    bool both_ways() const { return a->connected() && a->heard() && b->connected() && b->heard(); }

    net::io_context context;
    TcpTransportOptions options_1;
    TcpTransportOptions options_2;
    std::unique_ptr<TestNode> a;
    std::unique_ptr<TestNode> b;
};

// Speaks to a node as anybody might: bytes of its own choice.
class RawDialer {
 public:
    RawDialer(net::io_context& context, std::uint16_t port) : context_(context), socket_(context) {
        socket_.connect({net::ip::address_v4::loopback(), port});
        socket_.non_blocking(true);
    }
    // What the node doesn't take any more is lost.
    void send(std::string_view bytes) {
        error_code ignored;
        while (!bytes.empty() && !ignored) {
            const std::size_t sent = socket_.write_some(net::buffer(bytes), ignored);
            bytes.remove_prefix(sent);
            if (ignored == net::error::would_block) {
                ignored = {};
                context_.restart();
                context_.run_one_for(milliseconds(1));
            }
        }
    }
    bool closed() {
        std::array<char, 4096> bytes;
        error_code error;
        while (!error) {
            const std::size_t size = socket_.read_some(net::buffer(bytes), error);
            received.append(bytes.data(), size);
        }
        return error != net::error::would_block;
    }
    bool wait_closed() {
        return run_until(context_, [this] { return closed(); });
    }
    void shake_hands(NodeId from, NodeId to) {
        Hello hello{protocol_version, cluster, from, to, "raw:80", "raw:7000"};
        send(encode_hello(hello));
        REQUIRE(run_until(context_, [this] {
            const bool gone = closed();
            return gone || received.size() >= handshake_prefix_bytes;
        }));
    }
    HelloReply reply() const {
        HelloReply decoded;
        REQUIRE(received.size() > handshake_prefix_bytes);
        REQUIRE(
            decode_hello_reply(std::string_view(received).substr(handshake_prefix_bytes), decoded));
        return decoded;
    }
    void close() { socket_.close(); }

    std::string received;

 private:
    net::io_context& context_;
    tcp::socket socket_;
};

// Is dialled by a node and does as the test wants.
class RawListener {
 public:
    explicit RawListener(net::io_context& context)
        : context_(context), acceptor_(context, {net::ip::address_v4::loopback(), 0}) {
        acceptor_.non_blocking(true);
    }
    std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
    tcp::socket accept() {
        std::optional<tcp::socket> socket;
        REQUIRE(run_until(context_, [this, &socket] {
            socket = try_accept();
            return socket.has_value();
        }));
        return std::move(*socket);
    }
    std::optional<tcp::socket> try_accept() {
        tcp::socket socket(context_);
        error_code error;
        acceptor_.accept(socket, error);
        return error ? std::nullopt : std::optional(std::move(socket));
    }
    // Accepts and reads the Hello.
    tcp::socket accept_hello() {
        tcp::socket socket = accept();
        socket.non_blocking(true);
        HandshakeBuffer hello(HandshakeKind::hello);
        HandshakeStatus status = HandshakeStatus::incomplete;
        REQUIRE(run_until(context_, [&] {
            error_code error;
            const std::span<char> space = hello.space();
            const std::size_t size =
                socket.read_some(net::buffer(space.data(), space.size()), error);
            status = hello.commit(size);
            return status != HandshakeStatus::incomplete;
        }));
        REQUIRE(status == HandshakeStatus::complete);
        return socket;
    }
    tcp::socket accept_and_welcome() {
        tcp::socket socket = accept_hello();
        net::write(socket,
                   net::buffer(encode_hello_reply({HandshakeReason::accepted, "", "raw:80"})));
        return socket;
    }

 private:
    net::io_context& context_;
    tcp::acceptor acceptor_;
};

inline std::string to_bytes(Outbox& outbox) {
    std::string bytes;
    std::array<iovec, 16> buffers;
    while (!outbox.empty()) {
        const std::size_t count = outbox.gather(buffers, outbox.bytes());
        std::size_t taken = 0;
        for (std::size_t i = 0; i < count; ++i) {
            bytes.append(static_cast<const char*>(buffers[i].iov_base), buffers[i].iov_len);
            taken += buffers[i].iov_len;
        }
        outbox.consume(taken);
    }
    return bytes;
}

inline std::string encode(const Message& message, std::uint64_t frame_bytes_max = 16U << 20) {
    Outbox outbox(frame_bytes_max, 1);
    REQUIRE(FrameEncoder(frame_bytes_max).encode(message, outbox) == EncodeOutcome::queued);
    return to_bytes(outbox);
}

inline AppendEntries make_append(NodeId from, NodeId to, std::vector<std::string> payloads) {
    AppendEntries append;
    append.header = {group, from, to, 4};
    append.prev_log_index = 10;
    append.prev_log_term = 2;
    Index index = 10;
    for (const std::string& payload : payloads) {
        Entry entry;
        entry.index = ++index;
        entry.term = 3;
        entry.stamp_ns = 1000;
        entry.kind = EntryKind::command;
        entry.payload = Payload::copy_of(payload);
        append.entries.push_back(std::move(entry));
    }
    return append;
}

}  // namespace cairn::raft::transport_testing
