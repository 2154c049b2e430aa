// Partial partitions: under every link graph of three nodes and many of five, what Raft can serve
// is served, without unseating anybody or endless elections, and the rest is where README.md says.
// What must hold is decided by tests/support/link_graph.h from the graph and the logs alone.

#include <map>
#include <utility>

#include <doctest/doctest.h>

#include "raft/core/random.h"
#include "tests/scenario/link_graph_run.h"
#include "tests/support/link_graph.h"

namespace {

using namespace cairn::raft;
using namespace cairn::raft::testing;

// Every choice of who lacks the last write, but not the leader.
std::vector<std::vector<int>> lags_of_one(std::size_t nodes, NodeId leader) {
    std::vector<std::vector<int>> lags;
    for (std::uint64_t set = 0; set < (std::uint64_t{1} << nodes); ++set) {
        if ((set >> (leader - 1) & 1U) == 0) {
            std::vector<int>& lag = lags.emplace_back();
            for (std::size_t node = 0; node < nodes; ++node) {
                lag.push_back(static_cast<int>(set >> node & 1U));
            }
        }
    }
    return lags;
}

struct Tally {
    int stays = 0;
    int elects = 0;
    int unserved = 0;
};

void play(const Situation& situation, std::uint64_t seed, ElectionTimes& times, Tally& tally) {
    INFO(situation.text());
    INFO("seed ", seed);
    INFO(times.text());
    const Outcome outcome = outcome_of(situation);
    ++(outcome.leader_stays ? tally.stays : outcome.served() ? tally.elects : tally.unserved);
    LinkGraphRun(situation, seed).play(times);
}

TEST_CASE("links: all 64 graphs of three nodes, whoever led and whoever lags") {
    ElectionTimes times;
    Tally tally;
    std::uint64_t seed = 0;
    for (std::uint64_t number = 0; number < 64; ++number) {
        const LinkGraph graph = LinkGraph::numbered(3, number);
        for (NodeId leader = 1; leader <= 3; ++leader) {
            for (const std::vector<int>& lag : lags_of_one(3, leader)) {
                for (const bool quiet : {false, true}) {
                    Situation situation{.graph = graph, .leader = leader, .lag = lag};
                    situation.quiet = quiet;
                    play(situation, ++seed, times, tally);
                    situation.nobody_leads = true;
                    play(situation, ++seed, times, tally);
                }
            }
        }
    }
    // Each pair is joined in one of four: 1 - (3/4)^2 of the graphs leave a leader somebody.
    CHECK(tally.stays == 28 * 3 * 4 * 2);
    CHECK(tally.unserved == 27 * 3 * 4 * 2 * 2);
    CHECK(tally.elects == 64 * 3 * 4 * 2 * 2 - tally.stays - tally.unserved);
    CHECK_MESSAGE(times.percent_within(2) >= 75, times.text());
    CHECK_MESSAGE(times.percent_within(3) >= 90, times.text());
}

TEST_CASE("links: all 64 graphs of three nodes, with a node many terms ahead") {
    ElectionTimes times;
    Tally tally;
    std::uint64_t seed = 0;
    for (std::uint64_t number = 0; number < 64; ++number) {
        for (NodeId leader = 1; leader <= 3; ++leader) {
            for (NodeId ahead = 1; ahead <= 3; ++ahead) {
                if (ahead != leader) {
                    Situation situation{LinkGraph::numbered(3, number), leader, {0, 0, 0}};
                    situation.ahead = ahead;
                    play(situation, ++seed, times, tally);
                    situation.quiet = true;
                    play(situation, ++seed, times, tally);
                }
            }
        }
    }
    CHECK(tally.unserved == 27 * 3 * 2 * 2);
    CHECK(tally.stays == 12 * 3 * 2 * 2);  // not joined with the node ahead, but with the third
}

// The table in README.md: what Raft can't serve with three nodes, up to names.
TEST_CASE("links: without two nodes that can speak with each other three can't be served") {
    const std::map<std::string, std::pair<LinkGraph, int>> documented = {
        {"no link", {LinkGraph(3), 1}},
        {"one one-way link", {LinkGraph(3).link(1, 2), 6}},
        {"one sends to two", {LinkGraph(3).link(1, 2).link(1, 3), 3}},
        {"two send to one", {LinkGraph(3).link(1, 3).link(2, 3), 3}},
        {"one-way chain", {LinkGraph(3).link(1, 2).link(2, 3), 6}},
        {"one-way chain with a short cut", {LinkGraph(3).link(1, 2).link(2, 3).link(1, 3), 6}},
        {"one-way ring", {LinkGraph::one_way_ring(3), 2}},
    };
    std::map<std::uint64_t, int> unserved;
    for (std::uint64_t number = 0; number < 64; ++number) {
        const LinkGraph graph = LinkGraph::numbered(3, number);
        int served = 0;
        int cases = 0;
        for (NodeId leader = 1; leader <= 3; ++leader) {
            for (const std::vector<int>& lag : lags_of_one(3, leader)) {
                for (const bool nobody_leads : {false, true}) {
                    served += outcome_of({graph, leader, lag, nobody_leads}).served() ? 1 : 0;
                    ++cases;
                }
            }
        }
        // Of two that can speak with each other one has a log that is as long: logs don't matter.
        CHECK(served == (graph.any_quorum_connected() ? cases : 0));
        if (served == 0) {
            ++unserved[graph.shape()];
        }
    }
    CHECK(unserved.size() == documented.size());
    for (const auto& [name, row] : documented) {
        CAPTURE(name);
        CHECK(unserved[row.first.shape()] == row.second);
    }
}

TEST_CASE("links: how many graphs of five nodes have nobody with a quorum") {
    int unserved = 0;
    for (std::uint64_t number = 0; number < (1U << 20U); ++number) {
        unserved += LinkGraph::numbered(5, number).any_quorum_connected() ? 0 : 1;
    }
    // At most two pairs that can speak with each other, and no node in both:
    // 3^10 + 10 * 3^9 + 15 * 3^8.
    CHECK(unserved == 354294);
}

struct Named {
    std::string name;
    Situation situation;
    bool leader_stays;
    std::vector<NodeId> electable;
};

std::vector<Named> named_graphs() {
    const auto two_triangles =
        LinkGraph(5).join(1, 2).join(2, 3).join(3, 1).join(3, 4).join(4, 5).join(5, 3);
    const auto constrained = LinkGraph::hub(5, 3).isolate(1);
    const auto deaf_leader = LinkGraph::complete(5).cut(2, 1).cut(3, 1).cut(4, 1).cut(5, 1);
    const auto mute_leader = LinkGraph::complete(5).cut(1, 2).cut(1, 3).cut(1, 4).cut(1, 5);
    const std::vector<int> even = {0, 0, 0, 0, 0};
    return {
        {"Cloudflare, leader at the end", {LinkGraph::line(3), 1, {0, 0, 0}}, true, {}},
        {"Cloudflare, leader in the middle", {LinkGraph::line(3), 2, {0, 0, 0}}, true, {}},
        {"line, leader in the middle", {LinkGraph::line(5), 3, even}, true, {}},
        {"line, leader beside the middle", {LinkGraph::line(5), 2, even}, true, {}},
        {"line, leader at the end", {LinkGraph::line(5), 1, even}, false, {2, 4}},
        {"line, nobody leads", {LinkGraph::line(5), 1, even, true}, false, {2, 3, 4}},
        {"ring", {LinkGraph::ring(5), 1, even}, true, {}},
        {"ring, nobody leads", {LinkGraph::ring(5), 1, even, true}, false, {1, 2, 3, 4, 5}},
        {"one-way ring", {LinkGraph::one_way_ring(5), 1, even}, false, {}},
        {"two triangles, leader in both", {two_triangles, 3, even}, true, {}},
        {"two triangles, leader in one", {two_triangles, 1, even}, true, {}},
        {"two triangles, nobody leads", {two_triangles, 1, even, true}, false, {1, 2, 3, 4, 5}},
        {"quorum lost but for the hub", {LinkGraph::hub(5, 3), 1, even}, false, {3}},
        {"the same, the hub lags", {LinkGraph::hub(5, 3), 1, {0, 0, 2, 0, 0}}, false, {3}},
        {"hub leads", {LinkGraph::hub(5, 3), 3, {1, 2, 0, 1, 2}}, true, {}},
        {"constrained election", {constrained, 1, {0, 0, 1, 0, 0}}, false, {}},
        {"the same, a majority lags", {constrained, 1, {0, 1, 1, 1, 0}}, false, {3}},
        {"the same, the hub is even", {constrained, 1, even}, false, {3}},
        {"leader hears nobody", {deaf_leader, 1, even}, false, {2, 3, 4, 5}},
        {"leader hears nobody, some lag", {deaf_leader, 1, {0, 1, 0, 0, 1}}, false, {3, 4}},
        {"nobody hears the leader", {mute_leader, 1, even}, false, {2, 3, 4, 5}},
    };
}

TEST_CASE("links: the known partial partitions") {
    ElectionTimes times;
    Tally tally;
    for (const Named& one : named_graphs()) {
        CAPTURE(one.name);
        const Outcome outcome = outcome_of(one.situation);
        CHECK(outcome.leader_stays == one.leader_stays);
        CHECK_MESSAGE(outcome.electable == one.electable, one.situation.text());
        for (std::uint64_t seed = 0; seed < 10; ++seed) {
            play(one.situation, seed, times, tally);
        }
        if (one.leader_stays || one.electable.empty()) {
            Situation quiet = one.situation;
            quiet.quiet = true;
            CHECK(outcome_of(quiet).leader_stays == one.leader_stays);
            play(quiet, 10, times, tally);
        }
    }
}

TEST_CASE("links: a one-way link less, or a node that comes back, unseats nobody of five") {
    ElectionTimes times;
    Tally tally;
    std::uint64_t seed = 0;
    std::vector<LinkGraph> graphs;
    for (NodeId from = 1; from <= 5; ++from) {
        graphs.push_back(LinkGraph::complete(5).isolate(from));
        for (NodeId to = 1; to <= 5; ++to) {
            if (from != to) {
                graphs.push_back(LinkGraph::complete(5).cut(from, to));
            }
        }
    }
    for (const LinkGraph& graph : graphs) {
        for (NodeId leader = 1; leader <= 5; ++leader) {
            Situation situation{.graph = graph, .leader = leader, .lag = {0, 0, 0, 0, 0}};
            situation.quiet = ++seed % 2 == 0;
            play(situation, seed, times, tally);
        }
    }
    CHECK(tally.stays == 5 * (20 + 4));
    CHECK(tally.elects == 5);  // whose leader is the one that is cut off
}

// Sparse to dense; every other with links that work both ways or not at all.
Situation random_situation(Random& random, std::uint64_t number) {
    Situation situation{LinkGraph(5), random.between(1, 5), {}};
    situation.nobody_leads = random.next() % 4 == 0;
    situation.quiet = random.next() % 2 == 0;
    const std::uint64_t percent = random.between(30, 90);
    const auto up = [&] { return random.next() % 100 < percent; };
    for (NodeId a = 1; a <= 5; ++a) {
        for (NodeId b = 1; b <= 5; ++b) {
            if (number % 2 == 0 && a < b && up()) {
                situation.graph.join(a, b);
            } else if (number % 2 == 1 && a != b && up()) {
                situation.graph.link(a, b);
            }
        }
        situation.lag.push_back(a == situation.leader ? 0
                                                      : static_cast<int>(random.next() % 4) % 3);
    }
    return situation;
}

bool constrained(const Situation& situation) {
    return situation.graph.any_quorum_connected() && !outcome_of(situation).served();
}

TEST_CASE("links: a sample of the graphs of five nodes, with logs of all lengths") {
    ElectionTimes times;
    Tally tally;
    for (std::uint64_t number = 0; number < 500; ++number) {
        Random random(number);
        play(random_situation(random, number), number, times, tally);
    }
    // Enough of each kind to mean something.
    CHECK(tally.stays > 100);
    CHECK(tally.elects > 100);
    CHECK(tally.unserved > 50);
}

// Whoever has a quorum lacks entries that one of it has, and who has them has no quorum.
TEST_CASE("links: constrained elections of five nodes elect nobody until links heal") {
    ElectionTimes times;
    Tally tally;
    for (std::uint64_t number = 0; tally.unserved < 50; ++number) {
        Random random(number);
        const Situation situation = random_situation(random, number);
        if (constrained(situation)) {
            play(situation, number, times, tally);
        }
        REQUIRE(number < 20000);
    }
}

// Graph after graph without a pause for healing: terms and logs are as the last ones left them.
class Wandering {
 public:
    Wandering(std::size_t nodes, std::uint64_t seed)
        : random_(seed), cluster_(options_for(nodes, seed)), graph_(LinkGraph::complete(nodes)) {
        cluster_.run(election_ticks_max);
        cluster_.drop_if([this](const Message& message) {
            return !graph_.linked(header_of(message).from, header_of(message).to);
        });
    }

