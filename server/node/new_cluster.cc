#include "server/node/new_cluster.h"

#include <algorithm>
#include <map>
#include <memory>
#include <vector>

#include "raft/disk/snapshot_store.h"
#include "server/node/value_group.h"

namespace cairn::server {
namespace {

// What each turn of the loop reads from the state.
constexpr std::size_t slice_bytes = 256U << 10;

std::string write_snapshot(raft::FileSystem& files, const std::string& directory,
                           const ClusterBeginning& beginning, fsm::StateMachine& state) {
    raft::SnapshotOptions options;
    options.cluster_id = beginning.cluster_id;
    options.group = value_group;
    options.salt = beginning.snapshot_salt;
    raft::SnapshotFailure failure;
    const std::unique_ptr<raft::SnapshotStore> store =
        raft::SnapshotStore::open(files, directory, options, failure);
    if (!store) {
        return failure.detail;
    }
    if (store->latest() != nullptr || !store->damaged().empty()) {
        return directory + ": not empty";
    }
    const raft::LogPosition position = after_leap(beginning.last);
    raft::SnapshotMeta meta;
    meta.cluster_id = beginning.cluster_id;
    meta.group = value_group;
    meta.last_included_index = position.index;
    meta.last_included_term = position.term;
    meta.last_included_stamp_ns = position.stamp_ns;
    meta.configuration = beginning.configuration;
    raft::SnapshotWriter& writer = store->writer();
    raft::IoResult<void> written = writer.create(meta);
    std::string slice;
    state.begin_snapshot();
    for (bool more = true; more && written;) {
        slice.clear();
        more = state.read_snapshot(slice_bytes, slice);
        written = writer.append(slice);
    }
    state.end_snapshot();
    if (written) {
        written = writer.commit();
    }
    return written ? "" : directory + ": " + written.error().message();
}

std::string write_log(raft::FileSystem& files, const std::string& directory,
                      const ClusterBeginning& beginning, const raft::WalOptions& sizes) {
    raft::WalOptions options = sizes;
    options.cluster_id = beginning.cluster_id;
    options.node_id = beginning.node_id;
    options.salt = beginning.log_salt;
    std::map<raft::GroupId, raft::WalGroupState> recovered;
    raft::WalOpenFailure failure;
    const std::unique_ptr<raft::Wal> log =
        raft::Wal::open(files, directory, options, recovered, failure);
    if (!log) {
        return failure.detail;
    }
    raft::WalAppend append;
    append.group = value_group;
    append.hard_state =
        raft::HardState{std::max(beginning.term, after_leap(beginning.last).term), 0};
    append.log_start = after_leap(beginning.last).index + 1;
    const raft::IoResult<void> appended = log->append({&append, 1});
    return appended ? "" : directory + ": " + appended.error().message();
}

}  // namespace

raft::LogPosition after_leap(const raft::LogPosition& last) {
    return {last.index + index_leap, std::max<raft::Term>(last.term, 1), last.stamp_ns};
}

std::string write_cluster_beginning(raft::FileSystem& files, const std::string& snapshot_directory,
                                    const std::string& log_directory,
                                    const ClusterBeginning& beginning, fsm::StateMachine state,
                                    const raft::WalOptions& sizes) {
    const raft::LogPosition position = after_leap(beginning.last);
    std::vector<fsm::Event> nobody_hears_them;
    state.apply(position.index, position.stamp_ns, {}, nobody_hears_them);
    std::string error = write_snapshot(files, snapshot_directory, beginning, state);
    return error.empty() ? write_log(files, log_directory, beginning, sizes) : error;
}

}  // namespace cairn::server
