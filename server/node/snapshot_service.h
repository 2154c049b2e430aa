// Snapshots of the state machine: taken, so that the log can be trimmed; sent to members whose log
// ends before ours begins; received and installed.
//
// Lives on the raft thread, between the replica, the node and the snapshot thread. It reads the
// state machine in slices between turns while entries are applied, and leaves files to the snapshot
// thread: no turn waits for the disk. One snapshot is taken at a time and one is received at a
// time. While one is being sent, and gets on, the log is not trimmed beyond it, so that a slow
// member isn't left behind by a newer one when it has it, unless the log becomes too large. What it
// holds in memory is bounded by slices and windows.
//
// A snapshot that can't be written is reported and tried again later: nothing depends on it but the
// length of the log.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fsm/state_machine.h"
#include "raft/core/node.h"
#include "raft/core/storage.h"
#include "raft/disk/snapshot_store.h"

namespace cairn::server {

struct SnapshotLimits {
    std::uint64_t entries_between = 100'000;  // applied since the last one
    std::uint64_t entries_kept = 10'000;      // behind a snapshot, for members that lag a little
    // The same in bytes: large values make a log long before it has many entries.
    std::size_t log_bytes_max = 128U << 20;
    std::size_t kept_bytes_max = 32U << 20;
    std::size_t slice_bytes = 64U << 10;  // read from the state machine in one turn
    std::size_t unwritten_bytes_max = 4U << 20;
    std::size_t chunk_bytes = 256U << 10;   // of one message
    std::uint64_t window_bytes = 1U << 20;  // sent and not yet acknowledged, per member
    std::size_t received_chunks_max = 16;   // waiting to be written
    std::size_t askers_max = 1024;          // waiting for a snapshot to be taken
    std::int64_t resend_ns = 1'000'000'000;
    std::int64_t give_up_ns = 30'000'000'000;
    // For a member that was sent all of it: it checks and loads a large state without a word, and
    // one that is gone says so when it is back.
    std::int64_t install_ns = 300'000'000'000;
    // The log is kept for a member that gets a snapshot as long as it got on within this time.
    std::int64_t keep_log_ns = 5'000'000'000;
    // So it is for a member that was heard within this time and lacks entries: a snapshot would be
    // as far behind when it has it. But not when the log needs more memory than this: a slow member
    // may take hours.
    std::size_t kept_for_member_bytes_max = 512U << 20;
    std::int64_t retry_ns = 10'000'000'000;  // after a snapshot that failed
};

// Runs work with the store elsewhere, then `done` on the raft thread, in the order of run().
class SnapshotRunner {
 public:
    virtual ~SnapshotRunner() = default;
    // False, and nothing happens, when too much waits.
    virtual bool run(std::function<void(raft::SnapshotStore&)> work,
                     std::function<void()> done) = 0;
};

// For metrics.
struct SnapshotFigures {
    raft::Index last_index = 0;  // of the newest snapshot on disk
    std::uint64_t taken = 0;
    std::uint64_t failed = 0;     // to be taken
    std::uint64_t sent = 0;       // to members, from the first chunk on
    std::uint64_t installed = 0;  // from the leader
    // Of the last one that was taken.
    std::uint64_t last_bytes = 0;
    std::int64_t last_duration_ns = 0;
};

class SnapshotService {
 public:
    // `install` replaces the state machine by one that includes everything up to an index, and
    // returns the old one.
    using Install = std::function<fsm::StateMachine(fsm::StateMachine)>;

    SnapshotService(raft::Node& node, raft::Storage& storage, fsm::StateMachine& state_machine,
                    SnapshotRunner& runner, const SnapshotLimits& limits, std::uint64_t cluster_id,
                    Install install, std::function<void()> request_turn);

    // After the turn's entries have been applied.
    void turn(std::int64_t now_ns);
    // Takes a snapshot now; `done` hears its index, or 0 and why there is none. It has no deadline
    // and is dropped with the service: whoever needs an answer in time sees to it.
    using Taken = std::function<void(raft::Index index, const std::string& error)>;
    void take(Taken done);

