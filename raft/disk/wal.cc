// Order of steps, on which recovery builds. An append is one write and one sync. A roll is
//   1. a reserve is made if there is none: zeros, sync, directory sync;
//   2. end_of_segment is appended to the old segment, sync;
//   3. the new header is written into the reserve, sync;
//   4. the reserve gets a segment's name, directory sync;
// and only then comes the first append, which begins with all hard states. Segments are recycled
// from the oldest on, each with a directory sync of its own and only when the newest holds an
// append; a recycled file gets a new header only after its old name is durably gone.
#include "raft/disk/wal.h"

#include <algorithm>
#include <deque>
#include <utility>

#include "raft/disk/wal_format.h"
#include "raft/disk/wal_layout.h"
#include "raft/disk/wal_recovery.h"

namespace cairn::raft {
namespace {

using boost::system::error_code;
namespace errc = boost::system::errc;

// Smaller payloads are copied beside their headers: a part of a gathered write costs more.
constexpr std::size_t zero_fill_piece_bytes = 1U << 20;
constexpr std::uint64_t no_limit = ~std::uint64_t{0};

// splitmix64's finish: every segment has a salt of its own.
std::uint64_t mix(std::uint64_t value) {
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9U;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebU;
    return value ^ (value >> 31);
}

WalRecordHeader hard_state_record(GroupId group, const HardState& state) {
    return {.type = WalRecordType::hard_state,
            .group = group,
            .term = state.term,
            .index = state.voted_for};
}

// An error code is no bool, but converts to one, so that result<bool> wants to be told.
IoResult<bool> failure(const error_code& error) {
    return {boost::system::in_place_error, error};
}

std::string check_options(const WalOptions& options) {
    if (options.segment_bytes <= wal_segment_header_bytes) {
        return "segment_bytes is too small";
    }
    if (options.segment_bytes % wal_segment_header_bytes != 0) {
        return "segment_bytes is not a multiple of " + std::to_string(wal_segment_header_bytes);
    }
    if (options.record_bytes_max >= std::uint64_t{1} << 31) {
        return "record_bytes_max is too large";
    }
    return {};
}

}  // namespace

class Wal::Impl {
 public:
    Impl(FileSystem& files, std::string directory, const WalOptions& options)
        : files_(files),
          directory_(std::move(directory)),
          options_(options),
          segment_bytes_(options.segment_bytes) {}

    // Takes over everything but the groups' states.
    void adopt(WalRecovery& recovery) {
        segments_.assign(std::make_move_iterator(recovery.segments.begin()),
                         std::make_move_iterator(recovery.segments.end()));
        file_ = std::move(recovery.newest_file);
        seed_ = wal_record_seed(recovery.newest_header);
        position_ = recovery.end_offset;
        next_sequence_ = recovery.next_sequence;
        ended_ = recovery.ended;
        has_append_ = recovery.has_append;
        epoch_ = recovery.epoch_max;
        reserves_ = std::move(recovery.reserves);
        reserve_number_ = recovery.reserve_number_max;
        for (const auto& [group, state] : recovery.replay.groups) {
            if (state.next_index != 0) {
                next_index_[group] = state.next_index;
            }
            if (state.hard_state != HardState{}) {
                hard_states_[group] = state.hard_state;
            }
        }
    }

    bool has_segment() const { return !segments_.empty(); }
    bool failed() const { return failed_; }

    WalFigures figures() const {
        std::uint64_t file_bytes = reserves_.size() * segment_bytes_;
        for (const WalSegmentContent& segment : segments_) {
            file_bytes += segment.segment_bytes;
        }
        return {.segments = segments_.size(),
                .file_bytes = file_bytes,
                .written_bytes = written_bytes_};
    }

