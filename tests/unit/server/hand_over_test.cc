// To whom a leader hands leadership.
#include "server/node/hand_over.h"

#include <doctest/doctest.h>

#include "tests/unit/server/replica_testing.h"

namespace {

using namespace cairn;
using namespace cairn::server;
using namespace cairn::server::test;

// Node 1 of three, which leads and is answered.
struct Rig {
    Rig() : leader(raft::configuration_of({1, 2, 3})) {
        leader.lead();
        hear(2);
        hear(3);
    }
    // It has everything.
    void hear(raft::NodeId peer) {
        raft::AppendEntriesReply reply;
        reply.header = leader.from(peer, leader.node.core().term());
        reply.match_index = leader.node.core().log().last_index();
        leader.step(reply);
    }
    // Two election timeouts in which only `peer` is heard.
    void hear_only(raft::NodeId peer) {
        for (int i = 0; i < 2 * leader.node.core().options().election_timeout_ticks; ++i) {
            now += 10 * ms;
            leader.node.on_tick(now);
            leader.settle();
            hear(peer);
        }
    }

    std::int64_t now = 1000 * ms;
    TestNode leader;
};

}  // namespace

TEST_CASE("hand-over: to the voter that is furthest, and not to one that is silent") {
    Rig rig;
    CHECK(hand_over_target(rig.leader.node.core()) == 2);
    CHECK(hand_over_target(rig.leader.node.core(), 2) == 3);
    rig.hear_only(3);
    REQUIRE(rig.leader.node.core().is_leader());
    CHECK(hand_over_target(rig.leader.node.core()) == 3);
    CHECK(hand_over_target(rig.leader.node.core(), 3) == 3);
    rig.hear(2);
    CHECK(hand_over_target(rig.leader.node.core()) == 2);
}

TEST_CASE("hand-over: not to a voter that a change under way takes away") {
    Rig rig;
    const raft::PlannedChange planned =
        raft::plan_removal(rig.leader.node.core().configuration(), 2);
    REQUIRE(planned.error == raft::ChangeError::none);
    REQUIRE(rig.leader.node.change_configuration(planned.next, rig.now).error ==
            raft::ChangeError::none);
    REQUIRE(rig.leader.node.core().configuration().is_joint());
    CHECK(hand_over_target(rig.leader.node.core()) == 3);
}
