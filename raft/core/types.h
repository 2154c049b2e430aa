// The words every part of Raft shares: terms, indexes, entries, hard state.
//
// Plain values, owned by whoever holds them. A Payload's bytes are immutable and reference counted,
// so that the log, the write-ahead log, the peers' sockets and the state machine share one copy and
// may do so from different threads. Raft never looks inside a payload.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace cairn::raft {

using Term = std::uint64_t;      // 0: no term yet
using Index = std::uint64_t;     // position in the log; the first entry has index 1, 0: none
using NodeId = std::uint64_t;    // 0: nobody
using GroupId = std::uint64_t;   // which Raft group a record or a frame belongs to
using ReadId = std::uint64_t;    // a ReadIndex round; grows within one core's life, 0: none
using Sequence = std::uint64_t;  // a persistence batch; grows within one core's life, 0: none

// Immutable shared bytes: a view plus whatever keeps the memory alive.
class Payload {
 public:
    Payload() = default;

    // Views `size` bytes at `data`, which `owner` keeps alive.
    Payload(std::shared_ptr<const char> data, std::size_t size)
        : data_(std::move(data)), size_(static_cast<std::uint32_t>(size)) {}

    // Takes a copy of `bytes` into an allocation of its own.
    static Payload copy_of(std::string_view bytes) {
        if (bytes.empty()) {
            return {};
        }
        std::shared_ptr<char[]> memory = std::make_shared_for_overwrite<char[]>(bytes.size());
        std::memcpy(memory.get(), bytes.data(), bytes.size());
        const char* data = memory.get();
        return {std::shared_ptr<const char>(std::move(memory), data), bytes.size()};
    }

    // Takes over the memory of `bytes`, unless much of that would be kept for nothing.
    static Payload taken_from(std::string&& bytes) {
        if (bytes.capacity() - bytes.size() > bytes.size() / 8) {
            return copy_of(bytes);
        }
        const auto owner = std::make_shared<const std::string>(std::move(bytes));
        return {std::shared_ptr<const char>(owner, owner->data()), owner->size()};
    }

    std::string_view view() const { return {data_.get(), size_}; }
    std::size_t size() const { return size_; }

 private:
    std::shared_ptr<const char> data_;
    std::uint32_t size_ = 0;
};

enum class EntryKind : std::uint8_t {
    no_op = 0,          // what a leader appends first in its term (thesis §6.4)
    command = 1,        // bytes for the state machine
    configuration = 2,  // a Configuration, in force from the moment it is appended (thesis §4.1)
};

struct Entry {
    Index index = 0;
    Term term = 0;
    // The leader's log time when it appended the entry, in nanoseconds; never decreases along a
    // log.
    std::int64_t stamp_ns = 0;
    EntryKind kind = EntryKind::no_op;
    Payload payload;
};

// What must be durable before a message of `term` or a vote leaves the node (paper, figure 2).
struct HardState {
    Term term = 0;
    NodeId voted_for = 0;
    friend bool operator==(const HardState&, const HardState&) = default;
};

// A place in the log: the last entry that something (a snapshot, a trimmed log) includes.
struct LogPosition {
    Index index = 0;
    Term term = 0;
    std::int64_t stamp_ns = 0;
    friend bool operator==(const LogPosition&, const LogPosition&) = default;
};

}  // namespace cairn::raft
