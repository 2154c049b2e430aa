// Leases against the clock: nodes whose clocks run apart as far as is allowed, ticks that are late
// or skipped, pauses, crashes, cuts, slow and lost messages, transfers. As long as any leader holds
// a lease, nobody else may lead in a newer term: then nothing newer than it knows is committed.
// Every failure names its seed; the same seed plays the same run.

#include <algorithm>
#include <vector>

#include <doctest/doctest.h>

#include "raft/core/random.h"
#include "tests/support/core_cluster.h"

namespace {

using namespace cairn::raft;
using namespace cairn::raft::testing;

constexpr std::int64_t ms = 1'000'000;
constexpr std::int64_t tick_interval_ns = 10 * ms;

// Short timeouts make for many elections and little room, longer ones let drift add up.
ClusterOptions chaos_options(std::uint64_t seed) {
    ClusterOptions options;
    options.nodes = seed % 3 == 0 ? 5 : 3;
    options.core.heartbeat_ticks = seed % 2 == 0 ? 2 : 1;
    options.core.election_timeout_ticks = seed % 2 == 0 ? 10 : 4;
    options.tick_ns = 0;  // the run says what time it is
    options.core.vote_promise_ns =
        duration_of_ticks_ns(options.core.election_timeout_ticks, tick_interval_ns);
    options.core.refuse_votes_at_start = true;
    options.core.random_seed = seed;
    return options;
}

class LeaseRun {
 public:
    explicit LeaseRun(std::uint64_t seed)
        : random_(seed), cluster_(chaos_options(seed)), machines_(cluster_.ids().size() + 1) {
        for (const NodeId id : cluster_.ids()) {
            // Slow, fast or between; the fastest a tenth faster than the slowest.
            const std::uint64_t kind = random_.next() % 3;
            machines_[id].rate_permille = kind == 0   ? 950
                                          : kind == 1 ? 1045
                                                      : random_.between(950, 1045);
            machines_[id].deadline_ns = cluster_.steady_ns(id) + tick_interval_ns;
        }
    }

    void play(int milliseconds) {
        for (int i = 0; i < milliseconds; ++i) {
            now_ns_ += ms;
            for (const NodeId id : cluster_.ids()) {
                cluster_.pass_time(id, machines_[id].rate_permille * ms / 1000);
            }
            check();
            disturb();
            const NodeId first = any_node();
            for (const NodeId id : cluster_.ids()) {
                live((id + first) % cluster_.ids().size() + 1);
            }
        }
    }

    int leased_ms() const { return leased_ms_; }
    int leaderships() const { return static_cast<int>(terms_.size()); }

 private:
    struct Machine {
        std::int64_t rate_permille = 1000;
        std::int64_t deadline_ns = 0;      // of the next tick, by its own clock
        std::int64_t paused_until_ns = 0;  // or busy
        std::int64_t cut_until_ns = 0;
        std::int64_t down_until_ns = 0;
    };
    struct Flying {
        std::int64_t due_ns = 0;
        Message message;
    };

    bool one_in(std::uint64_t n) { return random_.next() % n == 0; }
    NodeId any_node() { return random_.between(1, cluster_.ids().size()); }
    std::int64_t up_to(std::int64_t ns) {
        return static_cast<std::int64_t>(random_.between(0, static_cast<std::uint64_t>(ns)));
    }

    void disturb() {
        const NodeId id = any_node();
        Machine& machine = machines_[id];
        if (one_in(30)) {
            machine.paused_until_ns = now_ns_ + up_to(25 * ms);  // a long turn
        } else if (one_in(250)) {
            machine.paused_until_ns = now_ns_ + up_to(400 * ms);
        } else if (one_in(250)) {
            machine.cut_until_ns = now_ns_ + up_to(400 * ms);
        } else if (cluster_.is_up(id) && one_in(300)) {
            cluster_.crash(id, random_.next() % 2);
            machine.down_until_ns = now_ns_ + up_to(one_in(2) ? 10 * ms : 200 * ms);
        } else if (one_in(400) && cluster_.leader() != 0) {
            cluster_.transfer(cluster_.leader(), id);
        } else if (one_in(40) && cluster_.leader() != 0) {
            cluster_.propose(cluster_.leader(), "x");
        }
    }

