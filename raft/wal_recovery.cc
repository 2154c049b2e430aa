#include "raft/wal_recovery.h"

#include <algorithm>
#include <optional>
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
    return WalRecord{*header, payload};
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
        return scan;
    }
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
            next_index[header.group] = header.index;
            return {};
        case WalRecordType::end_of_segment:
            return {};
        case WalRecordType::entry:
            break;
    }
    const auto next = next_index.find(header.group);
    if (header.index == 0 || (next != next_index.end() && header.index > next->second)) {
        return "entry " + std::to_string(header.index) + " of group " +
               std::to_string(header.group) + " leaves a gap";
    }
    std::vector<Entry>& entries = groups[header.group].entries;
    if (!entries.empty() && header.index <= entries.back().index) {
        const Index first = entries.front().index;
        entries.resize(header.index > first ? header.index - first : 0);
    }
    entries.push_back({.index = header.index,
                       .term = header.term,
                       .stamp_ns = header.stamp_ns,
                       .kind = header.kind,
                       .payload = Payload::copy_of(record.payload)});
    next_index[header.group] = header.index + 1;
    return {};
}

namespace {

bool is_all_zero(std::string_view bytes) {
    return bytes.find_first_not_of('\0') == std::string_view::npos;
}

class Recovery {
 public:
    Recovery(FileSystem& files, const std::string& directory, const WalOptions& options,
             WalRecovery& recovery, WalOpenFailure& failure)
        : files_(files),
          directory_(directory),
          options_(options),
          recovery_(recovery),
          failure_(failure) {}

    bool run() { return list() && read_segments() && repair() && tend_reserves(); }

 private:
    bool fail(WalOpenError error, const std::string& name, const std::string& detail) {
        failure_ = {.error = error, .detail = directory_ + "/" + name + ": " + detail};
        return false;
    }
    bool fail_io(const std::string& name, const boost::system::error_code& error) {
        return fail(WalOpenError::io, name, error.message());
    }
    std::string path_of(const std::string& name) const { return directory_ + "/" + name; }

    bool list() {
        if (const IoResult<void> made = files_.create_directories(directory_); !made) {
            return fail_io("", made.error());
        }
        const IoResult<std::vector<std::string>> names = files_.list(directory_);
        if (!names) {
            return fail_io("", names.error());
        }
        for (const std::string& name : *names) {
            if (const std::optional<std::uint64_t> number = parse_wal_segment_name(name)) {
                numbers_.push_back(*number);
            } else if (parse_wal_reserve_name(name)) {
                reserve_names_.push_back(name);
            }
        }
        // Names have a fixed number of digits, so they are sorted as numbers are.
        for (std::size_t i = 1; i < numbers_.size(); ++i) {
            if (numbers_[i] != numbers_[i - 1] + 1) {
                return fail(WalOpenError::corruption, wal_segment_name(numbers_[i - 1] + 1),
                            "segment is missing");
            }
        }
        return true;
    }

    bool read_segments() {
        for (std::size_t i = 0; i < numbers_.size(); ++i) {
            const bool newest = i + 1 == numbers_.size();
            if (!open_segment(numbers_[i], newest)) {
                return false;
            }
            if (!void_newest_.empty()) {
                break;
            }
            // The one before a void newest segment has an end like any other: nothing is lost by
            // scanning it as one that is followed.
            if (!scan_segment(newest)) {
                return false;
            }
        }
        return true;
    }

    // Reads header and content into header_ and bytes_, opens file_.
    bool open_segment(std::uint64_t number, bool newest) {
        const std::string name = wal_segment_name(number);
        const auto mode = newest ? FileSystem::OpenMode::read_write : FileSystem::OpenMode::read;
        IoResult<std::unique_ptr<File>> file = files_.open(path_of(name), mode);
        if (!file) {
            return fail_io(name, file.error());
        }
        file_ = std::move(*file);
        if (const IoResult<void> read = file_->read_at(0, wal_segment_header_bytes, bytes_);
            !read) {
            return fail_io(name, read.error());
        }
        switch (decode_wal_segment_header(bytes_, header_)) {
            case WalHeaderVerdict::damaged:
                return newest ? judge_void(number)
                              : fail(WalOpenError::corruption, name, "damaged segment header");
            case WalHeaderVerdict::unknown_version:
                return fail(WalOpenError::foreign, name, "segment of an unknown format version");
            case WalHeaderVerdict::valid:
                break;
        }
        if (!check_header(name, number)) {
            return false;
        }
        if (const IoResult<void> read = file_->read_at(0, header_.segment_bytes, bytes_); !read) {
            return fail_io(name, read.error());
        }
        if (bytes_.size() != header_.segment_bytes) {
            // The file had its size durably before it became a segment.
            return fail(WalOpenError::corruption, name,
                        "segment has " + std::to_string(bytes_.size()) + " of " +
                            std::to_string(header_.segment_bytes) + " bytes");
        }
        return true;
    }

