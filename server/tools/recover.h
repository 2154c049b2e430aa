// When the majority of a cluster is lost for good: makes the data directory of one survivor that of
// a new cluster of one node, which others can then join.
//
// Offline, on one thread; that no node uses the directory is the caller's affair (its lock). The
// survivor keeps everything in its log, committed or not: nobody is left who could say. What others
// had acknowledged and this log doesn't have is lost. The new cluster has another id, so that the
// old members and this node refuse each other, and their ids can't be used again.
//
// Nothing is deleted: the old data is put aside in DIR/before-recovery-N, a whole data directory.
// The new data is first written there too, under other names:
//
//     before-recovery-N/new-snapshot, new-log   the new data, whole and durable, then
//     before-recovery-N/identity                a copy of the old identity
//     before-recovery-N/new-identity            says that all of it is there
//     identity                                  replaced by the new one: from here on it is done
//     snapshot, wal                             each moved aside, and the new one into its place
//     before-recovery-N/new-identity            removed
//
// A crash before `identity` is replaced leaves the old directory as it was, but for leftovers that
// the next attempt removes; one after it leaves a directory with which no node starts (the log is
// of another cluster, or missing) until another attempt has finished it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "raft/disk/file_system.h"
#include "raft/disk/wal.h"
#include "server/base/address.h"

namespace cairn::server {

struct RecoverOptions {
    std::string data_dir = "./cairn-data";
    std::optional<Address> raft;  // where others will find the node; none: where it was
    bool confirmed = false;       // else nothing is changed
};

// Drawn at random by whoever asks.
struct RecoverNumbers {
    std::uint64_t cluster_id = 0;
    std::uint64_t disk_id = 0;
    std::uint64_t snapshot_salt = 0;
    std::uint64_t log_salt = 0;
};

enum class RecoverOutcome : std::uint8_t {
    done,
    finished,  // one that was begun earlier; nothing else was done
    planned,   // not confirmed
    damaged,   // the data is; nothing was changed
    refused,   // it can't be, or something failed
};

struct RecoverResult {
    RecoverOutcome outcome = RecoverOutcome::refused;
    std::string text;    // for people, complete lines: what is or would be done
    std::string reason;  // one line: why not
};

// The new log's segments are of `log_sizes`.
RecoverResult recover_data_directory(raft::FileSystem& files, const RecoverOptions& options,
                                     const RecoverNumbers& numbers,
                                     const raft::WalOptions& log_sizes = {});

}  // namespace cairn::server