    IoResult<void> append(std::span<const WalAppend> parts) {
        if (failed_) {
            return errc::make_error_code(errc::io_error);
        }
        if (const IoResult<void> collected = collect(parts); !collected) {
            failed_ = true;
            return collected;
        }
        std::span<const PendingRecord> rest = pending_;
        while (!rest.empty()) {
            const std::size_t count = fitting_records(rest, free_bytes());
            // Kept whole when the next segment can take it all.
            const bool roll_first =
                count == 0 || (count < rest.size() &&
                               fitting_records(rest, empty_segment_bytes()) == rest.size());
            if (roll_first) {
                if (const IoResult<void> rolled = roll(); !rolled) {
                    return rolled;
                }
                continue;
            }
            if (const IoResult<void> written = write(rest.first(count)); !written) {
                failed_ = true;
                return written;
            }
            rest = rest.subspan(count);
        }
        return {};
    }

    IoResult<void> release(GroupId group, Index first_needed) {
        if (failed_) {
            return errc::make_error_code(errc::io_error);
        }
        Index& released = released_[group];
        released = std::max(released, first_needed);
        while (segments_.size() > 1 && has_append_ && !is_wanted(segments_.front())) {
            if (const IoResult<void> recycled = recycle_oldest(); !recycled) {
                failed_ = true;
                return recycled;
            }
        }
        return {};
    }

    IoResult<bool> prepare_reserve(std::uint64_t bytes_max) {
        if (failed_) {
            return failure(errc::make_error_code(errc::io_error));
        }
        const IoResult<bool> ready = fill_reserve(bytes_max);
        if (!ready) {
            failed_ = !is_disk_full(ready.error());
            drop_half_filled();
        }
        return ready;
    }

    // Goes on in a new segment. A full disk leaves everything as it was.
    IoResult<void> roll() {
        if (const IoResult<bool> ready = prepare_reserve(no_limit); !ready) {
            return ready.error();
        }
        const IoResult<void> started = start_segment();
        failed_ = !started;
        return started;
    }

 private:
    std::string path_of(const std::string& name) const { return directory_ + "/" + name; }

    IoResult<void> sync_file(File& file) { return options_.sync ? file.sync() : IoResult<void>(); }
    IoResult<void> sync_directory() {
        return options_.sync ? files_.sync_directory(directory_) : IoResult<void>();
    }

    // ---- what to write

    // Makes records of the parts, in pending_.
    IoResult<void> collect(std::span<const WalAppend> parts) {
        pending_.clear();
        planned_next_index_ = next_index_;
        for (const WalAppend& part : parts) {
            if (part.hard_state) {
                pending_.push_back({hard_state_record(part.group, *part.hard_state), {}});
            }
            if (part.log_start) {
                collect_log_start(part.group, *part.log_start);
            }
            for (const Entry& entry : part.entries) {
                if (const IoResult<void> collected = collect_entry(part.group, entry); !collected) {
                    return collected;
                }
            }
        }
        // A record must fit a segment of its own even when all groups' hard states precede it.
        for (const PendingRecord& record : pending_) {
            const std::uint64_t size = wal_record_bytes(record.payload.size());
            if (size > empty_segment_bytes()) {
                make_larger_segments(size);
            }
        }
        return {};
    }

    void collect_log_start(GroupId group, Index index) {
        pending_.push_back(
            {{.type = WalRecordType::log_start, .group = group, .index = index}, {}});
        planned_next_index_[group] = index;
    }

    IoResult<void> collect_entry(GroupId group, const Entry& entry) {
        if (entry.index == 0) {
            return errc::make_error_code(errc::invalid_argument);
        }
        if (entry.payload.size() > options_.record_bytes_max) {
            return errc::make_error_code(errc::message_size);
        }
        const auto next = planned_next_index_.find(group);
        if (next != planned_next_index_.end() && entry.index > next->second) {
            const auto released = released_.find(group);
            if (released == released_.end() || entry.index > released->second) {
                return errc::make_error_code(errc::invalid_argument);
            }
            collect_log_start(group, entry.index);
        }
        pending_.push_back({{.type = WalRecordType::entry,
                             .kind = entry.kind,
                             .payload_bytes = static_cast<std::uint32_t>(entry.payload.size()),
                             .payload_crc = wal_payload_crc(entry.payload.view()),
                             .group = group,
                             .term = entry.term,
                             .index = entry.index,
                             .stamp_ns = entry.stamp_ns},
                            entry.payload.view()});
        planned_next_index_[group] = entry.index + 1;
        return {};
    }

