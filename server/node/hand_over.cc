#include "server/node/hand_over.h"

#include <tuple>

namespace cairn::server {

raft::NodeId hand_over_target(const raft::Core& core, raft::NodeId avoided) {
    const raft::Progress* best = nullptr;
    const auto merit = [&](const raft::Progress& progress) {
        return std::tuple(progress.id != avoided, progress.match_index);
    };
    for (const raft::Progress& progress : core.progress()) {
        const bool usable = progress.id != core.id() &&
                            progress.state == raft::Progress::State::replicate &&
                            core.configuration().is_voter(progress.id);
        if (usable && (best == nullptr || merit(progress) > merit(*best))) {
            best = &progress;
        }
    }
    return best == nullptr ? 0 : best->id;
}

}  // namespace cairn::server
