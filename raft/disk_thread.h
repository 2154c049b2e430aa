// The one thread that blocks on the disk: takes persistence batches, appends all that gathered while
// the last sync ran as one write and one sync, and reports back.
//
// submit() is called on the raft thread; `report` is called on the disk thread with the newest
// durable batch of each group and must hand over to the raft thread (a post). A failed write or sync
// ends the process with a clear message: durability can't be promised any more. It decides nothing
// about Raft.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "raft/storage.h"
#include "raft/wal.h"

namespace cairn::raft {

struct Persisted {
    GroupId group = 0;
    Sequence sequence = 0;
};

// Figures for metrics, read from any thread.
struct DiskStatistics {
    std::uint64_t appends = 0;       // writes with one sync each
    std::uint64_t batches = 0;       // persistence batches in them
    std::uint64_t append_ns_total = 0;
    std::uint64_t append_ns_max = 0;
};

class DiskThread final : public Storage {
 public:
    using Report = std::function<void(const std::vector<Persisted>&)>;

    DiskThread(std::unique_ptr<Wal> wal, Report report);
    // Finishes what was submitted, then joins.
    ~DiskThread() override;

    void submit(PersistBatch batch) override;
    // No longer wanted entries, see Wal::release; done in order with the batches.
    void release(GroupId group, Index first_needed);
    // Writes what was submitted and ends the thread. Idempotent.
    void stop();

    DiskStatistics statistics() const;

 private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace cairn::raft
