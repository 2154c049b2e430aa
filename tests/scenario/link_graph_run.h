// One run of an in-memory cluster under a link graph, held against what the oracle says.
//
// Brings the situation about, watches that what must hold does in every tick, heals all links and
// sees that the cluster is one again. Fails the running test otherwise. Header only: one file of
// scenarios uses it.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/core_cluster.h"
#include "tests/support/link_graph.h"
#include "tests/support/require.h"

namespace cairn::raft::testing {

inline const int timeout = small_options().election_timeout_ticks;
// CheckQuorum looks every timeout whether the last one brought a quorum.
inline const int step_down_ticks_max = 2 * timeout;
// From when the graph comes into force until somebody leads and has committed.
inline const int election_ticks_max = 10 * timeout;
inline const int stable_ticks = 15 * timeout;
// The first election may be a draw, or the winner learn of a higher term.
inline constexpr std::uint64_t leaderships_max = 2;
inline constexpr Term terms_max = 4;
// Of a node that comes back after campaigning in vain.
inline constexpr Term terms_ahead = 30;

// Ticks until somebody led, over many runs; shown when a test fails.
class ElectionTimes {
 public:
    void add(int ticks, const Situation& situation) {
        ++count_[ticks / timeout];
        if (ticks > slowest_) {
            slowest_ = ticks;
            slowest_text_ = situation.text();
        }
    }
    // Of the elections, in less than so many timeouts.
    int percent_within(int timeouts) const {
        int within = 0;
        int all = 0;
        for (const auto& [taken, count] : count_) {
            within += taken < timeouts ? count : 0;
            all += count;
        }
        return 100 * within / all;
    }
    std::string text() const {
        std::string text = "election timeouts until a leader had committed:";
        for (const auto& [timeouts, count] : count_) {
            text += " [" + std::to_string(timeouts) + "," + std::to_string(timeouts + 1) +
                    "): " + std::to_string(count);
        }
        return text + "; slowest: " + std::to_string(slowest_) + " ticks, " + slowest_text_;
    }

 private:
    std::map<int, int> count_;
    int slowest_ = -1;
    std::string slowest_text_;
};

// One cluster that gets into a situation, is watched in it, and healed.
class LinkGraphRun {
 public:
    LinkGraphRun(Situation situation, std::uint64_t seed)
        : situation_(std::move(situation)),
          outcome_(outcome_of(situation_)),
          cluster_(options_for(situation_, seed)) {
        bring_about(static_cast<int>(seed % static_cast<std::uint64_t>(timeout)));
    }

    void play(ElectionTimes& times) {
        enter();
        if (outcome_.leader_stays) {
            watch_stable(stable_ticks, situation_.leader);
        } else if (outcome_.served()) {
            watch_election(times);
            watch_stable(stable_ticks, cluster_.leader());
            check_bounds();
        } else {
            watch_nothing();
        }
        check_reads();
        heal();
    }

 private:
    static ClusterOptions options_for(const Situation& situation, std::uint64_t seed) {
        ClusterOptions options;
        options.nodes = situation.graph.nodes();
        options.core.random_seed = seed;
        return options;
    }

    // Everybody follows the leader, but some lack its last writes. `phase` shifts what CheckQuorum
    // has counted by then.
    void bring_about(int phase) {
        const NodeId leader = situation_.leader;
        require(cluster_.elect(leader), "no leader to begin with");
        cluster_.run(2 * timeout + phase);
        require(cluster_.leader() == leader, "the leader did not stay");
        const int most = *std::max_element(situation_.lag.begin(), situation_.lag.end());
        for (int left = most; left > 0; --left) {
            cluster_.drop_if([&, left](const Message& message) {
                return is_a<AppendEntries>(message) &&
                       situation_.lag.at(header_of(message).to - 1) >= left;
            });
            cluster_.propose(leader, "not everybody has this");
            cluster_.settle();
            cluster_.heal();
        }
        if (situation_.nobody_leads) {
            for (const NodeId id : cluster_.ids()) {
                cluster_.crash(id);
            }
            for (const NodeId id : cluster_.ids()) {
                cluster_.restart(id);
            }
        }
        if (const NodeId ahead = situation_.ahead; ahead != 0) {
            const std::vector<Entry> log = cluster_.disk(ahead);
            const HardState hard_state{cluster_.disk_hard_state(ahead).term + terms_ahead, ahead};
            cluster_.crash(ahead);
            cluster_.start_from(ahead, hard_state, log);
        }
        cluster_.drop_if([&](const Message& message) {
            return !situation_.graph.linked(header_of(message).from, header_of(message).to);
        });
    }

