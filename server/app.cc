#include "server/app.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/signal_set.hpp>
#include <spdlog/spdlog.h>
#include <sys/resource.h>

#include "raft/data_directory.h"
#include "server/gateway.h"
#include "server/gateway_port.h"
#include "server/logging.h"
#include "server/raft_thread.h"

namespace cairn::server {

namespace {

constexpr raft::GroupId group = 1;

std::uint64_t random_seed() {
    std::random_device device;
    return (static_cast<std::uint64_t>(device()) << 32U) | device();
}

// As many connections as the hard limit allows.
void raise_file_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
            spdlog::warn("can't raise the limit of open files above its present value");
        }
    }
}

raft::Identity identity_of(const InitialCluster& founders, std::uint64_t id) {
    raft::Identity identity{cluster_id_of(founders), id, {}};
    for (const InitialMember& member : founders) {
        identity.initial_members.emplace_back(member.id, member.raft.text());
    }
    return identity;
}

// The founders as they are stored; what is stored was once written from parsed addresses.
InitialCluster founders_of(const raft::Identity& identity) {
    InitialCluster founders;
    for (const auto& [id, text] : identity.initial_members) {
        const ParseResult<Address> address = parse_address(text, PortZero::refused);
        if (address) {
            founders.push_back({id, *address});
        }
    }
    return founders;
}

// A node from its parts, in the order in which they depend on each other.
class App {
 public:
    explicit App(const ServeOptions& options) : options_(options) {}
    ~App();

    // Nothing when all is well, else the exit status; the reason has been printed.
    std::optional<int> open_data();
    std::optional<int> start();
    void run();

 private:
    struct GatewayThread {
        std::unique_ptr<net::io_context> context = std::make_unique<net::io_context>(1);
        std::thread thread;
    };

    static int refuse(int status, const std::string& reason);
    std::optional<int> settle_identity();
    std::optional<int> open_snapshots();
    std::optional<int> open_log();
    raft::Configuration founding_configuration() const;
    Address raft_address() const;
    RaftThreadOptions raft_options() const;
    GatewayOptions gateway_options() const;
    void build_gateways();
    void wait_for_signal();
    void begin_drain();
    void drain_gateways();
    void gateway_drained();

    const ServeOptions& options_;
    std::unique_ptr<raft::DataDirectory> directory_;
    raft::Identity identity_;
    RaftThread::Data data_;
    NodeView view_;
    std::unique_ptr<RaftThread> raft_;
    std::vector<GatewayThread> threads_;
    std::vector<std::unique_ptr<GatewayPort>> ports_;
    std::vector<std::unique_ptr<Gateway>> gateways_;
    std::unique_ptr<net::signal_set> signals_;
    std::size_t draining_gateways_ = 0;
};

int App::refuse(int status, const std::string& reason) {
    std::fprintf(stderr, "cairn: %s\n", reason.c_str());
    return status;
}

std::optional<int> App::open_data() {
    std::string error;
    directory_ = raft::DataDirectory::open(raft::posix_file_system(), options_.data_dir, error);
    if (!directory_) {
        return refuse(1, error);
    }
    if (const std::optional<int> status = settle_identity()) {
        return status;
    }
    if (const std::optional<int> status = open_snapshots()) {
        return status;
    }
    return open_log();
}

std::optional<int> App::open_snapshots() {
    raft::SnapshotOptions options;
    options.cluster_id = identity_.cluster_id;
    options.group = group;
    options.salt = random_seed();
    options.sync = !options_.unsafe_no_fsync;
    raft::SnapshotFailure failure;
    data_.snapshots = raft::SnapshotStore::open(raft::posix_file_system(),
                                                directory_->snapshot_directory(), options, failure);
    if (!data_.snapshots) {
        return refuse(failure.error == raft::SnapshotError::foreign ? 2 : 1, failure.detail);
    }
    if (data_.snapshots->is_newest_damaged()) {
        return refuse(1, data_.snapshots->damaged().back().detail);
    }
    if (data_.snapshots->latest() == nullptr) {
        return std::nullopt;
    }
    std::string error;
    std::optional<fsm::StateMachine> state = load_state_machine(*data_.snapshots, error);
    if (!state) {
        return refuse(1, "the newest snapshot in " + directory_->snapshot_directory() +
                             " can't be used: " + error);
    }
    data_.state = std::move(*state);
    return std::nullopt;
}

std::optional<int> App::open_log() {
    raft::WalOptions options;
    options.cluster_id = identity_.cluster_id;
    options.node_id = identity_.node_id;
    options.record_bytes_max =
        std::max<std::uint64_t>(options.record_bytes_max, 2 * options_.max_value_bytes);
    options.segment_bytes = std::max(options.segment_bytes, 2 * options.record_bytes_max);
    options.salt = random_seed();
    options.sync = !options_.unsafe_no_fsync;
    std::map<raft::GroupId, raft::WalGroupState> recovered;
    raft::WalOpenFailure failure;
    data_.wal = raft::Wal::open(raft::posix_file_system(), directory_->wal_directory(), options,
                                recovered, failure);
    if (!data_.wal) {
        return refuse(failure.error == raft::WalOpenError::foreign ? 2 : 1, failure.detail);
    }
    raft::LogPosition base;
    raft::Configuration configuration = founding_configuration();
    if (const raft::SnapshotFile* latest = data_.snapshots->latest()) {
        base = {latest->meta.last_included_index, latest->meta.last_included_term,
                latest->meta.last_included_stamp_ns};
        configuration = latest->meta.configuration;
    }
    std::string error;
    std::optional<raft::RecoveredLog> log =
        raft::recover_log(base, configuration, std::move(recovered[group]), error);
    if (!log) {
        return refuse(1, options_.data_dir + ": " + error);
    }
    data_.log = std::move(*log);
    return std::nullopt;
}

