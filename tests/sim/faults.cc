#include "tests/sim/faults.h"

#include <algorithm>
#include <utility>

namespace cairn::sim {

namespace {

constexpr raft::NodeId nodes_max = 9;  // that ever are in a run
constexpr std::int64_t membership_quiet_ns = 4 * second;

}  // namespace

Faults::Faults(Surroundings surroundings, Nodes& nodes, BatchListener& listener)
    : world_(surroundings),
      nodes_(nodes),
      listener_(listener),
      random_(surroundings.random.stream("faults")) {}

void Faults::start() {
    newest_node_ = nodes_.rbegin()->first;
    const Swarm& swarm = world_.swarm;
    const FaultTimes& every = swarm.every;
    repeat(every.crash_ns, &Faults::crash);
    repeat(every.storm_ns, &Faults::storm);
    repeat(every.pause_ns, &Faults::pause);
    repeat(every.partition_ns, &Faults::partition);
    repeat(every.trap_ns, &Faults::trap_leader);
    repeat(every.reset_ns, &Faults::reset_connection);
    repeat(every.clog_ns, &Faults::clog);
    repeat(every.clock_jump_ns, &Faults::jump_clock);
    repeat(every.disk_stall_ns, &Faults::stall_disk);
    repeat(every.disk_error_ns, &Faults::fail_disk);
    repeat(every.disk_full_ns, &Faults::fill_disk);
    repeat(swarm.membership_every_ns, &Faults::change_members);
    repeat(swarm.transfer_every_ns, &Faults::transfer);
    repeat(swarm.take_snapshot_every_ns, &Faults::take_snapshot);
}

void Faults::repeat(std::int64_t every_ns, Act act) {
    if (every_ns == 0) {
        return;
    }
    world_.queue.after(random_.around(every_ns), [this, every_ns, act] {
        if (!stopped_) {
            (this->*act)();
            repeat(every_ns, act);
        }
    });
}

// Often one that leads: what happens to a leader is more interesting.
SimNode* Faults::some_node() {
    std::vector<SimNode*> running;
    std::vector<SimNode*> leading;
    for (const auto& [id, node] : nodes_) {
        if (node->is_running() && !node->is_retired()) {
            running.push_back(node.get());
            if (node->replica().leads()) {
                leading.push_back(node.get());
            }
        }
    }
    if (!leading.empty() && random_.chance(4000)) {
        return random_.pick(leading);
    }
    return running.empty() ? nullptr : random_.pick(running);
}

void Faults::restart_later(raft::NodeId id) {
    world_.queue.after(some_while(), [this, id] { nodes_.at(id)->start(); });
}

void Faults::crash() {
    SimNode* node = some_node();
    if (node == nullptr) {
        return;
    }
    const bool damages = may_damage(node->id());
    if (random_.chance(1500)) {
        node->stop();
    } else {
        const bool power = world_.swarm.power_loss && random_.chance(6000);
        node->crash(power ? SimNode::End::power_lost : SimNode::End::killed);
    }
    if (damages && node->flip_bit()) {
        damaged_ = node->id();
    }
    restart_later(node->id());
}

void Faults::storm() {
    world_.trace.sometimes("restart storm");
    for (const auto& [id, node] : nodes_) {
        if (node->is_running() && random_.chance(7000)) {
            node->crash(world_.swarm.power_loss ? SimNode::End::power_lost : SimNode::End::killed);
            restart_later(id);
        }
    }
}

void Faults::pause() {
    SimNode* node = some_node();
    if (node == nullptr || node->is_paused()) {
        return;
    }
    world_.trace.note(node->id(), "paused");
    world_.trace.sometimes("process paused");
    node->pause();
    world_.queue.after(some_while(), [this, id = node->id()] {
        if (!is_aside(id)) {
            nodes_.at(id)->resume();
        }
    });
}

void Faults::cut(const std::vector<raft::NodeId>& from, const std::vector<raft::NodeId>& to,
                 std::int64_t lasts_ns, bool both_ways) {
    for (const raft::NodeId a : from) {
        for (const raft::NodeId b : to) {
            if (a == b) {
                continue;
            }
            world_.trace.note(a, "cut off from", b, both_ways ? 2 : 1);
            world_.network.block(a, b);
            if (both_ways) {
                world_.network.block(b, a);
            }
            world_.queue.after(lasts_ns + random_.between(0, 10 * ms), [this, a, b, both_ways] {
                if (is_aside(a) || is_aside(b)) {
                    return;
                }
                world_.network.unblock(a, b);
                if (both_ways) {
                    world_.network.unblock(b, a);
                }
            });
        }
    }
}

// Halves, one alone, one deaf or mute, a pair that doesn't see each other.
void Faults::partition() {
    world_.trace.sometimes("partition");
    std::vector<raft::NodeId> all;
    for (const auto& [id, node] : nodes_) {
        all.push_back(id);
    }
    const SimNode* running = some_node();
    const raft::NodeId one = running == nullptr ? random_.pick(all) : running->id();
    const std::int64_t lasts_ns = some_while();
    const bool both_ways = random_.chance(6000);
    switch (random_.below(3)) {
        case 0: {
            std::vector<raft::NodeId> sides[2];
            for (const raft::NodeId id : all) {
                sides[random_.below(2)].push_back(id);
            }
            cut(sides[0], sides[1], lasts_ns, both_ways);
            break;
        }
        case 1:
            if (both_ways || random_.chance(5000)) {
                cut({one}, all, lasts_ns, both_ways);
            } else {
                cut(all, {one}, lasts_ns, false);
            }
            break;
        default:
            cut({one}, {random_.pick(all)}, lasts_ns, both_ways);
            break;
    }
}

// Some voters don't hear the leader until they would lead themselves; then the others, on which the
// leader counts, are killed, start at once and don't hear it any more either. Whoever forgets what
// it promised helps another to lead while the leader still answers reads.
void Faults::trap_leader() {
    const SimNode* leading = some_node();
    if (leading == nullptr || !leading->replica().leads()) {
        return;
    }
    const raft::NodeId leader = leading->id();
    const std::vector<raft::NodeId>& voters = newest_configuration().voters;
    std::vector<raft::NodeId> others;
    std::copy_if(voters.begin(), voters.end(), std::back_inserter(others),
                 [leader](raft::NodeId id) { return id != leader; });
    if (others.size() < 2) {
        return;
    }
    std::vector<raft::NodeId> counted_on;
    while (counted_on.size() < voters.size() / 2) {
        counted_on.push_back(random_.pick(others));
        std::erase(others, counted_on.back());
    }
    const Swarm& swarm = world_.swarm;
    const std::int64_t timeout_ns = std::int64_t{swarm.election_ticks} * swarm.tick_ms * ms;
    const std::int64_t prepared_ns = 2 * timeout_ns + random_.between(0, timeout_ns);
    cut({leader}, others, prepared_ns + 2 * timeout_ns, true);
    world_.queue.after(prepared_ns, [this, leader, counted_on, timeout_ns] {
        if (stopped_) {
            return;
        }
        world_.trace.sometimes("leader trapped");
        cut({leader}, counted_on, 2 * timeout_ns, true);
        for (const raft::NodeId id : counted_on) {
            if (nodes_.contains(id)) {
                nodes_.at(id)->crash(SimNode::End::killed);
                world_.queue.after(random_.between(1, 10) * ms,
                                   [this, id] { nodes_.at(id)->start(); });
            }
        }
    });
}

void Faults::reset_connection() {
    SimNode* a = some_node();
    SimNode* b = some_node();
    if (a != nullptr && a != b) {
        world_.trace.note(a->id(), "connection reset", b->id());
        world_.network.reset(a->id(), b->id());
    }
}

void Faults::clog() {
    SimNode* a = some_node();
    SimNode* b = some_node();
    if (a == nullptr || a == b) {
        return;
    }
    const std::int64_t delay_ns = random_.around(100 * ms);
    world_.network.set_extra_delay(a->id(), b->id(), delay_ns);
    world_.queue.after(some_while(), [this, from = a->id(), to = b->id()] {
        world_.network.set_extra_delay(from, to, 0);
    });
}

void Faults::jump_clock() {
    if (SimNode* node = some_node()) {
        world_.trace.sometimes("wall clock jumped");
        node->jump_clock(random_.between(-3600, 3600) * second);
    }
}

void Faults::stall_disk() {
    if (SimNode* node = some_node()) {
        node->stall_disk(some_while());
    }
}

void Faults::fail_disk() {
    if (SimNode* node = some_node()) {
        node->fail_disk_soon();
    }
}

void Faults::fill_disk() {
    SimNode* node = some_node();
    if (node != nullptr) {
        node->fill_disk();
        world_.queue.after(some_while(), [this, id = node->id()] { nodes_.at(id)->empty_disk(); });
    }
}

// Whether the damaged one isn't a voter with its present disk yet.
bool Faults::is_impaired() {
    if (damaged_ == 0) {
        return false;
    }
    const raft::Configuration& configuration = newest_configuration();
    const SimNode& node = *nodes_.at(damaged_);
    if (!node.is_running()) {
        return true;
    }
    const raft::Member* member = configuration.detail(damaged_);
    const bool well = !configuration.contains(damaged_) ||
                      (configuration.is_voter(damaged_) && !configuration.is_joint() &&
                       member != nullptr && member->disk_id == node.disk_id());
    if (well) {
        damaged_ = 0;
        world_.trace.sometimes("damaged node repaired");
    }
    return !well;
}

// A minority of every configuration that may come into force: two voters that are to be left of
// three can't lose one.
bool Faults::may_damage(raft::NodeId id) {
    if (!world_.swarm.flips_bits || !random_.chance(5000) || is_impaired()) {
        return false;
    }
    const auto is_minority = [id](const raft::Configuration& configuration) {
        return !configuration.is_joint() && configuration.voters.size() >= 3 &&
               configuration.is_voter(id);
    };
    for (const auto& [other, node] : nodes_) {
        if (!node->is_retired() &&
            (!node->is_running() || !is_minority(node->replica().node().core().configuration()))) {
            return false;
        }
    }
    return is_minority(newest_configuration());
}

void Faults::ask(std::shared_ptr<server::Operation> operation) {
    operation->timeout_ms = 3000;
    operation->on_done = [this, asked = operation.get()] {
        if (asked->failure == server::Failure::none &&
            asked->membership == server::MembershipOutcome::done && asked->error.empty()) {
            switch (asked->kind) {
                case server::Operation::Kind::add_member:
                    world_.trace.sometimes("member added");
                    break;
                case server::Operation::Kind::remove_member:
                    world_.trace.sometimes("member removed");
                    break;
                case server::Operation::Kind::transfer_leadership:
                    world_.trace.sometimes("leadership transferred");
                    break;
                default:
                    world_.trace.sometimes("snapshot taken on demand");
                    break;
            }
        }
    };
    if (SimNode* node = some_node()) {
        (void)node->submit(std::move(operation));
    }
}

void Faults::change_members() {
    // What was asked for is over when the core is drawn.
    const bool late = world_.swarm.only_core_heals &&
                      world_.queue.now_ns() + membership_quiet_ns > world_.swarm.faults_until_ns;
    if (late || is_impaired()) {
        return;
    }
    const raft::Configuration& configuration = newest_configuration();
    const bool many = configuration.voters.size() > 4;
    if (newest_node_ < nodes_max && !many && random_.chance(6000)) {
        add_member();
    } else if (configuration.voters.size() > 1) {
        remove_member();
    }
}

void Faults::create(raft::NodeId id, bool joined) {
    if (nodes_.contains(id)) {
        return;  // it was needed earlier than planned
    }
    SimIdentity identity;
    identity.joined = joined;
    for (const auto& [other, node] : nodes_) {
        identity.peers.push_back(other);
    }
    auto& node = nodes_[id];
    node = std::make_unique<SimNode>(world_, id, identity, listener_);
    node->start();
}

void Faults::add_member() {
    const raft::NodeId id = ++newest_node_;
    auto operation = std::make_shared<server::Operation>();
    operation->kind = server::Operation::Kind::add_member;
    operation->member = id;
    operation->member_address = raft_address_of(id);
    operation->stays_learner = random_.chance(1500);
    world_.trace.note(id, "to be added");
    ask(operation);
    world_.queue.after(random_.around(200 * ms), [this, id] { create(id, true); });
}

void Faults::remove_member() {
    std::vector<raft::NodeId> members = newest_configuration().members();
    auto operation = std::make_shared<server::Operation>();
    operation->kind = server::Operation::Kind::remove_member;
    operation->member = random_.pick(members);
    world_.trace.note(operation->member, "to be removed");
    ask(operation);
}

void Faults::transfer() {
    const raft::Configuration& configuration = newest_configuration();
    auto operation = std::make_shared<server::Operation>();
    operation->kind = server::Operation::Kind::transfer_leadership;
    operation->member = random_.pick(configuration.voters);
    ask(operation);
}

void Faults::take_snapshot() {
    auto operation = std::make_shared<server::Operation>();
    operation->kind = server::Operation::Kind::take_snapshot;
    ask(operation);
}

void Faults::stop(bool with_mischief) {
    stopped_ = true;
    world_.network.unblock_all();
    for (const auto& [id, node] : nodes_) {
        node->empty_disk();
        if (with_mischief) {
            node->stop_mischief();
        }
        node->resume();
    }
    bring_everybody_up();
}

void Faults::bring_everybody_up() {
    for (const raft::NodeId id : newest_configuration().members()) {
        if (!nodes_.contains(id)) {
            create(id, true);
        }
    }
    for (const auto& [id, node] : nodes_) {
        if (!node->is_retired()) {
            node->start();
        }
    }
    (void)is_impaired();
}

}  // namespace cairn::sim
