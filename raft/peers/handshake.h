// The first words of a connection between two nodes: Hello from the side that dials, HelloReply
// from the side that accepts.
//
// Pure functions of bytes. Either is a magic of 8 bytes, u32 length and u32 CRC32C (little-endian),
// then a protobuf message (cairn/raft/v1/wire.proto), 4 KiB altogether at most. A HandshakeBuffer
// takes the bytes as they come and says at the first wrong one that this is no node of ours, so
// that whoever else speaks to the port (HTTP, TLS, random bytes) is turned away before anything is
// done for him. Texts that a stranger sends are bounded and printable before they get near a log.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "raft/core/configuration.h"
#include "raft/core/types.h"

namespace cairn::raft {

constexpr std::uint32_t protocol_version = 1;
constexpr std::size_t handshake_prefix_bytes = 16;
constexpr std::size_t handshake_bytes_max = 4096;
constexpr std::size_t address_bytes_max = 512;

struct Hello {
    std::uint32_t protocol_version = 0;
    std::uint64_t cluster_id = 0;
    NodeId from = 0;
    NodeId to = 0;
    std::string http_address;  // the speaker's own; may be empty
    std::string raft_address;
    std::uint64_t disk_id = 0;           // the speaker's data directory; 0: not said
    std::uint64_t replaced_disk_id = 0;  // the one it had before that was lost; 0: none
    friend bool operator==(const Hello&, const Hello&) = default;
};

// The numbers are those of the wire.
enum class HandshakeReason : std::uint8_t {
    accepted = 1,
    protocol_version = 2,
    wrong_cluster = 3,
    wrong_node = 4,
    removed = 5,
    other_disk = 6,
    readmission = 7,
};

struct HelloReply {
    HandshakeReason reason = HandshakeReason::accepted;
    std::string text;  // for people; empty when accepted
    std::string http_address;
    friend bool operator==(const HelloReply&, const HelloReply&) = default;
};

// What a Hello is held against.
struct HandshakeExpectation {
    std::uint64_t cluster_id = 0;
    NodeId node_id = 0;
    std::span<const Member> members;
    std::span<const NodeId> removed;  // sorted
};

// Printable ASCII without blanks, at most address_bytes_max bytes; may be empty.
bool is_handshake_address(std::string_view address);

// Addresses must satisfy is_handshake_address.
std::string encode_hello(const Hello& hello);
std::string encode_hello_reply(const HelloReply& reply);
// `body` is what HandshakeBuffer::body() returned. False: malformed.
bool decode_hello(std::string_view body, Hello& hello);
bool decode_hello_reply(std::string_view body, HelloReply& reply);

// Who isn't known is welcome too, if it speaks of the same cluster: it may be a member by a change
// of membership that this node hasn't heard of yet. Who came with another data directory than the
// one that was noted isn't.
HandshakeReason validate_hello(const Hello& hello, const HandshakeExpectation& expected);
// Why a Hello is refused, for the log of either side. Doesn't name this node's cluster id: whoever
// asks may be anybody.
std::string refusal_text(HandshakeReason reason, const Hello& hello,
                         const HandshakeExpectation& expected);

enum class HandshakeKind : std::uint8_t { hello, hello_reply };

enum class HandshakeStatus : std::uint8_t {
    incomplete,
    complete,
    foreign,  // not our protocol
    too_long,
    damaged,  // checksum
};

const char* to_string(HandshakeStatus status);

// Collects one message in a buffer of its own, never a byte more than the message has.
class HandshakeBuffer {
 public:
    explicit HandshakeBuffer(HandshakeKind kind) : kind_(kind) {}

    // Where the bytes still wanted go; not empty while incomplete.
    std::span<char> space();
    // `bytes` bytes have been put into space(). A result other than incomplete is final.
    HandshakeStatus commit(std::size_t bytes);
    // Once complete.
    std::string_view body() const;
    // Nothing has been received yet.
    bool empty() const { return size_ == 0; }

 private:
    HandshakeKind kind_;
    std::size_t size_ = 0;
    std::size_t wanted_ = handshake_prefix_bytes;
    std::array<char, handshake_bytes_max> bytes_;
};

}  // namespace cairn::raft
