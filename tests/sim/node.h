// One simulated process and its machine: the real replica with the real core, log, snapshots and
// state machine, on a disk, a network, clocks and a scheduler of the simulation's.
//
// It can crash, stand still, stop, start again and find its disk damaged; its clocks run at a rate
// of their own. Everything it does happens in events of the world's queue; while it stands still
// they gather, and happen when it goes on.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "raft/disk/recovered_log.h"
#include "server/node/replica.h"
#include "tests/sim/disk.h"
#include "tests/sim/network.h"
#include "tests/sim/observer.h"
#include "tests/sim/transport.h"

namespace cairn::sim {

// What all nodes share.
struct Surroundings {
    EventQueue& queue;
    Trace& trace;
    const Swarm& swarm;
    Network& network;
    Observer& observer;
    Random random;
};

// What of the data directory isn't log or snapshot.
struct SimIdentity {
    std::uint64_t disk_id = 0;
    std::uint64_t replaced_disk_id = 0;
    bool joined = false;
    std::vector<raft::NodeId> founders;
    std::vector<raft::NodeId> peers;  // as last heard of
};

// Hears what streams are told.
class BatchListener {
 public:
    virtual ~BatchListener() = default;
    virtual void on_batch(raft::NodeId node, const server::EventBatch& batch) = 0;
    virtual void on_down(raft::NodeId node) = 0;
};

class SimNode final : public Host, public DiskFailure, public server::Clock, public server::Port {
 public:
    // How a process ends: killed (what it wrote stays), or with its machine's power.
    enum class End : std::uint8_t { killed, power_lost };

    SimNode(Surroundings surroundings, raft::NodeId id, SimIdentity identity,
            BatchListener& listener);
    ~SimNode() override;

    raft::NodeId id() const { return id_; }
    bool is_running() const { return replica_ != nullptr && !dying_; }
    bool is_paused() const { return paused_; }
    // Ended because its cluster removed it.
    bool is_retired() const { return retired_; }
    std::uint64_t disk_id() const { return identity_.disk_id; }
    const server::Replica& replica() const { return *replica_; }

    void start();
    // It never starts again.
    void keep_down() { kept_down_ = true; }
    void crash(End end);
    // As by a signal that asks it to end: what waits is answered.
    void stop();
    void pause() { paused_ = true; }
    void resume();

    void jump_clock(std::int64_t ns) { utc_offset_ns_ += ns; }
    void stall_disk(std::int64_t ns);
    void fail_disk_soon();
    void fill_disk();
    void empty_disk();
    // While it is down: a bit of what is durable flips. False when there is none that may.
    bool flip_bit();
    void stop_mischief();
    // For a test of the simulation itself: a storage that reports what isn't durable.
    void break_storage() { broken_storage_ = true; }

    // From clients; false when nobody listens. `operation->on_done` is called when the answer has
    // reached the client; on_down of the listener when it never will.
    bool submit(std::shared_ptr<server::Operation> operation);
    bool open_stream(std::shared_ptr<server::StreamOpen> open);

    // Host
    void on_dialled(ConnectionId connection) override;
    void on_bytes(ConnectionId connection, const std::string& bytes) override;
    void on_writable(ConnectionId connection) override;
    void on_closed(ConnectionId connection) override;
    // DiskFailure
    void on_disk_failed() override;
    // server::Clock
    std::int64_t steady_ns() override;
    std::int64_t utc_ns() override;
    // server::Port
    void finished(std::shared_ptr<server::Operation> operation) override;
    void opened(std::shared_ptr<server::StreamOpen> open) override;
    void published(const std::shared_ptr<const server::EventBatch>& batch) override;
    void flush() override;

 private:
    struct Data {
        std::unique_ptr<raft::Wal> wal;
        std::unique_ptr<raft::SnapshotStore> snapshots;
        fsm::StateMachine state;
        raft::RecoveredLog log;
    };
    enum class Found : std::uint8_t { good, damaged, refused };

    std::int64_t rated(std::int64_t virtual_ns) const;
    void schedule(std::int64_t delay_ns, std::function<void()> action);
    void run(const std::function<void()>& action);
    void arm_tick();
    void request_turn();
    Found open_data(Data& data, std::string& detail);
    void begin_afresh(const std::string& detail);
    void build(Data data);
    raft::CoreOptions core_options() const;
    server::ReplicaOptions replica_options();
    void note_members(const server::Membership::Members& members);
    void end_process();
    std::optional<std::string> newest_segment() const;

    Surroundings world_;
    const raft::NodeId id_;
    SimIdentity identity_;
    BatchListener& listener_;
    Random random_;
    std::unique_ptr<raft::test::MemoryFileSystem> files_;
    Durable durable_;
    bool flipped_ = false;
    bool broken_storage_ = false;
    bool mischief_ = true;

    const std::int64_t drift_per_mille_;
    std::int64_t clock_base_ns_ = 0;
    std::int64_t utc_offset_ns_ = 0;

    std::uint64_t generation_ = 0;
    std::uint64_t starts_ = 0;
    bool paused_ = false;
    bool dying_ = false;
    bool retired_ = false;
    bool kept_down_ = false;
    std::deque<std::function<void()>> deferred_;
    std::int64_t tick_due_ns_ = 0;
    bool turn_requested_ = false;
    std::vector<std::function<void()>> answers_;

    server::NodeView view_;
    std::unique_ptr<SimStorage> storage_;
    std::unique_ptr<SimRunner> runner_;
    std::unique_ptr<SimTransport> transport_;
    std::unique_ptr<server::Replica> replica_;
};

}  // namespace cairn::sim