    bool check_header(const std::string& name, std::uint64_t number) {
        if (header_.cluster_id != options_.cluster_id || header_.node_id != options_.node_id) {
            return fail(WalOpenError::foreign, name,
                        "belongs to cluster " + std::to_string(header_.cluster_id) + " node " +
                            std::to_string(header_.node_id) + ", not to cluster " +
                            std::to_string(options_.cluster_id) + " node " +
                            std::to_string(options_.node_id));
        }
        const bool follows =
            recovery_.segments.empty() || (header_.epoch > recovery_.newest_header.epoch &&
                                           header_.append_sequence_base == recovery_.next_sequence);
        if (header_.number != number || !follows) {
            return fail(WalOpenError::corruption, name, "segment is not the one that belongs here");
        }
        return true;
    }

    // A newest segment without a header can be dropped when it never held a record: there is
    // nothing but zeros behind the header, and the term and vote are elsewhere or never were.
    bool judge_void(std::uint64_t number) {
        const std::string name = wal_segment_name(number);
        const IoResult<std::uint64_t> size = file_->size();
        if (!size) {
            return fail_io(name, size.error());
        }
        const bool has_predecessor = !recovery_.segments.empty();
        if (*size <= wal_segment_header_bytes || (number != 1 && !has_predecessor)) {
            return fail(WalOpenError::corruption, name, "damaged segment header");
        }
        constexpr std::uint64_t piece_bytes = 1U << 20;
        for (std::uint64_t at = wal_segment_header_bytes; at < *size; at += piece_bytes) {
            const auto piece = static_cast<std::size_t>(std::min(piece_bytes, *size - at));
            if (const IoResult<void> read = file_->read_at(at, piece, bytes_); !read) {
                return fail_io(name, read.error());
            }
            if (!is_all_zero(bytes_)) {
                return fail(WalOpenError::corruption, name, "damaged segment header");
            }
        }
        void_newest_ = name;
        return true;
    }

    bool scan_segment(bool newest) {
        const std::string name = wal_segment_name(header_.number);
        const WalSegmentScan scan = scan_wal_segment(bytes_, header_, newest);
        if (!scan.corruption.empty()) {
            return fail(WalOpenError::corruption, name, scan.corruption);
        }
        const bool has_append = scan.end_offset > wal_segment_header_bytes;
        if (newest && recovery_.segments.empty() && header_.number != 1 && !has_append) {
            // Its first append repeats term and vote and was durable before the segment before
            // it was recycled.
            return fail(WalOpenError::corruption, name,
                        "first append is damaged, and the segments before it are gone");
        }
        WalSegmentContent content{.number = header_.number, .segment_bytes = header_.segment_bytes};
        for (const WalRecord& record : scan.records) {
            const std::string wrong = recovery_.replay.apply(record);
            if (!wrong.empty()) {
                return fail(WalOpenError::corruption, name, wrong);
            }
            note_content(record.header, content);
        }
        recovery_.segments.push_back(std::move(content));
        recovery_.newest_header = header_;
        recovery_.end_offset = scan.end_offset;
        recovery_.next_sequence = scan.next_sequence;
        recovery_.ended = scan.ended;
        recovery_.has_append = has_append;
        recovery_.epoch_max = header_.epoch;
        last_append_offset_ = scan.last_append_offset;
        recovery_.newest_file = std::move(file_);
        return true;
    }

    void note_content(const WalRecordHeader& record, WalSegmentContent& content) {
        if (record.type == WalRecordType::entry) {
            Index& last = content.last_index[record.group];
            last = std::max(last, record.index);
        } else if (record.type == WalRecordType::log_start) {
            content.last_index.erase(record.group);
            for (WalSegmentContent& older : recovery_.segments) {
                older.last_index.erase(record.group);
            }
        }
    }

