// The oracle of the link graph scenarios.

#include "tests/support/link_graph.h"

#include <map>

#include <doctest/doctest.h>

namespace {

using namespace cairn::raft;
using namespace cairn::raft::testing;

using Ids = std::vector<NodeId>;

TEST_CASE("link graph: numbers, names and words") {
    CHECK(LinkGraph::numbered(3, 0).text() == "-");
    CHECK(LinkGraph::numbered(3, 1).text() == "1>2");
    CHECK(LinkGraph::numbered(3, 0b000100).text() == "2>1");
    CHECK(LinkGraph::numbered(3, 0b000101).text() == "1-2");
    CHECK(LinkGraph::numbered(3, 63).text() == LinkGraph::complete(3).text());
    CHECK(LinkGraph::line(3).text() == "1-2 2-3");
    CHECK(LinkGraph::ring(4).text() == "1-2 1-4 2-3 3-4");
    CHECK(LinkGraph::one_way_ring(3).text() == "1>2 3>1 2>3");
    CHECK(LinkGraph::hub(4, 2).text() == "1-2 2-3 2-4");
    CHECK(LinkGraph::complete(3).isolate(2).text() == "1-3");
    CHECK(LinkGraph::complete(3).cut(2, 3).text() == "1-2 1-3 3>2");
}

TEST_CASE("link graph: graphs that differ in names only have one shape") {
    CHECK(LinkGraph::hub(5, 1).shape() == LinkGraph::hub(5, 4).shape());
    CHECK(LinkGraph::line(5).shape() != LinkGraph::hub(5, 1).shape());
    CHECK(LinkGraph(3).link(1, 2).shape() == LinkGraph(3).link(3, 1).shape());
    // Two senders to one are not one sender to two.
    CHECK(LinkGraph(3).link(1, 3).link(2, 3).shape() != LinkGraph(3).link(3, 1).link(3, 2).shape());
    std::map<std::uint64_t, int> shapes;
    for (std::uint64_t number = 0; number < 64; ++number) {
        ++shapes[LinkGraph::numbered(3, number).shape()];
    }
    CHECK(shapes.size() == 16);  // directed graphs of three nodes up to names
}

TEST_CASE("link graph: quorum-connected by links that work both ways") {
    const LinkGraph line = LinkGraph::line(5);
    CHECK_FALSE(line.quorum_connected(1));
    CHECK(line.quorum_connected(2));
    CHECK(line.reach(2) == 3);
    CHECK_FALSE(LinkGraph::one_way_ring(3).any_quorum_connected());
    CHECK(LinkGraph::line(3).quorum_connected(1));
    CHECK(LinkGraph::ring(5).quorum_connected(4));
    CHECK_FALSE(LinkGraph::hub(5, 1).quorum_connected(2));
    CHECK(LinkGraph::hub(5, 1).quorum_connected(1));
    CHECK_FALSE(LinkGraph(4).join(1, 2).any_quorum_connected());  // two of four are no majority
}

TEST_CASE("link graph: what is owed under some partial partitions") {
    // The leader at the end of the chain has the middle.
    CHECK(outcome_of({LinkGraph::line(3), 1, {0, 0, 0}}).leader_stays);
    // A hub of five follows the leader that lost everybody else, with all that it wrote.
    CHECK(outcome_of({LinkGraph::hub(5, 3), 1, {0, 0, 1, 0, 0}}).electable == Ids{3});
    // Cut off from the leader, it is behind the others for good.
    const LinkGraph constrained = LinkGraph::hub(5, 3).isolate(1);
    CHECK_FALSE(outcome_of({constrained, 1, {0, 0, 1, 0, 0}}).served());
    CHECK(outcome_of({constrained, 1, {0, 1, 1, 1, 0}}).electable == Ids{3});
    CHECK(outcome_of({constrained, 1, {0, 0, 0, 0, 0}}).electable == Ids{3});
    // Of two that can speak with each other only the longer log can win.
    CHECK(outcome_of({LinkGraph(3).join(2, 3), 1, {0, 1, 0}}).electable == Ids{3});
    CHECK(outcome_of({LinkGraph(3).join(2, 3), 1, {0, 1, 1}}).electable == Ids{2, 3});
    // What the old leader still says goes to one of them.
    CHECK(outcome_of({LinkGraph(3).join(2, 3).link(1, 2), 1, {0, 0, 0}}).electable == Ids{2});
    CHECK(outcome_of({LinkGraph(3).join(2, 3).link(1, 2), 1, {0, 1, 0}}).electable == Ids{3});
    CHECK(outcome_of({LinkGraph(3).join(2, 3).link(1, 2), 1, {0, 0, 0}, true}).electable ==
          Ids{2, 3});
    CHECK_FALSE(outcome_of({LinkGraph::one_way_ring(3), 1, {0, 0, 0}}).served());
    CHECK(
        outcome_of({LinkGraph(3).join(2, 3).link(1, 2), 1, {0, 0, 0}, false, 0, true}).electable ==
        Ids{2, 3});
    // A higher term deposes the leader if each hears the other, and only then.
    CHECK_FALSE(outcome_of({LinkGraph::complete(3), 1, {0, 0, 0}, false, 3}).leader_stays);
    CHECK(outcome_of({LinkGraph::line(3), 1, {0, 0, 0}, false, 3}).leader_stays);
    CHECK(outcome_of({LinkGraph::complete(3).cut(1, 3), 1, {0, 0, 0}, false, 3}).leader_stays);
    // Without a leader nobody brings the hub up to date.
    CHECK_FALSE(outcome_of({LinkGraph::hub(5, 3), 1, {0, 0, 1, 0, 0}, true}).served());
}

}  // namespace
