#include "raft/disk/wal_layout.h"

#include <cstring>

namespace cairn::raft {
namespace {

constexpr std::size_t copied_payload_bytes_max = 512;

}  // namespace

std::span<const std::string_view> WalLayout::arrange(std::span<const PendingRecord> head,
                                                     std::span<const PendingRecord> records,
                                                     std::uint64_t offset, std::uint64_t sequence,
                                                     std::uint32_t seed) {
    std::size_t block_bytes = 0;
    for (const std::span<const PendingRecord> list : {head, records}) {
        for (const PendingRecord& record : list) {
            const std::uint64_t size = wal_record_bytes(record.payload.size());
            block_bytes += record.payload.size() > copied_payload_bytes_max
                               ? size - record.payload.size()
                               : size;
        }
    }
    block_.assign(block_bytes, '\0');
    parts_.clear();
    std::size_t filled = 0;
    std::size_t run_start = 0;
    const std::size_t count = head.size() + records.size();
    for (std::size_t i = 0; i < count; ++i) {
        const PendingRecord& record = i < head.size() ? head[i] : records[i - head.size()];
        WalRecordHeader header = record.header;
        header.append_sequence = sequence;
        header.last_of_append = i + 1 == count;
        encode_wal_record_header(header, seed, offset, block_.data() + filled);
        filled += wal_record_header_bytes;
        const std::string_view payload = record.payload;
        if (payload.size() > copied_payload_bytes_max) {
            parts_.push_back(std::string_view(block_).substr(run_start, filled - run_start));
            parts_.push_back(payload);
            run_start = filled;
        } else if (!payload.empty()) {
            std::memcpy(block_.data() + filled, payload.data(), payload.size());
            filled += payload.size();
        }
        filled += wal_padding_bytes(payload.size());
        offset += wal_record_bytes(payload.size());
    }
    if (filled > run_start) {
        parts_.push_back(std::string_view(block_).substr(run_start, filled - run_start));
    }
    return parts_;
}

}  // namespace cairn::raft
