// A new cluster from a backup, which is a snapshot file: makes the data directory of one of its
// nodes.
//
// Offline, on one thread; `directory` is fresh and locked by the caller. The file is verified
// completely, its state loaded, before anything is written. Nodes restored from the same file with
// the same list agree on the cluster's id without talking; any other file or list makes another.
// The identity is written last: a directory that is not complete is refused by a start.
//
// Log time stands still between the backup and the new cluster's first leader, and ttls with it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "fsm/state_machine.h"
#include "raft/disk/data_directory.h"
#include "raft/disk/file_system.h"
#include "raft/disk/snapshot_format.h"
#include "raft/disk/wal.h"
#include "server/settings/initial_cluster.h"

namespace cairn::server {

struct Backup {
    raft::SnapshotMeta meta;
    raft::SnapshotContent content;
    std::uint64_t file_bytes = 0;
    fsm::StateMachine state;
};

// Reads all of it. Nothing, and `error` in one line, when it is damaged or no backup at all.
std::optional<Backup> read_backup(raft::FileSystem& files, const std::string& path,
                                  std::string& error);

// Never 0. Written into data directories: it can't ever change.
std::uint64_t restored_cluster_id(const InitialCluster& founders, const raft::SnapshotMeta& meta,
                                  const raft::SnapshotContent& content);

// Drawn at random by whoever asks.
struct RestoreNumbers {
    std::uint64_t disk_id = 0;
    std::uint64_t snapshot_salt = 0;
    std::uint64_t log_salt = 0;
};

// The data directory of node `id`, one of the founders. Empty, or what failed, in one line.
std::string restore_backup(raft::FileSystem& files, const std::string& directory, Backup backup,
                           raft::NodeId id, const InitialCluster& founders,
                           const RestoreNumbers& numbers, const raft::WalOptions& log_sizes = {});

}  // namespace cairn::server
