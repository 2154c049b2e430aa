#include "server/node/backup_service.h"

#include <algorithm>
#include <utility>

#include <spdlog/spdlog.h>

#include "raft/base/crc32c.h"

namespace cairn::server {
namespace {

constexpr std::int64_t ns_per_ms = 1'000'000;

std::string text_of(const raft::IoResult<void>& read, const raft::SnapshotReader& reader) {
    if (read) {
        return {};
    }
    return reader.damage().empty() ? read.error().message() : reader.damage();
}

}  // namespace

BackupService::BackupService(SnapshotService& snapshots, SnapshotRunner& runner,
                             const BackupLimits& limits, std::uint64_t cluster_id,
                             std::function<void()> request_turn)
    : snapshots_(snapshots),
      runner_(runner),
      limits_(limits),
      cluster_id_(cluster_id),
      request_turn_(std::move(request_turn)) {}

void BackupService::open(std::shared_ptr<Operation> operation, Port& port, raft::Index needed_index,
                         std::int64_t now_ns) {
    now_ns_ = now_ns;
    operation->failure = Failure::none;
    operation->error.clear();
    operation->download.reset();
    if (backups_.size() >= limits_.backups_max) {
        operation->failure = Failure::overloaded;
        port.finished(std::move(operation));
        return;
    }
    auto backup = std::make_shared<Backup>();
    backup->needed_index = needed_index;
    backup->deadline_ns = now_ns + operation->timeout_ms * ns_per_ms;
    backup->progress = snapshots_.written_slices();
    backup->operation = std::move(operation);
    backup->port = &port;
    backups_.push_back(backup);
    advance(backup);
}

void BackupService::read(std::shared_ptr<Operation> operation, Port& port, std::int64_t now_ns) {
    now_ns_ = now_ns;
    operation->failure = Failure::none;
    operation->error.clear();
    const auto found = std::ranges::find_if(backups_, [&](const Shared& backup) {
        return backup->stage == Stage::ready && !backup->operation &&
               backup->download.lock() == operation->download;
    });
    if (!operation->download || found == backups_.end()) {
        operation->failure = Failure::interrupted;
        port.finished(std::move(operation));
        return;
    }
    Backup& backup = **found;
    backup.deadline_ns = now_ns + limits_.piece_ns;
    backup.operation = std::move(operation);
    backup.port = &port;
    advance(*found);
}

void BackupService::turn(std::int64_t now_ns) {
    now_ns_ = now_ns;
    // advance() may answer, but adds and removes none.
    for (const Shared& backup : backups_) {
        watch_deadline(backup);
        if (backup->stage == Stage::ready && !backup->operation && backup->download.expired()) {
            backup->stage = Stage::over;
        }
        advance(backup);
    }
    std::erase_if(backups_, [this](const Shared& backup) { return close(backup); });
}

void BackupService::stop() {
    for (const Shared& backup : backups_) {
        fail(backup, Failure::draining, {});
    }
}

void BackupService::watch_deadline(const Shared& backup) {
    if (!backup->operation || now_ns_ < backup->deadline_ns) {
        return;
    }
    const std::uint64_t progress = snapshots_.written_slices() + backup->checked_pieces;
    if (backup->stage != Stage::ready && progress != backup->progress) {
        backup->progress = progress;
        backup->deadline_ns = now_ns_ + backup->operation->timeout_ms * ns_per_ms;
        return;
    }
    fail(backup, Failure::timeout, {});
}

void BackupService::advance(const Shared& backup) {
    if (backup->busy) {
        return;
    }
    switch (backup->stage) {
        case Stage::snapshot:
            return take_snapshot(backup);
        case Stage::unopened:
            return open_file(backup);
        case Stage::checking:
            return check_pieces(backup);
        case Stage::ready:
            return read_piece(backup);
        case Stage::over:
            return;
    }
}

void BackupService::take_snapshot(const Shared& backup) {
    backup->busy = true;
    snapshots_.take([this, backup](raft::Index index, const std::string& error) {
        backup->busy = false;
        if (backup->stage == Stage::over) {
            return;
        }
        if (index == 0) {
            fail(backup, Failure::none, error.empty() ? "nothing is applied yet" : error);
        } else if (index >= backup->needed_index) {
            backup->stage = Stage::unopened;
        }
        // Else it was one that had begun before: the next turn asks for another.
        request_turn_();
    });
}

bool BackupService::run(const Shared& backup, std::function<std::string(raft::SnapshotStore&)> work,
                        std::function<void()> done) {
    const auto error = std::make_shared<std::string>();
    backup->busy = true;
    const bool queued = runner_.run(
        [error, work = std::move(work)](raft::SnapshotStore& store) { *error = work(store); },
        [this, backup, error, done = std::move(done)] {
            backup->busy = false;
            if (backup->stage != Stage::over) {
                if (error->empty()) {
                    done();
                } else {
                    spdlog::error("can't make a backup: {}", *error);
                    fail(backup, Failure::none, *error);
                }
            }
            request_turn_();
        });
    if (!queued) {
        backup->busy = false;  // much waits; the next turn tries again
    }
    return queued;
}

void BackupService::open_file(const Shared& backup) {
    run(
        backup,
        [backup](raft::SnapshotStore& store) {
            raft::SnapshotFailure failure;
            backup->reader = store.open_latest(failure);
            return backup->reader ? std::string() : failure.detail;
        },
        [this, backup] {
            backup->stage = Stage::checking;
            advance(backup);
        });
}

// Reads all of it once, so that a damaged file is no half download but an error.
void BackupService::check_pieces(const Shared& backup) {
    const std::uint64_t end = std::min<std::uint64_t>(
        backup->checked_pieces + limits_.pieces_per_check, backup->reader->piece_count());
    auto crc = std::make_shared<std::uint32_t>(backup->crc);
    run(
        backup,
        [reader = backup->reader, crc, first = backup->checked_pieces, end](raft::SnapshotStore&) {
            std::string piece;
            for (std::uint64_t number = first; number < end; ++number) {
                if (const auto read = reader->read_piece(number, piece); !read) {
                    return text_of(read, *reader);
                }
                *crc = raft::crc32c(piece, *crc);
            }
            return std::string();
        },
        [this, backup, crc, end] {
            backup->crc = *crc;
            backup->checked_pieces = end;
            if (end < backup->reader->piece_count()) {
                advance(backup);
            } else {
                hand_out(backup);
            }
        });
}

void BackupService::hand_out(const Shared& backup) {
    const raft::SnapshotReader& reader = *backup->reader;
    auto download = std::make_shared<Download>();
    download->cluster_id = cluster_id_;
    download->index = reader.meta().last_included_index;
    download->bytes = reader.file_bytes();
    download->crc = backup->crc;
    download->piece_count = reader.piece_count();
    backup->download = download;
    backup->stage = Stage::ready;
    if (backup->operation) {
        backup->operation->served_index = download->index;
        backup->operation->download = std::move(download);
        finish(backup);
    }
}

void BackupService::read_piece(const Shared& backup) {
    if (!backup->operation) {
        return;
    }
    auto piece = std::make_shared<std::string>();
    run(
        backup,
        [reader = backup->reader, number = backup->operation->piece_number, piece](
            raft::SnapshotStore&) { return text_of(reader->read_piece(number, *piece), *reader); },
        [this, backup, piece] {
            if (backup->operation) {
                backup->operation->piece = std::move(*piece);
                finish(backup);
            }
        });
}

void BackupService::fail(const Shared& backup, Failure failure, const std::string& error) {
    backup->stage = Stage::over;
    if (backup->operation) {
        backup->operation->failure = failure;
        backup->operation->error = error;
        finish(backup);
    }
}

void BackupService::finish(const Shared& backup) {
    backup->port->finished(std::move(backup->operation));
    backup->operation = nullptr;
    request_turn_();
}

// Files are closed where they are read.
bool BackupService::close(const Shared& backup) {
    if (backup->stage != Stage::over || backup->busy) {
        return false;
    }
    return !backup->reader ||
           runner_.run([backup](raft::SnapshotStore&) { backup->reader = nullptr; }, [] {});
}

}  // namespace cairn::server
