// The end of faults where only a core gets well: a majority of the voters that is drawn at random,
// while the others stay as bad as they can be.
#include <algorithm>

#include "raft/core/quorum.h"
#include "tests/sim/faults.h"

namespace cairn::sim {

namespace {

bool is_majority(const std::vector<raft::NodeId>& core, const raft::Configuration& configuration) {
    return raft::quorum_vote(configuration, [&](raft::NodeId id) {
               return std::find(core.begin(), core.end(), id) != core.end() ? 1 : -1;
           }) == raft::VoteResult::won;
}

}  // namespace

// All that may be in force: the newest that is committed, and what is in anybody's log.
std::vector<raft::Configuration> Faults::configurations() const {
    std::vector<raft::Configuration> all{newest_configuration()};
    for (const auto& [id, node] : nodes_) {
        if (node->is_running()) {
            all.push_back(node->replica().node().core().configuration());
            all.push_back(node->replica().node().core().committed_configuration());
        }
    }
    return all;
}

// Voters that are a majority in every configuration; empty when there are none.
std::vector<raft::NodeId> Faults::draw_core() {
    const std::vector<raft::Configuration> all = configurations();
    const auto is_core = [&all](const std::vector<raft::NodeId>& core) {
        return std::all_of(all.begin(), all.end(), [&core](const auto& configuration) {
            return configuration == raft::Configuration{} || is_majority(core, configuration);
        });
    };
    const bool impaired = is_impaired();
    std::vector<raft::NodeId> core;
    for (const auto& [id, node] : nodes_) {
        const bool votes = std::any_of(all.begin(), all.end(), [id](const auto& configuration) {
            return configuration.is_voter(id);
        });
        // Whose disk is lost has no voice.
        if (votes && node->is_running() && !(impaired && id == damaged_)) {
            core.push_back(id);
        }
    }
    if (!is_core(core)) {
        return {};
    }
    std::vector<raft::NodeId> candidates = core;
    while (!candidates.empty() && !random_.chance(1000)) {
        const raft::NodeId left_out = random_.pick(candidates);
        std::erase(candidates, left_out);
        std::vector<raft::NodeId> smaller = core;
        std::erase(smaller, left_out);
        if (is_core(smaller)) {
            core = smaller;
        }
    }
    return core;
}

void Faults::set_aside() {
    const std::vector<raft::NodeId> core = draw_core();
    if (core.empty()) {
        return;
    }
    const std::vector<raft::Configuration> all = configurations();
    for (const auto& [id, node] : nodes_) {
        const bool votes = std::any_of(all.begin(), all.end(), [id](const auto& configuration) {
            return configuration.is_voter(id);
        });
        if (votes && std::find(core.begin(), core.end(), id) == core.end()) {
            aside_.insert(id);
        }
    }
    for (const raft::NodeId id : aside_) {
        set_aside(id);
    }
    if (!aside_.empty()) {
        world_.trace.sometimes("core alone healed");
    }
}

void Faults::set_aside(raft::NodeId id) {
    SimNode& node = *nodes_.at(id);
    const std::uint64_t how = random_.below(4);
    world_.trace.note(id, "set aside", how);
    switch (how) {
        case 0:
            node.keep_down();
            node.crash(random_.chance(5000) ? SimNode::End::power_lost : SimNode::End::killed);
            break;
        case 1:
            node.pause();
            break;
        case 2:
            for (const auto& [other, unused] : nodes_) {
                world_.network.block(id, other);
                world_.network.block(other, id);
            }
            break;
        default:
            flap(id);
            break;
    }
}

// Now and then something gets through, one way or the other.
void Faults::flap(raft::NodeId id) {
    for (const auto& [other, unused] : nodes_) {
        for (const auto& [from, to] : {std::pair(id, other), std::pair(other, id)}) {
            if (random_.chance(7500)) {
                world_.network.block(from, to);
            } else {
                world_.network.unblock(from, to);
            }
        }
    }
    world_.queue.after(random_.around(500 * ms), [this, id] { flap(id); });
}

}  // namespace cairn::sim
