#include "tests/support/link_graph.h"

#include <algorithm>
#include <numeric>

#include "raft/core/invariant.h"

namespace cairn::raft::testing {

LinkGraph::LinkGraph(std::size_t nodes) : nodes_(nodes) {
    RAFT_ASSERT(nodes <= nodes_max);
}

LinkGraph LinkGraph::complete(std::size_t nodes) {
    LinkGraph graph(nodes);
    for (NodeId from = 1; from <= nodes; ++from) {
        for (NodeId to = 1; to <= nodes; ++to) {
            if (from != to) {
                graph.link(from, to);
            }
        }
    }
    return graph;
}

LinkGraph LinkGraph::numbered(std::size_t nodes, std::uint64_t number) {
    LinkGraph graph(nodes);
    for (NodeId from = 1; from <= nodes; ++from) {
        for (NodeId to = 1; to <= nodes; ++to) {
            if (from == to) {
                continue;
            }
            if ((number & 1U) != 0) {
                graph.link(from, to);
            }
            number >>= 1U;
        }
    }
    return graph;
}

LinkGraph LinkGraph::line(std::size_t nodes) {
    LinkGraph graph(nodes);
    for (NodeId id = 1; id < nodes; ++id) {
        graph.join(id, id + 1);
    }
    return graph;
}

LinkGraph LinkGraph::ring(std::size_t nodes) {
    return line(nodes).join(nodes, 1);
}

LinkGraph LinkGraph::one_way_ring(std::size_t nodes) {
    LinkGraph graph(nodes);
    for (NodeId id = 1; id <= nodes; ++id) {
        graph.link(id, id % nodes + 1);
    }
    return graph;
}

LinkGraph LinkGraph::hub(std::size_t nodes, NodeId center) {
    LinkGraph graph(nodes);
    for (NodeId id = 1; id <= nodes; ++id) {
        if (id != center) {
            graph.join(center, id);
        }
    }
    return graph;
}

LinkGraph& LinkGraph::link(NodeId from, NodeId to) {
    RAFT_ASSERT(from >= 1 && from <= nodes_ && to >= 1 && to <= nodes_ && from != to);
    links_.at(from).at(to) = true;
    return *this;
}

LinkGraph& LinkGraph::join(NodeId a, NodeId b) {
    return link(a, b).link(b, a);
}

LinkGraph& LinkGraph::cut(NodeId from, NodeId to) {
    links_.at(from).at(to) = false;
    return *this;
}

LinkGraph& LinkGraph::isolate(NodeId id) {
    for (NodeId other = 1; other <= nodes_; ++other) {
        cut(id, other).cut(other, id);
    }
    return *this;
}

std::size_t LinkGraph::reach(NodeId id) const {
    std::size_t count = 1;
    for (NodeId other = 1; other <= nodes_; ++other) {
        count += other != id && joined(id, other) ? 1 : 0;
    }
    return count;
}

bool LinkGraph::any_quorum_connected() const {
    for (NodeId id = 1; id <= nodes_; ++id) {
        if (quorum_connected(id)) {
            return true;
        }
    }
    return false;
}

std::string LinkGraph::text() const {
    std::string text;
    const auto add = [&](NodeId from, char sign, NodeId to) {
        text += (text.empty() ? "" : " ") + std::to_string(from) + sign + std::to_string(to);
    };
    for (NodeId a = 1; a <= nodes_; ++a) {
        for (NodeId b = a + 1; b <= nodes_; ++b) {
            if (joined(a, b)) {
                add(a, '-', b);
            } else if (linked(a, b)) {
                add(a, '>', b);
            } else if (linked(b, a)) {
                add(b, '>', a);
            }
        }
    }
    return text.empty() ? "-" : text;
}

std::uint64_t LinkGraph::number_as(const std::vector<NodeId>& names) const {
    std::uint64_t number = 0;
    std::uint64_t bit = 1;
    for (const NodeId from : names) {
        for (const NodeId to : names) {
            if (from != to) {
                number |= linked(from, to) ? bit : 0;
                bit <<= 1U;
            }
        }
    }
    return number;
}

std::uint64_t LinkGraph::shape() const {
    std::vector<NodeId> names(nodes_);
    std::iota(names.begin(), names.end(), NodeId{1});
    std::uint64_t smallest = number_as(names);
    while (std::next_permutation(names.begin(), names.end())) {
        smallest = std::min(smallest, number_as(names));
    }
    return smallest;
}

std::string Situation::text() const {
    std::string text = "links " + graph.text() + ", " +
                       (nobody_leads ? "nobody leads, longest log " : "leader ") +
                       std::to_string(leader) + ", lag";
    for (const int writes : lag) {
        text += " " + std::to_string(writes);
    }
    if (ahead != 0) {
        text += ", terms ahead: node " + std::to_string(ahead);
    }
    return quiet ? text + ", no writes" : text;
}

namespace {

// How long each log is once the old leader's messages have ended, in comparison.
std::vector<int> logs_of(const Situation& situation) {
    const LinkGraph& graph = situation.graph;
    const NodeId leader = situation.leader;
    std::vector<int> logs;
    for (NodeId id = 1; id <= graph.nodes(); ++id) {
        const int lag = situation.lag.at(id - 1);
        // What a leader has and gets before it loses its office goes to those that it reaches.
        // Whoever lacks something before needs to say so first; whoever is in a higher term takes
        // nothing from it.
        const bool gets_the_rest =
            id == leader || (id != situation.ahead &&
                             (graph.joined(leader, id) || (graph.linked(leader, id) && lag == 0)));
        const int all = situation.quiet ? 0 : 1;
        logs.push_back(!situation.nobody_leads && gets_the_rest ? all : -lag);
    }
    return logs;
}

}  // namespace

Outcome outcome_of(const Situation& situation) {
    const LinkGraph& graph = situation.graph;
    Outcome outcome;
    const bool deposed = situation.ahead != 0 && graph.joined(situation.leader, situation.ahead);
    if (!situation.nobody_leads && !deposed && graph.quorum_connected(situation.leader)) {
        outcome.leader_stays = true;
        return outcome;
    }
    const std::vector<int> logs = logs_of(situation);
    for (NodeId id = 1; id <= graph.nodes(); ++id) {
        std::size_t votes = 1;
        for (NodeId voter = 1; voter <= graph.nodes(); ++voter) {
            const bool grants = logs.at(voter - 1) <= logs.at(id - 1);
            votes += voter != id && graph.joined(id, voter) && grants ? 1 : 0;
        }
        if (votes > graph.nodes() / 2) {
            outcome.electable.push_back(id);
        }
    }
    return outcome;
}

}  // namespace cairn::raft::testing