    bool repair() {
        if (!void_newest_.empty()) {
            if (const IoResult<void> removed = files_.remove(path_of(void_newest_)); !removed) {
                return fail_io(void_newest_, removed.error());
            }
        } else if (recovery_.newest_file != nullptr && !repair_tail()) {
            return false;
        }
        return sync_directory();
    }

    // bytes_ still holds the newest segment.
    bool repair_tail() {
        File& file = *recovery_.newest_file;
        const std::string name = wal_segment_name(recovery_.newest_header.number);
        // The last append may have been read from the page cache without ever having reached the
        // disk, and after a failed sync the cache even holds it as clean. It counts from now on,
        // so it is written again.
        const std::string_view bytes = bytes_;
        const std::string_view last_append =
            bytes.substr(last_append_offset_, recovery_.end_offset - last_append_offset_);
        if (const IoResult<void> written = file.write_at(last_append_offset_, {&last_append, 1});
            !written) {
            return fail_io(name, written.error());
        }
        constexpr std::size_t piece_bytes = 64U << 10;
        const std::string zeros(piece_bytes, '\0');
        for (std::size_t at = recovery_.end_offset; at < bytes.size() && !recovery_.ended;
             at += piece_bytes) {
            const std::string_view piece = bytes.substr(at, piece_bytes);
            const std::string_view blank(zeros.data(), piece.size());
            if (piece == blank) {
                continue;
            }
            if (const IoResult<void> written = file.write_at(at, {&blank, 1}); !written) {
                return fail_io(name, written.error());
            }
        }
        if (!options_.sync) {
            return true;
        }
        if (const IoResult<void> synced = file.sync(); !synced) {
            return fail_io(name, synced.error());
        }
        return true;
    }

    bool tend_reserves() {
        bool removed_any = false;
        for (const std::string& name : reserve_names_) {
            recovery_.reserve_number_max =
                std::max(recovery_.reserve_number_max, *parse_wal_reserve_name(name));
            bool usable = false;
            if (!examine_reserve(name, usable)) {
                return false;
            }
            if (usable && recovery_.reserves.size() < wal_reserves_max) {
                recovery_.reserves.push_back(name);
                continue;
            }
            if (const IoResult<void> removed = files_.remove(path_of(name)); !removed) {
                return fail_io(name, removed.error());
            }
            removed_any = true;
        }
        return !removed_any || sync_directory();
    }

    bool examine_reserve(const std::string& name, bool& usable) {
        IoResult<std::unique_ptr<File>> file =
            files_.open(path_of(name), FileSystem::OpenMode::read);
        if (!file) {
            return fail_io(name, file.error());
        }
        const IoResult<std::uint64_t> size = (*file)->size();
        if (!size) {
            return fail_io(name, size.error());
        }
        // One of another size was left half-filled or is of an earlier configuration.
        usable = *size == options_.segment_bytes;
        std::string block;
        if (const IoResult<void> read = (*file)->read_at(0, wal_segment_header_bytes, block);
            !read) {
            return fail_io(name, read.error());
        }
        WalSegmentHeader header;
        if (decode_wal_segment_header(block, header) == WalHeaderVerdict::valid) {
            recovery_.epoch_max = std::max(recovery_.epoch_max, header.epoch);
        }
        return true;
    }

    bool sync_directory() {
        if (!options_.sync) {
            return true;
        }
        if (const IoResult<void> synced = files_.sync_directory(directory_); !synced) {
            return fail_io("", synced.error());
        }
        return true;
    }

    FileSystem& files_;
    const std::string& directory_;
    const WalOptions& options_;
    WalRecovery& recovery_;
    WalOpenFailure& failure_;

    std::vector<std::uint64_t> numbers_;
    std::vector<std::string> reserve_names_;
    std::string void_newest_;  // name of a newest segment that is to be dropped
    std::unique_ptr<File> file_;
    WalSegmentHeader header_;
    std::string bytes_;
    std::uint64_t last_append_offset_ = 0;
};

}  // namespace

bool recover_wal(FileSystem& files, const std::string& directory, const WalOptions& options,
                 WalRecovery& recovery, WalOpenFailure& failure) {
    return Recovery(files, directory, options, recovery, failure).run();
}

}  // namespace cairn::raft
