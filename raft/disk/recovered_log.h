// What a restart makes of the newest snapshot and the log on disk together. Pure; used once, before
// a core exists.
#pragma once

#include <optional>
#include <string>

#include "raft/core/core.h"
#include "raft/disk/wal.h"

namespace cairn::raft {

struct RecoveredLog {
    CoreStart start;
    // The entries on disk don't go on from the snapshot (a crash came between installing it and
    // giving up the old log): the log on disk must be reset to begin after start.base.
    bool log_replaced = false;
};

struct RecoveryFailure {
    std::string text;  // one line
    // The snapshot that the log was trimmed to is gone. Otherwise nothing is lost, but this program
    // can't read it.
    bool is_damage = false;
};

// `base` and `configuration` are the newest snapshot's, or empty and the founders'. Nothing, with
// `failure` filled, when entries are missing between snapshot and log, or when there is a
// configuration of a later version's.
std::optional<RecoveredLog> recover_log(const LogPosition& base, const Configuration& configuration,
                                        WalGroupState state, RecoveryFailure& failure);

}  // namespace cairn::raft
