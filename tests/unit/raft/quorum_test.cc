#include "raft/core/quorum.h"

#include <map>

#include <doctest/doctest.h>

#include "raft/core/random.h"

namespace {

using namespace cairn::raft;

using Values = std::map<NodeId, std::uint64_t>;
using Votes = std::map<NodeId, int>;

Configuration random_configuration(Random& random, bool joint) {
    const auto pick = [&](std::uint64_t at_least) {
        std::vector<NodeId> ids;
        for (NodeId id = 1; id <= 9; ++id) {
            if (random.next() % 2 == 0) {
                ids.push_back(id);
            }
        }
        while (ids.size() < at_least) {
            ids.push_back(10 + ids.size());
        }
        return configuration_of(ids).voters;
    };
    Configuration configuration;
    configuration.voters = pick(1);
    if (joint) {
        configuration.outgoing_voters = pick(1);
    }
    return configuration;
}

// More than half of `voters` satisfy `holds`; said once more in the plainest way.
template <class Holds>
bool most(const std::vector<NodeId>& voters, const Holds& holds) {
    std::size_t count = 0;
    for (const NodeId id : voters) {
        count += holds(id) ? 1 : 0;
    }
    return 2 * count > voters.size();
}

template <class Holds>
bool most_of_both(const Configuration& configuration, const Holds& holds) {
    return most(configuration.voters, holds) &&
           (!configuration.is_joint() || most(configuration.outgoing_voters, holds));
}

TEST_CASE("quorum: majority values of small groups") {
    const auto value = [](NodeId id) { return id * 10; };  // 10, 20, 30, ...
    CHECK(majority_value({1}, value) == 10);
    CHECK(majority_value({1, 2}, value) == 10);
    CHECK(majority_value({1, 2, 3}, value) == 20);
    CHECK(majority_value({1, 2, 3, 4}, value) == 20);
    CHECK(majority_value({1, 2, 3, 4, 5}, value) == 30);
    CHECK(majority_value({}, value) == std::numeric_limits<std::uint64_t>::max());
}

TEST_CASE("quorum: while joint both halves must agree") {
    Configuration configuration;
    configuration.voters = {1, 2, 3};
    configuration.outgoing_voters = {3, 4, 5};
    const auto value = [](NodeId id) { return id <= 3 ? std::uint64_t{7} : std::uint64_t{2}; };
    CHECK(quorum_value(configuration, value) == 2);
    const auto vote = [](NodeId id) { return id <= 3 ? 1 : 0; };
    CHECK(quorum_vote(configuration, vote) == VoteResult::pending);
    const auto refused = [](NodeId id) { return id <= 3 ? 1 : -1; };
    CHECK(quorum_vote(configuration, refused) == VoteResult::lost);
}

TEST_CASE("quorum: learners have no say") {
    Configuration configuration = configuration_of({1, 2, 3});
    configuration.learners = {4, 5};
    const auto only_learners = [](NodeId id) { return id >= 4 ? 1 : 0; };
    CHECK(quorum_vote(configuration, only_learners) == VoteResult::pending);
    CHECK(quorum_value(configuration, [](NodeId id) {
              return id >= 4 ? std::uint64_t{9} : std::uint64_t{1};
          }) == 1);
}

TEST_CASE("quorum: the largest number of voters fits") {
    std::vector<NodeId> voters;
    for (NodeId id = 1; id <= voters_max; ++id) {
        voters.push_back(id);
    }
    CHECK(majority_value(voters, [](NodeId id) { return id; }) == (voters_max + 1) / 2);
}

TEST_CASE("quorum: values agree with brute force, joint or not") {
    Random random(11);
    for (int run = 0; run < 5000; ++run) {
        const Configuration configuration = random_configuration(random, run % 2 == 0);
        Values values;
        for (const NodeId id : configuration.members()) {
            values[id] = random.next() % 6;
        }
        std::uint64_t expected = 0;
        for (std::uint64_t candidate = 0; candidate < 6; ++candidate) {
            if (most_of_both(configuration, [&](NodeId id) { return values[id] >= candidate; })) {
                expected = candidate;
            }
        }
        REQUIRE(quorum_value(configuration, [&](NodeId id) { return values[id]; }) == expected);
    }
}

// Won: already a majority. Lost: not a majority even if all who are silent grant.
TEST_CASE("quorum: votes agree with brute force, joint or not") {
    Random random(12);
    int seen[3] = {};
    for (int run = 0; run < 5000; ++run) {
        const Configuration configuration = random_configuration(random, run % 2 == 0);
        Votes votes;
        for (const NodeId id : configuration.members()) {
            votes[id] = static_cast<int>(random.next() % 3) - 1;
        }
        VoteResult expected = VoteResult::pending;
        if (most_of_both(configuration, [&](NodeId id) { return votes[id] > 0; })) {
            expected = VoteResult::won;
        } else if (!most_of_both(configuration, [&](NodeId id) { return votes[id] >= 0; })) {
            expected = VoteResult::lost;
        }
        REQUIRE(quorum_vote(configuration, [&](NodeId id) { return votes[id]; }) == expected);
        ++seen[static_cast<int>(expected)];
    }
    CHECK(seen[0] > 100);
    CHECK(seen[1] > 100);
    CHECK(seen[2] > 100);
}

}  // namespace
