// What waits to be written to one connection: a list of byte runs, in order. Small pieces (frame
// headers, control fields, small payloads) gather in one arena and merge into long runs; a large
// payload is only referenced.
//
// Lives on the raft thread. A writer asks for the first runs (gather), writes them without waiting,
// and says how much went out (consume); the runs' addresses hold only until the next call. Arena
// and list keep their memory, so that the steady state allocates nothing. The bounds are the
// caller's to ask about (fits), and a single frame may be beyond them; it knows nothing of sockets
// or of what the bytes mean.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sys/uio.h>

#include "raft/core/types.h"

namespace cairn::raft {

class Outbox {
 public:
    // Up to here copying a payload costs less than a reference to it and a buffer of its own.
    static constexpr std::size_t copied_payload_bytes_max = 1024;

    Outbox(std::uint64_t bytes_max, std::uint64_t frames_max)
        : bytes_max_(bytes_max), frames_max_(frames_max) {}

    // An empty one takes a frame of any size, or that frame could never be sent.
    bool fits(std::uint64_t frame_bytes) const {
        const bool below_bound = frame_bytes <= bytes_max_ && bytes_ <= bytes_max_ - frame_bytes;
        return frames_ < frames_max_ && (below_bound || empty());
    }
    bool empty() const { return bytes_ == 0; }
    std::uint64_t bytes() const { return bytes_; }
    // Frames of which something is still to be written.
    std::uint64_t frames() const { return frames_; }

    // Adds `size` bytes to the arena and returns where they are, for the caller to fill.
    char* extend(std::size_t size);
    void append(std::string_view bytes);
    // Adds a reference; for payloads above copied_payload_bytes_max.
    void append_reference(const Payload& payload);
    void end_frame();

    // A place in the arena: where the next appended byte goes, and what is there from `position`
    // on.
    std::uint64_t arena_position() const { return arena_start_ + arena_.size(); }
    std::span<char> arena_from(std::uint64_t position);

    // Fills `buffers` with the first runs, at most `bytes_max` bytes; returns how many it filled.
    std::size_t gather(std::span<iovec> buffers, std::uint64_t bytes_max);
    // The first `bytes` bytes are written.
    void consume(std::uint64_t bytes);
    // Forgets everything; returns how many frames that were.
    std::uint64_t clear();

 private:
    struct Run {
        Payload payload;           // empty: the bytes are in the arena
        std::uint64_t offset = 0;  // in the payload, or a place in the arena
        std::uint64_t bytes = 0;
        std::uint64_t frames = 0;  // that end in this run
    };

    void reset();
    void compact();

    std::uint64_t bytes_max_;
    std::uint64_t frames_max_;
    std::uint64_t bytes_ = 0;
    std::uint64_t frames_ = 0;
    std::string arena_;
    std::uint64_t arena_start_ = 0;  // the place of arena_[0]; places only grow
    std::vector<Run> runs_;
    std::size_t first_run_ = 0;  // those before it are written
};

}  // namespace cairn::raft
