// The bytes of one append to the write-ahead log: its records as the parts of a gathered write.
//
// Part of the log, on its thread. Headers, padding and small payloads are copied into a block of
// its own; large payloads stay where they are. What it returns holds until the next call and as
// long as the payloads do. It knows nothing of segments: that the records fit is the log's to see.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "raft/disk/wal_format.h"

namespace cairn::raft {

// A record that waits for its append.
struct PendingRecord {
    WalRecordHeader header;
    std::string_view payload;
};

class WalLayout {
 public:
    // `head` and then `records`, of append number `sequence`, to be written at `offset` of a
    // segment with this seed.
    std::span<const std::string_view> arrange(std::span<const PendingRecord> head,
                                              std::span<const PendingRecord> records,
                                              std::uint64_t offset, std::uint64_t sequence,
                                              std::uint32_t seed);

 private:
    std::string block_;
    std::vector<std::string_view> parts_;
};

}  // namespace cairn::raft
