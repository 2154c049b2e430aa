// A node's directory: who the node is, and that only one process uses it.
//
// Opened at start on the main thread and kept for the process's life. Holds an exclusive flock on
// DIR/lock. DIR/identity says which node of which cluster the data belongs to and how the cluster
// began; it is written atomically, before anything else, and a damaged one is an error, never a
// reason to start afresh. Of a directory that has become nobody's nothing is left: the lock and
// what open() made for it go away again. It knows nothing of what is in the write-ahead log
// (DIR/wal) and the snapshots (DIR/snapshot).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "raft/core/types.h"
#include "raft/disk/file_system.h"

namespace cairn::raft {

struct Identity {
    std::uint64_t cluster_id = 0;
    NodeId node_id = 0;
    // Drawn at random with the directory: which one of this node's it is. Who lost one and has
    // another is nobody that anybody promised anything to.
    std::uint64_t disk_id = 0;
    std::uint64_t replaced_disk_id = 0;  // the one that was given up as damaged; 0: none
    // The directory began empty in a cluster that was there already.
    bool joined = false;
    // A log was made; when there is none it is lost.
    bool has_log = false;
    // Who formed the cluster, with the address (host:port) of each one's Raft; none when joined.
    std::vector<std::pair<NodeId, std::string>> founders;
    // Who the members were when that last changed.
    std::vector<std::pair<NodeId, std::string>> members;
    friend bool operator==(const Identity&, const Identity&) = default;
};

// The identity file: lines of text, the last one a CRC32C of those before.
std::string encode_identity(const Identity& identity);
// Returns nothing and fills `error` (one line) when the bytes are damaged or of another version.
std::optional<Identity> decode_identity(std::string_view bytes, std::string& error);

// Reads DIR/identity and changes nothing; `identity` stays empty when the directory is fresh.
// Returns an empty string, or one line: which file, what.
std::string read_identity(FileSystem& files, const std::string& path,
                          std::optional<Identity>& identity);

// Replaces DIR/identity, atomically. Returns an empty string, or one line saying why not. Only for
// who has the directory's lock.
std::string write_identity(FileSystem& files, const std::string& path, const Identity& identity);

std::string wal_directory_of(const std::string& path);
std::string snapshot_directory_of(const std::string& path);

class DataDirectory {
 public:
    // Makes `path` when missing, locks it and reads its identity. Returns null and fills `error`
    // (one line) when another process has it, or it is damaged.
    static std::unique_ptr<DataDirectory> open(FileSystem& files, const std::string& path,
                                               std::string& error);
    ~DataDirectory();
    DataDirectory(const DataDirectory&) = delete;
    DataDirectory& operator=(const DataDirectory&) = delete;

    // Nothing when the directory is fresh.
    const std::optional<Identity>& identity() const { return identity_; }
    // Makes a fresh directory that node's. Returns an empty string, or one line saying why not.
    std::string initialise(const Identity& identity);
    // Writes down who the members are now. Returns an empty string, or one line saying why not.
    std::string note_members(std::vector<std::pair<NodeId, std::string>> members);
    // Writes down that there is a log now. Returns an empty string, or one line saying why not.
    std::string note_log();
    // There was one, and not a single segment is left of it.
    IoResult<bool> is_log_gone() const;
    // Puts log and snapshots aside (DIR/damaged-N), and makes this a fresh directory of the same
    // node, for a node whose data can't be trusted. Returns an empty string, or why not; safe to
    // be interrupted and begun again.
    std::string start_afresh(std::uint64_t disk_id);

    const std::string& path() const { return path_; }
    std::string wal_directory() const { return wal_directory_of(path_); }
    std::string snapshot_directory() const { return snapshot_directory_of(path_); }

 private:
    DataDirectory(FileSystem& files, std::string path, int lock_descriptor,
                  std::vector<std::string> made);
    std::string write(const Identity& identity);
    void take_away();

    FileSystem& files_;
    const std::string path_;
    const int lock_descriptor_;
    const std::vector<std::string> made_;  // by open(), the outermost first
    std::optional<Identity> identity_;
};

}  // namespace cairn::raft