    // How many of the records, from the first on, `bytes` hold.
    static std::size_t fitting_records(std::span<const PendingRecord> records,
                                       std::uint64_t bytes) {
        std::size_t count = 0;
        for (const PendingRecord& record : records) {
            const std::uint64_t size = wal_record_bytes(record.payload.size());
            if (size > bytes) {
                break;
            }
            bytes -= size;
            ++count;
        }
        return count;
    }

    std::uint64_t head_bytes() const { return hard_states_.size() * wal_record_header_bytes; }

    // For records, in the current segment; room for end_of_segment always stays.
    std::uint64_t free_bytes() const {
        if (segments_.empty() || ended_) {
            return 0;
        }
        const std::uint64_t taken =
            position_ + wal_record_header_bytes + (has_append_ ? 0 : head_bytes());
        const std::uint64_t all = segments_.back().segment_bytes;
        return taken < all ? all - taken : 0;
    }

    // What a segment needs beside its records.
    std::uint64_t overhead_bytes() const {
        return wal_segment_header_bytes + wal_record_header_bytes + head_bytes();
    }

    std::uint64_t empty_segment_bytes() const {
        const std::uint64_t taken = overhead_bytes();
        return taken < segment_bytes_ ? segment_bytes_ - taken : 0;
    }

    // ---- writing

    // One append of all `records`, which fit.
    IoResult<void> write(std::span<const PendingRecord> records) {
        head_.clear();
        if (!has_append_) {
            for (const auto& [group, state] : hard_states_) {
                head_.push_back({hard_state_record(group, state), {}});
            }
        }
        const auto parts = layout_.arrange(head_, records, position_, next_sequence_, seed_);
        if (const IoResult<void> written = file_->write_at(position_, parts); !written) {
            return written;
        }
        if (const IoResult<void> synced = sync_file(*file_); !synced) {
            return synced;
        }
        for (const std::string_view part : parts) {
            position_ += part.size();
            written_bytes_ += part.size();
        }
        ++next_sequence_;
        has_append_ = true;
        for (const PendingRecord& record : records) {
            note(record.header);
        }
        return {};
    }

    // Keeps in mind what a durable record means.
    void note(const WalRecordHeader& record) {
        switch (record.type) {
            case WalRecordType::hard_state:
                hard_states_[record.group] = {.term = record.term, .voted_for = record.index};
                break;
            case WalRecordType::log_start:
                for (WalSegmentContent& segment : segments_) {
                    segment.last_index.erase(record.group);
                }
                next_index_[record.group] = record.index;
                break;
            case WalRecordType::entry: {
                Index& last = segments_.back().last_index[record.group];
                last = std::max(last, record.index);
                next_index_[record.group] = record.index + 1;
                break;
            }
            case WalRecordType::end_of_segment:
                ended_ = true;
                break;
        }
    }

    // ---- segments