    void enter() {
        term_ = highest_term();
        written_ = cluster_.core(situation_.leader).log().last_index();
        leaderships_ = leaderships();
        if (!situation_.nobody_leads) {
            old_term_ = cluster_.core(situation_.leader).term();
        }
    }

    bool old_leader_leads() {
        Core& old = cluster_.core(situation_.leader);
        return old_term_ != 0 && old.is_leader() && old.term() == old_term_;
    }

    // One tick; clients write, unless all is quiet, and read wherever somebody leads.
    void turn() {
        ++ticks_;
        for (const NodeId id : cluster_.ids()) {
            if (ticks_ % 4 == 1 && cluster_.core(id).is_leader()) {
                if (!situation_.quiet) {
                    cluster_.propose(id, "more");
                }
                if (old_leader_leads() && id == situation_.leader) {
                    old_reads_.push_back(cluster_.read_index(id));
                }
            }
        }
        cluster_.settle();
        cluster_.run(1);
        cluster_.clear_sent();
        require(ticks_ < step_down_ticks_max || outcome_.leader_stays || !old_leader_leads(),
                "a leader without a quorum still leads after ", ticks_, " ticks");
    }

    void watch_election(ElectionTimes& times) {
        // Also where the first to win learns of a higher term and has to win again.
        while (!settled_leader()) {
            turn();
            require(ticks_ <= election_ticks_max, "no leader after ", ticks_, " ticks");
        }
        times.add(ticks_, situation_);
        if (leaderships() == leaderships_ + 1) {
            const std::vector<NodeId>& may = outcome_.electable;
            require(std::find(may.begin(), may.end(), cluster_.leader()) != may.end(), "node ",
                    cluster_.leader(), " can't have won");
        }
    }

    // Somebody leads, has committed, and nobody it can speak with is in a higher term.
    bool settled_leader() {
        const NodeId leader = cluster_.leader();
        if (leader == 0 || old_leader_leads() || !cluster_.core(leader).leads_with_commit()) {
            return false;
        }
        const std::vector<NodeId> ids = cluster_.ids();
        return std::all_of(ids.begin(), ids.end(), [&](NodeId id) {
            return !situation_.graph.joined(leader, id) ||
                   cluster_.core(id).term() <= cluster_.core(leader).term();
        });
    }

    // The leader is the same in each of these ticks, commits all that is written, and whoever can
    // speak with it follows.
    void watch_stable(int ticks, NodeId leader) {
        const Term term = cluster_.core(leader).term();
        const std::size_t before = cluster_.committed().size();
        for (int i = 0; i < ticks; ++i) {
            turn();
            require(cluster_.core(leader).is_leader() && cluster_.core(leader).term() == term,
                    "leader ", leader, " was unseated after ", ticks_, " ticks");
        }
        require(cluster_.leader() == leader, "somebody leads in a higher term");
        const std::size_t writes = cluster_.committed().size() - before;
        require(situation_.quiet || writes >= static_cast<std::size_t>(ticks / 4), "only ", writes,
                " writes");
        cluster_.propose(leader, "the last");
        cluster_.settle();
        const Index all = cluster_.core(leader).log().last_index();
        require(cluster_.core(leader).commit_index() == all, "not all is committed");
        for (const NodeId id : cluster_.ids()) {
            if (situation_.graph.joined(leader, id)) {
                require(cluster_.core(id).leader_id() == leader, "node ", id, " doesn't follow");
                require(cluster_.core(id).commit_index() == all, "node ", id, " lags");
            }
        }
        if (outcome_.leader_stays) {
            require(highest_term() == term_, "a term rose beside a leader");
        }
    }

