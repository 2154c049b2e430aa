#include "raft/peers/outbox.h"

#include <algorithm>

#include "raft/core/invariant.h"

namespace cairn::raft {

namespace {

// Frames count as written when the run that they end in is, so runs must not grow for ever.
constexpr std::size_t merged_run_bytes_max = 16U << 10;
constexpr std::size_t compact_bytes_min = 64U << 10;
constexpr std::size_t compact_runs_min = 256;
// A burst's memory beyond this is given back once the outbox is empty.
constexpr std::size_t kept_arena_bytes_max = 1U << 20;
constexpr std::size_t kept_runs_max = 8192;

}  // namespace

char* Outbox::extend(std::size_t size) {
    const std::uint64_t position = arena_position();
    const std::size_t old_size = arena_.size();
    arena_.resize(old_size + size);
    bytes_ += size;
    const bool merges = first_run_ < runs_.size() && runs_.back().payload.size() == 0 &&
                        runs_.back().bytes < merged_run_bytes_max;
    if (merges) {
        runs_.back().bytes += size;
    } else if (size > 0) {
        Run& run = runs_.emplace_back();
        run.offset = position;
        run.bytes = size;
    }
    return arena_.data() + old_size;
}

void Outbox::append(std::string_view bytes) {
    char* space = extend(bytes.size());
    std::copy(bytes.begin(), bytes.end(), space);
}

void Outbox::append_reference(const Payload& payload) {
    if (payload.size() == 0) {
        return;
    }
    Run& run = runs_.emplace_back();
    run.payload = payload;
    run.bytes = payload.size();
    bytes_ += payload.size();
}

void Outbox::end_frame() {
    RAFT_ASSERT(first_run_ < runs_.size());
    ++runs_.back().frames;
    ++frames_;
}

std::span<char> Outbox::arena_from(std::uint64_t position) {
    RAFT_ASSERT(position >= arena_start_ && position <= arena_position());
    return std::span<char>(arena_).subspan(position - arena_start_);
}

std::size_t Outbox::gather(std::span<iovec> buffers, std::uint64_t bytes_max) {
    std::size_t count = 0;
    for (std::size_t i = first_run_; i < runs_.size() && count < buffers.size() && bytes_max > 0;
         ++i) {
        const Run& run = runs_[i];
        const char* data = run.payload.size() == 0 ? arena_.data() + (run.offset - arena_start_)
                                                   : run.payload.view().data() + run.offset;
        const std::uint64_t bytes = std::min(run.bytes, bytes_max);
        buffers[count].iov_base = const_cast<char*>(data);  // sendmsg only reads it
        buffers[count].iov_len = bytes;
        ++count;
        bytes_max -= bytes;
    }
    return count;
}

void Outbox::consume(std::uint64_t bytes) {
    RAFT_ASSERT(bytes <= bytes_);
    bytes_ -= bytes;
    while (bytes > 0) {
        Run& run = runs_[first_run_];
        const std::uint64_t taken = std::min(bytes, run.bytes);
        run.offset += taken;
        run.bytes -= taken;
        bytes -= taken;
        if (run.bytes == 0) {
            frames_ -= run.frames;
            run.payload = {};
            ++first_run_;
        }
    }
    if (bytes_ == 0) {
        reset();
    } else {
        compact();
    }
}

std::uint64_t Outbox::clear() {
    const std::uint64_t dropped = frames_;
    frames_ = 0;
    bytes_ = 0;
    reset();
    return dropped;
}

void Outbox::reset() {
    RAFT_ASSERT(frames_ == 0);
    arena_start_ += arena_.size();
    arena_.clear();
    runs_.clear();
    first_run_ = 0;
    if (arena_.capacity() > kept_arena_bytes_max) {
        arena_.shrink_to_fit();
    }
    if (runs_.capacity() > kept_runs_max) {
        runs_.shrink_to_fit();
    }
}

// Under a load that never lets the outbox run empty, what is written must go now and then. Moving
// at most as much as was written since keeps the cost per byte constant.
void Outbox::compact() {
    if (first_run_ >= compact_runs_min && first_run_ * 2 >= runs_.size()) {
        runs_.erase(runs_.begin(), runs_.begin() + static_cast<std::ptrdiff_t>(first_run_));
        first_run_ = 0;
    }
    // A run of a payload hides how far the arena is written; an arena run nearly always comes next.
    std::uint64_t written = 0;
    for (std::size_t i = first_run_; i < runs_.size(); ++i) {
        if (runs_[i].payload.size() == 0) {
            written = runs_[i].offset - arena_start_;
            break;
        }
        if (i + 1 == runs_.size()) {
            written = arena_.size();
        }
    }
    if (written >= compact_bytes_min && written * 2 >= arena_.size()) {
        arena_.erase(0, written);
        arena_start_ += written;
    }
}

}  // namespace cairn::raft
