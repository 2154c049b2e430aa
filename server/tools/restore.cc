#include "server/tools/restore.h"

#include <memory>
#include <string_view>
#include <utility>

#include "raft/disk/snapshot_reader.h"
#include "server/node/new_cluster.h"
#include "server/node/snapshot_service.h"
#include "server/node/value_group.h"

namespace cairn::server {
namespace {

// FNV-1a, and MurmurHash3's finalizer: as cluster_id_of() does.
class Hash {
 public:
    void add(std::string_view text) {
        for (const char c : text) {
            add_byte(static_cast<unsigned char>(c));
        }
    }
    void add(std::uint64_t number) {
        for (int i = 0; i < 8; ++i) {
            add_byte(static_cast<unsigned char>(number >> (8 * i)));
        }
    }
    std::uint64_t finish() const {
        std::uint64_t hash = hash_;
        hash ^= hash >> 33U;
        hash *= 0xff51afd7ed558ccdU;
        hash ^= hash >> 33U;
        hash *= 0xc4ceb9fe1a85ec53U;
        hash ^= hash >> 33U;
        return hash == 0 ? 1 : hash;
    }

 private:
    void add_byte(unsigned char byte) {
        hash_ ^= byte;
        hash_ *= 0x100000001b3U;
    }
    std::uint64_t hash_ = 0xcbf29ce484222325U;
};

}  // namespace

std::optional<Backup> read_backup(raft::FileSystem& files, const std::string& path,
                                  std::string& error) {
    raft::SnapshotFailure failure;
    const std::unique_ptr<raft::SnapshotReader> reader =
        raft::SnapshotReader::open(files, path, failure);
    if (!reader) {
        error = failure.detail;
        return std::nullopt;
    }
    Backup backup;
    backup.meta = reader->meta();
    backup.content = reader->content();
    backup.file_bytes = reader->file_bytes();
    if (backup.meta.group != value_group || backup.meta.last_included_index > last_index_max) {
        error = path + ": not a backup of values";
        return std::nullopt;
    }
    if (const raft::IoResult<void> verified = reader->verify(); !verified) {
        error =
            reader->damage().empty() ? path + ": " + verified.error().message() : reader->damage();
        return std::nullopt;
    }
    std::optional<fsm::StateMachine> state = load_state_machine(*reader, error);
    if (!state) {
        error = path + ": its content can't be used: " + error;
        return std::nullopt;
    }
    backup.state = *std::move(state);
    return backup;
}

std::uint64_t restored_cluster_id(const InitialCluster& founders, const raft::SnapshotMeta& meta,
                                  const raft::SnapshotContent& content) {
    Hash hash;
    hash.add("restored ");
    for (const std::uint64_t number :
         {meta.cluster_id, meta.last_included_index, meta.last_included_term, content.bytes,
          std::uint64_t{content.crc}}) {
        hash.add(number);
    }
    hash.add(initial_cluster_text(founders));
    return hash.finish();
}

std::string restore_backup(raft::FileSystem& files, const std::string& directory, Backup backup,
                           raft::NodeId id, const InitialCluster& founders,
                           const RestoreNumbers& numbers, const raft::WalOptions& log_sizes) {
    raft::Identity identity;
    identity.cluster_id = restored_cluster_id(founders, backup.meta, backup.content);
    identity.node_id = id;
    identity.disk_id = numbers.disk_id;
    identity.has_log = true;
    ClusterBeginning beginning;
    beginning.cluster_id = identity.cluster_id;
    beginning.node_id = id;
    beginning.last = {backup.meta.last_included_index, backup.meta.last_included_term,
                      backup.meta.last_included_stamp_ns};
    beginning.term = backup.meta.last_included_term;
    beginning.snapshot_salt = numbers.snapshot_salt;
    beginning.log_salt = numbers.log_salt;
    for (const InitialMember& founder : founders) {
        identity.founders.emplace_back(founder.id, founder.raft.text());
        beginning.configuration.voters.push_back(founder.id);
        beginning.configuration.details.push_back({founder.id, founder.raft.text(), 0, false});
    }
    identity.members = identity.founders;
    const std::string error = write_cluster_beginning(files, raft::snapshot_directory_of(directory),
                                                      raft::wal_directory_of(directory), beginning,
                                                      std::move(backup.state), log_sizes);
    return error.empty() ? raft::write_identity(files, directory, identity) : error;
}

}  // namespace cairn::server
