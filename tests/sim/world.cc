#include "tests/sim/world.h"

#include <algorithm>
#include <sstream>

namespace cairn::sim {

namespace {

// After the faults: how long it may take to come to rest, in virtual time.
constexpr std::int64_t rest_bound_ns = 120 * second;
constexpr std::int64_t look_every_ns = 100 * ms;
constexpr std::int64_t overdue_ns = 1 * second;
// So many operations are enough for one run.
constexpr std::int64_t operations_max = 6000;
constexpr std::uint64_t events_max = 20'000'000;

Swarm swarm_of(std::uint64_t seed, const Overrides& overrides) {
    Swarm swarm = Swarm::of(seed);
    swarm.faults_until_ns =
        std::min(swarm.faults_until_ns,
                 std::max<std::int64_t>(operations_max * (swarm.think_ns + 2 * ms) / swarm.clients,
                                        5 * second));
    if (overrides.change_swarm) {
        overrides.change_swarm(swarm);
    }
    return swarm;
}

}  // namespace

World::World(std::uint64_t seed, const Overrides& overrides)
    : overrides_(overrides),
      swarm_(swarm_of(seed, overrides)),
      random_(seed),
      network_(queue_, trace_, swarm_, random_.stream("network")),
      clients_(surroundings(), nodes_),
      watchers_(surroundings(), nodes_),
      faults_(surroundings(), nodes_, *this) {
    observer_.reference().set_drift(swarm_.drift_per_mille);
}

void World::found_cluster() {
    SimIdentity identity;
    for (int id = 1; id <= swarm_.nodes; ++id) {
        identity.founders.push_back(static_cast<raft::NodeId>(id));
    }
    observer_.reference().found(raft::configuration_of(identity.founders));
    for (const raft::NodeId id : identity.founders) {
        SimIdentity own = identity;
        std::copy_if(identity.founders.begin(), identity.founders.end(),
                     std::back_inserter(own.peers),
                     [id](raft::NodeId other) { return other != id; });
        nodes_[id] = std::make_unique<SimNode>(surroundings(), id, own, *this);
        if (overrides_.break_storage) {
            nodes_[id]->break_storage();
        }
        nodes_[id]->start();
    }
}

void World::run_until(std::int64_t time_ns) {
    bool over = false;
    queue_.after(time_ns - queue_.now_ns(), [&over] { over = true; });
    while (!over && queue_.run_next()) {
        require(queue_.events() < events_max, "it goes on for ever");
    }
}

void World::run() {
    found_cluster();
    clients_.start();
    watchers_.start();
    faults_.start();
    run_until(swarm_.faults_until_ns);
    trace_.note(0, "faults stop");
    faults_.stop(!overrides_.mischief_goes_on);
    if (swarm_.only_core_heals) {
        faults_.set_aside();
    }
    const std::int64_t deadline_ns = queue_.now_ns() + rest_bound_ns;
    run_until(queue_.now_ns() + 2 * second);
    clients_.finish();
    watchers_.finish();
    std::string unrest;
    do {
        require(queue_.now_ns() < deadline_ns, "it does not come to rest: ", unrest);
        run_until(queue_.now_ns() + look_every_ns);
        faults_.bring_everybody_up();
        unrest = what_is_not_at_rest();
    } while (!unrest.empty());
    check_at_end();
}

const SimNode* World::leader() const {
    const SimNode* found = nullptr;
    for (const auto& [id, node] : nodes_) {
        if (node->is_running() && !faults_.is_aside(id) && node->replica().leads() &&
            (found == nullptr ||
             node->replica().node().core().term() > found->replica().node().core().term())) {
            found = node.get();
        }
    }
    return found;
}

bool World::is_overdue(const SimNode& leading) const {
    const std::int64_t deadline_ns = leading.replica().state_machine().next_deadline_ns();
    return deadline_ns != 0 &&
           deadline_ns + overdue_ns < leading.replica().node().core().clock_ns();
}

// Empty, or what is still to happen.
std::string World::what_is_not_at_rest() {
    const SimNode* leading = leader();
    if (leading == nullptr) {
        return "nobody leads";
    }
    if (!clients_.is_done()) {
        return "clients wait:" + clients_.describe_waiting();
    }
    const raft::Core& core = leading->replica().node().core();
    const raft::Configuration& configuration = core.committed_configuration();
    std::ostringstream unrest;
    if (configuration.is_joint() || core.commit_index() < core.log().last_index()) {
        unrest << "the leader's log is not all committed; ";
    }
    for (const raft::NodeId id : configuration.members()) {
        if (faults_.is_aside(id)) {
            continue;
        }
        const auto found = nodes_.find(id);
        if (found == nodes_.end() || !found->second->is_running()) {
            unrest << "node " << id << " is down; ";
            continue;
        }
        const server::Replica& replica = found->second->replica();
        const raft::Member* member = configuration.detail(id);
        if (replica.state_machine().applied_index() < observer_.reference().last_index()) {
            unrest << "node " << id << " has applied " << replica.state_machine().applied_index()
                   << " of " << observer_.reference().last_index() << "; ";
        }
        if (replica.node().core().leader_id() != core.id()) {
            unrest << "node " << id << " follows " << replica.node().core().leader_id() << "; ";
        }
        if (member == nullptr || member->disk_id != found->second->disk_id()) {
            unrest << "node " << id << " is not known with its disk; ";
        }
        const bool learns = configuration.is_learner(id);
        if (learns && member != nullptr && !member->stays_learner) {
            unrest << "node " << id << " is still a learner; ";
        }
    }
    if (is_overdue(*leading)) {
        unrest << "values are overdue; ";
    }
    if (!watchers_.have_seen(observer_.reference().last_index())) {
        unrest << "streams lag behind; ";
    }
    return unrest.str();
}

void World::check_at_end() {
    const raft::Configuration configuration =
        leader()->replica().node().core().committed_configuration();
    for (const raft::NodeId id : configuration.members()) {
        if (faults_.is_aside(id)) {
            continue;
        }
        observer_.check_same_state(id, nodes_.at(id)->replica());
    }
    clients_.check_at_end();
}

// One line for each node.
std::vector<std::string> World::describe_nodes() const {
    std::vector<std::string> lines;
    for (const auto& [id, node] : nodes_) {
        std::ostringstream line;
        line << "node " << id << " disk " << std::hex << node->disk_id() % 0x10000 << std::dec
             << (node->is_retired() ? " retired" : "") << (node->is_paused() ? " paused" : "");
        if (!node->is_running()) {
            lines.push_back(line.str() + " down");
            continue;
        }
        const raft::Core& core = node->replica().node().core();
        line << " role " << static_cast<int>(core.role()) << " term " << core.term() << " leader "
             << core.leader_id() << " log " << core.log().base().index << ".."
             << core.log().last_index() << " (term " << core.log().last_term() << ") commit "
             << core.commit_index() << " applied "
             << node->replica().state_machine().applied_index() << " configuration";
        const raft::Configuration& configuration = core.configuration();
        for (const raft::NodeId member : configuration.members()) {
            const raft::Member* detail = configuration.detail(member);
            line << ' ' << (configuration.is_learner(member) ? "learner " : "") << member << ':'
                 << std::hex << (detail == nullptr ? 0 : detail->disk_id % 0x10000) << std::dec;
        }
        line << (configuration.is_joint() ? " joint" : "");
        for (const raft::Progress& progress : core.progress()) {
            line << "; of " << progress.id << " match " << progress.match_index << " next "
                 << progress.next_index << " inflight " << progress.inflight_messages() << " state "
                 << static_cast<int>(progress.state);
        }
        lines.push_back(line.str());
    }
    return lines;
}

void World::fill(Report& report) const {
    report.hash = trace_.hash();
    report.simulated_ns = queue_.now_ns();
    report.events = queue_.events();
    report.entries = observer_.reference().last_index();
    report.operations = clients_.answered();
    report.counters = trace_.counters();
    report.history = clients_.history();
    report.agreed_events = observer_.reference().events();
    report.streams = watchers_.records();
    report.keyed = observer_.reference().keyed();
    if (!report.violation.empty()) {
        report.last_events = trace_.last(1U << 16);
        report.nodes = describe_nodes();
    }
}

Report run(std::uint64_t seed, const Overrides& overrides) {
    Report report;
    report.seed = seed;
    fsm::set_hash_secret(overrides.hash_secret);
    World world(seed, overrides);
    try {
        world.run();
    } catch (const Violation& violation) {
        report.violation = violation.what();
    }
    world.fill(report);
    report.verdict = judge(report.history, world.drift_per_mille());
    if (report.violation.empty() && report.verdict.verdict == checker::Verdict::violated) {
        report.violation = report.verdict.format();
    }
    if (report.violation.empty()) {
        const checker::Place end{report.entries};
        report.violation = judge_streams(report.agreed_events, report.streams, end);
    }
    if (report.violation.empty()) {
        report.violation = judge_keyed(report.keyed);
    }
    return report;
}

}  // namespace cairn::sim
