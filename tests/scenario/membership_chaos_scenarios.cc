// Seeded chaos with members that come, go and lose their disks. Every failure
// names its seed; the same seed plays the same run.

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include <doctest/doctest.h>

#include "raft/core/random.h"
#include "tests/scenario/open_reads.h"
#include "tests/support/core_cluster.h"

namespace {

using namespace cairn::raft;
using namespace cairn::raft::testing;

using Ids = std::vector<NodeId>;

constexpr std::size_t nodes = 7;

struct Counts {
    std::map<ChangeError, int> additions;
    std::map<ChangeError, int> removals;
    std::map<ChangeError, int> new_disks;
    int promotions = 0;
    int lost_disks = 0;
    std::size_t committed = 0;
    std::uint64_t installed = 0;
};

// One random event; messages are lost, doubled and reordered, disks finish when
// they like.
class MembershipRun {
 public:
    MembershipRun(std::uint64_t seed, const ClusterOptions& options, Counts& counts)
        : random_(seed),
          counts_(counts),
          cluster_(options),
          lossy_(seed % 3 != 0),
          founders_(options.founders),
          disks_noted_(options.disks_noted) {}

    void play(int steps) {
        for (int i = 0; i < steps; ++i) {
            event();
        }
        check_recovers();
        counts_.committed += cluster_.committed().size();
        for (const NodeId id : cluster_.ids()) {
            counts_.installed += cluster_.installed_count(id);
        }
    }

 private:
    bool one_in(std::uint64_t count) { return random_.next() % count == 0; }
    NodeId any_node() { return random_.between(1, nodes); }

    void event() {
        const NodeId id = any_node();
        const NodeId leader = cluster_.leader();
        const std::uint64_t dice = random_.next() % 1000;
        if (dice < 120) {
            tick(id);
        } else if (dice < 170) {
            write(leader);
        } else if (dice < 185) {
            reads_.ask(id);
        } else if (dice < 190) {
            crash_or_restart(id);
        } else if (dice < 205) {
            change(leader);
        } else if (dice < 207) {
            lose_disk(id);
        } else if (dice < 210) {
            disturb(id, leader);
        } else if (dice < 225) {
            snapshot(id);
        } else if (dice < 400) {
            cluster_.persist(id);
        } else if (dice < 650) {
            cluster_.collect(id);
        } else {
            network();
        }
        reads_.check_answered();
    }

    void tick(NodeId id) {
        if (cluster_.is_up(id)) {
            cluster_.tick(id, one_in(150) ? 12 : 1);
        }
    }

    void write(NodeId leader) {
        if (leader == 0) {
            return;
        }
        cluster_.propose(leader, std::to_string(++writes_));
        cluster_.collect(leader);
    }

    void crash_or_restart(NodeId id) {
        if (!cluster_.is_up(id)) {
            cluster_.restart(id);
        } else if (one_in(2)) {
            cluster_.crash(id, random_.next() % 3);
            reads_.forget_those_of(id);
        }
    }

    void disturb(NodeId id, NodeId leader) {
        if (leader != 0 && one_in(2)) {
            cluster_.transfer(leader, id);
        } else if (one_in(2)) {
            cluster_.isolate(id);
        } else {
            cluster_.heal();
        }
    }

    void snapshot(NodeId id) {
        if (!cluster_.is_up(id)) {
            return;
        }
        if (one_in(3)) {
            cluster_.take_snapshot(id);
        }
        cluster_.compact(id, random_.next() % 6);
    }

    // What an operator, or a leader's driver, would do.
    void change(NodeId leader) {
        if (leader == 0 || cluster_.core(leader).configuration().is_joint()) {
            return;
        }
        const NodeId id = any_node();
        const Configuration& now = cluster_.core(leader).configuration();
        if (const PlannedChange notes = disk_notes(now); notes.error == ChangeError::none) {
            cluster_.change(leader, notes);
            return;
        }
        if (!now.contains(id)) {
            Member member = cluster_.newcomer(id);
            member.stays_learner = one_in(6);
            note(counts_.additions, leader, plan_addition(now, member));
            return;
        }
        const Member* detail = now.detail(id);
        if (detail != nullptr && detail->disk_id != 0 && detail->disk_id != cluster_.disk_id(id)) {
            note(counts_.new_disks, leader, plan_new_disk(now, id, cluster_.disk_id(id)));
        } else if (one_in(3) && now.voters.size() > 1 && now.removed.size() + 3 < nodes &&
                   has_its_disks(now)) {
            note(counts_.removals, leader, plan_removal(now, id));
        }
    }

