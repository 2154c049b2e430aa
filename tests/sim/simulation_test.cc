// That the simulation is what it claims to be: determined by its seed, and able to fail.
#define DOCTEST_CONFIG_IMPLEMENT
#include <algorithm>
#include <cstdint>
#include <set>
#include <string>

#include <doctest/doctest.h>
#include <spdlog/spdlog.h>

#include "tests/sim/world.h"

using namespace cairn::sim;

namespace {

// Nothing goes wrong but the power, again and again.
void only_power_losses(Swarm& swarm) {
    swarm.every = {};
    swarm.every.crash_ns = 500 * ms;
    swarm.every.storm_ns = 3 * second;
    swarm.power_loss = true;
    swarm.flips_bits = false;
    swarm.membership_every_ns = 0;
    swarm.fault_lasts_ns = 300 * ms;
    swarm.faults_until_ns = 10 * second;
}

// Leaders are cut off for about as long as their leases last, and voters are killed and back before
// what they promised is over; everybody reads by lease.
void lease_trouble(Swarm& swarm) {
    swarm.nodes = 3;
    swarm.lease_reads = true;
    swarm.tick_ms = 5;
    swarm.heartbeat_ticks = 20;
    swarm.election_ticks = 100;
    swarm.snapshot_entries = 100'000;
    swarm.delay_ns = 200 * us;
    swarm.jitter_ns = 200 * us;
    swarm.every = {};
    swarm.every.crash_ns = 800 * ms;
    swarm.every.partition_ns = 500 * ms;
    swarm.fault_lasts_ns = 400 * ms;
    swarm.faults_until_ns = 60 * second;
    swarm.power_loss = false;
    swarm.flips_bits = false;
    swarm.membership_every_ns = 0;
    swarm.transfer_every_ns = 3 * second;
    swarm.take_snapshot_every_ns = 0;
    swarm.ttl_of_10000 = 0;
    // Hardly anything is written, or the log of who was cut off is too old for a vote.
    swarm.clients = 2;
    swarm.think_ns = 50 * ms;
    for (int* weight : {&swarm.weight_create, &swarm.weight_update, &swarm.weight_delete,
                        &swarm.weight_get, &swarm.weight_local, &swarm.weight_list}) {
        *weight = 0;
    }
    swarm.weight_set = 1;
    swarm.weight_lease = 40;
}

std::string first_violation(const Overrides& overrides, std::uint64_t seeds) {
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        const Report report = run(seed, overrides);
        if (!report.violation.empty()) {
            return report.violation;
        }
    }
    return {};
}

}  // namespace

TEST_CASE("sim: a seed determines the run, event by event") {
    std::set<std::uint64_t> hashes;
    for (std::uint64_t seed = 100; seed < 110; ++seed) {
        const Report once = run(seed);
        const Report again = run(seed);
        CHECK(once.hash == again.hash);
        CHECK(once.events == again.events);
        CHECK(once.simulated_ns == again.simulated_ns);
        CHECK(once.counters == again.counters);
        CHECK(once.entries > 0);
        hashes.insert(once.hash);
    }
    CHECK(hashes.size() == 10);
}

TEST_CASE("sim: another order in the tables of names is the same run, byte for byte") {
    for (std::uint64_t seed = 200; seed < 212; ++seed) {
        CAPTURE(seed);
        const Report report = run(seed);
        for (const std::uint64_t secret : {1U, 2U}) {
            Overrides overrides;
            overrides.hash_secret = {secret, ~secret};
            const Report other = run(seed, overrides);
            CHECK(report.hash == other.hash);
            CHECK(report.events == other.events);
            CHECK(report.counters == other.counters);
            CHECK(report.violation == other.violation);
        }
    }
}

TEST_CASE("sim: drawing in one stream doesn't shift another") {
    const Random random(7);
    Random a = random.stream("a");
    a.next();
    Random b = random.stream("b");
    CHECK(b.next() == Random(7).stream("b").next());
    CHECK(random.stream("a", 1).next() != random.stream("a", 2).next());
    CHECK(random.stream("a").next() != random.stream("b").next());
}

