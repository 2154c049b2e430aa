#include "raft/configuration.h"

#include <doctest/doctest.h>

namespace {

using namespace cairn::raft;

TEST_CASE("configuration: sorts its voters and drops duplicates") {
    const Configuration configuration = configuration_of({3, 1, 2, 3, 1});
    CHECK(configuration.voters == std::vector<NodeId>{1, 2, 3});
    CHECK_FALSE(configuration.is_joint());
    CHECK(configuration.members() == configuration.voters);
    CHECK(configuration == configuration_of({1, 2, 3}));
    CHECK_FALSE(configuration == configuration_of({1, 2}));
}

TEST_CASE("configuration: of nobody") {
    const Configuration configuration = configuration_of({});
    CHECK(configuration.members().empty());
    CHECK_FALSE(configuration.contains(1));
}

TEST_CASE("configuration: both halves vote while joint, learners belong but don't vote") {
    const Configuration configuration{
        .voters = {1, 2, 3}, .outgoing_voters = {2, 3, 4}, .learners = {5}};
    CHECK(configuration.is_joint());
    CHECK(configuration.members() == std::vector<NodeId>{1, 2, 3, 4, 5});
    for (const NodeId id : {1, 2, 3, 4}) {
        CHECK(configuration.is_voter(id));
        CHECK(configuration.contains(id));
    }
    CHECK_FALSE(configuration.is_voter(5));
    CHECK(configuration.contains(5));
    CHECK_FALSE(configuration.contains(6));
    CHECK_FALSE(configuration.contains(0));
}

}  // namespace
