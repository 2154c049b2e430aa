#include "raft/disk/shared_lock.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

namespace cairn::raft {

std::unique_ptr<SharedLock> SharedLock::acquire(const std::string& directory, std::string& error) {
    const std::string path = directory + "/lock";
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0 && errno != ENOENT) {
        error = path + ": " + std::strerror(errno);
        return nullptr;
    }
    std::unique_ptr<SharedLock> lock(new SharedLock(descriptor));
    if (descriptor >= 0 && ::flock(descriptor, LOCK_SH | LOCK_NB) != 0) {
        error = errno == EWOULDBLOCK ? directory + ": a running node is using this data directory"
                                     : path + ": " + std::strerror(errno);
        return nullptr;
    }
    return lock;
}

SharedLock::~SharedLock() {
    if (descriptor_ >= 0) {
        ::close(descriptor_);
    }
}

}  // namespace cairn::raft
