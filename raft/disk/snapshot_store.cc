#include "raft/disk/snapshot_store.h"

#include <algorithm>
#include <array>
#include <utility>

#include <spdlog/spdlog.h>

#include "raft/base/crc32c.h"

namespace cairn::raft {
namespace {

namespace errc = boost::system::errc;
using boost::system::error_code;

error_code error_of(errc::errc_t code) {
    return errc::make_error_code(code);
}

}  // namespace

// What is in the directory. Shared by the store, its writer and its receiver.
class SnapshotDirectory {
 public:
    SnapshotDirectory(FileSystem& files, std::string path, const SnapshotOptions& options)
        : files_(files), path_(std::move(path)), options_(options) {}

    FileSystem& files() const { return files_; }
    const SnapshotOptions& options() const { return options_; }
    const std::vector<SnapshotFile>& valid() const { return valid_; }
    const std::vector<DamagedSnapshot>& damaged() const { return damaged_; }
    std::string path_of(const std::string& name) const { return path_ + "/" + name; }
    // Counts the files made, for names and salts.
    std::uint64_t next_file_number() { return ++file_number_; }

    bool load(SnapshotFailure& failure);
    // Why no such snapshot can be committed (now), if so.
    error_code refusal_of(const SnapshotMeta& meta) const;
    // The synced temporary file becomes the snapshot. Clears the name once it is gone.
    IoResult<void> publish(std::string& temporary_name, SnapshotFile file);
    void mark_damaged(const SnapshotId& id, const std::string& detail);
    IoResult<void> remove_damaged();
    void remove_predecessors();
    // Says so in the log when it fails; a restart will remove it.
    void remove_temporary(const std::string& name);

 private:
    bool inspect(const SnapshotId& id, SnapshotFailure& failure);
    bool has(const SnapshotId& id) const;
    void remove_superseded();
    bool remove_or_warn(const SnapshotId& id);

