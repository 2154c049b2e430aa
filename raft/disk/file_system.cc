#include "raft/disk/file_system.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <utility>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

namespace cairn::raft {
namespace {

using boost::system::error_code;

error_code last_error() {
    return {errno, boost::system::system_category()};
}

// Repeats a system call that a signal interrupted.
template <class Call>
auto uninterrupted(Call call) {
    auto result = call();
    while (result == -1 && errno == EINTR) {
        result = call();
    }
    return result;
}

class Descriptor {
 public:
    explicit Descriptor(int number) : number_(number) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (number_ >= 0) {
            // What matters was synced before; on Linux a close must not be repeated.
            ::close(number_);
        }
    }
    int number() const { return number_; }
    bool is_open() const { return number_ >= 0; }

 private:
    int number_;
};

class PosixFile final : public File {
 public:
    explicit PosixFile(int number) : descriptor_(number) {}

    IoResult<void> write_at(std::uint64_t offset,
                            std::span<const std::string_view> parts) override {
        constexpr std::size_t vectors_max = 512;  // below IOV_MAX, and small enough for the stack
        std::array<iovec, vectors_max> vectors;
        std::size_t part = 0;     // the first one not completely written
        std::size_t skipped = 0;  // bytes of it that are written
        while (true) {
            std::size_t count = 0;
            std::size_t skip = skipped;
            for (std::size_t i = part; i < parts.size() && count < vectors_max; ++i) {
                const std::string_view rest = parts[i].substr(skip);
                skip = 0;
                vectors[count++] = {const_cast<char*>(rest.data()), rest.size()};
            }
            if (count == 0) {
                return {};
            }
            const ssize_t written = uninterrupted([&] {
                return ::pwritev(descriptor_.number(), vectors.data(), static_cast<int>(count),
                                 static_cast<off_t>(offset));
            });
            if (written < 0) {
                return last_error();
            }
            std::size_t left = static_cast<std::size_t>(written);
            offset += left;
            const std::size_t part_before = part;
            const bool wrote = left > 0;
            while (part < parts.size() && left >= parts[part].size() - skipped) {
                left -= parts[part].size() - skipped;
                skipped = 0;
                ++part;
            }
            skipped += left;
            if (!wrote && part == part_before) {
                return boost::system::errc::make_error_code(boost::system::errc::io_error);
            }
        }
    }

    IoResult<void> read_at(std::uint64_t offset, std::size_t size, std::string& out) override {
        out.resize(size);
        std::size_t filled = 0;
        while (filled < size) {
            const ssize_t count = uninterrupted([&] {
                return ::pread(descriptor_.number(), out.data() + filled, size - filled,
                               static_cast<off_t>(offset + filled));
            });
            if (count < 0) {
                return last_error();
            }
            if (count == 0) {
                break;
            }
            filled += static_cast<std::size_t>(count);
        }
        out.resize(filled);
        return {};
    }

    IoResult<void> sync() override {
        if (uninterrupted([&] { return ::fdatasync(descriptor_.number()); }) != 0) {
            return last_error();
        }
        return {};
    }

    IoResult<std::uint64_t> size() override {
        struct stat status{};
        if (::fstat(descriptor_.number(), &status) != 0) {
            return last_error();
        }
        return static_cast<std::uint64_t>(status.st_size);
    }

 private:
    Descriptor descriptor_;
};

// "/a/b" -> "/a", "b" -> ".", "/a" -> "/".
std::string parent_of(const std::string& path) {
    const std::size_t slash = path.find_last_of('/');
    if (slash == std::string::npos) {
        return ".";
    }
    return slash == 0 ? "/" : path.substr(0, slash);
}

class PosixFileSystem final : public FileSystem {
 public:
    IoResult<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
        int flags = O_CLOEXEC;
        switch (mode) {
            case OpenMode::read:
                flags |= O_RDONLY;
                break;
            case OpenMode::read_write:
                flags |= O_RDWR;
                break;
            case OpenMode::create_new:
                flags |= O_RDWR | O_CREAT | O_EXCL;
                break;
        }
        const int number = uninterrupted([&] { return ::open(path.c_str(), flags, 0600); });
        if (number < 0) {
            return last_error();
        }
        return std::unique_ptr<File>(std::make_unique<PosixFile>(number));
    }