    void check_bounds() {
        const std::uint64_t changes = leaderships() - leaderships_;
        require(changes <= leaderships_max, changes, " changes of leader");
        require(highest_term() - term_ <= terms_max, "terms rose by ", highest_term() - term_);
    }

    // Nobody leads or commits, and no term rises: nobody gets as far as a candidacy.
    void watch_nothing() {
        while (ticks_ < step_down_ticks_max + stable_ticks) {
            turn();
            require(cluster_.leader() == 0 || old_leader_leads(), "node ", cluster_.leader(),
                    " leads without a quorum");
        }
        // What was on its way to a majority before may still get there, nothing else.
        require(cluster_.committed().size() <= written_, "something was committed");
        require(leaderships() == leaderships_, "somebody led");
        require(highest_term() == term_, "a term rose");
    }

    // Linearizable reads: where the leader is, or can be spoken with; nowhere else.
    void check_reads() {
        for (const ReadId id : old_reads_) {
            const ReadState* read = cluster_.read(situation_.leader, id);
            const bool ok = read != nullptr && read->ok;
            require(ok == outcome_.leader_stays, "a read at the old leader: ", ok);
        }
        std::map<NodeId, ReadId> asked;
        for (const NodeId id : cluster_.ids()) {
            asked[id] = cluster_.read_index(id);
        }
        cluster_.settle();
        const NodeId leader = cluster_.leader();
        for (const auto& [id, read_id] : asked) {
            const ReadState* read = read_id == 0 ? nullptr : cluster_.read(id, read_id);
            const bool ok = read != nullptr && read->ok;
            const bool may = leader != 0 && (id == leader || situation_.graph.joined(leader, id));
            require(ok == may, "a read at node ", id, ": ", ok);
        }
    }

    // With all links back: one leader, whom all follow, with one log; and no other than before, if
    // the graph never gave a reason for it.
    void heal() {
        cluster_.heal();
        for (int ticks = 0; !agreed(); ++ticks) {
            require(ticks <= election_ticks_max, "not one cluster again after ", ticks, " ticks");
            cluster_.run(1);
        }
        const NodeId leader = cluster_.leader();
        const ProposeResult last = cluster_.propose(leader, "healed");
        require(last.error == ProposeError::none, "the healed cluster takes no write");
        cluster_.run(timeout);
        for (const NodeId id : cluster_.ids()) {
            require(cluster_.applied(id).size() >= last.first_index, "node ", id, " lags");
        }
        require(cluster_.leader() == leader, "the healed cluster changes its leader");
        if (outcome_.leader_stays && situation_.ahead == 0) {
            require(leader == situation_.leader && highest_term() == term_,
                    "unseated by who came back");
        }
    }

    bool agreed() {
        const NodeId leader = cluster_.leader();
        const std::vector<NodeId> ids = cluster_.ids();
        return leader != 0 && cluster_.core(leader).leads_with_commit() &&
               std::all_of(ids.begin(), ids.end(), [&](NodeId id) {
                   return cluster_.core(id).leader_id() == leader &&
                          cluster_.core(id).term() == cluster_.core(leader).term();
               });
    }

    Term highest_term() {
        Term highest = 0;
        for (const NodeId id : cluster_.ids()) {
            highest = std::max(highest, cluster_.core(id).term());
        }
        return highest;
    }

    std::uint64_t leaderships() {
        std::uint64_t sum = 0;
        for (const NodeId id : cluster_.ids()) {
            sum += cluster_.core(id).statistics().leaderships;
        }
        return sum;
    }

    Situation situation_;
    Outcome outcome_;
    CoreCluster cluster_;
    int ticks_ = 0;
    // When the graph came into force.
    Term term_ = 0;
    Term old_term_ = 0;  // of the old leader
    Index written_ = 0;
    std::uint64_t leaderships_ = 0;
    std::vector<ReadId> old_reads_;
};

}  // namespace cairn::raft::testing
