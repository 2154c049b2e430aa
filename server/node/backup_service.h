// Backups that clients download: each is a snapshot file, taken when it was asked for and sent as
// it is.
//
// Lives on the raft thread, between the replica, the snapshot service and the snapshot thread; no
// turn waits for the disk. A backup is opened (a snapshot is taken that includes what the asker
// must find, its file opened and read once, to verify it and for the digest), then handed out piece
// by piece, one at a time, as the client takes them: at most one piece of each is in memory. The
// open file goes on when newer snapshots replace it. It is closed when nobody has its Download any
// more. There is a bound on how many there are. It decides nothing about consistency: whoever asks
// has had the read confirmed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/node/backend.h"
#include "server/node/port.h"
#include "server/node/snapshot_service.h"

namespace cairn::server {

struct BackupLimits {
    std::size_t backups_max = 2;
    std::size_t pieces_per_check = 16;  // read by one job while it is verified
    std::int64_t piece_ns = 60'000'000'000;
};

class BackupService {
 public:
    BackupService(SnapshotService& snapshots, SnapshotRunner& runner, const BackupLimits& limits,
                  std::uint64_t cluster_id, std::function<void()> request_turn);

    // Begins a backup that includes everything up to `needed_index`, which is applied. The answer
    // is operation->download. Late is it only when nothing got on for as long as the operation's
    // timeout: a large state takes longer.
    void open(std::shared_ptr<Operation> operation, Port& port, raft::Index needed_index,
              std::int64_t now_ns);
    // Reads operation->piece_number of operation->download.
    void read(std::shared_ptr<Operation> operation, Port& port, std::int64_t now_ns);
    void turn(std::int64_t now_ns);
    // Answers everything that waits.
    void stop();

    std::size_t size() const { return backups_.size(); }

 private:
    enum class Stage : std::uint8_t {
        snapshot,  // one is being taken
        unopened,  // taken
        checking,
        ready,  // pieces may be read
        over,   // to be forgotten, and the file closed
    };
    struct Backup {
        Stage stage = Stage::snapshot;
        raft::Index needed_index = 0;
        bool busy = false;  // a job or the snapshot service will be heard
        std::shared_ptr<raft::SnapshotReader> reader;  // used by jobs only
        std::uint64_t checked_pieces = 0;
        std::uint32_t crc = 0;
        std::weak_ptr<const Download> download;  // expired: nobody wants more

        std::shared_ptr<Operation> operation;  // that waits; null: none
        Port* port = nullptr;
        std::int64_t deadline_ns = 0;
        std::uint64_t progress = 0;  // when the deadline was set
    };
    using Shared = std::shared_ptr<Backup>;

    // Whatever comes next for it, if nothing is under way. Tried again each turn.
    void advance(const Shared& backup);
    void take_snapshot(const Shared& backup);
    void open_file(const Shared& backup);
    void check_pieces(const Shared& backup);
    void read_piece(const Shared& backup);
    void hand_out(const Shared& backup);
    bool run(const Shared& backup, std::function<std::string(raft::SnapshotStore&)> work,
             std::function<void()> done);
    void fail(const Shared& backup, Failure failure, const std::string& error);
    void finish(const Shared& backup);
    void watch_deadline(const Shared& backup);
    bool close(const Shared& backup);

    SnapshotService& snapshots_;
    SnapshotRunner& runner_;
    const BackupLimits limits_;
    const std::uint64_t cluster_id_;
    std::function<void()> request_turn_;
    std::int64_t now_ns_ = 0;
    std::vector<Shared> backups_;
};

}  // namespace cairn::server
