// Which nodes of a cluster can reach which, and what Raft owes its users under such a partial
// partition: an oracle by graph theory and logs alone, that knows nothing of raft::Core.
//
// Values; no clock, no randomness. Ids are 1, 2, ... n, as in CoreCluster.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "raft/core/types.h"

namespace cairn::raft::testing {

class LinkGraph {
 public:
    static constexpr std::size_t nodes_max = 7;

    explicit LinkGraph(std::size_t nodes);  // without a link
    static LinkGraph complete(std::size_t nodes);
    // Bit i of `number`: the i-th of the n * (n - 1) one-way links 1>2, 1>3, ... 2>1, ...
    static LinkGraph numbered(std::size_t nodes, std::uint64_t number);
    static LinkGraph line(std::size_t nodes);          // 1-2-3-...
    static LinkGraph ring(std::size_t nodes);          // 1-2-3-...-1
    static LinkGraph one_way_ring(std::size_t nodes);  // 1>2>3>...>1
    static LinkGraph hub(std::size_t nodes, NodeId center);

    LinkGraph& link(NodeId from, NodeId to);  // one way
    LinkGraph& join(NodeId a, NodeId b);      // both ways
    LinkGraph& cut(NodeId from, NodeId to);   // one way
    LinkGraph& isolate(NodeId id);

    std::size_t nodes() const { return nodes_; }
    bool linked(NodeId from, NodeId to) const { return links_.at(from).at(to); }
    bool joined(NodeId a, NodeId b) const { return linked(a, b) && linked(b, a); }
    // How many with the node itself, of those it can speak with.
    std::size_t reach(NodeId id) const;
    // Enough of them for a majority.
    bool quorum_connected(NodeId id) const { return reach(id) > nodes_ / 2; }
    bool any_quorum_connected() const;

    // "1-2 2>3", "-" when there is no link.
    std::string text() const;
    // The same graph but for the names of its nodes has the same shape.
    std::uint64_t shape() const;

 private:
    std::uint64_t number_as(const std::vector<NodeId>& names) const;

    std::size_t nodes_;
    std::array<std::array<bool, nodes_max + 1>, nodes_max + 1> links_{};
};

// How things stand when a graph comes into force.
struct Situation {
    LinkGraph graph;
    // Has every write; leads, unless everybody has just restarted.
    NodeId leader = 0;
    // How many of the last writes a node lacks (ids from 1), 0 for the leader.
    std::vector<int> lag;
    bool nobody_leads = false;
    // A node that is many terms ahead of the rest, 0: none. Only where nobody lags.
    NodeId ahead = 0;
    // Nobody writes under the graph, so that no log falls behind in it.
    bool quiet = false;

    std::string text() const;
};

// What must come of it while clients ask whoever leads.
struct Outcome {
    // The leader is quorum-connected, and speaks with nobody in a higher term: nobody may unseat
    // it.
    bool leader_stays = false;
    // Otherwise: who can win an election, once the old leader's messages have ended. One of them
    // must, and then stay. Empty: Raft can't go on under this graph.
    std::vector<NodeId> electable;

    bool served() const { return leader_stays || !electable.empty(); }
};

Outcome outcome_of(const Situation& situation);

}  // namespace cairn::raft::testing