TEST_CASE("sim: fixed seeds pass") {
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        const Report report = run(seed);
        CAPTURE(seed);
        CHECK(report.violation == "");
        CHECK(report.operations > 0);
    }
}

TEST_CASE("sim: leases hold while leaders are cut off and voters restart at once") {
    Overrides overrides;
    overrides.change_swarm = lease_trouble;
    CHECK(first_violation(overrides, 60) == "");
}

TEST_CASE("sim: a disk that reports what it has not written is found out") {
    Overrides overrides;
    overrides.change_swarm = only_power_losses;
    CHECK(first_violation(overrides, 10) == "");
    overrides.break_storage = true;
    CHECK(first_violation(overrides, 10) != "");
}

TEST_CASE("sim: a power cut takes what was never synced") {
    Overrides overrides;
    overrides.change_swarm = [](Swarm& swarm) {
        only_power_losses(swarm);
        swarm.syncs = false;
    };
    CHECK(first_violation(overrides, 10) != "");
}

TEST_CASE("sim: a cluster that lost its majority for good does not pass as at rest") {
    Overrides overrides;
    overrides.change_swarm = [](Swarm& swarm) {
        only_power_losses(swarm);
        swarm.nodes = 3;
        swarm.lose_of_10000 = 10'000;
        swarm.faults_until_ns = 1 * second;
    };
    overrides.mischief_goes_on = true;
    CHECK(first_violation(overrides, 1).find("does not come to rest") != std::string::npos);
}

TEST_CASE("sim: what streams were told is judged, and so are idempotency keys") {
    std::size_t lost = 0;
    std::size_t replays = 0;
    for (std::uint64_t seed = 1; seed <= 12; ++seed) {
        CAPTURE(seed);
        const Report report = run(seed);
        CHECK(report.violation == "");
        const cairn::checker::Place end{report.entries};
        for (std::size_t i = 0; i < report.streams.size(); ++i) {
            std::vector<StreamRecord> streams = report.streams;
            CHECK(judge_streams(report.agreed_events, streams, end) == "");
            auto& received = streams[i].received;
            // One after which the same connection tells of more: a reader that resumes says itself
            // from where.
            using Told = cairn::checker::Received::Kind;
            const auto event = std::adjacent_find(
                received.begin(), received.end(), [](const auto& message, const auto& next) {
                    return message.kind == Told::event && next.kind == Told::event;
                });
            if (event != received.end()) {
                received.erase(event);
                ++lost;
                CHECK(judge_streams(report.agreed_events, streams, end) != "");
            }
        }
        std::vector<cairn::checker::KeyedCommand> keyed = report.keyed;
        CHECK(judge_keyed(keyed) == "");
        const auto replay = std::find_if(keyed.begin(), keyed.end(), [](const auto& command) {
            return command.result == cairn::checker::KeyedCommand::Result::replayed;
        });
        if (replay != keyed.end()) {
            replay->result = cairn::checker::KeyedCommand::Result::applied;
            ++replays;
            CHECK(judge_keyed(keyed) != "");
        }
    }
    CHECK(lost > 0);
    CHECK(replays > 0);
}

TEST_CASE("sim: only a core of the voters gets well, and serves") {
    Overrides overrides;
    overrides.change_swarm = [](Swarm& swarm) {
        swarm.only_core_heals = true;
        swarm.faults_until_ns = 6 * second;
    };
    std::uint64_t cores = 0;
    for (std::uint64_t seed = 300; seed < 320; ++seed) {
        CAPTURE(seed);
        const Report report = run(seed, overrides);
        CHECK(report.violation == "");
        cores += report.counters.contains("core alone healed") ? 1 : 0;
    }
    CHECK(cores >= 5);
}

int main(int argc, char** argv) {
    spdlog::set_level(spdlog::level::off);
    return doctest::Context(argc, argv).run();
}
