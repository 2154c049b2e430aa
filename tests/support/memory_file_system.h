// A disk in memory for tests and the simulation: it knows what was synced and what was not, and can
// lose the power, fail, be full and rot.
//
// Used by one thread at a time. Deterministic: what a crash leaves depends on the seed alone. The
// model: a write is unsynced until its file is synced, in sectors of 512 bytes of which a crash may
// keep any; creations, renames and removals are unsynced until their directory is, and a crash
// keeps a beginning of them, in their order (as a journal does). New directories are durable at
// once; that one was renamed is durable, with everything before it, when the directory it came to
// is synced. A sync that fails loses what it should have made durable, though reads still show it,
// as the page cache does.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "raft/disk/file_system.h"

namespace cairn::raft::test {

class MemoryFileSystem : public FileSystem {
 public:
    // What becomes of everything unsynced.
    enum class Crash { drop, keep, tear };

    MemoryFileSystem();
    ~MemoryFileSystem() override;

    IoResult<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
    IoResult<void> create_directories(const std::string& path) override;
    IoResult<void> rename(const std::string& from, const std::string& to) override;
    IoResult<void> remove(const std::string& path) override;
    IoResult<bool> exists(const std::string& path) override;
    IoResult<std::vector<std::string>> list(const std::string& directory) override;
    IoResult<void> sync_directory(const std::string& directory) override;
    std::optional<std::uint64_t> free_bytes(const std::string& directory) override;

    // Operations that change something, or sync, so far.
    std::uint64_t operations() const;
    // The power goes in the middle of the operation with that number (the first is 1): it and
    // everything after fails, its effect is unsynced (a sync has none).
    void power_off_at(std::uint64_t operation);
    // That operation alone fails, without effect.
    void fail_at(std::uint64_t operation, boost::system::errc::errc_t error);
    // Writes that would make all files together larger fail with ENOSPC. From any thread.
    void set_capacity_bytes(std::uint64_t bytes);
    // Whether free_bytes() knows what is left of that capacity; at first it doesn't.
    void set_tells_free_bytes(bool tells);
    // Loses the power now (if power_off_at did not), decides what survived, and comes up again.
    // Open files are dead afterwards.
    void crash(Crash crash, std::uint64_t seed);

    // Tampering and looking, durable at once. The file must exist, but set_content makes it.
    std::string content(const std::string& path) const;
    void set_content(const std::string& path, std::string_view bytes);
    void flip_bit(const std::string& path, std::uint64_t bit);
    void truncate(const std::string& path, std::uint64_t size);
    // Paths of all files.
    std::vector<std::string> paths() const;

    // An independent disk with the same durable content; nothing may be unsynced or open here.
    std::unique_ptr<MemoryFileSystem> clone() const;

 private:
    class Impl;
    class OpenFile;
    std::shared_ptr<Impl> impl_;
};

}  // namespace cairn::raft::test