    void step() {
        const std::uint64_t percent = random_.between(20, 95);
        for (const NodeId from : cluster_.ids()) {
            for (const NodeId to : cluster_.ids()) {
                const bool up = random_.next() % 100 < percent;
                if (from != to) {
                    up ? graph_.link(from, to) : graph_.cut(from, to);
                }
            }
        }
        INFO("links ", graph_.text());
        const NodeId leader = cluster_.leader();
        if (leader == 0) {
            const bool served = somebody_can_win();
            run(2 * election_ticks_max);
            require((cluster_.leader() != 0) == served, "elected: ", !served);
        } else if (graph_.quorum_connected(leader) && is_newest_of_its_neighbours(leader)) {
            const Term term = cluster_.core(leader).term();
            run(stable_ticks);
            require(cluster_.core(leader).is_leader() && cluster_.core(leader).term() == term,
                    "leader ", leader, " was unseated");
            ++kept;
        } else {
            run(stable_ticks);
        }
        require(cluster_.leader() == 0 || graph_.quorum_connected(cluster_.leader()),
                "a leader without a quorum");
    }

    void heal() {
        graph_ = LinkGraph::complete(graph_.nodes());
        run(2 * election_ticks_max);
        const NodeId leader = cluster_.leader();
        require(leader != 0, "no leader with all links healed");
        for (const NodeId id : cluster_.ids()) {
            require(cluster_.core(id).leader_id() == leader, "node ", id, " doesn't follow");
            require(
                cluster_.core(id).log().last_index() == cluster_.core(leader).log().last_index(),
                "node ", id, " lags");
        }
    }

