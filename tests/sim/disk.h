// The simulated disk of one process: raft::Storage over the real write-ahead log, as
// raft/disk/disk_thread.h does it, and the thread that works with the real snapshot store. Work
// takes virtual time and has its effect at its end, or, when the process ends in the middle, half
// of it.
//
// It also knows what is durable, for the observer: what a restart must find again.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "raft/core/storage.h"
#include "raft/disk/snapshot_store.h"
#include "raft/disk/wal.h"
#include "server/node/snapshot_service.h"
#include "tests/sim/random.h"
#include "tests/sim/swarm.h"
#include "tests/sim/trace.h"
#include "tests/support/memory_file_system.h"

namespace cairn::sim {

// What was reported durable of one data directory.
struct Durable {
    struct Place {
        raft::Term term = 0;
        std::uint64_t digest = 0;
    };
    raft::HardState hard_state;
    std::map<raft::Index, Place> entries;
    raft::Index snapshot_index = 0;
    std::size_t last_append_bytes = 0;

    bool has(raft::Index index, raft::Term term) const;
    void take(const raft::WalAppend& part);
};

std::uint64_t digest_of(const raft::Entry& entry);

class DiskFailure {
 public:
    virtual ~DiskFailure() = default;
    // The process can't go on.
    virtual void on_disk_failed() = 0;
};

// Runs something in the process, after a time.
using Schedule = std::function<void(std::int64_t delay_ns, std::function<void()> action)>;

class SimStorage final : public raft::Storage {
 public:
    using OnPersisted = std::function<void(raft::Sequence)>;

    SimStorage(std::unique_ptr<raft::Wal> wal, Durable& durable, Trace& trace, const Swarm& swarm,
               Random random, Schedule schedule, OnPersisted on_persisted, DiskFailure& failure);

    void submit(raft::PersistBatch batch) override;
    void release(raft::GroupId group, raft::Index first_needed) override;
    void reset_log(raft::GroupId group, raft::Index log_start) override;
    bool is_full() const override { return full_; }

    // The writes under way take so much longer from now on.
    void stall(std::int64_t until_ns, std::int64_t now_ns);
    // What is under way happens, as far as it still can.
    void run_what_is_under_way();
    // A mutant for the tests of the simulation: reports before it writes.
    void report_too_early() { reports_too_early_ = true; }

 private:
    struct Release {
        raft::GroupId group = 0;
        raft::Index first_needed = 0;
    };
    struct Reset {
        raft::GroupId group = 0;
        raft::Index log_start = 0;
    };
    using Job = std::variant<raft::PersistBatch, Reset, Release>;

    void pump();
    void begin(std::int64_t delay_ns);
    void work();
    bool append();
    bool release_now(Release& release);
    void release_early();
    void gather_parts();
    void fill_reserve();
    void note_full(bool full);
    std::int64_t latency();

    std::unique_ptr<raft::Wal> wal_;
    Durable& durable_;
    Trace& trace_;
    const Swarm& swarm_;
    Random random_;
    Schedule schedule_;
    OnPersisted on_persisted_;
    DiskFailure& failure_;
    std::deque<Job> jobs_;
    std::vector<raft::WalAppend> parts_;
    std::size_t taken_ = 0;  // of jobs_, by the work under way
    bool busy_ = false;
    bool failed_ = false;
    bool full_ = false;
    bool reserve_wanted_ = true;
    bool reports_too_early_ = false;
    std::int64_t stall_ns_ = 0;
};

class SimRunner final : public server::SnapshotRunner {
 public:
    SimRunner(std::unique_ptr<raft::SnapshotStore> store, Durable& durable, const Swarm& swarm,
              Random random, Schedule schedule)
        : store_(std::move(store)),
          durable_(durable),
          swarm_(swarm),
          random_(random),
          schedule_(std::move(schedule)) {}

    bool run(std::function<void(raft::SnapshotStore&)> work, std::function<void()> done) override;
    void run_what_is_under_way();
    raft::SnapshotStore& store() { return *store_; }

 private:
    struct Job {
        std::function<void(raft::SnapshotStore&)> work;
        std::function<void()> done;
    };
    void pump();

    std::unique_ptr<raft::SnapshotStore> store_;
    Durable& durable_;
    const Swarm& swarm_;
    Random random_;
    Schedule schedule_;
    std::deque<Job> jobs_;
    bool busy_ = false;
};

}  // namespace cairn::sim
