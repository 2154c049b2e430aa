// Seeded chaos: what the checks of CoreCluster must survive. Every failure names its seed; the same
// seed plays the same run.

#include <algorithm>
#include <map>

#include <doctest/doctest.h>

#include "raft/core/random.h"
#include "tests/scenario/open_reads.h"
#include "tests/support/core_cluster.h"

namespace {

using namespace cairn::raft;
using namespace cairn::raft::testing;

// One random event; messages are lost, doubled and reordered, disks finish when they like.
class ChaosRun {
 public:
    ChaosRun(std::uint64_t seed, ClusterOptions options)
        : random_(seed), cluster_(std::move(options)) {}

    // A snapshot after so many applied entries or a few more, and of the log before it a random
    // part is kept. `slow`: they become durable when they like. There is more to write than
    // otherwise and fewer elections, and now and then a node is cut off, so that it misses much.
    void take_snapshots(Index after, bool slow) {
        snapshot_after_ = after;
        for (const NodeId id : cluster_.ids()) {
            if (slow) {
                cluster_.hold_snapshots(id);
            }
        }
    }

    void play(int steps) {
        for (int i = 0; i < steps; ++i) {
            event();
        }
        check_recovers();
    }
    const CoreCluster& cluster() const { return cluster_; }

 private:
    bool chance(std::uint64_t percent) { return random_.next() % 100 < percent; }
    NodeId any_node() { return random_.between(1, cluster_.ids().size()); }

    void event() {
        const NodeId id = any_node();
        if (snapshot_after_ > 0) {
            snapshot(id);
            leave_behind();
        }
        const std::uint64_t dice = random_.next() % 100;
        if (dice < 10) {
            tick(id);
        } else if (dice < 16) {
            write(cluster_.leader());
        } else if (dice < 20) {
            reads_.ask(id);
        } else if (dice < 22) {
            crash_or_restart(id);
        } else if (dice < 24) {
            disturb(id);
        } else if (dice < 36) {
            cluster_.persist(id);
        } else if (dice < 55) {
            collect(id);
        } else {
            network();
        }
        reads_.check_answered();
    }

    void snapshot(NodeId id) {
        if (!cluster_.is_up(id)) {
            return;
        }
        const std::size_t applied = cluster_.applied(id).size();
        if (applied >= newest_[id] + snapshot_after_ + random_.next() % 5) {
            newest_[id] = cluster_.take_snapshot(id);
        }
        if (applied < newest_[id]) {
            newest_[id] = applied;  // lost by a crash
        }
        if (chance(5)) {
            cluster_.persist_snapshot(id);
        }
        if (chance(3)) {
            cluster_.compact(id, random_.next() % 4);
        }
    }

    void leave_behind() {
        if (chance(8)) {
            write(cluster_.leader());
        }
        if (random_.next() % 500 == 0) {
            cluster_.isolate(any_node());
        } else if (random_.next() % 300 == 0) {
            cluster_.heal();
        }
    }

    void tick(NodeId id) {
        if (cluster_.is_up(id)) {
            const bool late = snapshot_after_ > 0 ? random_.next() % 200 == 0 : chance(10);
            cluster_.tick(id, late ? 12 : 1);
        }
    }

    void disturb(NodeId id) {
        const NodeId leader = cluster_.leader();
        if (leader == 0) {
            return;
        }
        if (chance(20)) {
            cluster_.transfer(leader, id);
        } else {
            cluster_.core(leader).peer_unreachable(id);
        }
    }

    void write(NodeId leader) {
        if (leader == 0) {
            return;
        }
        const std::string text = std::to_string(++writes_);
        if (cluster_.propose(leader, text).error == ProposeError::none && chance(50)) {
            collect(leader);
        }
    }

    void collect(NodeId id) {
        if (cluster_.is_up(id)) {
            cluster_.collect(id);
        }
    }

    void crash_or_restart(NodeId id) {
        // With snapshots a quorum is up most of the time, so that there is something to miss.
        if (!chance(snapshot_after_ > 0 && cluster_.is_up(id) ? 5 : 25)) {
            return;
        }
        if (cluster_.is_up(id)) {
            cluster_.crash(id, random_.next() % 3);
            reads_.forget_those_of(id);
        } else {
            cluster_.restart(id);
        }
    }

    void network() {
        std::deque<Message>& messages = cluster_.in_transit();
        if (messages.empty()) {
            return;
        }
        const std::size_t at = chance(30) ? random_.next() % messages.size() : 0;
        if (chance(10)) {
            messages.erase(messages.begin() + static_cast<std::ptrdiff_t>(at));
            return;
        }
        if (chance(10)) {
            const Message again = messages[at];
            messages.push_back(again);
        }
        cluster_.deliver(at);
    }

