// Leadership transfer (thesis §3.10).

#include <doctest/doctest.h>

#include "tests/support/core_cluster.h"

namespace {

using namespace cairn::raft;
using namespace cairn::raft::testing;

TEST_CASE("transfer: to a follower that is up to date, at once and beside its lease") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.run(2);
    const Term term = cluster.core(1).term();
    REQUIRE(cluster.transfer(1, 2));
    cluster.settle();  // no tick
    CHECK(cluster.leader() == 2);
    CHECK(cluster.core(2).term() == term + 1);
    CHECK(cluster.core(1).role() == RoleName::follower);
    CHECK(cluster.core(1).leader_id() == 2);
    CHECK_FALSE(cluster.core(1).is_transferring());
}

TEST_CASE("transfer: a follower that lags catches up first") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.cut(1, 2);
    cluster.propose(1, "a");
    cluster.propose(1, "b");
    cluster.settle();
    REQUIRE(cluster.transfer(1, 2));
    cluster.settle();
    CHECK(cluster.count_sent(is_a<TimeoutNow>) == 0);
    CHECK(cluster.leader() == 1);
    cluster.heal();
    cluster.run(2);
    CHECK(cluster.count_sent(is_a<TimeoutNow>) == 1);
    CHECK(cluster.leader() == 2);
    CHECK(cluster.applied_commands(2) == std::vector<std::string>{"a", "b"});
}

TEST_CASE("transfer: proposals are refused meanwhile; given up after an election timeout") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.crash(2);
    REQUIRE(cluster.transfer(1, 2));
    CHECK(cluster.core(1).is_transferring());
    CHECK(cluster.propose(1, "a").error == ProposeError::transferring);
    cluster.run(cluster.core(1).options().election_timeout_ticks - 1);
    CHECK(cluster.propose(1, "a").error == ProposeError::transferring);
    cluster.run(1);
    CHECK_FALSE(cluster.core(1).is_transferring());
    CHECK(cluster.leader() == 1);
    CHECK(cluster.propose(1, "a").error == ProposeError::none);
    cluster.settle();
    CHECK(cluster.applied_commands(3) == std::vector<std::string>{"a"});
}

TEST_CASE("transfer: only a leader hands over, and only to another voter") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    CHECK_FALSE(cluster.transfer(2, 3));
    CHECK_FALSE(cluster.transfer(1, 1));
    CHECK_FALSE(cluster.transfer(1, 9));
    CHECK_FALSE(cluster.core(1).is_transferring());
}

TEST_CASE("transfer: only the leader's own word makes a follower campaign") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    const Term term = cluster.core(2).term();
    cluster.step(TimeoutNow{{1, 3, 2, term}});
    CHECK(cluster.core(2).role() == RoleName::follower);
    CHECK(cluster.core(2).term() == term);
    cluster.step(TimeoutNow{{1, 2, 1, term}});
    CHECK(cluster.core(1).is_leader());
}

TEST_CASE("transfer: the target asks for votes only after its own is durable") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.hold_disk(2);
    REQUIRE(cluster.transfer(1, 2));
    cluster.settle();
    CHECK(cluster.core(2).role() == RoleName::candidate);
    CHECK(cluster.leader() == 1);
    cluster.release_disk(2);
    cluster.settle();
    CHECK(cluster.leader() == 2);
}

}  // namespace
