// Where a node's driver hands what must become durable, and how it hears that it is.
//
// Called on the raft thread. The implementation (raft/disk/disk_thread.h; the simulation has its
// own) does the blocking work elsewhere and reports on the raft thread, in the order of submission.
// A failure is never reported: the process ends.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "raft/core/types.h"

namespace cairn::raft {

// One persistence batch of one group, numbered by its core.
struct PersistBatch {
    GroupId group = 0;
    Sequence sequence = 0;
    std::optional<HardState> hard_state;
    std::vector<Entry> entries;
};

class Storage {
 public:
    virtual ~Storage() = default;
    // Takes the batch; Node::on_persisted(batch.sequence) follows once it is durable.
    virtual void submit(PersistBatch batch) = 0;
    // Entries of the group below `first_needed` are not wanted any more.
    virtual void release(GroupId group, Index first_needed) = 0;
    // The group's entries so far are void; the next one submitted has index `log_start`.
    virtual void reset_log(GroupId group, Index log_start) = 0;
    // There is room for little more: what stores anything is to be refused, so that deletes can
    // still be logged. Clears by itself.
    virtual bool is_full() const { return false; }
    // How long a write with its sync has taken lately (a moving mean), for people; 0: not known.
    virtual std::int64_t recent_append_ns() const { return 0; }
};

}  // namespace cairn::raft