    // Of founders whose disk is the first they had.
    PlannedChange disk_notes(const Configuration& now) {
        std::vector<MemberDisk> disks;
        for (const NodeId id : now.members()) {
            if (lost_.count(id) == 0) {
                disks.push_back({id, cluster_.disk_id(id)});
            }
        }
        return plan_disk_notes(now, disks);
    }

    void note(std::map<ChangeError, int>& outcomes, NodeId leader, const PlannedChange& planned) {
        ++outcomes[planned.error == ChangeError::none ? cluster_.change(leader, planned).error
                                                      : planned.error];
    }

    // Whether a majority keeps its disks, by every configuration that may yet be
    // in force.
    bool may_lose_disk(NodeId id) {
        for (const Message& message : cluster_.in_transit()) {
            const auto* append = std::get_if<AppendEntries>(&message);
            if (append != nullptr &&
                std::any_of(append->entries.begin(), append->entries.end(), [](const Entry& entry) {
                    return entry.kind == EntryKind::configuration;
                })) {
                return false;
            }
        }
        for (const NodeId other : cluster_.ids()) {
            if (!cluster_.is_up(other)) {
                return false;
            }
            const Configuration& known = cluster_.core(other).configuration();
            std::vector<Ids> halves = {known.voters, known.outgoing_voters};
            for (const NodeId learner : known.learners) {
                halves.push_back(known.voters);  // it may become a voter any moment
                halves.back().push_back(learner);
            }
            for (const Ids& half : halves) {
                std::size_t whole = 0;
                for (const NodeId voter : half) {
                    const Member* detail = known.detail(voter);
                    const bool has_disk = detail == nullptr || detail->disk_id == 0
                                              ? lost_.count(voter) == 0
                                              : detail->disk_id == cluster_.disk_id(voter);
                    // One with a new disk has no vote yet.
                    const bool votes = known.may_campaign(voter) || !known.is_voter(voter);
                    whole += has_disk && votes && voter != id ? 1 : 0;
                }
                if (!half.empty() && whole < half.size() / 2 + 1) {
                    return false;
                }
            }
        }
        return true;
    }

    bool has_its_disks(const Configuration& now) {
        const Ids members = now.members();
        return std::all_of(members.begin(), members.end(), [&](NodeId id) {
            const Member* detail = now.detail(id);
            return detail != nullptr && detail->disk_id == cluster_.disk_id(id);
        });
    }

    void lose_disk(NodeId id) {
        if (!cluster_.is_up(id) || !may_lose_disk(id)) {
            return;
        }
        // One that takes itself for a founder is found out by who knows which disk that one had.
        const bool founder = disks_noted_ && id <= founders_;
        cluster_.lose_disk(id, founder && one_in(2));
        lost_.insert(id);
        reads_.forget_those_of(id);
        ++counts_.lost_disks;
    }

    void network() {
        std::deque<Message>& messages = cluster_.in_transit();
        if (messages.empty()) {
            return;
        }
        const std::size_t at = one_in(4) ? random_.next() % messages.size() : 0;
        if (lossy_ && one_in(12)) {
            messages.erase(messages.begin() + static_cast<std::ptrdiff_t>(at));
            return;
        }
        if (one_in(10)) {
            const Message again = messages[at];
            messages.push_back(again);
        }
        cluster_.deliver(at);
    }

    // A leader whose configuration is committed, and whose members all have the
    // disks it names.
    bool repair() {
        const NodeId leader = cluster_.leader();
        if (leader == 0) {
            return false;
        }
        Core& core = cluster_.core(leader);
        if (core.may_change_configuration() != ChangeError::none) {
            return false;
        }
        if (const PlannedChange notes = disk_notes(core.configuration());
            notes.error == ChangeError::none) {
            cluster_.change(leader, notes);
            return false;
        }
        bool whole = true;
        for (const NodeId id : core.configuration().members()) {
            const Member* detail = core.configuration().detail(id);
            if (detail == nullptr || detail->disk_id != cluster_.disk_id(id)) {
                whole = false;
                note(counts_.new_disks, leader,
                     plan_new_disk(core.configuration(), id, cluster_.disk_id(id)));
                break;
            }
            whole = whole && (!core.configuration().is_learner(id) || detail->stays_learner);
        }
        return whole;
    }

