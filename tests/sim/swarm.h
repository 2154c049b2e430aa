// What kind of run a seed makes: size and settings of the cluster, what its clients do, which
// faults there are and how often. Many runs have few kinds of fault, so that rare ones aren't
// drowned by others, and some have none.
#pragma once

#include <cstdint>

#include "tests/sim/random.h"

namespace cairn::sim {

// Mean times between two of a kind, in virtual time; 0: never.
struct FaultTimes {
    std::int64_t crash_ns = 0;
    std::int64_t pause_ns = 0;
    std::int64_t partition_ns = 0;
    std::int64_t reset_ns = 0;  // of a connection
    std::int64_t clog_ns = 0;
    std::int64_t clock_jump_ns = 0;
    std::int64_t disk_stall_ns = 0;
    std::int64_t disk_error_ns = 0;
    std::int64_t disk_full_ns = 0;
    std::int64_t storm_ns = 0;  // several crash at once
    std::int64_t trap_ns = 0;   // a leader is cut off while those that promised it start anew
};

struct Swarm {
    // The cluster.
    int nodes = 3;
    int tick_ms = 10;
    int heartbeat_ticks = 5;
    int election_ticks = 30;
    bool lease_reads = true;
    std::size_t append_entries_max = 1024;
    std::size_t append_bytes_max = 1U << 20;
    std::size_t inflight_messages_max = 64;
    std::size_t uncommitted_entries_max = 65536;
    std::size_t uncommitted_bytes_max = 64U << 20;
    std::size_t pending_reads_max = 4096;
    std::size_t committed_entries_max = 2048;
    std::size_t writes_held_max = 16384;
    std::size_t writes_held_bytes_max = 64U << 20;
    std::size_t writes_forwarded_max = 65536;
    std::size_t reads_waiting_max = 65536;
    std::size_t history_bytes_max = 64U << 20;
    std::uint64_t snapshot_entries = 100;
    std::size_t snapshot_chunk_bytes = 4096;
    std::uint64_t snapshot_window_bytes = 1U << 20;
    std::uint64_t segment_bytes = 64U << 10;
    std::uint64_t record_bytes_max = 16U << 10;
    std::size_t history_events_max = 1000;
    int drift_per_mille = 0;  // at most, of a node's clock against the others

    // The network.
    std::int64_t delay_ns = 200 * us;
    std::int64_t jitter_ns = 100 * us;
    std::uint64_t slow_of_10000 = 0;  // of transmissions: ten times the delay (a retransmission)
    std::uint64_t lose_of_10000 = 0;  // of Raft's messages
    std::uint64_t duplicate_of_10000 = 0;
    std::uint64_t reorder_of_10000 = 0;
    std::uint64_t socket_bytes_max = 1U << 20;
    std::uint64_t outbox_bytes_max = 1U << 20;

    // The disks.
    std::int64_t write_ns = 300 * us;
    std::uint64_t slow_write_of_10000 = 0;
    bool flips_bits = false;
    bool syncs = true;       // not, for a test of the simulation itself
    bool power_loss = true;  // crashes lose or tear what isn't synced

    // Faults.
    FaultTimes every;
    std::int64_t fault_lasts_ns = 2 * second;
    std::int64_t faults_until_ns = 40 * second;
    // In the end only a majority of the voters gets well; the others never do.
    bool only_core_heals = false;

    // Clients.
    int clients = 4;
    int watchers = 2;
    int names = 5;
    std::int64_t think_ns = 20 * ms;
    std::size_t value_bytes_max = 64;
    int weight_set = 30;
    int weight_create = 10;
    int weight_update = 20;
    int weight_delete = 10;
    int weight_get = 30;
    int weight_local = 10;
    int weight_lease = 10;
    int weight_list = 3;
    std::uint64_t keyed_of_10000 = 5000;  // writes with an idempotency key
    std::uint64_t ttl_of_10000 = 2000;
    std::int64_t ttl_ns = 2 * second;
    std::int64_t membership_every_ns = 0;
    std::int64_t transfer_every_ns = 0;
    std::int64_t take_snapshot_every_ns = 0;

    // No command is larger: a value, a name, a key.
    std::size_t command_bytes_max() const { return value_bytes_max + 200; }

    static Swarm of(std::uint64_t seed);
};

}  // namespace cairn::sim
