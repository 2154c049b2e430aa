// The thread that reads and writes snapshots, so that neither the raft thread nor the disk thread
// waits for them: it does jobs with the store, one after the other.
//
// submit() is called on the raft thread (any thread may) and never waits. Jobs run on the snapshot
// thread, "cairn-snap", in the order of submission; one that has something to report does so there,
// by a post to whom it concerns. A job should be bounded work (a piece, not a snapshot), since
// stop() waits for the one that runs. It decides nothing about snapshots.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "raft/disk/snapshot_store.h"

namespace cairn::raft {

class SnapshotThread {
 public:
    using Job = std::function<void(SnapshotStore&)>;

    // At most `jobs_max` wait at a time.
    SnapshotThread(std::unique_ptr<SnapshotStore> store, std::size_t jobs_max);
    ~SnapshotThread();
    SnapshotThread(const SnapshotThread&) = delete;
    SnapshotThread& operator=(const SnapshotThread&) = delete;

    // False, and the job is dropped, when too many wait or after stop().
    bool submit(Job job);
    // Ends the thread once the job that runs is done; those that wait are dropped without being
    // run. What was being written or received is abandoned by the destructor. Idempotent. Not to be
    // called by a job.
    void stop();

 private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace cairn::raft
