#include "raft/peers/frame_reader.h"

#include <algorithm>
#include <cstring>

#include "raft/core/invariant.h"

namespace cairn::raft {

std::span<char> FrameReader::prepare() {
    RAFT_ASSERT(fault_ == FrameFault::none);
    const std::size_t received = end_ - begin_;
    RAFT_ASSERT(received < wanted_bytes_);
    const bool fits = begin_ + wanted_bytes_ <= capacity_;
    // A chunk of one frame's size is left once that frame is done; a short rest makes small reads.
    const bool has_room = capacity_ == chunk_bytes ? capacity_ - end_ >= chunk_bytes / 4
                                                   : wanted_bytes_ > chunk_bytes;
    if (!fits || !has_room) {
        if (wanted_bytes_ <= chunk_bytes && capacity_ == chunk_bytes && !shared_) {
            std::memmove(chunk_.get(), chunk_.get() + begin_, received);
            begin_ = 0;
            end_ = received;
        } else {
            move_to_new_chunk(std::max(wanted_bytes_, chunk_bytes));
        }
    }
    return {chunk_.get() + end_, capacity_ - end_};
}

void FrameReader::move_to_new_chunk(std::size_t capacity) {
    std::shared_ptr<char[]> chunk = std::make_shared_for_overwrite<char[]>(capacity);
    const std::size_t received = end_ - begin_;
    if (received > 0) {
        std::memcpy(chunk.get(), chunk_.get() + begin_, received);
    }
    chunk_ = std::move(chunk);
    capacity_ = capacity;
    begin_ = 0;
    end_ = received;
    shared_ = false;
}

bool FrameReader::next(Frame& frame) {
    if (fault_ != FrameFault::none || end_ - begin_ < frame_header_bytes) {
        return false;
    }
    const std::string_view received(chunk_.get() + begin_, end_ - begin_);
    fault_ = decode_frame_header(received, frame_bytes_max_, frame.header);
    if (fault_ != FrameFault::none) {
        return false;
    }
    const std::size_t frame_bytes = frame_header_bytes + frame.header.body_bytes;
    if (received.size() < frame_bytes) {
        wanted_bytes_ = frame_bytes;
        under_way_ = frame.header;
        return false;
    }
    if (!checksum_matches(received.substr(0, frame_bytes), frame.header)) {
        fault_ = FrameFault::bad_checksum;
        return false;
    }
    frame.body = received.substr(frame_header_bytes, frame.header.body_bytes);
    frame.owner = nullptr;
    if (frame_bytes >= owned_frame_bytes_min) {
        frame.owner = std::shared_ptr<const char>(chunk_, chunk_.get());
        shared_ = true;
    }
    begin_ += frame_bytes;
    wanted_bytes_ = frame_header_bytes;
    return true;
}

}  // namespace cairn::raft
