#include "raft/disk/wal_reader.h"

#include <algorithm>
#include <utility>

namespace cairn::raft {
namespace {

// The record at `offset`, when header and payload are whole.
std::optional<WalRecord> read_record(std::string_view bytes, std::uint32_t seed,
                                     std::uint64_t offset) {
    if (offset >= bytes.size()) {
        return std::nullopt;
    }
    const std::string_view rest = bytes.substr(offset);
    const std::optional<WalRecordHeader> header = decode_wal_record_header(rest, seed, offset);
    if (!header || rest.size() < wal_record_bytes(header->payload_bytes)) {
        return std::nullopt;
    }
    const std::string_view payload = rest.substr(wal_record_header_bytes, header->payload_bytes);
    const std::string_view padding = rest.substr(wal_record_header_bytes + header->payload_bytes,
                                                 wal_padding_bytes(header->payload_bytes));
    if (padding.find_first_not_of('\0') != std::string_view::npos ||
        wal_payload_crc(payload) != header->payload_crc) {
        return std::nullopt;
    }
    return WalRecord{*header, payload, offset};
}

// Looks from `offset` on for a record header of another append than `sequence`. A header alone is
// proof: that append had begun.
std::string find_other_append(std::string_view bytes, std::uint32_t seed, std::uint64_t offset,
                              std::uint64_t sequence) {
    for (std::uint64_t at = offset; at + wal_record_header_bytes <= bytes.size();
         at += wal_alignment_bytes) {
        const std::optional<WalRecordHeader> header =
            decode_wal_record_header(bytes.substr(at, wal_record_header_bytes), seed, at);
        if (header && header->append_sequence != sequence) {
            return "damaged record at offset " + std::to_string(offset) + " in append " +
                   std::to_string(sequence) + ", yet there is a record of append " +
                   std::to_string(header->append_sequence) + " at offset " + std::to_string(at);
        }
    }
    return {};
}

bool is_all_zero(std::string_view bytes) {
    return bytes.find_first_not_of('\0') == std::string_view::npos;
}

}  // namespace

WalSegmentScan scan_wal_segment(std::string_view bytes, const WalSegmentHeader& header,
                                bool newest) {
    const std::uint32_t seed = wal_record_seed(header);
    WalSegmentScan scan;
    scan.end_offset = wal_segment_header_bytes;
    scan.last_append_offset = scan.end_offset;
    scan.next_sequence = header.append_sequence_base;
    std::uint64_t offset = scan.end_offset;
    std::size_t complete = 0;  // records
    while (!scan.ended) {
        const std::optional<WalRecord> record = read_record(bytes, seed, offset);
        if (!record || record->header.append_sequence != scan.next_sequence) {
            break;
        }
        scan.records.push_back(*record);
        offset += wal_record_bytes(record->header.payload_bytes);
        if (record->header.last_of_append) {
            scan.last_append_offset = std::exchange(scan.end_offset, offset);
            ++scan.next_sequence;
            complete = scan.records.size();
            scan.ended = record->header.type == WalRecordType::end_of_segment;
        }
    }
    // The records of an incomplete append were never acknowledged. Cutting all of it keeps appends
    // whole and their numbers consecutive.
    scan.records.resize(complete);
    if (scan.ended) {
        return scan;
    }
    if (!newest) {
        // Its end was synced before the next segment was made.
        scan.corruption = "damaged record at offset " + std::to_string(offset) +
                          " in a segment that others follow";
        scan.corruption_offset = offset;
        return scan;
    }
    scan.corruption_offset = offset;
    scan.corruption = find_other_append(bytes, seed, offset, scan.next_sequence);
    return scan;
}

std::string WalReplay::apply(const WalRecord& record) {
    const WalRecordHeader& header = record.header;
    switch (header.type) {
        case WalRecordType::hard_state:
            groups[header.group].hard_state = {.term = header.term, .voted_for = header.index};
            return {};
        case WalRecordType::log_start:
            groups[header.group].entries.clear();
            groups[header.group].next_index = header.index;
            return {};
        case WalRecordType::end_of_segment:
            return {};
        case WalRecordType::entry:
            break;
    }
    WalGroupState& state = groups[header.group];
    if (header.index == 0 || (state.next_index != 0 && header.index > state.next_index)) {
        return "entry " + std::to_string(header.index) + " of group " +
               std::to_string(header.group) + " leaves a gap";
    }
    std::vector<Entry>& entries = state.entries;
    if (!entries.empty() && header.index <= entries.back().index) {
        const Index first = entries.front().index;
        entries.resize(header.index > first ? header.index - first : 0);
    }
    entries.push_back({.index = header.index,
                       .term = header.term,
                       .stamp_ns = header.stamp_ns,
                       .kind = header.kind,
                       .payload = Payload::copy_of(record.payload)});
    state.next_index = header.index + 1;
    return {};
}

void WalReplay::forget_entries() {
    for (auto& [group, state] : groups) {
        state.entries.clear();
        state.next_index = 0;
    }
}

WalTail examine_wal_tail(std::string_view bytes, const WalSegmentHeader& header,
                         const WalSegmentScan& scan) {
    if (scan.ended) {
        return WalTail::blank;
    }
    const std::uint32_t seed = wal_record_seed(header);
    for (std::uint64_t at = scan.end_offset; at + wal_record_header_bytes <= bytes.size();
         at += wal_alignment_bytes) {
        if (decode_wal_record_header(bytes.substr(at, wal_record_header_bytes), seed, at)) {
            return WalTail::torn;
        }
    }
    return is_all_zero(bytes.substr(scan.end_offset)) ? WalTail::blank : WalTail::other_bytes;
}

bool WalReader::open() {
    name_.clear();
    const IoResult<std::vector<std::string>> names = files_.list(directory_);
    if (!names) {
        fail_io(names.error());
        return false;
    }
    // Names have a fixed number of digits, so they are sorted as numbers are.
    for (const std::string& name : *names) {
        if (const std::optional<std::uint64_t> number = parse_wal_segment_name(name)) {
            numbers_.push_back(*number);
        } else if (parse_wal_reserve_name(name)) {
            reserve_names_.push_back(name);
        } else {
            other_names_.push_back(name);
        }
    }
    return true;
}

WalReader::Step WalReader::next() {
    has_segment_ = false;
    if (position_ == numbers_.size()) {
        return Step::end;
    }
    const std::uint64_t number = numbers_[position_];
    if (position_ > 0 && numbers_[position_ - 1] + 1 != number && !gap_told_) {
        gap_told_ = true;
        next_sequence_.reset();
        name_ = wal_segment_name(numbers_[position_ - 1] + 1);
        const std::uint64_t count = number - numbers_[position_ - 1] - 1;
        return fail(WalOpenError::corruption, count == 1 ? "segment is missing"
                                                         : "segment is missing, and those before " +
                                                               wal_segment_name(number));
    }
    gap_told_ = false;
    ++position_;
    name_ = wal_segment_name(number);
    const Step step = read_segment(number);
    file_.reset();
    if (step == Step::fault) {
        next_sequence_.reset();
    }
    return step;
}

WalReader::Step WalReader::fail(WalOpenError error, const std::string& what,
                                std::optional<std::uint64_t> offset) {
    fault_ = {.error = error, .name = name_, .offset = offset, .what = what};
    return Step::fault;
}

WalReader::Step WalReader::fail_io(const boost::system::error_code& error) {
    return fail(WalOpenError::io, error.message());
}

WalReader::Step WalReader::read_segment(std::uint64_t number) {
    IoResult<std::unique_ptr<File>> file =
        files_.open(directory_ + "/" + name_, FileSystem::OpenMode::read);
    if (!file) {
        return fail_io(file.error());
    }
    file_ = std::move(*file);
    if (const IoResult<void> read = file_->read_at(0, wal_segment_header_bytes, bytes_); !read) {
        return fail_io(read.error());
    }
    switch (decode_wal_segment_header(bytes_, header_)) {
        case WalHeaderVerdict::damaged:
            // It was synced before the file became a segment.
            return fail(WalOpenError::corruption, "damaged segment header", 0);
        case WalHeaderVerdict::unknown_version:
            return fail(WalOpenError::foreign, "segment of an unknown format version");
        case WalHeaderVerdict::valid:
            break;
    }
    if (const Step step = judge_header(number); step != Step::segment) {
        return step;
    }
    const IoResult<std::uint64_t> size = file_->size();
    if (!size) {
        return fail_io(size.error());
    }
    if (*size < header_.segment_bytes) {
        // The file had its size durably before it became a segment.
        return fail(WalOpenError::corruption,
                    "segment has " + std::to_string(*size) + " of " +
                        std::to_string(header_.segment_bytes) + " bytes",
                    *size);
    }
    if (const IoResult<void> read = file_->read_at(0, header_.segment_bytes, bytes_); !read) {
        return fail_io(read.error());
    }
    return judge_records();
}

WalReader::Step WalReader::judge_header(std::uint64_t number) {
    if (!owner_) {
        owner_ = WalOwner{header_.cluster_id, header_.node_id};
    }
    if (header_.cluster_id != owner_->cluster_id || header_.node_id != owner_->node_id) {
        return fail(WalOpenError::foreign,
                    "belongs to cluster " + std::to_string(header_.cluster_id) + " node " +
                        std::to_string(header_.node_id) + ", not to cluster " +
                        std::to_string(owner_->cluster_id) + " node " +
                        std::to_string(owner_->node_id));
    }
    const bool follows = (!epoch_before_ || header_.epoch > *epoch_before_) &&
                         (!next_sequence_ || header_.append_sequence_base == *next_sequence_);
    if (header_.number != number || !follows) {
        return fail(WalOpenError::corruption, "segment is not the one that belongs here", 0);
    }
    if (header_.segment_bytes <= wal_segment_header_bytes ||
        header_.segment_bytes % wal_segment_header_bytes != 0) {
        return fail(WalOpenError::corruption,
                    "a segment can't have " + std::to_string(header_.segment_bytes) + " bytes", 0);
    }
    // What was really counted never gets there, and one more must be possible.
    constexpr std::uint64_t count_max = std::uint64_t{1} << 62U;
    if (header_.epoch > count_max || header_.append_sequence_base > count_max) {
        return fail(WalOpenError::corruption, "a segment's numbers can't be that large", 0);
    }
    epoch_before_ = header_.epoch;
    return Step::segment;
}

WalReader::Step WalReader::judge_records() {
    scan_ = scan_wal_segment(bytes_, header_, is_newest());
    has_segment_ = true;
    next_sequence_ = scan_.next_sequence;
    if (!scan_.corruption.empty()) {
        return fail(WalOpenError::corruption, scan_.corruption, scan_.corruption_offset);
    }
    const bool has_append = scan_.end_offset > wal_segment_header_bytes;
    if (numbers_.size() == 1 && header_.number != 1 && !has_append) {
        // Its first append repeats term and vote and was durable before the segment before it was
        // recycled.
        return fail(WalOpenError::corruption,
                    "first append is damaged, and the segments before it are gone",
                    wal_segment_header_bytes);
    }
    return Step::segment;
}

}  // namespace cairn::raft
