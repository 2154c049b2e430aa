// The file operations that Raft's storage needs, as an interface, so that tests and the simulation
// can put a disk of their own beneath the write-ahead log: one that loses what was not synced,
// tears writes, flips bits, fails or is full.
//
// Used by one thread at a time (whoever owns the storage). Errors are values; nothing is retried
// here. It does not buffer, and it does not decide what an error means.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/system/error_code.hpp>
#include <boost/system/result.hpp>

namespace cairn::raft {

template <class T>
using IoResult = boost::system::result<T>;

// One open file. Destroying it closes it.
class File {
 public:
    virtual ~File() = default;

    // Writes all parts one after the other at `offset`; a short write is continued.
    virtual IoResult<void> write_at(std::uint64_t offset,
                                    std::span<const std::string_view> parts) = 0;
    // Reads up to `size` bytes at `offset` into `out` (resized to what was read; less only at the
    // file's end).
    virtual IoResult<void> read_at(std::uint64_t offset, std::size_t size, std::string& out) = 0;
    // Makes data, and the size when it changed, durable (fdatasync).
    virtual IoResult<void> sync() = 0;
    virtual IoResult<std::uint64_t> size() = 0;
};

class FileSystem {
 public:
    virtual ~FileSystem() = default;

    enum class OpenMode { read, read_write, create_new };

    // create_new fails when the file exists. Files are made with mode 0600.
    virtual IoResult<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) = 0;
    // Makes `path` and its parents with mode 0700, durably; it may exist.
    virtual IoResult<void> create_directories(const std::string& path) = 0;
    virtual IoResult<void> rename(const std::string& from, const std::string& to) = 0;
    virtual IoResult<void> remove(const std::string& path) = 0;
    virtual IoResult<bool> exists(const std::string& path) = 0;
    // Names (not paths) of the entries of a directory, sorted; without "." and "..".
    virtual IoResult<std::vector<std::string>> list(const std::string& directory) = 0;
    // Makes creations, renames and removals in `directory` durable.
    virtual IoResult<void> sync_directory(const std::string& directory) = 0;
    // How much more `directory` takes, roughly; nothing when that can't be told.
    virtual std::optional<std::uint64_t> free_bytes(const std::string& /*directory*/) {
        return std::nullopt;
    }
};

// The operating system's files.
FileSystem& posix_file_system();

// Whether the error says that the disk (or the quota) is full.
bool is_disk_full(const boost::system::error_code& error);

// Replaces `path` with `bytes` so that after a crash it holds the old or the new content, whole:
// temporary file, sync, rename, directory sync.
IoResult<void> write_file_atomically(FileSystem& files, const std::string& directory,
                                     const std::string& name, std::string_view bytes);

}  // namespace cairn::raft
