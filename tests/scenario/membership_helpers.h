// What the scenarios of membership share.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/scenario/snapshot_helpers.h"
#include "tests/support/core_cluster.h"

namespace cairn::raft::testing {

using Ids = std::vector<NodeId>;

// `nodes` of which the first `founders` are the group; the leader is node 1.
inline CoreCluster group(std::size_t founders, std::size_t nodes = 0) {
    ClusterOptions options;
    options.nodes = std::max(nodes, founders);
    options.founders = founders;
    CoreCluster cluster(options);
    REQUIRE(cluster.elect(1));
    cluster.run(2);
    return cluster;
}

inline const Configuration& configuration_of_node(CoreCluster& cluster, NodeId id) {
    return cluster.core(id).configuration();
}

inline ChangeError add(CoreCluster& cluster, NodeId leader, NodeId id, bool stays_learner = false) {
    raft::Member member = cluster.newcomer(id);
    member.stays_learner = stays_learner;
    return cluster.change(leader, plan_addition(configuration_of_node(cluster, leader), member))
        .error;
}

inline ChangeError remove(CoreCluster& cluster, NodeId leader, NodeId id) {
    return cluster.change(leader, plan_removal(configuration_of_node(cluster, leader), id)).error;
}

inline ChangeError promote(CoreCluster& cluster, NodeId leader, NodeId id) {
    return cluster.change(leader, plan_promotion(configuration_of_node(cluster, leader), id)).error;
}

inline ChangeError take_new_disk(CoreCluster& cluster, NodeId leader, NodeId id) {
    return cluster
        .change(leader,
                plan_new_disk(configuration_of_node(cluster, leader), id, cluster.disk_id(id)))
        .error;
}

// As the leader knows it: both steps are done and committed.
inline bool settled_with_voters(CoreCluster& cluster, const Ids& voters) {
    const NodeId leader = cluster.leader();
    return leader != 0 && cluster.core(leader).configuration().voters == voters &&
           !cluster.core(leader).configuration().is_joint() &&
           cluster.core(leader).configurations().current_index() <=
               cluster.core(leader).commit_index();
}

inline bool run_until_voters(CoreCluster& cluster, const Ids& voters, int ticks = 100) {
    for (int i = 0; i < ticks && !settled_with_voters(cluster, voters); ++i) {
        cluster.run(1);
    }
    return settled_with_voters(cluster, voters);
}

// Takes away what a leader would say after its next step, so that a joint configuration stays so.
inline void hold_answers(CoreCluster& cluster) {
    cluster.hold_if(is_a<AppendEntriesReply>);
}

// The last configuration entry in the node's log.
inline Index last_configuration(CoreCluster& cluster, NodeId id) {
    return cluster.core(id).configurations().current_index();
}

// Writes and sees it applied on the leader.
inline void write(CoreCluster& cluster, const std::string& text) {
    const NodeId leader = cluster.leader();
    REQUIRE(leader != 0);
    REQUIRE(cluster.propose(leader, text).error == ProposeError::none);
    cluster.settle();
    REQUIRE(cluster.applied_commands(leader).back() == text);
}

// Cuts all links between the two sides.
inline void partition(CoreCluster& cluster, const Ids& one_side, const Ids& other_side) {
    for (const NodeId a : one_side) {
        for (const NodeId b : other_side) {
            cluster.cut(a, b);
            cluster.cut(b, a);
        }
    }
}

inline bool has_command(const CoreCluster& cluster, NodeId id, const std::string& text) {
    const std::vector<std::string> commands = cluster.applied_commands(id);
    return std::find(commands.begin(), commands.end(), text) != commands.end();
}

}  // namespace cairn::raft::testing
