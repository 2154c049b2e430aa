// How a cluster begins that isn't empty, but goes on from the state of another: after the majority
// of that one was lost (recover.h) or from a backup of it (restore.h).
//
// Offline, on one thread. It writes what every founder of the new cluster starts from: a snapshot
// with the state and the founders, and a log without entries that knows the term. Whether and where
// is the caller's affair, and so is DIR/identity.
//
// Indexes leap. The old cluster may have given out indexes that the state knows nothing of: of
// writes after the backup, or that the survivor did not get. Clients hold them as ETags, fencing
// tokens and cursors, so the new cluster's must all be larger: it begins index_leap later. Then an
// old fencing token never beats a new one, an ETag never matches another value, and a stream that
// resumes hears of the gap.
#pragma once

#include <cstdint>
#include <string>

#include "fsm/state_machine.h"
#include "raft/core/configuration.h"
#include "raft/core/types.h"
#include "raft/disk/file_system.h"
#include "raft/disk/wal.h"

namespace cairn::server {

// More than any cluster writes between two backups (at 100,000 a second: 115 days), and so little
// that thousands of leaps fit into a number in JSON (2^53).
inline constexpr raft::Index index_leap = 1'000'000'000'000;
// Nobody's log is so long: an index beyond it is nonsense.
inline constexpr raft::Index last_index_max = ~raft::Index{0} / 2;

struct ClusterBeginning {
    std::uint64_t cluster_id = 0;
    raft::NodeId node_id = 0;
    raft::LogPosition last;  // what `state` includes, before the leap
    raft::Term term = 0;     // the node's; at least last.term
    raft::Configuration configuration;
    // See SnapshotOptions and WalOptions. Two, because a snapshot's is in every backup.
    std::uint64_t snapshot_salt = 0;
    std::uint64_t log_salt = 0;
};

// Makes `snapshot_directory` and `log_directory`, durably. They must not be there, or be empty.
// The sizes of segments come from `sizes`. Returns an empty string, or one line: where, what.
std::string write_cluster_beginning(raft::FileSystem& files, const std::string& snapshot_directory,
                                    const std::string& log_directory,
                                    const ClusterBeginning& beginning, fsm::StateMachine state,
                                    const raft::WalOptions& sizes = {});

// Where the new cluster's log begins.
raft::LogPosition after_leap(const raft::LogPosition& last);

}  // namespace cairn::server