    // Steps 2 to 4 of a roll; there is a reserve.
    IoResult<void> start_segment() {
        if (!segments_.empty() && !ended_) {
            const PendingRecord end{{.type = WalRecordType::end_of_segment}, {}};
            if (const IoResult<void> written = write({&end, 1}); !written) {
                return written;
            }
        }
        const std::uint64_t number = segments_.empty() ? 1 : segments_.back().number + 1;
        const WalSegmentHeader header{.cluster_id = options_.cluster_id,
                                      .node_id = options_.node_id,
                                      .number = number,
                                      .epoch = epoch_ + 1,
                                      .salt = mix(options_.salt + epoch_ + 1),
                                      .segment_bytes = segment_bytes_,
                                      .append_sequence_base = next_sequence_};
        const std::string reserve = path_of(reserves_.back());
        IoResult<std::unique_ptr<File>> file =
            files_.open(reserve, FileSystem::OpenMode::read_write);
        if (!file) {
            return file.error();
        }
        const std::string block = encode_wal_segment_header(header);
        const std::string_view part = block;
        if (const IoResult<void> written = (*file)->write_at(0, {&part, 1}); !written) {
            return written;
        }
        if (const IoResult<void> synced = sync_file(**file); !synced) {
            return synced;
        }
        const std::string path = path_of(wal_segment_name(number));
        if (const IoResult<void> renamed = files_.rename(reserve, path); !renamed) {
            return renamed;
        }
        if (const IoResult<void> synced = sync_directory(); !synced) {
            return synced;
        }
        reserves_.pop_back();
        segments_.push_back({.number = number, .segment_bytes = header.segment_bytes});
        file_ = std::move(*file);
        seed_ = wal_record_seed(header);
        epoch_ = header.epoch;
        position_ = wal_segment_header_bytes;
        ended_ = false;
        has_append_ = false;
        return {};
    }

    bool is_wanted(const WalSegmentContent& segment) const {
        return std::any_of(
            segment.last_index.begin(), segment.last_index.end(), [&](const auto& content) {
                const auto released = released_.find(content.first);
                return released == released_.end() || content.second >= released->second;
            });
    }

    IoResult<void> recycle_oldest() {
        const WalSegmentContent& oldest = segments_.front();
        const std::string path = path_of(wal_segment_name(oldest.number));
        const std::size_t reserves = reserves_.size() + (filling_ == nullptr ? 0 : 1);
        const bool keep = oldest.segment_bytes == segment_bytes_ && reserves < wal_reserves_max;
        const std::string reserve = wal_reserve_name(++reserve_number_);
        const IoResult<void> gone =
            keep ? files_.rename(path, path_of(reserve)) : files_.remove(path);
        if (!gone) {
            return gone;
        }
        if (const IoResult<void> synced = sync_directory(); !synced) {
            return synced;
        }
        if (keep) {
            reserves_.push_back(reserve);
        }
        segments_.pop_front();
        return {};
    }

    // ---- reserves

