// Raft's messages over TCP: one outgoing connection to every peer, which only sends, and incoming
// connections, which only receive.
//
// Lives on the raft thread's io_context, all of it. Frames are length-prefixed and carry a CRC32C.
// Before anything else the dialling side says Hello (protocol version, cluster id, its node id, the
// id it wants to reach) and the accepting side answers whether it is welcome; a stranger, a wrong
// cluster or a wrong address is refused with the reason before anything is allocated for it, within
// a deadline, and logged once per reason. A lost connection is dialled again with back-off and
// jitter. An outbox is bounded in bytes and frames; what does not fit is dropped, but an empty one
// takes a single frame of any size up to frame_bytes_max. All that was queued in a turn leaves in
// one gathered write, made by flush() itself as far as the socket takes it at once; large payloads
// are not copied.
//
// A node of the same cluster that is no member here may be one by a change that hasn't come here
// yet: it is heard and answered, at the address that it tells, while its connection lasts.
//
// It promises nothing about delivery and knows nothing of Raft's rules. The receiver is never
// called from within send(), send_application() or flush(). A name that the system's resolver takes
// long to answer for delays the dialling of other names.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "raft/core/transport.h"

namespace boost::asio {
class io_context;
}

namespace cairn::raft {

struct PeerAddress {
    NodeId id = 0;
    std::string host;
    std::uint16_t port = 0;
};

struct TcpTransportOptions {
    std::uint64_t cluster_id = 0;
    NodeId node_id = 0;
    std::string listen_host;
    std::uint16_t listen_port = 0;       // 0: any free port (tests)
    std::string http_address;            // ours, told to peers in the handshake
    std::string raft_address;            // likewise; empty: the listening address
    std::uint64_t disk_id = 0;           // ours, likewise
    std::uint64_t replaced_disk_id = 0;  // likewise
    std::vector<PeerAddress> peers;      // without ourselves, until set_members()
    std::uint64_t frame_bytes_max = 16U << 20;
    std::uint64_t outbox_bytes_max = 32U << 20;
    std::uint64_t outbox_frames_max = 8192;
    int handshake_timeout_ms = 3000;
    int connect_timeout_ms = 2000;
    int reconnect_backoff_min_ms = 20;
    int reconnect_backoff_max_ms = 1000;
    int incoming_connections_max = 64;  // beyond it new ones are closed at once
    std::uint64_t random_seed = 1;      // for back-off jitter
};

class TcpTransport final : public Transport {
 public:
    TcpTransport(boost::asio::io_context& context, TcpTransportOptions options,
                 TransportReceiver& receiver);
    ~TcpTransport() override;

    // Another than the options have, for who knows it late. Before start().
    void set_http_address(const std::string& address);
    // Listens and begins to dial; at most once. Returns an empty string, or why it could not
    // listen.
    std::string start();
    // Closes every socket; no callback comes afterwards. Must be called before destruction while
    // the io_context still runs (or is drained afterwards).
    void stop();

    void send(const Message& message) override;
    bool send_application(NodeId to, std::string_view bytes) override;
    void flush() override;

    std::uint16_t listen_port() const;  // the real one
    void set_members(std::span<const Member> members, std::span<const NodeId> removed) override;
    std::vector<PeerStatus> peers() const override;

 private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace cairn::raft
