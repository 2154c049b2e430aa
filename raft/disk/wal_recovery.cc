#include "raft/disk/wal_recovery.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace cairn::raft {
namespace {

class Recovery {
 public:
    Recovery(FileSystem& files, const std::string& directory, const WalOptions& options,
             WalRecovery& recovery, WalOpenFailure& failure)
        : files_(files),
          directory_(directory),
          options_(options),
          recovery_(recovery),
          failure_(failure),
          reader_(files, directory, WalOwner{options.cluster_id, options.node_id}) {}

    bool run() { return read() && repair() && tend_reserves(); }

 private:
    bool fail(const WalFault& fault) {
        failure_ = {.error = fault.error, .detail = path_of(fault.name) + ": " + fault.what};
        return false;
    }
    bool fail_io(const std::string& name, const boost::system::error_code& error) {
        return fail({.name = name, .offset = std::nullopt, .what = error.message()});
    }
    std::string path_of(const std::string& name) const { return directory_ + "/" + name; }

    bool read() {
        if (const IoResult<void> made = files_.create_directories(directory_); !made) {
            return fail_io("", made.error());
        }
        if (!reader_.open()) {
            return fail(reader_.fault());
        }
        while (true) {
            switch (reader_.next()) {
                case WalReader::Step::segment:
                    if (!take_segment()) {
                        return false;
                    }
                    break;
                case WalReader::Step::fault:
                    return fail(reader_.fault());
                case WalReader::Step::end:
                    return open_newest();
            }
        }
    }

    bool take_segment() {
        const WalSegmentHeader& header = reader_.header();
        const WalSegmentScan& scan = reader_.scan();
        WalSegmentContent content{.number = header.number, .segment_bytes = header.segment_bytes};
        for (const WalRecord& record : scan.records) {
            const std::string wrong = recovery_.replay.apply(record);
            if (!wrong.empty()) {
                return fail({.error = WalOpenError::corruption,
                             .name = reader_.name(),
                             .offset = record.offset,
                             .what = wrong});
            }
            note_content(record.header, content);
        }
        recovery_.segments.push_back(std::move(content));
        recovery_.newest_header = header;
        recovery_.end_offset = scan.end_offset;
        recovery_.next_sequence = scan.next_sequence;
        recovery_.ended = scan.ended;
        recovery_.has_append = scan.end_offset > wal_segment_header_bytes;
        recovery_.epoch_max = header.epoch;
        last_append_offset_ = scan.last_append_offset;
        return true;
    }

    bool open_newest() {
        if (recovery_.segments.empty()) {
            return true;
        }
        const std::string name = wal_segment_name(recovery_.newest_header.number);
        IoResult<std::unique_ptr<File>> file =
            files_.open(path_of(name), FileSystem::OpenMode::read_write);
        if (!file) {
            return fail_io(name, file.error());
        }
        recovery_.newest_file = std::move(*file);
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
        if (recovery_.newest_file != nullptr && !repair_tail()) {
            return false;
        }
        return sync_directory();
    }

    // The reader still holds the newest segment.
    bool repair_tail() {
        File& file = *recovery_.newest_file;
        const std::string name = wal_segment_name(recovery_.newest_header.number);
        // The last append may have been read from the page cache without ever having reached the
        // disk, and after a failed sync the cache even holds it as clean. It counts from now on,
        // so it is written again.
        const std::string_view bytes = reader_.bytes();
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
        for (const std::string& name : reader_.reserve_names()) {
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

    WalReader reader_;
    std::uint64_t last_append_offset_ = 0;
};

}  // namespace

bool recover_wal(FileSystem& files, const std::string& directory, const WalOptions& options,
                 WalRecovery& recovery, WalOpenFailure& failure) {
    return Recovery(files, directory, options, recovery, failure).run();
}

}  // namespace cairn::raft