    // When the faults stop it converges and works.
    void check_recovers() {
        cluster_.heal();
        for (const NodeId id : cluster_.ids()) {
            cluster_.release_snapshots(id);
            if (!cluster_.is_up(id)) {
                cluster_.restart(id);
            }
        }
        cluster_.run(100);
        const NodeId leader = cluster_.leader();
        REQUIRE(leader != 0);
        REQUIRE(cluster_.propose(leader, "last").error == ProposeError::none);
        cluster_.run(10);
        for (const NodeId id : cluster_.ids()) {
            REQUIRE(cluster_.applied(id).size() == cluster_.committed().size());
            for (const NodeId other : cluster_.ids()) {
                REQUIRE_FALSE(cluster_.sends_snapshot(id, other));
            }
            REQUIRE(cluster_.applied_commands(id).back() == "last");
            REQUIRE(cluster_.core(id).statistics().rejected_messages == 0);
        }
        reads_.check_all_answered();
    }

    Random random_;
    CoreCluster cluster_;
    OpenReads reads_{cluster_};
    int writes_ = 0;
    Index snapshot_after_ = 0;  // 0: none are taken
    std::map<NodeId, Index> newest_;
};

TEST_CASE("chaos: loss, doubles, reordering, slow disks and crashes break no promise") {
    std::size_t committed = 0;
    for (std::uint64_t seed = 1; seed <= 400; ++seed) {
        CAPTURE(seed);
        ClusterOptions options;
        options.nodes = seed % 4 == 0 ? 5 : 3;
        options.core.random_seed = seed;
        options.overlapping_writes = seed % 2 == 0;
        options.core.append_entries_max = 1 + seed % 3;
        options.core.inflight_messages_max = 1 + seed % 5;
        options.core.persist_bytes_max = seed % 3 == 0 ? 2 : 1000;
        ChaosRun run(seed, options);
        run.play(2500);
        committed += run.cluster().committed().size();
    }
    CHECK(committed > 400 * 10);  // it did something
}

TEST_CASE("chaos: snapshots and compaction at random break no promise") {
    std::uint64_t sent = 0;
    std::uint64_t installed = 0;
    for (std::uint64_t seed = 1; seed <= 600; ++seed) {
        CAPTURE(seed);
        ClusterOptions options;
        options.nodes = seed % 4 == 0 ? 5 : 3;
        options.core.random_seed = seed;
        options.overlapping_writes = seed % 2 == 0;
        options.core.append_entries_max = 1 + seed % 3;
        options.core.inflight_messages_max = 1 + seed % 5;
        options.core.persist_bytes_max = seed % 3 == 0 ? 2 : 1000;
        options.snapshot_chunk_bytes = seed % 5 == 0 ? 100000 : 50 + seed % 200;
        options.snapshot_give_up_ticks = seed % 7 == 0 ? 3 : 20;
        ChaosRun run(seed, options);
        run.take_snapshots(1 + seed % 11, seed % 2 == 1);
        run.play(5000);
        sent += run.cluster().count_sent(is_a<InstallSnapshot>);
        for (const NodeId id : run.cluster().ids()) {
            installed += run.cluster().installed_count(id);
        }
    }
    CHECK(sent > 600 * 20);  // it did something
    CHECK(installed > 600);
}

TEST_CASE("chaos: acknowledgements lost, doubled and late alone cost no entry") {
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        CAPTURE(seed);
        ClusterOptions options;
        options.core.random_seed = seed;
        options.core.inflight_messages_max = 2;
        CoreCluster cluster(options);
        Random random(seed);
        REQUIRE(cluster.elect(1));
        cluster.hold_if(is_a<AppendEntriesReply>);
        for (int i = 0; i < 20; ++i) {
            cluster.propose(1, std::to_string(i));
            cluster.settle();
            std::vector<Message>& held = cluster.held();
            if (!held.empty()) {
                const auto at = static_cast<std::ptrdiff_t>(random.next() % held.size());
                const Message message = held[static_cast<std::size_t>(at)];
                if (random.next() % 3 != 0) {
                    held.erase(held.begin() + at);
                }
                if (random.next() % 2 != 0) {
                    cluster.step(message);
                }
            }
        }
        cluster.heal();
        cluster.forget_held();
        cluster.run(6);
        CHECK(cluster.core(1).is_leader());
        for (const NodeId id : cluster.ids()) {
            CHECK(cluster.applied_commands(id).size() == 20);
        }
    }
}

}  // namespace
