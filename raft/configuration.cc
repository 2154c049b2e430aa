#include "raft/configuration.h"

#include <algorithm>

namespace cairn::raft {

namespace {

bool has(const std::vector<NodeId>& ids, NodeId id) {
    return std::binary_search(ids.begin(), ids.end(), id);
}

void sort_unique(std::vector<NodeId>& ids) {
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
}

}  // namespace

bool Configuration::is_voter(NodeId id) const {
    return has(voters, id) || has(outgoing_voters, id);
}

bool Configuration::contains(NodeId id) const {
    return is_voter(id) || has(learners, id);
}

std::vector<NodeId> Configuration::members() const {
    std::vector<NodeId> all = voters;
    all.insert(all.end(), outgoing_voters.begin(), outgoing_voters.end());
    all.insert(all.end(), learners.begin(), learners.end());
    sort_unique(all);
    return all;
}

Configuration configuration_of(std::vector<NodeId> voters) {
    sort_unique(voters);
    return Configuration{std::move(voters), {}, {}};
}

}  // namespace cairn::raft
