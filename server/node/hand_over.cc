#include "server/node/hand_over.h"

#include <algorithm>
#include <tuple>
#include <vector>

namespace cairn::server {

raft::NodeId hand_over_target(const raft::Core& core, raft::NodeId avoided) {
    const raft::Progress* best = nullptr;
    const auto merit = [&](const raft::Progress& progress) {
        return std::tuple(progress.id != avoided, progress.match_index);
    };
    for (const raft::Progress& progress : core.progress()) {
        // While members change, one that is to go has a vote still.
        const std::vector<raft::NodeId>& voters = core.configuration().voters;
        const bool stays = std::ranges::find(voters, progress.id) != voters.end();
        const bool heard = progress.silent_ticks < core.options().election_timeout_ticks;
        const bool usable = progress.id != core.id() && stays && heard &&
                            progress.state == raft::Progress::State::replicate;
        if (usable && (best == nullptr || merit(progress) > merit(*best))) {
            best = &progress;
        }
    }
    return best == nullptr ? 0 : best->id;
}

}  // namespace cairn::server
