#include "tests/sim/swarm.h"

#include <algorithm>

namespace cairn::sim {

namespace {

void draw_cluster(Swarm& swarm, Random random) {
    static const std::vector<int> sizes{1, 2, 3, 3, 3, 3, 3, 3, 4, 5, 5, 5};
    swarm.nodes = random.pick(sizes);
    swarm.tick_ms = static_cast<int>(random.between(4, 10));
    swarm.heartbeat_ticks = static_cast<int>(random.between(1, 6));
    swarm.election_ticks =
        std::max(2 * swarm.heartbeat_ticks + 2, static_cast<int>(random.between(15, 60)));
    swarm.lease_reads = random.chance(7000);
    static const std::vector<std::size_t> small_or_large{1, 2, 8, 64, 1024, 1024};
    swarm.append_entries_max = random.pick(small_or_large);
    static const std::vector<std::size_t> bytes{1, 500, 5000, 1U << 20, 1U << 20};
    swarm.append_bytes_max = random.pick(bytes);
    static const std::vector<std::size_t> inflight{1, 2, 8, 64, 64};
    swarm.inflight_messages_max = random.pick(inflight);
    static const std::vector<std::size_t> uncommitted{2, 10, 1000, 65536, 65536};
    swarm.uncommitted_entries_max = random.pick(uncommitted);
    static const std::vector<std::size_t> committed{1, 5, 100, 2048, 2048};
    swarm.committed_entries_max = random.pick(committed);
    static const std::vector<std::uint64_t> snapshots{5, 10, 20, 50, 100, 200, 500, 100'000};
    swarm.snapshot_entries = random.pick(snapshots);
    static const std::vector<std::size_t> chunks{64, 512, 4096, 256U << 10};
    swarm.snapshot_chunk_bytes = random.pick(chunks);
    swarm.snapshot_window_bytes = swarm.snapshot_chunk_bytes * (1U << random.below(5));
    swarm.record_bytes_max = 8U << 10;
    static const std::vector<std::uint64_t> segments{16U << 10, 32U << 10, 64U << 10, 256U << 10};
    swarm.segment_bytes = random.pick(segments);
    static const std::vector<std::size_t> events{1, 10, 100, 1000, 100'000};
    swarm.history_events_max = random.pick(events);
    static const std::vector<int> drifts{0, 0, 1, 10, 45};
    swarm.drift_per_mille = random.pick(drifts);
}

// Small ones in some runs, so that they are met.
void draw_bounds(Swarm& swarm, Random random) {
    const auto draw = [&random](std::size_t& bound, std::size_t small) {
        if (random.chance(2000)) {
            bound = small;
        }
    };
    draw(swarm.uncommitted_bytes_max, 1000);
    draw(swarm.pending_reads_max, 1);
    draw(swarm.writes_held_max, 2);
    draw(swarm.writes_held_bytes_max, 300);
    draw(swarm.writes_forwarded_max, 2);
    draw(swarm.reads_waiting_max, 3);
    draw(swarm.history_bytes_max, 5000);
}

void draw_network(Swarm& swarm, Random random) {
    static const std::vector<std::int64_t> delays{50 * us, 200 * us, 1 * ms, 5 * ms};
    swarm.delay_ns = random.pick(delays);
    swarm.jitter_ns =
        static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(swarm.delay_ns) + 1));
    swarm.slow_of_10000 = random.chance(5000) ? random.below(200) : 0;
    if (random.chance(3000)) {
        swarm.lose_of_10000 = random.below(500);
    }
    if (random.chance(3000)) {
        swarm.duplicate_of_10000 = random.below(1000);
    }
    if (random.chance(3000)) {
        swarm.reorder_of_10000 = random.below(1000);
    }
    static const std::vector<std::uint64_t> sockets{4U << 10, 64U << 10, 1U << 20};
    swarm.socket_bytes_max = random.pick(sockets);
    swarm.outbox_bytes_max = std::max<std::uint64_t>(random.pick(sockets), 512U << 10);
}

void draw_disk(Swarm& swarm, Random random) {
    static const std::vector<std::int64_t> writes{20 * us, 300 * us, 2 * ms, 10 * ms};
    swarm.write_ns = random.pick(writes);
    swarm.slow_write_of_10000 = random.chance(4000) ? random.below(300) : 0;
    swarm.flips_bits = random.chance(3500);
    swarm.power_loss = random.chance(8000);
}

std::int64_t some_time(Random& random, std::uint64_t of_10000) {
    static const std::vector<std::int64_t> means{1 * second, 3 * second, 8 * second, 20 * second};
    return random.chance(of_10000) ? random.pick(means) : 0;
}

void draw_faults(Swarm& swarm, Random random) {
    FaultTimes& every = swarm.every;
    if (random.chance(700)) {
        swarm.faults_until_ns = random.between(5, 20) * second;
        return;  // a quiet run
    }
    every.crash_ns = some_time(random, 6000);
    every.pause_ns = some_time(random, 3500);
    every.partition_ns = some_time(random, 5500);
    every.reset_ns = some_time(random, 4000);
    every.clog_ns = some_time(random, 3000);
    every.clock_jump_ns = some_time(random, 3000);
    every.disk_stall_ns = some_time(random, 2500);
    every.disk_error_ns = some_time(random, 2000);
    every.disk_full_ns = some_time(random, 2000);
    every.storm_ns = some_time(random, 1000);
    Random traps = random.stream("traps");
    every.trap_ns = some_time(traps, 2500);
    static const std::vector<std::int64_t> lasts{200 * ms, 1 * second, 3 * second, 8 * second};
    swarm.fault_lasts_ns = random.pick(lasts);
    swarm.faults_until_ns = random.between(10, 50) * second;
}

void draw_clients(Swarm& swarm, Random random) {
    swarm.clients = static_cast<int>(random.between(1, 8));
    swarm.watchers = static_cast<int>(random.between(0, 3));
    swarm.names = static_cast<int>(random.between(1, 8));
    static const std::vector<std::int64_t> thinks{1 * ms, 10 * ms, 50 * ms, 200 * ms};
    swarm.think_ns = random.pick(thinks);
    static const std::vector<std::size_t> sizes{16, 64, 64, 500, 3000};
    swarm.value_bytes_max = random.pick(sizes);
    for (int* weight :
         {&swarm.weight_set, &swarm.weight_create, &swarm.weight_update, &swarm.weight_delete,
          &swarm.weight_get, &swarm.weight_local, &swarm.weight_lease, &swarm.weight_list}) {
        *weight = random.chance(1500) ? 0 : static_cast<int>(random.between(1, 40));
    }
    swarm.weight_set += 1;  // never nothing at all
    swarm.keyed_of_10000 = random.below(10'001);
    swarm.ttl_of_10000 = random.chance(3000) ? 0 : random.below(6000);
    static const std::vector<std::int64_t> ttls{30 * ms, 500 * ms, 2 * second, 10 * second};
    swarm.ttl_ns = random.pick(ttls);
    swarm.membership_every_ns = some_time(random, 4000);
    swarm.transfer_every_ns = some_time(random, 3000);
    swarm.take_snapshot_every_ns = some_time(random, 3000);
}

}  // namespace

Swarm Swarm::of(std::uint64_t seed) {
    const Random random = Random(seed).stream("swarm");
    Swarm swarm;
    draw_cluster(swarm, random.stream("cluster"));
    draw_bounds(swarm, random.stream("bounds"));
    draw_network(swarm, random.stream("network"));
    draw_disk(swarm, random.stream("disk"));
    draw_faults(swarm, random.stream("faults"));
    swarm.only_core_heals = random.stream("core").chance(3500);
    draw_clients(swarm, random.stream("clients"));
    return swarm;
}

}  // namespace cairn::sim