    // When the faults stop it converges and works.
    void check_recovers() {
        cluster_.heal();
        for (const NodeId id : cluster_.ids()) {
            if (!cluster_.is_up(id)) {
                cluster_.restart(id);
            }
        }
        bool repaired = false;
        for (int i = 0; i < 200 && !repaired; ++i) {
            cluster_.run(5);
            repaired = repair();
        }
        REQUIRE(repaired);
        cluster_.run(10);
        const NodeId leader = cluster_.leader();
        REQUIRE(leader != 0);
        REQUIRE(cluster_.propose(leader, "last").error == ProposeError::none);
        cluster_.run(20);
        REQUIRE(cluster_.leader() == leader);
        const Configuration& agreed = cluster_.core(leader).configuration();
        REQUIRE(agreed == cluster_.core(leader).committed_configuration());
        REQUIRE_FALSE(agreed.is_joint());
        for (const NodeId id : agreed.members()) {
            REQUIRE(cluster_.applied(id).size() == cluster_.committed().size());
            REQUIRE(cluster_.applied_commands(id).back() == "last");
            REQUIRE(cluster_.core(id).configuration() == agreed);
            REQUIRE(cluster_.core(id).leader_id() == leader);
        }
        for (const NodeId id : cluster_.ids()) {
            REQUIRE(cluster_.core(id).statistics().rejected_messages == 0);
        }
        for (const Entry& entry : cluster_.committed()) {
            Configuration configuration;
            if (entry.kind == EntryKind::configuration) {
                REQUIRE(decode_configuration(entry.payload.view(), configuration));
                counts_.promotions +=
                    configuration.voters.size() > configuration.outgoing_voters.size() &&
                            configuration.is_joint()
                        ? 1
                        : 0;
            }
        }
    }

    Random random_;
    Counts& counts_;
    CoreCluster cluster_;
    OpenReads reads_{cluster_};
    bool lossy_;
    NodeId founders_;
    bool disks_noted_;
    std::set<NodeId> lost_;
    int writes_ = 0;
};

Counts play(std::uint64_t first_seed, std::uint64_t seeds, int steps) {
    Counts counts;
    for (std::uint64_t seed = first_seed; seed < first_seed + seeds; ++seed) {
        CAPTURE(seed);
        ClusterOptions options;
        options.nodes = nodes;
        options.founders = 1 + seed % 5;
        options.disks_noted = seed % 6 != 0;
        options.core.random_seed = seed;
        options.overlapping_writes = seed % 2 == 0;
        options.core.append_entries_max = 1 + seed % 3;
        options.core.inflight_messages_max = 1 + seed % 5;
        options.core.persist_bytes_max = seed % 3 == 0 ? 2 : 1000;
        options.snapshot_chunk_bytes = seed % 5 == 0 ? 100000 : 200;
        MembershipRun(seed, options, counts).play(steps);
    }
    return counts;
}

// CAIRN_CHAOS_SEEDS and CAIRN_CHAOS_FIRST_SEED ask for other seeds than the first few.
TEST_CASE("chaos: members come, go and lose their disks, and no promise is broken") {
    const char* first = std::getenv("CAIRN_CHAOS_FIRST_SEED");
    const char* count = std::getenv("CAIRN_CHAOS_SEEDS");
    const std::uint64_t seeds = count == nullptr ? 600 : std::strtoull(count, nullptr, 10);
    Counts counts = play(first == nullptr ? 1 : std::strtoull(first, nullptr, 10), seeds, 8000);
    const int runs = static_cast<int>(seeds);
    // It did something.
    CHECK(counts.additions[ChangeError::none] > runs);
    CHECK(counts.removals[ChangeError::none] > runs / 8);
    CHECK(counts.promotions > runs);
    CHECK(counts.new_disks[ChangeError::none] > runs / 4);
    CHECK(counts.installed > seeds / 4);
    CHECK(counts.committed > seeds * 20);
}

}  // namespace
