// Cuts a connection's byte stream into frames.
//
// Lives on the raft thread; knows no socket: the caller reads into prepare(), tells commit() how
// much came, and takes frames with next() until there is no more. Bytes are received into chunks of
// 64 KiB; a frame that is larger gets a chunk of exactly its own size, once its header has proved
// sound and within bounds.
//
// A frame that is large beside its chunk carries the chunk as its owner, so that payloads stay
// where they are. A smaller one doesn't: what should last is copied out of it, so that nothing kept
// holds on to more than twice its own bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "raft/peers/codec.h"

namespace cairn::raft {

class FrameReader {
 public:
    static constexpr std::size_t chunk_bytes = 64U << 10;
    static constexpr std::size_t owned_frame_bytes_min = chunk_bytes / 2;

    explicit FrameReader(std::uint64_t frame_bytes_max) : frame_bytes_max_(frame_bytes_max) {}

    // Room for more bytes, never empty. Only after next() has returned false without a fault.
    std::span<char> prepare();
    // `bytes` bytes have been put into what prepare() returned.
    void commit(std::size_t bytes) { end_ += bytes; }
    // The next whole frame, its checksum verified. False: more bytes are needed, or fault() says
    // what is wrong; then nothing more comes.
    bool next(Frame& frame);
    FrameFault fault() const { return fault_; }
    // The header of a frame that is larger than a chunk, while it isn't all there; else null.
    const FrameHeader* large_frame_under_way() const {
        return wanted_bytes_ > chunk_bytes ? &under_way_ : nullptr;
    }

 private:
    void move_to_new_chunk(std::size_t capacity);

    std::uint64_t frame_bytes_max_;
    std::shared_ptr<char[]> chunk_;
    std::size_t capacity_ = 0;
    std::size_t begin_ = 0;                          // of what is not yet taken
    std::size_t end_ = 0;                            // of what was received
    std::size_t wanted_bytes_ = frame_header_bytes;  // from begin_, to get on
    FrameHeader under_way_;
    bool shared_ = false;  // somebody may still look at the chunk: it's never written over
    FrameFault fault_ = FrameFault::none;
};

}  // namespace cairn::raft
