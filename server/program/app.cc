#include "server/program/app.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/signal_set.hpp>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include "fsm/types.h"
#include "raft/core/read_lease.h"
#include "server/base/random_number.h"
#include "server/gateway/gateway.h"
#include "server/gateway/gateway_port.h"
#include "server/log/access_log.h"
#include "server/log/logging.h"
#include "server/program/address_check.h"
#include "server/program/node_data.h"
#include "server/program/raft_thread.h"

namespace cairn::server {

namespace {

constexpr std::int64_t ns_per_ms = 1'000'000;

// For the log, snapshots, peers (also such as only knock) and what the system needs.
constexpr std::uint64_t files_kept_back = 128;

// As many open files as the hard limit allows; how many that are.
std::uint64_t raise_file_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return files_kept_back;
    }
    if (limit.rlim_cur < limit.rlim_max) {
        const rlim_t present = std::exchange(limit.rlim_cur, limit.rlim_max);
        if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
            spdlog::warn("can't raise the limit of open files above its present value");
            return present;
        }
    }
    return limit.rlim_cur;
}

// Clients must not take the files that the log, the snapshots and the peers need: a log that can't
// go on would end the process.
std::size_t connections_max(std::size_t wanted, std::uint64_t files_max) {
    const std::uint64_t left = files_max - std::min(files_max - 1, files_kept_back);
    if (wanted <= left) {
        return wanted;
    }
    spdlog::warn("{} client connections at a time instead of {}: {} files may be open (ulimit -n)",
                 left, wanted, files_max);
    return left;
}

// Of one gateway, which gets every so manyth connection.
std::size_t connections_per_address_max(const ServeOptions& options, std::size_t connections,
                                        std::size_t gateways) {
    if (!options.max_connections_per_address) {
        return connections - connections / 8;
    }
    return (static_cast<std::size_t>(*options.max_connections_per_address) + gateways - 1) /
           gateways;
}

void set_client_limits(const ServeOptions& options, GatewayOptions& gateway) {
    gateway.head_timeout_ms = options.header_timeout_ms;
    gateway.body_timeout_ms = options.body_timeout_ms;
    gateway.write_timeout_ms = options.write_timeout_ms;
    gateway.idle_timeout_ms = options.idle_timeout_ms;
    gateway.linger_timeout_ms = options.linger_timeout_ms;
    gateway.websocket_idle_timeout_ms = options.websocket_idle_timeout_ms;
    gateway.bytes_per_second_min = static_cast<std::size_t>(options.min_bytes_per_second);
    gateway.gate.target_bytes_max = static_cast<std::size_t>(options.max_header_bytes);
    gateway.gate.fields_bytes_max = static_cast<std::size_t>(options.max_header_bytes);
    gateway.websocket_message_bytes_max = static_cast<std::size_t>(options.max_message_bytes);
}

void set_large_body_limits(const ServeOptions& options, std::size_t gateways,
                           GatewayOptions& gateway) {
    // With many threads the part of each must still do for one of the largest values: as a body of
    // up to six times its size, the value in it, and the command for the log.
    gateway.buffered_bytes_max =
        std::max(options.max_buffered_bytes / gateways, 8 * options.max_value_bytes + (1U << 20U));
    gateway.large_bodies_read_max = options.max_large_body_bytes / gateways;
    gateway.large_bodies_in_work_max = options.max_large_body_work_bytes / gateways;
    gateway.large_bodies_waiting_max =
        (static_cast<std::size_t>(options.max_large_bodies_waiting) + gateways - 1) / gateways;
    gateway.large_body_wait_ms = options.large_body_timeout_ms;
}

// A node from its parts, in the order in which they depend on each other.
class App {
 public:
    explicit App(const ServeOptions& options) : options_(options) {}
    ~App();

    // Nothing when all is well.
    std::optional<StartRefusal> open_data();
    std::optional<StartRefusal> start();
    void run();

 private:
    struct GatewayThread {
        std::unique_ptr<net::io_context> context = std::make_unique<net::io_context>(1);
        std::thread thread;
    };

    RaftThreadOptions raft_options();
    GatewayOptions gateway_options(std::uint64_t files_max) const;
    void build_gateways(std::uint64_t files_max);
    void wait_for_signal();
    void wait_for_hangup();
    void end_as_removed();
    void begin_drain();
    void drain_gateways();
    void gateway_drained();

    const ServeOptions& options_;
    NodeData node_data_;
    NodeView view_;
    std::shared_ptr<AccessLog> access_log_;
    std::unique_ptr<RaftThread> raft_;
    std::vector<GatewayThread> threads_;
    std::vector<std::unique_ptr<GatewayPort>> ports_;
    std::vector<std::unique_ptr<Gateway>> gateways_;
    std::unique_ptr<net::signal_set> signals_;
    std::unique_ptr<net::signal_set> hangups_;
    std::size_t draining_gateways_ = 0;
};