    void on_wanted(raft::NodeId peer);
    void on_chunk(const raft::InstallSnapshot& chunk);
    void on_reply(const raft::InstallSnapshotReply& reply);

    raft::Index last_index() const { return last_index_; }
    std::uint64_t taken_count() const { return figures_.taken; }
    SnapshotFigures figures() const {
        SnapshotFigures figures = figures_;
        figures.last_index = last_index_;
        return figures;
    }
    // Grows while a snapshot that is being taken gets on.
    std::uint64_t written_slices() const { return written_slices_; }

 private:
    // Shared with the jobs, which may outlive a snapshot that was abandoned.
    struct Taking {
        raft::SnapshotMeta meta;
        std::int64_t began_ns = 0;
        std::uint64_t bytes = 0;
        std::size_t unwritten_bytes = 0;
        std::string error;
        bool read_all = false;
        bool abandoned = false;
        std::string job_error;  // the jobs' own: the first thing that went wrong
    };
    struct Sending {
        raft::NodeId peer = 0;
        raft::SnapshotMeta meta;
        raft::SnapshotContent content;
        std::shared_ptr<raft::SnapshotReader> reader;  // used by jobs only
        std::uint64_t sent_offset = 0;
        std::uint64_t acknowledged_offset = 0;
        std::uint64_t furthest_offset = 0;  // ever acknowledged
        std::int64_t progress_ns = 0;       // when it last got further
        std::int64_t resent_ns = 0;
        bool sent_all = false;  // and it didn't begin anew since
        bool reading = false;
        bool failed = false;  // given up after a pause, so that a bad file isn't tried in a loop
        bool over = false;    // to be forgotten
    };
    // What a job makes of a chunk.
    struct Received {
        std::uint64_t next_offset = 0;
        std::string error;
        std::optional<fsm::StateMachine> machine;
    };

    // Runs a job of taking_ unless an earlier one failed; `done` follows on the raft thread.
    bool run_taking(std::function<boost::system::error_code(raft::SnapshotStore&)> work,
                    std::function<void()> done);
    void maybe_begin();
    void begin();
    void answer_waiting(raft::Index index, const std::string& error);
    void write_slices();
    void commit();
    void finish_taking(const std::string& error);
    std::shared_ptr<Taking> end_taking();
    void abandon_file();
    void trim_log();
    raft::Index needed_by_members() const;

    void open(const std::shared_ptr<Sending>& sending);
    void pump(const std::shared_ptr<Sending>& sending);
    void send_chunk(const std::shared_ptr<Sending>& sending, std::uint64_t offset,
                    const std::string& bytes);
    void tend_sending();
    static void receive(raft::SnapshotStore& store, const raft::SnapshotMeta& meta,
                        const raft::InstallSnapshot& chunk, Received& received);
    void on_received(const raft::InstallSnapshot& chunk, Received& received);

    raft::Node& node_;
    raft::Storage& storage_;
    fsm::StateMachine& state_machine_;
    SnapshotRunner& runner_;
    const SnapshotLimits limits_;
    const std::uint64_t cluster_id_;
    Install install_;
    std::function<void()> request_turn_;

    std::int64_t now_ns_ = 0;
    std::int64_t retry_at_ns_ = 0;
    raft::Index last_index_ = 0;  // of the newest snapshot on disk
    std::size_t log_bytes_due_;   // so large a log is reason for the next one
    SnapshotFigures figures_;
    std::uint64_t written_slices_ = 0;
    std::shared_ptr<Taking> taking_;
    std::vector<Taken> waiting_;
    std::vector<std::shared_ptr<Sending>> sending_;
    std::size_t receiving_ = 0;  // jobs with a chunk under way
};

// The state that the newest snapshot holds; nothing, and why, when it can't be had. Reads all of
// it: for the snapshot thread, and for the start.
std::optional<fsm::StateMachine> load_state_machine(raft::SnapshotStore& store, std::string& error);
std::optional<fsm::StateMachine> load_state_machine(raft::SnapshotReader& reader,
                                                    std::string& error);

}  // namespace cairn::server