raft::Configuration App::founding_configuration() const {
    std::vector<raft::NodeId> voters;
    for (const InitialMember& member : founders_of(identity_)) {
        voters.push_back(member.id);
    }
    return raft::configuration_of(std::move(voters));
}

// The data directory wins over the flags, unless they speak of another node or another cluster.
std::optional<int> App::settle_identity() {
    if (!directory_->identity()) {
        identity_ = identity_of(options_.founders(), options_.id);
        const std::string error = directory_->initialise(identity_);
        return error.empty() ? std::nullopt : std::optional(refuse(1, error));
    }
    identity_ = *directory_->identity();
    if (identity_.node_id != options_.id) {
        return refuse(2, "data directory " + options_.data_dir + " belongs to node " +
                             std::to_string(identity_.node_id) + ", not to node " +
                             std::to_string(options_.id));
    }
    const InitialCluster stored = founders_of(identity_);
    switch (match_initial_cluster(stored, options_.initial_cluster)) {
        case ClusterMatch::same:
            break;
        case ClusterMatch::stored_wins:
            spdlog::warn("--initial-cluster differs from what {} was made with ({}), which counts",
                         options_.data_dir, initial_cluster_text(stored));
            break;
        case ClusterMatch::another_cluster:
            return refuse(2, "data directory " + options_.data_dir +
                                 " belongs to another cluster: " + initial_cluster_text(stored));
    }
    return std::nullopt;
}

// Where this node listens is its own affair (it may be told 0.0.0.0, or stand behind another
// address); unless it is told, it is where the others were told to find it.
Address App::raft_address() const {
    if (!options_.raft_given) {
        for (const InitialMember& member : founders_of(identity_)) {
            if (member.id == options_.id) {
                return member.raft;
            }
        }
    }
    return options_.raft;
}

RaftThreadOptions App::raft_options() const {
    RaftThreadOptions raft;
    raft.tick_ms = std::clamp(options_.heartbeat_ms / 5, 1, 10);
    raft.core.id = options_.id;
    raft.core.group = group;
    raft.core.heartbeat_ticks = std::max(1, options_.heartbeat_ms / raft.tick_ms);
    raft.core.election_timeout_ticks =
        std::max(2 * raft.core.heartbeat_ticks, options_.election_timeout_ms / raft.tick_ms);
    raft.core.random_seed = random_seed();
    raft.transport.cluster_id = identity_.cluster_id;
    raft.transport.node_id = options_.id;
    raft.transport.http_address = options_.http.text();
    raft.transport.random_seed = random_seed();
    for (const InitialMember& member : founders_of(identity_)) {
        if (member.id != options_.id) {
            raft.transport.peers.push_back({member.id, member.raft.host, member.raft.port});
        }
    }
    const Address address = raft_address();
    raft.transport.frame_bytes_max = std::max<std::uint64_t>(
        raft.transport.frame_bytes_max, 2 * options_.max_value_bytes + (1U << 20));
    raft.transport.listen_host = address.host;
    raft.transport.listen_port = address.port;
    raft.replica.cluster_id = identity_.cluster_id;
    raft.replica.raft_address = address.text();
    raft.replica.http_address = options_.http.text();
    raft.replica.random_seed = random_seed();
    raft.replica.snapshots.entries_between = options_.snapshot_entries;
    raft.replica.snapshots.entries_kept = options_.snapshot_entries / 10;
    return raft;
}

GatewayOptions App::gateway_options() const {
    GatewayOptions gateway;
    gateway.host = options_.http.host;
    gateway.port = options_.http.port;
    gateway.api.max_value_bytes = options_.max_value_bytes;
    gateway.api.default_timeout_ms = options_.default_timeout_ms;
    gateway.api.allowed_hosts = options_.allowed_hosts;
    gateway.api.allowed_hosts.push_back(options_.http.host);
    gateway.api.allowed_origins = options_.allowed_origins;
    gateway.connections_max = static_cast<std::size_t>(options_.max_connections);
    return gateway;
}

void App::build_gateways() {
    const GatewayOptions options = gateway_options();
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
    }
}

std::optional<int> App::start() {
    if (options_.unsafe_no_fsync) {
        spdlog::warn("--unsafe-no-fsync: acknowledged writes can be lost; never for data");
    }
    raise_file_limit();
    raft_ = std::make_unique<RaftThread>(raft_options(), std::move(data_), view_);
    build_gateways();
    std::string error = raft_->start();
    if (error.empty()) {
        std::vector<SocketTaker*> others;
        for (std::size_t i = 1; i < gateways_.size(); ++i) {
            others.push_back(gateways_[i].get());
        }
        error = gateways_.front()->start(others);
    }
    if (!error.empty()) {
        return refuse(1, error);
    }
    spdlog::info("node {} of cluster {:016x}: HTTP on {}, Raft on {}, data in {}", options_.id,
                 identity_.cluster_id,
                 Address{options_.http.host, gateways_.front()->port()}.text(),
                 raft_address().text(), options_.data_dir);
    return std::nullopt;
}

void App::run() {
    signals_ = std::make_unique<net::signal_set>(raft_->context(), SIGTERM, SIGINT);
    wait_for_signal();
    for (GatewayThread& thread : threads_) {
        thread.thread = std::thread([context = thread.context.get()] {
            const auto work = net::make_work_guard(*context);
            context->run();
        });
    }
    raft_->context().run();
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
    std::optional<int> status = app.open_data();
    if (!status) {
        status = app.start();
    }
    if (status) {
        return *status;
    }
    app.run();
    spdlog::info("stopped");
    return 0;
}

}  // namespace cairn::server