RaftThreadOptions App::raft_options() {
    const raft::Identity& identity = node_data_.identity();
    RaftThreadOptions raft;
    raft.tick_ms = std::clamp(options_.heartbeat_ms / 5, 1, 10);
    raft.core.id = options_.id;
    raft.core.group = value_group;
    raft.core.disk_id = identity.disk_id;
    raft.core.joined = identity.joined;
    raft.core.heartbeat_ticks = std::max(1, options_.heartbeat_ms / raft.tick_ms);
    raft.core.election_timeout_ticks =
        std::max(2 * raft.core.heartbeat_ticks, options_.election_timeout_ms / raft.tick_ms);
    raft.core.random_seed = random_number();
    if (options_.lease_reads) {
        raft.core.vote_promise_ns = raft::duration_of_ticks_ns(
            raft.core.election_timeout_ticks, std::int64_t{raft.tick_ms} * 1'000'000);
    }
    raft.core.refuse_votes_at_start = true;
    raft.transport.cluster_id = identity.cluster_id;
    raft.transport.node_id = options_.id;
    raft.transport.random_seed = random_number();
    raft.transport.peers = node_data_.peers();
    raft.transport.disk_id = identity.disk_id;
    raft.transport.replaced_disk_id = identity.replaced_disk_id;
    raft.transport.raft_address = node_data_.advertised_address(options_).text();
    raft.replica.membership.disk_id = identity.disk_id;
    raft.replica.membership.hear_ns =
        std::max(raft.replica.membership.hear_ns, 2 * options_.election_timeout_ms * ns_per_ms);
    raft.replica.membership.first_request_id = random_number() >> 1U;
    raft.replica.on_removed = [this] { end_as_removed(); };
    const Address address = node_data_.listen_address(options_);
    // Whatever this node is told, another may have larger values, or the log from before.
    raft.transport.frame_bytes_max = 2 * fsm::value_bytes_max + (std::uint64_t{1} << 20U);
    raft.transport.outbox_bytes_max =
        std::max(raft.transport.outbox_bytes_max, 4 * options_.max_value_bytes);
    raft.transport.listen_host = address.host;
    raft.transport.listen_port = address.port;
    raft.access_log = access_log_;
    raft.replica.cluster_id = identity.cluster_id;
    raft.replica.raft_address = address.text();
    raft.replica.random_seed = random_number();
    raft.replica.disk_stall_ns =
        std::max(raft.replica.disk_stall_ns, 2 * options_.election_timeout_ms * ns_per_ms);
    raft.replica.long_polls_max = static_cast<std::size_t>(options_.max_long_polls);
    raft.replica.snapshots.entries_between = options_.snapshot_entries;
    raft.replica.snapshots.entries_kept = options_.snapshot_entries / 10;
    return raft;
}

// What all gateways share, each gets its part of.
GatewayOptions App::gateway_options(std::uint64_t files_max) const {
    const std::size_t gateways = static_cast<std::size_t>(std::max(options_.gateway_threads, 1));
    GatewayOptions gateway;
    gateway.access_log = access_log_;
    gateway.api.max_value_bytes = options_.max_value_bytes;
    gateway.api.default_timeout_ms = options_.default_timeout_ms;
    gateway.api.lease_reads = options_.lease_reads;
    gateway.api.allowed_hosts = options_.allowed_hosts;
    gateway.api.allowed_hosts.push_back(options_.http.host);
    if (options_.advertise_http) {
        gateway.api.allowed_hosts.push_back(options_.advertise_http->host);
    }
    gateway.api.origins = {options_.allowed_origins, &view_.http_addresses};
    gateway.multiplex.subscriptions_max =
        static_cast<std::size_t>(options_.max_socket_subscriptions);
    gateway.multiplex.commands_max = static_cast<std::size_t>(options_.max_socket_commands);
    const std::size_t connections =
        connections_max(static_cast<std::size_t>(options_.max_connections), files_max);
    gateway.connections_max = (connections + gateways - 1) / gateways;
    gateway.connections_per_address_max =
        connections_per_address_max(options_, gateway.connections_max, gateways);
    set_client_limits(options_, gateway);
    set_large_body_limits(options_, gateways, gateway);
    gateway.streams.subscriptions_max /= gateways;
    gateway.streams.queued_bytes_max = options_.max_stream_queue_bytes / gateways;
    return gateway;
}

void App::build_gateways(std::uint64_t files_max) {
    const GatewayOptions options = gateway_options(files_max);
    threads_.resize(static_cast<std::size_t>(options_.gateway_threads));
    std::vector<net::io_context*> contexts;
    for (GatewayThread& thread : threads_) {
        contexts.push_back(thread.context.get());
    }
    if (contexts.empty()) {
        contexts.push_back(&raft_->context());
    }
    for (net::io_context* context : contexts) {
        ports_.push_back(
            std::make_unique<GatewayPort>(*context, raft_->context(), raft_->replica(), view_));
        raft_->replica().add_port(*ports_.back());
        gateways_.push_back(std::make_unique<Gateway>(*context, *ports_.back(), options));
        raft_->metrics().add(gateways_.back()->statistics());
    }
}