    FileSystem& files_;
    const std::string path_;
    const SnapshotOptions options_;
    std::uint64_t file_number_ = 0;
    std::vector<SnapshotFile> valid_;       // oldest first
    std::vector<DamagedSnapshot> damaged_;  // oldest first
};

bool SnapshotDirectory::load(SnapshotFailure& failure) {
    const auto fail = [&](const std::string& name, const error_code& error) {
        failure = {.error = SnapshotError::io, .detail = path_of(name) + ": " + error.message()};
        return false;
    };
    if (const IoResult<void> made = files_.create_directories(path_); !made) {
        return fail("", made.error());
    }
    const IoResult<std::vector<std::string>> names = files_.list(path_);
    if (!names) {
        return fail("", names.error());
    }
    for (const std::string& name : *names) {
        if (is_snapshot_temporary_name(name)) {
            if (const IoResult<void> removed = files_.remove(path_of(name)); !removed) {
                return fail(name, removed.error());
            }
        } else if (const std::optional<SnapshotId> id = parse_snapshot_name(name)) {
            if (!inspect(*id, failure)) {
                return false;
            }
        }
    }
    // A crash may have come before this was done, or have undone it.
    remove_superseded();
    return true;
}

// Puts it into one of the lists. Returns false when it is neither valid nor damaged.
bool SnapshotDirectory::inspect(const SnapshotId& id, SnapshotFailure& failure) {
    const std::string path = path_of(snapshot_name(id));
    const std::unique_ptr<SnapshotReader> reader = SnapshotReader::open(files_, path, failure);
    if (reader == nullptr) {
        if (failure.error != SnapshotError::damaged) {
            return false;
        }
        damaged_.push_back({.id = id, .detail = std::exchange(failure.detail, {})});
        return true;
    }
    const SnapshotMeta& meta = reader->meta();
    if (meta.cluster_id != options_.cluster_id || meta.group != options_.group) {
        failure = {.error = SnapshotError::foreign,
                   .detail = path + ": belongs to cluster " + std::to_string(meta.cluster_id) +
                             " group " + std::to_string(meta.group) + ", not to cluster " +
                             std::to_string(options_.cluster_id) + " group " +
                             std::to_string(options_.group)};
        return false;
    }
    if (id_of(meta) != id) {
        damaged_.push_back({.id = id, .detail = path + ": is another snapshot than its name says"});
        return true;
    }
    valid_.push_back({.meta = meta, .content = reader->content()});
    return true;
}

error_code SnapshotDirectory::refusal_of(const SnapshotMeta& meta) const {
    if (meta.cluster_id != options_.cluster_id || meta.group != options_.group ||
        !validate(meta).empty()) {
        return error_of(errc::invalid_argument);
    }
    if (valid_.empty()) {
        return {};
    }
    const SnapshotId latest = id_of(valid_.back().meta);
    if (meta.last_included_index < latest.index) {
        return error_of(errc::file_exists);
    }
    // A committed index has one term.
    if (meta.last_included_index == latest.index && meta.last_included_term != latest.term) {
        return error_of(errc::invalid_argument);
    }
    return {};
}

bool SnapshotDirectory::has(const SnapshotId& id) const {
    const auto same_valid = [&](const SnapshotFile& file) { return id_of(file.meta) == id; };
    const auto same_damaged = [&](const DamagedSnapshot& file) { return file.id == id; };
    return std::any_of(valid_.begin(), valid_.end(), same_valid) ||
           std::any_of(damaged_.begin(), damaged_.end(), same_damaged);
}

IoResult<void> SnapshotDirectory::publish(std::string& temporary_name, SnapshotFile file) {
    // Again, because the other one of writer and receiver may have been faster.
    if (const error_code refusal = refusal_of(file.meta)) {
        return refusal;
    }
    const SnapshotId id = id_of(file.meta);
    const std::string path = path_of(snapshot_name(id));
    const bool replaces = has(id);
    if (const IoResult<void> renamed = files_.rename(path_of(temporary_name), path); !renamed) {
        return renamed;
    }
    temporary_name.clear();
    if (options_.sync) {
        if (const IoResult<void> synced = files_.sync_directory(path_); !synced) {
            // It is whole, but may be gone after a crash: it doesn't count. One that took the place
            // of another must stay, for it may be all there is.
            if (!replaces) {
                remove_or_warn(id);
            }
            for (SnapshotFile& other : valid_) {
                if (id_of(other.meta) == id) {
                    other = file;
                }
            }
            return synced;
        }
    }
    std::erase_if(valid_, [&](const SnapshotFile& other) { return id_of(other.meta) == id; });
    std::erase_if(damaged_, [&](const DamagedSnapshot& other) { return other.id == id; });
    valid_.push_back(std::move(file));
    remove_superseded();
    return {};
}

// Keeps the newest valid one, a valid predecessor, and damaged ones that are newer than both.
void SnapshotDirectory::remove_superseded() {
    while (valid_.size() > 2 && remove_or_warn(id_of(valid_.front().meta))) {
        valid_.erase(valid_.begin());
    }
    while (!valid_.empty() && !damaged_.empty() &&
           damaged_.front().id < id_of(valid_.back().meta) && remove_or_warn(damaged_.front().id)) {
        damaged_.erase(damaged_.begin());
    }
}

bool SnapshotDirectory::remove_or_warn(const SnapshotId& id) {
    const std::string path = path_of(snapshot_name(id));
    if (const IoResult<void> removed = files_.remove(path); !removed) {
        spdlog::warn("snapshot store: can't remove {}: {}", path, removed.error().message());
        return false;
    }
    return true;
}

void SnapshotDirectory::remove_temporary(const std::string& name) {
    if (const IoResult<void> removed = files_.remove(path_of(name)); !removed) {
        spdlog::warn("snapshot store: can't remove {}: {}", path_of(name),
                     removed.error().message());
    }
}

void SnapshotDirectory::mark_damaged(const SnapshotId& id, const std::string& detail) {
    const auto found = std::find_if(valid_.begin(), valid_.end(), [&](const SnapshotFile& file) {
        return id_of(file.meta) == id;
    });
    if (found == valid_.end()) {
        return;
    }
    valid_.erase(found);
    const auto behind = std::find_if(damaged_.begin(), damaged_.end(),
                                     [&](const DamagedSnapshot& other) { return id < other.id; });
    damaged_.insert(behind, {.id = id, .detail = detail});
}

// A disk full of snapshots would otherwise never take the one that lets the log be trimmed.
void SnapshotDirectory::remove_predecessors() {
    while (valid_.size() > 1 && remove_or_warn(id_of(valid_.front().meta))) {
        valid_.erase(valid_.begin());
    }
}

IoResult<void> SnapshotDirectory::remove_damaged() {
    while (!damaged_.empty()) {
        const std::string path = path_of(snapshot_name(damaged_.back().id));
        if (const IoResult<void> removed = files_.remove(path); !removed) {
            return removed;
        }
        damaged_.pop_back();
    }
    return options_.sync ? files_.sync_directory(path_) : IoResult<void>();
}

IoResult<void> SnapshotWriter::create(const SnapshotMeta& meta) {
    abandon();
    if (const error_code refusal = directory_.refusal_of(meta)) {
        return refusal;
    }
    const std::uint64_t number = directory_.next_file_number();
    const std::string name = snapshot_temporary_name(meta.last_included_index, number);
    IoResult<std::unique_ptr<File>> file =
        directory_.files().open(directory_.path_of(name), FileSystem::OpenMode::create_new);
    if (!file) {
        return fail(file.error());
    }
    file_ = std::move(*file);
    temporary_name_ = name;
    header_ = {.meta = meta,
               .salt = directory_.options().salt + number,
               .chunk_bytes = directory_.options().chunk_bytes};
    footer_ = {};
    seed_ = snapshot_seed(header_);
    offset_ = 0;
    unsynced_bytes_ = 0;
    return write(encode_snapshot_header(header_), {});
}

IoResult<void> SnapshotWriter::append(std::string_view bytes) {
    if (!is_writing()) {
        return error_of(errc::operation_not_permitted);
    }
    footer_.content.crc = crc32c(bytes, footer_.content.crc);
    footer_.content.bytes += bytes.size();
    while (!bytes.empty()) {
        std::string_view chunk = bytes.substr(0, header_.chunk_bytes - buffer_.size());
        bytes.remove_prefix(chunk.size());
        // A whole chunk needs no copy.
        if (chunk.size() < header_.chunk_bytes) {
            buffer_ += chunk;
            chunk = buffer_;
        }
        if (chunk.size() < header_.chunk_bytes) {
            break;
        }
        if (const IoResult<void> written = write_chunk(chunk); !written) {
            return written;
        }
        buffer_.clear();
    }
    return {};
}

IoResult<void> SnapshotWriter::write_chunk(std::string_view bytes) {
    const std::uint32_t crc = snapshot_chunk_crc(bytes, footer_.chunk_count, seed_);
    const auto header = encode_snapshot_chunk_header(
        {.bytes = static_cast<std::uint32_t>(bytes.size()), .crc = crc});
    ++footer_.chunk_count;
    footer_.chunk_crcs_crc = snapshot_chain_crc(crc, footer_.chunk_crcs_crc);
    return write({header.data(), header.size()}, bytes);
}

// At the file's end.
IoResult<void> SnapshotWriter::write(std::string_view first, std::string_view second) {
    const std::array<std::string_view, 2> parts{first, second};
    if (const IoResult<void> written = file_->write_at(offset_, parts); !written) {
        return fail(written.error());
    }
    offset_ += first.size() + second.size();
    unsynced_bytes_ += first.size() + second.size();
    if (directory_.options().sync && unsynced_bytes_ >= directory_.options().sync_interval_bytes) {
        if (const IoResult<void> synced = file_->sync(); !synced) {
            return fail(synced.error());
        }
        unsynced_bytes_ = 0;
    }
    return {};
}

IoResult<void> SnapshotWriter::seal() {
    if (!buffer_.empty()) {
        if (const IoResult<void> written = write_chunk(buffer_); !written) {
            return written;
        }
        buffer_.clear();
    }
    if (const IoResult<void> written = write(encode_snapshot_footer(footer_, seed_), {});
        !written) {
        return written;
    }
    if (directory_.options().sync) {
        if (const IoResult<void> synced = file_->sync(); !synced) {
            return fail(synced.error());
        }
    }
    return {};
}

IoResult<void> SnapshotWriter::read_back(const SnapshotContent& expected) {
    if (footer_.content != expected) {
        return error_of(errc::bad_message);
    }
    SnapshotFailure failure;
    const std::unique_ptr<SnapshotReader> reader =
        SnapshotReader::open(directory_.files(), directory_.path_of(temporary_name_), failure);
    if (reader == nullptr) {
        spdlog::error("snapshot store: reading back what was written: {}", failure.detail);
        return error_of(failure.error == SnapshotError::io ? errc::io_error : errc::bad_message);
    }
    const IoResult<void> verified = reader->verify();
    if (!verified) {
        spdlog::error("snapshot store: reading back what was written: {}",
                      reader->damage().empty() ? verified.error().message() : reader->damage());
    }
    return verified;
}

IoResult<void> SnapshotWriter::commit(const std::optional<SnapshotContent>& expected) {
    if (!is_writing()) {
        return error_of(errc::operation_not_permitted);
    }
    if (const IoResult<void> sealed = seal(); !sealed) {
        return sealed;
    }
    if (expected) {
        if (const IoResult<void> verified = read_back(*expected); !verified) {
            return fail(verified.error());
        }
    }
    const IoResult<void> published =
        directory_.publish(temporary_name_, {.meta = header_.meta, .content = footer_.content});
    if (!published) {
        return fail(published.error());
    }
    file_.reset();
    return {};
}

IoResult<void> SnapshotWriter::fail(const error_code& error) {
    abandon();
    if (is_disk_full(error)) {
        directory_.remove_predecessors();
    }
    return error;
}

void SnapshotWriter::abandon() {
    file_.reset();
    buffer_.clear();
    if (!temporary_name_.empty()) {
        directory_.remove_temporary(std::exchange(temporary_name_, {}));
    }
}

IoResult<std::uint64_t> SnapshotReceiver::begin(const SnapshotMeta& meta,
                                                const SnapshotContent& content) {
    if (!is_receiving() || meta != meta_ || content != announced_) {
        if (const IoResult<void> created = writer_.create(meta); !created) {
            return created.error();
        }
        meta_ = meta;
        announced_ = content;
    }
    return writer_.content().bytes;
}

IoResult<std::uint64_t> SnapshotReceiver::accept(std::uint64_t offset, std::string_view bytes) {
    if (!is_receiving()) {
        return error_of(errc::operation_not_permitted);
    }
    const std::uint64_t wanted = writer_.content().bytes;
    if (offset != wanted) {
        return wanted;
    }
    if (bytes.size() > announced_.bytes - wanted) {
        writer_.abandon();
        return error_of(errc::invalid_argument);
    }
    if (const IoResult<void> appended = writer_.append(bytes); !appended) {
        return appended.error();
    }
    return writer_.content().bytes;
}

IoResult<void> SnapshotReceiver::finish() {
    if (!is_receiving()) {
        return error_of(errc::operation_not_permitted);
    }
    if (!is_complete()) {
        return error_of(errc::invalid_argument);
    }
    return writer_.commit(announced_);
}

SnapshotStore::SnapshotStore(std::unique_ptr<SnapshotDirectory> directory)
    : directory_(std::move(directory)), writer_(*directory_), receiver_(*directory_) {}

SnapshotStore::~SnapshotStore() = default;

std::unique_ptr<SnapshotStore> SnapshotStore::open(FileSystem& files, const std::string& directory,
                                                   const SnapshotOptions& options,
                                                   SnapshotFailure& failure) {
    if (options.chunk_bytes == 0 || options.chunk_bytes > snapshot_chunk_bytes_max) {
        failure = {.error = SnapshotError::io,
                   .detail = directory + ": chunks of " + std::to_string(options.chunk_bytes) +
                             " bytes are not possible"};
        return nullptr;
    }
    auto opened = std::make_unique<SnapshotDirectory>(files, directory, options);
    if (!opened->load(failure)) {
        return nullptr;
    }
    return std::unique_ptr<SnapshotStore>(new SnapshotStore(std::move(opened)));
}

const SnapshotFile* SnapshotStore::latest() const {
    return directory_->valid().empty() ? nullptr : &directory_->valid().back();
}

std::unique_ptr<SnapshotReader> SnapshotStore::open_latest(SnapshotFailure& failure) const {
    const SnapshotFile* file = latest();
    if (file == nullptr) {
        failure = {.error = SnapshotError::io,
                   .detail = directory_->path_of("") + ": there is no snapshot"};
        return nullptr;
    }
    return SnapshotReader::open(directory_->files(),
                                directory_->path_of(snapshot_name(id_of(file->meta))), failure);
}

const std::vector<DamagedSnapshot>& SnapshotStore::damaged() const {
    return directory_->damaged();
}

bool SnapshotStore::is_newest_damaged() const {
    const SnapshotFile* file = latest();
    return !damaged().empty() && (file == nullptr || id_of(file->meta) < damaged().back().id);
}

void SnapshotStore::mark_damaged(const SnapshotId& id, const std::string& detail) {
    directory_->mark_damaged(id, detail);
}

IoResult<void> SnapshotStore::remove_damaged() {
    return directory_->remove_damaged();
}

}  // namespace cairn::raft
