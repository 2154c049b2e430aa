// What a node finds in its data directory, or puts there on its first start: who it is, its log,
// its snapshots, the state they add up to.
//
// Used at start, on the main thread, before anything else runs. Data that is damaged is put aside
// where others have it too: the node then begins empty, without a voice, until its cluster has
// taken it in again (raft/disk/data_directory.h). It never serves anything doubtful.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "raft/disk/data_directory.h"
#include "server/node/value_group.h"
#include "server/program/raft_thread.h"
#include "server/settings/options.h"

namespace cairn::server {

// Why a node can't start: one line for stderr.
struct StartRefusal {
    int exit_status = 1;  // 2: what was asked for doesn't fit the data directory or the cluster
    std::string reason;
};

class NodeData {
 public:
    // Takes the directory for this process, and sees whether it is the node's that is meant. When
    // nothing more becomes of it nothing has changed on the disk.
    std::optional<StartRefusal> claim(const ServeOptions& options);
    // Then asks the cluster to be taken in when that was wished, and reads it all.
    std::optional<StartRefusal> open(const ServeOptions& options);

    // Once it was opened.
    const raft::Identity& identity() const { return *directory_->identity(); }
    // Where this node's Raft listens, once the directory is claimed, and where others are told to
    // find it, once it was opened.
    Address listen_address(const ServeOptions& options) const;
    Address advertised_address(const ServeOptions& options) const;
    // The other members, as last heard of.
    std::vector<raft::PeerAddress> peers() const;

    RaftThread::Data take_data() { return std::move(data_); }
    raft::DataDirectory& directory() { return *directory_; }

 private:
    std::optional<StartRefusal> found_or_join(const ServeOptions& options);
    std::optional<StartRefusal> open_all(const ServeOptions& options, std::string& damage);
    std::optional<StartRefusal> open_snapshots(const ServeOptions& options, std::string& damage);
    std::optional<StartRefusal> open_log(const ServeOptions& options, std::string& damage);
    raft::Configuration founding_configuration() const;

    std::unique_ptr<raft::DataDirectory> directory_;
    RaftThread::Data data_;
};

}  // namespace cairn::server
