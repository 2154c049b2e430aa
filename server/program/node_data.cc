#include "server/program/node_data.h"

#include <algorithm>
#include <map>
#include <utility>

#include <spdlog/spdlog.h>

#include "fsm/types.h"
#include "raft/disk/wal_format.h"
#include "server/base/random_number.h"
#include "server/program/join.h"

namespace cairn::server {

namespace {

// To be taken in again a node needs a majority without its voice.
constexpr std::size_t other_members_min = 2;

using Addresses = std::vector<std::pair<raft::NodeId, std::string>>;

// What is stored was once written from parsed addresses.
InitialCluster members_of(const Addresses& stored) {
    InitialCluster members;
    for (const auto& [id, text] : stored) {
        if (const ParseResult<Address> address = parse_address(text, PortZero::refused)) {
            members.push_back({id, *address});
        }
    }
    return members;
}

std::uint64_t rounded_up(std::uint64_t number, std::uint64_t multiple) {
    return (number + multiple - 1) / multiple * multiple;
}

std::optional<Address> address_of(const InitialCluster& members, raft::NodeId id) {
    for (const InitialMember& member : members) {
        if (member.id == id) {
            return member.raft;
        }
    }
    return std::nullopt;
}

}  // namespace

std::optional<StartRefusal> NodeData::open(const ServeOptions& options) {
    if (!directory_->identity()) {
        if (std::optional<StartRefusal> refusal = found_or_join(options)) {
            return refusal;
        }
    }
    std::string damage;
    std::optional<StartRefusal> refusal = open_all(options, damage);
    if (damage.empty()) {
        return refusal;
    }
    if (peers().size() < other_members_min) {
        return StartRefusal{1, damage};
    }
    spdlog::error("{}", damage);
    data_ = {};
    const std::string error = directory_->start_afresh(random_number());
    if (!error.empty()) {
        return StartRefusal{1, error};
    }
    spdlog::error(
        "the damaged data was put aside ({}/damaged-N); this node begins empty and without a vote, "
        "until its cluster has taken it in again and it has caught up",
        options.data_dir);
    refusal = open_all(options, damage);
    return refusal;
}

// The data directory wins over the flags, unless they speak of another node or another cluster.
std::optional<StartRefusal> NodeData::claim(const ServeOptions& options) {
    std::string error;
    directory_ = raft::DataDirectory::open(raft::posix_file_system(), options.data_dir, error);
    if (!directory_) {
        return StartRefusal{1, error};
    }
    if (!directory_->identity()) {
        return std::nullopt;
    }
    if (identity().node_id != options.id) {
        return StartRefusal{2, "data directory " + options.data_dir + " belongs to node " +
                                   std::to_string(identity().node_id) + ", not to node " +
                                   std::to_string(options.id)};
    }
    const InitialCluster stored = members_of(identity().founders);
    if (stored.empty()) {
        return std::nullopt;  // it joined
    }
    switch (match_initial_cluster(stored, options.initial_cluster)) {
        case ClusterMatch::same:
            break;
        case ClusterMatch::stored_wins:
            spdlog::warn("--initial-cluster differs from what {} was made with ({}), which counts",
                         options.data_dir, initial_cluster_text(stored));
            break;
        case ClusterMatch::another_cluster:
            return StartRefusal{2,
                                "data directory " + options.data_dir +
                                    " belongs to another cluster: " + initial_cluster_text(stored)};
    }
    return std::nullopt;
}

std::optional<StartRefusal> NodeData::found_or_join(const ServeOptions& options) {
    raft::Identity identity;
    identity.node_id = options.id;
    identity.disk_id = random_number();
    if (options.join) {
        identity.joined = true;
        if (std::optional<StartRefusal> refusal = join_cluster(options, identity)) {
            return refusal;
        }
    } else {
        const InitialCluster founders = options.founders();
        identity.cluster_id = cluster_id_of(founders);
        for (const InitialMember& member : founders) {
            identity.founders.emplace_back(member.id, member.raft.text());
        }
        identity.members = identity.founders;
    }
    const std::string error = directory_->initialise(identity);
    return error.empty() ? std::nullopt : std::optional(StartRefusal{1, error});
}

std::optional<StartRefusal> NodeData::open_all(const ServeOptions& options, std::string& damage) {
    damage.clear();
    const raft::IoResult<bool> lost = directory_->is_log_gone();
    if (!lost || *lost) {
        const std::string reason = directory_->wal_directory() + ": " +
                                   (lost ? "the log is gone" : lost.error().message());
        damage = lost ? reason : std::string();
        return StartRefusal{1, reason};
    }
    if (std::optional<StartRefusal> refusal = open_snapshots(options, damage)) {
        return refusal;
    }
    if (std::optional<StartRefusal> refusal = open_log(options, damage)) {
        return refusal;
    }
    const std::string error = directory_->note_log();
    return error.empty() ? std::nullopt : std::optional(StartRefusal{1, error});
}

std::optional<StartRefusal> NodeData::open_snapshots(const ServeOptions& serve,
                                                     std::string& damage) {
    raft::SnapshotOptions options;
    options.cluster_id = identity().cluster_id;
    options.group = value_group;
    options.salt = random_number();
    options.sync = !serve.unsafe_no_fsync;
    raft::SnapshotFailure failure;
    data_.snapshots = raft::SnapshotStore::open(raft::posix_file_system(),
                                                directory_->snapshot_directory(), options, failure);
    if (!data_.snapshots) {
        return StartRefusal{failure.error == raft::SnapshotError::foreign ? 2 : 1, failure.detail};
    }
    if (data_.snapshots->is_newest_damaged()) {
        damage = data_.snapshots->damaged().back().detail;
        return StartRefusal{1, damage};
    }
    if (data_.snapshots->latest() == nullptr) {
        return std::nullopt;
    }
    std::string error;
    std::optional<fsm::StateMachine> state = load_state_machine(*data_.snapshots, error);
    if (!state) {
        damage = "the newest snapshot in " + directory_->snapshot_directory() +
                 " can't be used: " + error;
        return StartRefusal{1, damage};
    }
    data_.state = std::move(*state);
    return std::nullopt;
}

std::optional<StartRefusal> NodeData::open_log(const ServeOptions& serve, std::string& damage) {
    raft::WalOptions options;
    options.cluster_id = identity().cluster_id;
    options.node_id = identity().node_id;
    // Whatever this node is told, the log's values may be as large as another node allows, or this
    // one did before.
    options.record_bytes_max = 2 * fsm::value_bytes_max;
    // Some of the largest values in each.
    options.segment_bytes = std::max<std::uint64_t>(
        options.segment_bytes,
        rounded_up(4 * serve.max_value_bytes, raft::wal_segment_header_bytes));
    options.salt = random_number();
    options.sync = !serve.unsafe_no_fsync;
    std::map<raft::GroupId, raft::WalGroupState> recovered;
    raft::WalOpenFailure failure;
    data_.wal = raft::Wal::open(raft::posix_file_system(), directory_->wal_directory(), options,
                                recovered, failure);
    if (!data_.wal) {
        if (failure.error == raft::WalOpenError::corruption) {
            damage = failure.detail;
        }
        return StartRefusal{failure.error == raft::WalOpenError::foreign ? 2 : 1, failure.detail};
    }
    raft::LogPosition base;
    raft::Configuration configuration = founding_configuration();
    if (const raft::SnapshotFile* latest = data_.snapshots->latest()) {
        base = {latest->meta.last_included_index, latest->meta.last_included_term,
                latest->meta.last_included_stamp_ns};
        configuration = latest->meta.configuration;
    }
    raft::RecoveryFailure log_failure;
    std::optional<raft::RecoveredLog> log =
        raft::recover_log(base, configuration, std::move(recovered[value_group]), log_failure);
    if (!log) {
        const std::string reason = serve.data_dir + ": " + log_failure.text;
        damage = log_failure.is_damage ? reason : std::string();
        return StartRefusal{1, reason};
    }
    data_.log = std::move(*log);
    return std::nullopt;
}

// Empty on a node that joined: it hears of the configuration from the leader.
raft::Configuration NodeData::founding_configuration() const {
    raft::Configuration configuration;
    if (identity().joined) {
        return configuration;
    }
    for (const auto& [id, address] : identity().founders) {
        configuration.voters.push_back(id);
        configuration.details.push_back({id, address, 0, false});
    }
    return configuration;
}

Address NodeData::listen_address(const ServeOptions& options) const {
    if (options.raft_given || !directory_->identity()) {
        return options.raft;
    }
    for (const Addresses* known : {&identity().members, &identity().founders}) {
        if (const std::optional<Address> own = address_of(members_of(*known), options.id)) {
            return *own;
        }
    }
    return options.raft;
}

Address NodeData::advertised_address(const ServeOptions& options) const {
    for (const Addresses* known : {&identity().members, &identity().founders}) {
        if (const std::optional<Address> own = address_of(members_of(*known), options.id)) {
            return *own;
        }
    }
    return options.raft;
}

std::vector<raft::PeerAddress> NodeData::peers() const {
    std::vector<raft::PeerAddress> peers;
    for (const InitialMember& member : members_of(identity().members)) {
        if (member.id != identity().node_id) {
            peers.push_back({member.id, member.raft.host, member.raft.port});
        }
    }
    return peers;
}

}  // namespace cairn::server
