#include "server/program/raft_thread.h"

#include <chrono>
#include <utility>

#include <boost/asio/post.hpp>
#include <spdlog/spdlog.h>

#include "server/log/request_trace.h"

namespace cairn::server {
namespace {

// A write that another node took from its client and passed on.
void log_peers_write(AccessLog& log, raft::NodeId node, const WriteQueue::Answered& write) {
    const std::string remote = "node " + std::to_string(write.origin);
    AccessLine line;
    line.time = std::chrono::system_clock::now();
    line.remote = remote;
    line.method = "FORWARD";
    line.status = write.failure == Failure::none ? 200 : 503;
    line.duration_ns = write.duration_ns;
    line.node = node;
    line.index = write.index;
    // A peer's words are input, too.
    line.request_id = is_request_id(write.request_id) ? write.request_id : std::string_view();
    line.trace_id = is_request_id(write.trace_id) ? write.trace_id : std::string_view();
    line.route = "forward";
    log.write(line);
}

}  // namespace

// The transport needs a receiver before the replica, which needs the transport, exists.
class RaftThread::Relay final : public raft::TransportReceiver {
 public:
    Replica* replica = nullptr;

    void on_message(raft::Message message) override { replica->on_message(std::move(message)); }
    void on_application(raft::NodeId from, std::string_view bytes) override {
        replica->on_application(from, bytes);
    }
    void on_receiving(raft::NodeId peer, bool entries) override {
        replica->on_receiving(peer, entries);
    }
    void on_peer_connected(raft::NodeId peer) override { replica->on_peer_connected(peer); }
    void on_peer_disconnected(raft::NodeId peer) override { replica->on_peer_disconnected(peer); }
    void on_removed(raft::NodeId by) override { replica->on_removed(by); }
    void on_disk_replaced(raft::NodeId peer, std::uint64_t disk_id) override {
        replica->on_disk_replaced(peer, disk_id);
    }
    void on_delivered() override { replica->on_delivered(); }
};

// Brings a job's end from the snapshot thread back here.
class RaftThread::Runner final : public SnapshotRunner {
 public:
    Runner(std::unique_ptr<raft::SnapshotStore> store, boost::asio::io_context& context)
        : context_(context), thread_(std::move(store), jobs_max) {}

    bool run(std::function<void(raft::SnapshotStore&)> work, std::function<void()> done) override {
        return thread_.submit(
            [this, work = std::move(work), done = std::move(done)](raft::SnapshotStore& store) {
                work(store);
                boost::asio::post(context_, done);
            });
    }
    void stop() { thread_.stop(); }

 private:
    static constexpr std::size_t jobs_max = 1024;
    boost::asio::io_context& context_;
    raft::SnapshotThread thread_;
};

RaftThread::RaftThread(const RaftThreadOptions& options, Data data, raft::DataDirectory& directory,
                       NodeView& view)
    : options_(options), relay_(std::make_unique<Relay>()) {
    transport_ = std::make_unique<raft::TcpTransport>(context_, options_.transport, *relay_);
    disk_ = std::make_unique<raft::DiskThread>(
        std::move(data.wal), [this](const std::vector<raft::Persisted>& persisted) {
            boost::asio::post(context_, [this, sequence = persisted.back().sequence] {
                replica_->on_persisted(sequence);
            });
        });
    runner_ = std::make_unique<Runner>(std::move(data.snapshots), context_);
    // Only a hint for a start without a log, so it may fail, and wait for the thread that writes.
    options_.replica.on_members = [this, &directory](const Membership::Members& members) {
        runner_->run(
            [&directory, members](raft::SnapshotStore&) {
                if (const std::string error = directory.note_members(members); !error.empty()) {
                    spdlog::warn("can't write down who the members are: {}", error);
                }
            },
            [] {});
    };
    options_.replica.on_metrics = [this](const std::shared_ptr<Operation>& operation, Port& port) {
        make_metrics(operation, port);
    };
    if (options_.access_log) {
        options_.replica.on_peers_write = [log = options_.access_log, node = options_.core.id](
                                              const WriteQueue::Answered& write) {
            log_peers_write(*log, node, write);
        };
    }
    if (data.log.log_replaced) {
        disk_->reset_log(options_.core.group, data.log.start.base.index + 1);
    }
    replica_ = std::make_unique<Replica>(
        raft::Core(options_.core, std::move(data.log.start)), std::move(data.state), *disk_,
        *transport_, *runner_, options_.replica, view, system_clock(), [this] { request_turn(); });
    relay_->replica = replica_.get();
}

RaftThread::~RaftThread() {
    stop();
    metrics_.stop();
    runner_->stop();
    disk_->stop();
}

std::string RaftThread::start(const std::string& http_address) {
    transport_->set_http_address(http_address);
    replica_->set_http_address(http_address);
    std::string error = transport_->start();
    if (error.empty()) {
        schedule_tick();
        request_turn();
    }
    return error;
}

void RaftThread::make_metrics(const std::shared_ptr<Operation>& operation, Port& port) {
    operation->figures->disk = disk_->statistics();
    if (options_.access_log) {
        operation->figures->access_log_lines = options_.access_log->lines();
        operation->figures->access_log_dropped = options_.access_log->dropped_lines();
    }
    const bool taken =
        metrics_.submit(operation->figures, [this, operation, &port](const std::string& text) {
            boost::asio::post(context_, [this, operation, &port, text] {
                operation->piece = text;
                port.finished(operation);
                request_turn();
            });
        });
    if (!taken) {
        operation->failure = Failure::overloaded;
        port.finished(operation);
    }
}

void RaftThread::request_turn() {
    if (turn_requested_ || stopped_) {
        return;
    }
    turn_requested_ = true;
    boost::asio::post(context_, [this] {
        turn_requested_ = false;
        if (!stopped_) {
            replica_->turn();
        }
    });
}

void RaftThread::schedule_tick() {
    // From the last deadline, not from now: ticks keep their rate when a turn takes long. After a
    // pause (the process was stopped) the missed ones are skipped.
    const auto interval = std::chrono::milliseconds(options_.tick_ms);
    const auto now = std::chrono::steady_clock::now();
    auto next = tick_timer_.expiry() + interval;
    if (next < now) {
        next = now + interval;
    }
    tick_timer_.expires_at(next);
    tick_timer_.async_wait([this](const boost::system::error_code& error) {
        if (error || stopped_) {
            return;
        }
        replica_->tick();
        check_hand_over();
        schedule_tick();
    });
}

void RaftThread::hand_over(std::function<void()> done) {
    handed_over_ = std::move(done);
    hand_over_ticks_ = 0;
    replica_->hand_over_leadership();
    check_hand_over();
}

void RaftThread::check_hand_over() {
    if (!handed_over_) {
        return;
    }
    const bool settled = !replica_->leads() || !replica_->node().core().is_transferring();
    if (settled || ++hand_over_ticks_ > options_.core.election_timeout_ticks) {
        std::exchange(handed_over_, nullptr)();
    }
}

void RaftThread::stop() {
    if (stopped_) {
        return;
    }
    replica_->stop();
    stopped_ = true;
    tick_timer_.cancel();
    transport_->stop();
}

}  // namespace cairn::server
