// Makes sure that no node uses a data directory while a program looks at it.
//
// Owned by one thread, any. Shares DIR/lock with others that only look and excludes the node, which
// holds it exclusively (raft/disk/data_directory.h): none runs when the lock is had, and none
// starts while it is held. It creates and writes nothing, so that it works where nothing may be
// written. A directory without a lock file is one that no node has; should one start just then it
// isn't noticed.
#pragma once

#include <memory>
#include <string>

namespace cairn::raft {

class SharedLock {
 public:
    // Returns null, and `error` in one line, when a node uses the directory or it can't be told.
    static std::unique_ptr<SharedLock> acquire(const std::string& directory, std::string& error);
    ~SharedLock();
    SharedLock(const SharedLock&) = delete;
    SharedLock& operator=(const SharedLock&) = delete;

 private:
    explicit SharedLock(int descriptor) : descriptor_(descriptor) {}
    const int descriptor_;  // -1: there is no lock file
};

}  // namespace cairn::raft
