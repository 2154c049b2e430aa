// Raft's messages, and the program's own, as frames on a byte stream, and back.
//
// Pure functions of bytes; used on the raft thread. A frame is a header of 20 bytes, little-endian,
// and a body:
//
//     u32 body bytes | u32 checksum | u8 type | u8 version | u16 header check | u64 group | body
//
// The checksum is the CRC32C of everything else in the frame. The header check is 16 bits of the
// CRC of the other header fields: a damaged length is found out before anybody waits for, or makes
// memory for, that many bytes. An application frame's body is the program's bytes. A raft frame's
// is u32 length and a PeerMessage (cairn/raft/v1/wire.proto), then for AppendEntries the entries,
// each
//
//     u32 payload bytes | u8 kind | 3 zero bytes | u64 stamp_ns | u64 index | u64 term | payload
//
// and for InstallSnapshot the chunk.
//
// Encoding puts a frame into an Outbox; large payloads go in by reference. Decoding trusts nothing:
// what it accepts is whole, has consecutive entries with terms that don't decrease nor pass the
// speaker's, and comes from and goes to whom the connection belongs to. It makes at most one
// allocation for all payloads of a message, and none when they can stay where they were received.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "raft/core/messages.h"
#include "raft/peers/outbox.h"

namespace cairn::raft {

constexpr std::size_t frame_header_bytes = 20;
constexpr std::size_t entry_header_bytes = 32;

enum class FrameType : std::uint8_t { raft = 1, application = 2 };

// Why a frame is refused. After any of these the stream's position is lost: the connection ends.
enum class FrameFault {
    none,
    bad_header,
    unknown_version,
    unknown_type,
    too_large,
    bad_checksum,
    malformed_message,
    wrong_group,
    wrong_sender,
    wrong_receiver,
    bad_entries,
};

const char* to_string(FrameFault fault);

struct FrameHeader {
    std::uint32_t body_bytes = 0;
    std::uint32_t checksum = 0;
    FrameType type = FrameType::raft;
    GroupId group = 0;
};

struct Frame {
    FrameHeader header;
    std::string_view body;
    // Keeps `body` alive. Null: the bytes are good only until the next read, so what should last is
    // copied.
    std::shared_ptr<const char> owner;
};

// `bytes` begins with a whole header.
FrameFault decode_frame_header(std::string_view bytes, std::uint64_t frame_bytes_max,
                               FrameHeader& header);
// `frame` is a whole frame whose header was decoded to `header`.
bool checksum_matches(std::string_view frame, const FrameHeader& header);
// The message of a raft frame that came from node `from` to node `to`. `message` is unspecified
// unless the result is FrameFault::none.
FrameFault decode_message(const Frame& frame, NodeId from, NodeId to, Message& message);

enum class EncodeOutcome {
    queued,
    full,       // the outbox has no room now
    too_large,  // it never will: larger than a frame may be
};

// Keeps its protobuf objects, so that encoding allocates nothing in the steady state.
class FrameEncoder {
 public:
    explicit FrameEncoder(std::uint64_t frame_bytes_max);
    ~FrameEncoder();

    EncodeOutcome encode(const Message& message, Outbox& outbox);
    EncodeOutcome encode_application(std::string_view bytes, Outbox& outbox);

 private:
    struct Messages;
    EncodeOutcome room_for(std::uint64_t body_bytes, const Outbox& outbox) const;

    std::uint64_t frame_bytes_max_;
    std::unique_ptr<Messages> messages_;
};

}  // namespace cairn::raft