    // What a node does in this millisecond, in the order that chance has it.
    void live(NodeId id) {
        Machine& machine = machines_[id];
        if (!cluster_.is_up(id)) {
            if (now_ns_ < machine.down_until_ns) {
                return;
            }
            cluster_.restart(id);
            machine.deadline_ns = cluster_.steady_ns(id) + tick_interval_ns;
        }
        if (now_ns_ < machine.paused_until_ns) {
            return;
        }
        if (one_in(2)) {
            maybe_tick(id);
            receive(id);
        } else {
            receive(id);
            maybe_tick(id);
        }
        cluster_.collect(id);
        if (!one_in(4)) {
            while (cluster_.persist(id)) {
            }
            cluster_.collect(id);
        }
        send_off();
    }

    // As server/program/raft_thread.cc does it.
    void maybe_tick(NodeId id) {
        Machine& machine = machines_[id];
        const std::int64_t clock_ns = cluster_.steady_ns(id);
        if (clock_ns < machine.deadline_ns) {
            return;
        }
        cluster_.tick(id);
        machine.deadline_ns += tick_interval_ns;
        if (machine.deadline_ns < clock_ns) {
            machine.deadline_ns = clock_ns + tick_interval_ns;
        }
    }

    void send_off() {
        for (Message& message : cluster_.in_transit()) {
            const Header& header = header_of(message);
            const bool cut = now_ns_ < machines_[header.from].cut_until_ns ||
                             now_ns_ < machines_[header.to].cut_until_ns;
            if (!cut && !one_in(50)) {
                const std::int64_t delay_ns = one_in(20) ? up_to(150 * ms) : up_to(3 * ms);
                flying_.push_back({now_ns_ + delay_ns, std::move(message)});
            }
        }
        cluster_.in_transit().clear();
    }

    void receive(NodeId id) {
        std::vector<Message> arrived;
        std::erase_if(flying_, [&](Flying& one) {
            if (one.due_ns > now_ns_ || header_of(one.message).to != id) {
                return false;
            }
            arrived.push_back(std::move(one.message));
            return true;
        });
        for (Message& message : arrived) {
            cluster_.step(std::move(message));
            check();
        }
    }

    void check() {
        Term newest = 0;
        for (const NodeId id : cluster_.ids()) {
            if (cluster_.is_up(id) && cluster_.core(id).is_leader()) {
                newest = std::max(newest, cluster_.core(id).term());
            }
        }
        if (newest != 0 && (terms_.empty() || terms_.back() < newest)) {
            terms_.push_back(newest);
        }
        bool leased = false;
        for (const NodeId id : cluster_.ids()) {
            if (cluster_.holds_lease(id)) {
                leased = true;
                REQUIRE(cluster_.core(id).term() >= terms_.back());
            }
        }
        leased_ms_ += leased && now_ns_ != checked_ns_ ? 1 : 0;
        checked_ns_ = now_ns_;
    }

    Random random_;
    CoreCluster cluster_;
    std::vector<Machine> machines_;
    std::vector<Flying> flying_;
    std::vector<Term> terms_;  // of all leaders so far
    std::int64_t now_ns_ = 0;
    std::int64_t checked_ns_ = 0;
    int leased_ms_ = 0;
};

TEST_CASE("lease chaos: while a leader holds its lease nobody leads in a newer term") {
    int leased_ms = 0;
    int leaderships = 0;
    constexpr int runs = 200;
    constexpr int run_ms = 5000;
    for (std::uint64_t seed = 1; seed <= runs; ++seed) {
        CAPTURE(seed);
        LeaseRun run(seed);
        run.play(run_ms);
        leased_ms += run.leased_ms();
        leaderships += run.leaderships();
    }
    // There was something to see.
    CHECK(leased_ms > runs * run_ms / 5);
    CHECK(leaderships > runs * 5);
    MESSAGE("leased ", leased_ms, " ms of ", runs * run_ms, ", leaderships ", leaderships);
}

}  // namespace