    IoResult<bool> fill_reserve(std::uint64_t bytes_max) {
        if (!reserves_.empty()) {
            return true;
        }
        if (filling_ == nullptr) {
            const std::optional<std::uint64_t> room = files_.free_bytes(directory_);
            if (room && *room < segment_bytes_) {
                return failure(errc::make_error_code(errc::no_space_on_device));
            }
            filling_name_ = wal_reserve_name(++reserve_number_);
            IoResult<std::unique_ptr<File>> file =
                files_.open(path_of(filling_name_), FileSystem::OpenMode::create_new);
            if (!file) {
                return failure(file.error());
            }
            filling_ = std::move(*file);
            filled_bytes_ = 0;
        }
        const std::string zeros(zero_fill_piece_bytes, '\0');
        const std::uint64_t left = segment_bytes_ - filled_bytes_;
        const std::uint64_t stop = filled_bytes_ + std::min(left, bytes_max);
        while (filled_bytes_ < stop) {
            const std::string_view piece =
                std::string_view(zeros).substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(
                                                      zeros.size(), stop - filled_bytes_)));
            if (const IoResult<void> written = filling_->write_at(filled_bytes_, {&piece, 1});
                !written) {
                return failure(written.error());
            }
            filled_bytes_ += piece.size();
        }
        if (const IoResult<void> synced = sync_file(*filling_); !synced) {
            return failure(synced.error());
        }
        if (filled_bytes_ < segment_bytes_) {
            return false;
        }
        if (const IoResult<void> synced = sync_directory(); !synced) {
            return failure(synced.error());
        }
        filling_.reset();
        reserves_.push_back(filling_name_);
        return true;
    }

    // Gives back what a half-filled reserve took of a full disk. That it can't be removed is no
    // news beside the failure that led here, and the next start removes it.
    void drop_half_filled() {
        if (filling_ != nullptr) {
            filling_.reset();
            static_cast<void>(files_.remove(path_of(filling_name_)));
        }
    }

    // For a record of `record_bytes`, and until the log is opened again. Reserves made before are
    // too small; as above, the next start removes what stays.
    void make_larger_segments(std::uint64_t record_bytes) {
        const std::uint64_t needed = overhead_bytes() + record_bytes;
        constexpr std::uint64_t block = wal_segment_header_bytes;
        segment_bytes_ = (needed + block - 1) / block * block;
        drop_half_filled();
        for (const std::string& reserve : reserves_) {
            static_cast<void>(files_.remove(path_of(reserve)));
        }
        reserves_.clear();
    }

    FileSystem& files_;
    const std::string directory_;
    const WalOptions options_;
    std::uint64_t segment_bytes_;  // of the next segments, and of the reserves
    bool failed_ = false;

    std::deque<WalSegmentContent> segments_;  // oldest first; the last one is written to
    std::unique_ptr<File> file_;              // of the last one
    std::uint32_t seed_ = 0;
    std::uint64_t position_ = 0;  // where the next append goes
    std::uint64_t next_sequence_ = 1;
    std::uint64_t written_bytes_ = 0;
    std::uint64_t epoch_ = 0;  // largest one given away
    bool ended_ = false;       // the last segment takes no more
    bool has_append_ = false;  // the last segment has one, so hard states are at its head

    std::vector<std::string> reserves_;  // names
    std::uint64_t reserve_number_ = 0;
    std::unique_ptr<File> filling_;  // a reserve that isn't ready yet
    std::string filling_name_;
    std::uint64_t filled_bytes_ = 0;

    std::map<GroupId, HardState> hard_states_;
    std::map<GroupId, Index> next_index_;  // behind the newest entry
    std::map<GroupId, Index> released_;    // first index that is still needed

    // Of the append under way; members to keep their memory.
    std::map<GroupId, Index> planned_next_index_;
    std::vector<PendingRecord> pending_;
    std::vector<PendingRecord> head_;
    WalLayout layout_;
};

Wal::Wal(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Wal::~Wal() = default;

std::unique_ptr<Wal> Wal::open(FileSystem& files, const std::string& directory,
                               const WalOptions& options,
                               std::map<GroupId, WalGroupState>& recovered,
                               WalOpenFailure& failure) {
    recovered.clear();
    if (const std::string wrong = check_options(options); !wrong.empty()) {
        failure = {.error = WalOpenError::io, .detail = directory + ": " + wrong};
        return nullptr;
    }
    WalRecovery recovery;
    if (!recover_wal(files, directory, options, recovery, failure)) {
        return nullptr;
    }
    auto impl = std::make_unique<Impl>(files, directory, options);
    impl->adopt(recovery);
    if (!impl->has_segment()) {
        if (const IoResult<void> rolled = impl->roll(); !rolled) {
            failure = {.error = WalOpenError::io,
                       .detail = directory + ": first segment: " + rolled.error().message()};
            return nullptr;
        }
    }
    recovered = std::move(recovery.replay.groups);
    return std::unique_ptr<Wal>(new Wal(std::move(impl)));
}

IoResult<void> Wal::append(std::span<const WalAppend> parts) {
    return impl_->append(parts);
}

IoResult<void> Wal::release(GroupId group, Index first_needed) {
    return impl_->release(group, first_needed);
}

IoResult<bool> Wal::prepare_reserve(std::uint64_t bytes_max) {
    return impl_->prepare_reserve(bytes_max);
}

bool Wal::failed() const {
    return impl_->failed();
}

WalFigures Wal::figures() const {
    return impl_->figures();
}

}  // namespace cairn::raft
