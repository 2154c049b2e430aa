#include "raft/core/configuration.h"

#include <algorithm>
#include <functional>

namespace cairn::raft {

namespace {

bool has(const std::vector<NodeId>& ids, NodeId id) {
    return std::binary_search(ids.begin(), ids.end(), id);
}

void sort_unique(std::vector<NodeId>& ids) {
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
}

bool is_set_of_ids(const std::vector<NodeId>& ids) {
    return std::adjacent_find(ids.begin(), ids.end(), std::greater_equal<>()) == ids.end() &&
           (ids.empty() || ids.front() != 0);
}

}  // namespace

bool is_member_address(std::string_view address) {
    return address.size() <= member_address_bytes_max &&
           std::all_of(address.begin(), address.end(),
                       [](char c) { return c > ' ' && c < '\x7f'; });
}

bool Configuration::is_voter(NodeId id) const {
    return has(voters, id) || has(outgoing_voters, id);
}

bool Configuration::may_campaign(NodeId id) const {
    return has(voters, id) || (has(outgoing_voters, id) && !has(learners, id));
}

bool Configuration::is_learner(NodeId id) const {
    return has(learners, id);
}

bool Configuration::contains(NodeId id) const {
    return is_voter(id) || has(learners, id);
}

bool Configuration::was_removed(NodeId id) const {
    return has(removed, id);
}

const Member* Configuration::detail(NodeId id) const {
    const auto found =
        std::lower_bound(details.begin(), details.end(), id,
                         [](const Member& member, NodeId wanted) { return member.id < wanted; });
    return found != details.end() && found->id == id ? &*found : nullptr;
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
    Configuration configuration;
    configuration.voters = std::move(voters);
    return configuration;
}

std::string validate(const Configuration& configuration) {
    if (configuration.voters.empty()) {
        return "a configuration without voters";
    }
    for (const std::vector<NodeId>* ids : {&configuration.voters, &configuration.outgoing_voters,
                                           &configuration.learners, &configuration.removed}) {
        if (!is_set_of_ids(*ids)) {
            return "a configuration out of order or with nobody in it";
        }
    }
    if (configuration.voters.size() > voters_max ||
        configuration.outgoing_voters.size() > voters_max ||
        configuration.learners.size() > learners_max ||
        configuration.removed.size() > removed_max) {
        return "a configuration with too many members";
    }
    for (const NodeId id : configuration.learners) {
        if (has(configuration.voters, id)) {
            return "a learner that is a voter";
        }
    }
    NodeId previous = 0;
    for (const Member& member : configuration.details) {
        if (member.id <= previous || !configuration.contains(member.id) ||
            !is_member_address(member.address)) {
            return "details out of order, of others than members or with an impossible address";
        }
        previous = member.id;
    }
    for (const NodeId id : configuration.removed) {
        if (has(configuration.voters, id) || has(configuration.learners, id)) {
            return "a member that was removed";
        }
    }
    return {};
}

}  // namespace cairn::raft