// Nothing is written, nobody asked, for a node that can't listen.
std::optional<StartRefusal> App::open_data() {
    if (std::optional<StartRefusal> refusal = node_data_.claim(options_)) {
        return refusal;
    }
    if (std::optional<StartRefusal> refusal =
            refuse_addresses(options_.http, node_data_.listen_address(options_))) {
        return refusal;
    }
    return node_data_.open(options_);
}

std::optional<StartRefusal> App::start() {
    if (options_.unsafe_no_fsync) {
        spdlog::warn("--unsafe-no-fsync: acknowledged writes can be lost; never for data");
    }
    if (!options_.access_log.empty()) {
        std::string error;
        access_log_ = AccessLog::open(options_.access_log, options_.log_format, error);
        if (!access_log_) {
            return StartRefusal{1, error};
        }
    }
    const std::uint64_t files_max = raise_file_limit();
    raft_ = std::make_unique<RaftThread>(raft_options(), node_data_.take_data(),
                                         node_data_.directory(), view_);
    build_gateways(files_max);
    std::string error = gateways_.front()->listen(options_.http.host, options_.http.port);
    const std::uint16_t port = gateways_.front()->port();
    if (error.empty()) {
        const Address raft_address = node_data_.advertised_address(options_);
        error = raft_->start(options_.advertised_http(raft_address, port).text());
    }
    if (!error.empty()) {
        return StartRefusal{1, error};
    }
    std::vector<SocketTaker*> others;
    for (std::size_t i = 1; i < gateways_.size(); ++i) {
        gateways_[i]->start();
        others.push_back(gateways_[i].get());
    }
    gateways_.front()->start(others);
    spdlog::info("node {} of cluster {:016x}: HTTP on {}, Raft on {}, data in {}", options_.id,
                 node_data_.identity().cluster_id, Address{options_.http.host, port}.text(),
                 node_data_.listen_address(options_).text(), options_.data_dir);
    return std::nullopt;
}

void App::run() {
    signals_ = std::make_unique<net::signal_set>(raft_->context(), SIGTERM, SIGINT);
    wait_for_signal();
    if (access_log_) {
        hangups_ = std::make_unique<net::signal_set>(raft_->context(), SIGHUP);
        wait_for_hangup();
    }
    for (GatewayThread& thread : threads_) {
        thread.thread = std::thread([context = thread.context.get()] {
            const auto work = net::make_work_guard(*context);
            context->run();
        });
    }
    raft_->context().run();
}

// The file was rotated.
void App::wait_for_hangup() {
    hangups_->async_wait([this](const boost::system::error_code& error, int) {
        if (!error) {
            access_log_->reopen();
            wait_for_hangup();
        }
    });
}

void App::wait_for_signal() {
    signals_->async_wait([this](const boost::system::error_code& error, int) {
        if (error) {
            return;
        }
        if (view_.draining.exchange(true)) {
            std::_Exit(1);  // asked twice
        }
        wait_for_signal();
        begin_drain();
    });
}

// A member no more: nobody hears this node, and nobody should be answered by it.
void App::end_as_removed() {
    spdlog::error(
        "node {} is a member of its cluster no more and ends; its data in {} is left as "
        "it is",
        options_.id, options_.data_dir);
    if (!view_.draining.exchange(true)) {
        net::post(raft_->context(), [this] { begin_drain(); });
    }
}

void App::begin_drain() {
    spdlog::info("shutting down");
    raft_->hand_over([this] { drain_gateways(); });
}

void App::drain_gateways() {
    draining_gateways_ = gateways_.size();
    for (const std::unique_ptr<Gateway>& gateway : gateways_) {
        net::post(gateway->executor(), [this, &gateway] {
            gateway->drain([this] { net::post(raft_->context(), [this] { gateway_drained(); }); });
        });
    }
}

void App::gateway_drained() {
    if (--draining_gateways_ > 0) {
        return;
    }
    raft_->stop();
    signals_->cancel();
    if (hangups_) {
        hangups_->cancel();
    }
    raft_->context().stop();
}

App::~App() {
    for (GatewayThread& thread : threads_) {
        thread.context->stop();
        if (thread.thread.joinable()) {
            thread.thread.join();
        }
    }
    // While the ports that it answers to are still there, also when the start failed half-way.
    if (raft_) {
        raft_->stop();
    }
    gateways_.clear();
}

}  // namespace

int serve(const ServeOptions& options) {
    setup_logging(options.log_level, options.log_format);
    App app(options);
    std::optional<StartRefusal> refusal = app.open_data();
    if (!refusal) {
        refusal = app.start();
    }
    if (refusal) {
        std::fprintf(stderr, "cairn: %s\n", refusal->reason.c_str());
        return refusal->exit_status;
    }
    app.run();
    spdlog::info("stopped");
    return 0;
}

}  // namespace cairn::server
