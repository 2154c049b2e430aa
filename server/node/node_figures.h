// What the raft thread tells of itself when metrics are asked for: plain values, copied in one go,
// so that making text of them is some other thread's work.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "raft/base/statistics.h"
#include "raft/core/core.h"
#include "raft/disk/disk_thread.h"
#include "server/node/snapshot_service.h"
#include "server/node/write_queue.h"

namespace cairn::server {

struct LinkFigures {
    raft::PeerStatus status;
    std::optional<std::int64_t> rtt_ns;
    std::optional<std::int64_t> last_contact_ns;
    std::optional<bool> hears;
    std::optional<bool> reaches;
};

struct NodeFigures {
    raft::NodeId node = 0;
    raft::RoleName role = raft::RoleName::follower;
    raft::NodeId leader = 0;
    raft::Term term = 0;
    raft::Index commit_index = 0;
    raft::Index applied_index = 0;
    raft::Index last_index = 0;
    raft::Index first_index = 0;
    std::uint64_t log_memory_bytes = 0;
    std::uint64_t voters = 0;
    std::uint64_t learners = 0;
    raft::CoreStatistics core;
    std::uint64_t leader_changes = 0;
    std::int64_t leader_since_utc_ns = 0;
    std::int64_t started_utc_ns = 0;

    std::uint64_t values = 0;
    std::uint64_t value_bytes = 0;
    std::uint64_t idempotency_keys = 0;
    std::uint64_t idempotency_bytes = 0;
    std::uint64_t history_events = 0;
    std::uint64_t history_bytes = 0;

    WriteQueue::Figures writes;
    WriteLimits write_limits;
    std::array<std::uint64_t, 3> reads{};  // served, by Consistency
    std::uint64_t failed_reads = 0;
    std::uint64_t waiting_reads = 0;
    std::uint64_t waiting_reads_max = 0;
    raft::DurationFigures apply;  // of what one turn had to apply
    std::uint64_t applied_entries = 0;
    SnapshotFigures snapshots;
    bool disk_stalled = false;
    std::vector<LinkFigures> links;

    // Filled in by who has them.
    raft::DiskStatistics disk;
    std::uint64_t access_log_lines = 0;
    std::uint64_t access_log_dropped = 0;
};

}  // namespace cairn::server
