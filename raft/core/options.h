// What a core is told once: who it is, how patient, and the bounds on everything that could grow.
#pragma once

#include <cstdint>
#include <string>

#include "raft/core/types.h"

namespace cairn::raft {

struct CoreOptions {
    NodeId id = 0;
    GroupId group = 1;
    // Which data directory this node has (raft/disk/data_directory.h); 0: of no importance (tests).
    std::uint64_t disk_id = 0;
    // The data directory began empty in a group that was there already: the node has no voice until
    // the group has made it a voter with this disk_id.
    bool joined = false;

    // A follower campaigns after a number of ticks without its leader, drawn anew from [T, 2T). A
    // leader looks every T whether a quorum was heard since it last looked (CheckQuorum, thesis
    // §6.2), so it steps down between T and 2T after it lost one.
    int election_timeout_ticks = 30;
    int heartbeat_ticks = 5;

    // One AppendEntries carries at most this (a single larger entry goes alone).
    std::size_t append_entries_max = 1024;
    std::size_t append_bytes_max = 1U << 20;
    // What may be on its way to one follower unacknowledged.
    std::size_t inflight_messages_max = 64;
    std::size_t inflight_bytes_max = 8U << 20;
    // What a leader takes on before it is committed and durable on its own disk; beyond it
    // propose() answers busy.
    std::size_t uncommitted_entries_max = 65536;
    std::size_t uncommitted_bytes_max = 64U << 20;
    // Reads waiting for a round, each a whole batch of the caller's; beyond it read_index()
    // refuses.
    std::size_t pending_reads_max = 4096;
    // What one take_ready() hands over for applying, and for one write to disk.
    std::size_t committed_entries_max = 2048;
    std::size_t persist_bytes_max = 8U << 20;

    // What every answer to an append promises the leader: for so long, by this node's clock, from
    // when it heard the append, it votes for nobody else, which is what leases of reads stand on
    // (raft/core/read_lease.h). election_timeout_ticks must last at least as long. 0: it promises
    // nothing and has no lease when it leads.
    std::int64_t vote_promise_ns = 0;
    // Refuse votes for an election timeout after the start, as if a leader had just been heard: the
    // node may have promised before, also when it doesn't any more. A node that never was in a term
    // has not.
    bool refuse_votes_at_start = false;

    std::uint64_t random_seed = 0;
};

// An empty string, or what is wrong.
std::string validate(const CoreOptions& options);

}  // namespace cairn::raft