    IoResult<void> create_directories(const std::string& path) override {
        for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
            const std::string directory = path.substr(0, end);
            if (::mkdir(directory.c_str(), 0700) == 0) {
                if (const IoResult<void> synced = sync_directory(parent_of(directory)); !synced) {
                    return synced;
                }
            } else if (errno != EEXIST) {
                return last_error();
            }
            if (end == std::string::npos) {
                break;
            }
        }
        struct stat status{};
        if (::stat(path.c_str(), &status) != 0) {
            return last_error();
        }
        if (!S_ISDIR(status.st_mode)) {
            return boost::system::errc::make_error_code(boost::system::errc::not_a_directory);
        }
        return {};
    }

    IoResult<void> rename(const std::string& from, const std::string& to) override {
        if (::rename(from.c_str(), to.c_str()) != 0) {
            return last_error();
        }
        return {};
    }

    IoResult<void> remove(const std::string& path) override {
        if (::unlink(path.c_str()) != 0) {
            return last_error();
        }
        return {};
    }

    IoResult<bool> exists(const std::string& path) override {
        struct stat status{};
        if (::lstat(path.c_str(), &status) == 0) {
            return true;
        }
        if (errno == ENOENT) {
            return false;
        }
        return {boost::system::in_place_error, last_error()};
    }

    IoResult<std::vector<std::string>> list(const std::string& directory) override {
        DIR* stream = ::opendir(directory.c_str());
        if (stream == nullptr) {
            return last_error();
        }
        const std::unique_ptr<DIR, int (*)(DIR*)> closer(stream, ::closedir);
        std::vector<std::string> names;
        while (true) {
            errno = 0;
            const dirent* entry = ::readdir(stream);
            if (entry == nullptr) {
                break;
            }
            std::string name = entry->d_name;
            if (name != "." && name != "..") {
                names.push_back(std::move(name));
            }
        }
        if (errno != 0) {
            return last_error();
        }
        std::sort(names.begin(), names.end());
        return names;
    }

    IoResult<void> sync_directory(const std::string& directory) override {
        const Descriptor descriptor(uninterrupted(
            [&] { return ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); }));
        if (!descriptor.is_open()) {
            return last_error();
        }
        if (uninterrupted([&] { return ::fsync(descriptor.number()); }) != 0) {
            return last_error();
        }
        return {};
    }

    std::optional<std::uint64_t> free_bytes(const std::string& directory) override {
        struct statvfs status{};
        const int result = uninterrupted([&] { return ::statvfs(directory.c_str(), &status); });
        // Some file systems have no such figures and say zero to everything.
        if (result != 0 || status.f_blocks == 0) {
            return std::nullopt;
        }
        return std::uint64_t{status.f_bavail} * status.f_frsize;
    }
};

}  // namespace

FileSystem& posix_file_system() {
    static PosixFileSystem files;
    return files;
}

bool is_disk_full(const error_code& error) {
    return error == boost::system::errc::no_space_on_device ||
           error == error_code(EDQUOT, boost::system::system_category());
}

IoResult<void> write_file_atomically(FileSystem& files, const std::string& directory,
                                     const std::string& name, std::string_view bytes) {
    const std::string path = directory + "/" + name;
    const std::string temporary = path + ".tmp";
    const IoResult<bool> left_over = files.exists(temporary);
    if (!left_over) {
        return left_over.error();
    }
    if (*left_over) {
        if (const IoResult<void> removed = files.remove(temporary); !removed) {
            return removed;
        }
    }
    IoResult<std::unique_ptr<File>> file = files.open(temporary, FileSystem::OpenMode::create_new);
    if (!file) {
        return file.error();
    }
    if (const IoResult<void> written = (*file)->write_at(0, {&bytes, 1}); !written) {
        return written;
    }
    if (const IoResult<void> synced = (*file)->sync(); !synced) {
        return synced;
    }
    if (const IoResult<void> renamed = files.rename(temporary, path); !renamed) {
        return renamed;
    }
    return files.sync_directory(directory);
}

}  // namespace cairn::raft
