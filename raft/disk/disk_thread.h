// The one thread that blocks on the disk: takes persistence batches, appends all that gathered
// while the last sync ran as one write and one sync, and reports back.
//
// submit(), release(), reset_log() are called on the raft thread and done in order; `report` is
// called on the disk thread with the newest durable batch of each group and must hand over to the
// raft thread (a post). A failed write or sync ends the process with a clear message: durability
// can't be promised any more. It decides nothing about Raft.
//
// A full disk is no failure. The segment after the current one is made ahead, also under load: half
// of the current one is still free when it is done. When there is no room for it, is_full() says so
// until there is (it looks again every 200 ms), and the rest of the current segment is there for
// what makes room. When that is used up too, appends wait, and nothing is reported meanwhile;
// releases that come behind them are done before, since they are what makes room.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "raft/base/statistics.h"
#include "raft/core/storage.h"
#include "raft/disk/wal.h"

namespace cairn::raft {

struct Persisted {
    GroupId group = 0;
    Sequence sequence = 0;
};

// Figures for metrics, read from any thread.
struct DiskStatistics {
    std::uint64_t appends = 0;  // writes with one sync each
    std::uint64_t batches = 0;  // persistence batches in them
    std::uint64_t append_ns_total = 0;
    std::uint64_t append_ns_max = 0;
    DurationFigures append_durations;
    WalFigures log;
    // There is no room for the segment after the current one.
    bool disk_full = false;
};

class DiskThread final : public Storage {
 public:
    using Report = std::function<void(const std::vector<Persisted>&)>;
    // Told once what went wrong, on the disk thread, which does nothing more afterwards.
    using OnFailure = std::function<void(const std::string&)>;

    // Logs the message and ends the process at once.
    static void end_process(const std::string& message);

    DiskThread(std::unique_ptr<Wal> wal, Report report, OnFailure on_failure = end_process);
    // Finishes what was submitted, then joins.
    ~DiskThread() override;

    void submit(PersistBatch batch) override;
    // No longer wanted entries, see Wal::release; done in order with the batches, but before those
    // that a full disk holds up.
    void release(GroupId group, Index first_needed) override;
    // The group's entries so far are void, see WalAppend::log_start; done in order with the batches
    // and durable with the next one at the latest.
    void reset_log(GroupId group, Index log_start) override;
    // From any thread.
    bool is_full() const override;
    std::int64_t recent_append_ns() const override;
    // Writes what was submitted and ends the thread; what a full disk holds up is dropped, it was
    // never reported. Idempotent. Afterwards submissions are ignored.
    void stop();

    DiskStatistics statistics() const;

 private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace cairn::raft