    int kept = 0;

 private:
    static ClusterOptions options_for(std::size_t nodes, std::uint64_t seed) {
        ClusterOptions options;
        options.nodes = nodes;
        options.core.random_seed = seed;
        return options;
    }

    void run(int ticks) {
        for (int tick = 0; tick < ticks; ++tick) {
            if (tick % 7 == 0 && cluster_.leader() != 0) {
                cluster_.propose(cluster_.leader(), "x");
            }
            cluster_.run(1);
        }
        cluster_.clear_sent();
    }

    bool is_newest_of_its_neighbours(NodeId leader) {
        for (const NodeId id : cluster_.ids()) {
            if (graph_.joined(leader, id) &&
                cluster_.core(id).term() > cluster_.core(leader).term()) {
                return false;
            }
        }
        return true;
    }

    bool somebody_can_win() {
        const auto log_of = [this](NodeId id) {
            const Log& log = cluster_.core(id).log();
            return std::pair(log.last_term(), log.last_index());
        };
        for (const NodeId id : cluster_.ids()) {
            std::size_t votes = 1;
            for (const NodeId voter : cluster_.ids()) {
                votes += graph_.joined(id, voter) && log_of(voter) <= log_of(id) ? 1 : 0;
            }
            if (votes > graph_.nodes() / 2) {
                return true;
            }
        }
        return false;
    }

    Random random_;
    CoreCluster cluster_;
    LinkGraph graph_;
};

TEST_CASE("links: graph after graph unseats nobody with a quorum and leaves nobody stuck") {
    int kept = 0;
    for (std::uint64_t seed = 0; seed < 24; ++seed) {
        CAPTURE(seed);
        Wandering wandering(3 + seed % 2 * 2, seed);
        for (int i = 0; i < 20; ++i) {
            wandering.step();
        }
        wandering.heal();
        kept += wandering.kept;
    }
    CHECK(kept > 100);
}

}  // namespace
