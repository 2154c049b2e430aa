// The operating system may write or read less than it was asked to, or be interrupted: the real
// files go on where it stopped. The calls are put in place of the C library's, for all of this
// program; they do as they are asked but when a case says otherwise.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "raft/disk/file_system.h"

namespace {

struct Limits {
    std::size_t bytes_max = SIZE_MAX;  // of one call
    int interrupted_every = 0;         // so often a call is interrupted by a signal
    int calls = 0;
    bool writes_nothing = false;
    std::size_t full_after_bytes = SIZE_MAX;
    std::size_t written = 0;
};

// The calls of this thread only.
thread_local Limits* limits = nullptr;

bool is_interrupted() {
    ++limits->calls;
    if (limits->interrupted_every == 0 || limits->calls % limits->interrupted_every != 0) {
        return false;
    }
    errno = EINTR;
    return true;
}

}  // namespace

extern "C" ssize_t pwritev(int file, const iovec* parts, int count, off_t offset) {
    if (limits == nullptr) {
        return ::syscall(SYS_pwritev, file, parts, count, offset, 0);
    }
    if (is_interrupted()) {
        return -1;
    }
    if (limits->writes_nothing) {
        return 0;
    }
    std::string bytes;
    for (int i = 0; i < count; ++i) {
        bytes.append(static_cast<const char*>(parts[i].iov_base), parts[i].iov_len);
    }
    const std::size_t room = limits->full_after_bytes - limits->written;
    if (room == 0) {
        errno = ENOSPC;
        return -1;
    }
    bytes.resize(std::min({bytes.size(), limits->bytes_max, room}));
    limits->written += bytes.size();
    return ::syscall(SYS_pwrite64, file, bytes.data(), bytes.size(), offset);
}

extern "C" ssize_t pread(int file, void* buffer, size_t size, off_t offset) {
    if (limits == nullptr) {
        return ::syscall(SYS_pread64, file, buffer, size, offset);
    }
    if (is_interrupted()) {
        return -1;
    }
    return ::syscall(SYS_pread64, file, buffer, std::min(size, limits->bytes_max), offset);
}

namespace {

using namespace cairn::raft;

class TemporaryFile {
 public:
    TemporaryFile() {
        directory_ = "/tmp/cairn-short-write-XXXXXX";
        REQUIRE(::mkdtemp(directory_.data()) != nullptr);
        auto opened = posix_file_system().open(path(), FileSystem::OpenMode::create_new);
        REQUIRE(opened);
        file_ = std::move(*opened);
    }
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;
    ~TemporaryFile() {
        limits = nullptr;
        ::unlink(path().c_str());
        ::rmdir(directory_.c_str());
    }
    File& operator*() { return *file_; }
    File* operator->() { return file_.get(); }

 private:
    std::string path() const { return directory_ + "/file"; }
    std::string directory_;
    std::unique_ptr<File> file_;
};

// Parts of all sizes, empty ones too, and more than one call takes.
std::vector<std::string> some_parts() {
    std::vector<std::string> parts;
    for (std::size_t i = 0; i < 700; ++i) {
        parts.emplace_back(i % 5 == 0 ? 0 : i % 23, static_cast<char>('a' + i % 26));
    }
    return parts;
}

}  // namespace

TEST_CASE("file system: a short write or read is continued, an interrupted one repeated") {
    const std::vector<std::string> parts = some_parts();
    const std::vector<std::string_view> views(parts.begin(), parts.end());
    std::string all;
    for (const std::string& part : parts) {
        all += part;
    }
    for (const std::size_t bytes_max : {1U, 2U, 7U, 22U, 100U, 4096U, 1U << 20U}) {
        CAPTURE(bytes_max);
        TemporaryFile file;
        Limits short_ones{bytes_max, 3};
        limits = &short_ones;
        REQUIRE(file->write_at(11, views));
        CHECK(short_ones.written == all.size());
        std::string read;
        REQUIRE(file->read_at(11, all.size() + 100, read));
        CHECK(read == all);
    }
}

TEST_CASE("file system: a disk that is full in the middle of a write is told of") {
    TemporaryFile file;
    Limits full;
    full.full_after_bytes = 100;
    limits = &full;
    const std::vector<std::string_view> views(10, "0123456789abcdef");
    const auto written = file->write_at(0, views);
    REQUIRE(!written);
    CHECK(is_disk_full(written.error()));
}

TEST_CASE("file system: a write that gets nowhere ends") {
    TemporaryFile file;
    Limits nothing;
    nothing.writes_nothing = true;
    limits = &nothing;
    const std::string_view bytes = "bytes";
    CHECK(!file->write_at(0, {&bytes, 1}));
}
