// The node's heart with its surroundings: the raft thread's io_context, the replica, the peers'
// sockets, the disk thread, the snapshot thread, the tick.
//
// Constructed and run by one thread, the raft thread; everything in here belongs to it. It carries
// out turns: however many things ask for one, one posted handler does it. What decides is in
// Replica; here is only awaiting.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "raft/disk/data_directory.h"
#include "raft/disk/disk_thread.h"
#include "raft/disk/recovered_log.h"
#include "raft/disk/snapshot_thread.h"
#include "raft/peers/tcp_transport.h"
#include "server/log/access_log.h"
#include "server/metrics/metrics_thread.h"
#include "server/node/backend.h"
#include "server/node/replica.h"

namespace cairn::server {

struct RaftThreadOptions {
    raft::CoreOptions core;
    raft::TcpTransportOptions transport;
    ReplicaOptions replica;
    int tick_ms = 10;
    std::shared_ptr<AccessLog> access_log;  // null: none
};

class RaftThread {
 public:
    // What was found on disk: the log and the snapshots, open, and what they add up to.
    struct Data {
        std::unique_ptr<raft::Wal> wal;
        std::unique_ptr<raft::SnapshotStore> snapshots;
        fsm::StateMachine state;
        raft::RecoveredLog log;
    };

    RaftThread(const RaftThreadOptions& options, Data data, raft::DataDirectory& directory,
               NodeView& view);
    ~RaftThread();
    RaftThread(const RaftThread&) = delete;
    RaftThread& operator=(const RaftThread&) = delete;

    // Begins to listen to peers and to tick; `http_address` is what they are told. An empty string,
    // or why it can't.
    std::string start(const std::string& http_address);
    // Hands over leadership if it leads; `done` is called when that is settled or given up.
    void hand_over(std::function<void()> done);
    // Answers all that waits, closes the peers' sockets and ends the tick.
    void stop();

    boost::asio::io_context& context() { return context_; }
    Replica& replica() { return *replica_; }
    MetricsThread& metrics() { return metrics_; }

 private:
    class Relay;
    class Runner;

    void make_metrics(const std::shared_ptr<Operation>& operation, Port& port);
    void request_turn();
    void schedule_tick();
    void check_hand_over();

    RaftThreadOptions options_;
    boost::asio::io_context context_{1};
    boost::asio::steady_timer tick_timer_{context_};
    std::unique_ptr<Relay> relay_;
    std::unique_ptr<raft::TcpTransport> transport_;
    std::unique_ptr<raft::DiskThread> disk_;
    std::unique_ptr<Runner> runner_;
    MetricsThread metrics_;
    std::unique_ptr<Replica> replica_;
    bool turn_requested_ = false;
    bool stopped_ = false;
    std::function<void()> handed_over_;
    int hand_over_ticks_ = 0;
};

}  // namespace cairn::server
