#include "server/node/cluster_view.h"

#include <algorithm>

namespace cairn::server {

namespace {

constexpr std::int64_t ns_per_ms = 1'000'000;

void describe_self(const raft::Node& node, const ClusterViewer& viewer, MemberStatus& member) {
    if (member.raft_address.empty()) {
        member.raft_address = viewer.raft_address;
    }
    member.http_address = viewer.http_address;
    member.state = role_text(node.core().role());
    member.match_index = node.core().log().stable_index();
    member.last_contact_ms = 0;
}

void describe_peer(const raft::Node& node, const raft::PeerStatus& peer,
                   const ClusterViewer& viewer, MemberStatus& member) {
    const raft::Core& core = node.core();
    if (member.raft_address.empty()) {
        member.raft_address = peer.raft_address;
    }
    member.http_address = peer.http_address;
    member.state = !peer.connected && !peer.heard ? "unreachable"
                   : peer.id == core.leader_id()  ? "leader"
                                                  : "follower";
    // Members other than the leader have nothing to say to a follower.
    const bool talks = core.is_leader() || peer.id == core.leader_id();
    if (const std::int64_t heard_ns = node.last_heard_ns(peer.id); talks && heard_ns != 0) {
        member.last_contact_ms = (viewer.steady_ns - heard_ns) / ns_per_ms;
    }
}

// What is committed, and between two configurations still the old one: what can be relied on when
// nodes are taken down.
bool votes_for_sure(const raft::Configuration& committed, raft::NodeId id) {
    const std::vector<raft::NodeId>& voters =
        committed.is_joint() ? committed.outgoing_voters : committed.voters;
    return std::binary_search(voters.begin(), voters.end(), id);
}

// Who comes and who goes are both members until that is committed.
std::vector<raft::NodeId> members_of(const raft::Core& core) {
    std::vector<raft::NodeId> members = core.configuration().members();
    const std::vector<raft::NodeId> committed = core.committed_configuration().members();
    members.insert(members.end(), committed.begin(), committed.end());
    std::sort(members.begin(), members.end());
    members.erase(std::unique(members.begin(), members.end()), members.end());
    return members;
}

MemberStatus describe_member(const raft::Node& node, raft::NodeId id,
                             const std::vector<raft::PeerStatus>& peers,
                             const ClusterViewer& viewer) {
    const raft::Core& core = node.core();
    MemberStatus member;
    member.id = id;
    member.voter = votes_for_sure(core.committed_configuration(), id);
    member.state = "unknown";
    if (const raft::Member* detail = core.configuration().detail(id)) {
        member.raft_address = detail->address;
        member.disk_id = detail->disk_id;
    }
    if (id == core.id()) {
        describe_self(node, viewer, member);
    }
    for (const raft::PeerStatus& peer : peers) {
        if (peer.id == id) {
            describe_peer(node, peer, viewer, member);
        }
    }
    for (const raft::Progress& progress : core.progress()) {
        if (progress.id == id) {
            member.match_index = progress.match_index;
            member.lag = core.log().last_index() - progress.match_index;
        }
    }
    return member;
}

}  // namespace

std::string_view role_text(raft::RoleName role) {
    switch (role) {
        case raft::RoleName::follower:
            return "follower";
        case raft::RoleName::pre_candidate:
            return "pre_candidate";
        case raft::RoleName::candidate:
            return "candidate";
        case raft::RoleName::leader:
            break;
    }
    return "leader";
}

ClusterStatus describe_cluster(const raft::Node& node, const std::vector<raft::PeerStatus>& peers,
                               const ClusterViewer& viewer) {
    const raft::Core& core = node.core();
    ClusterStatus status;
    status.cluster_id = viewer.cluster_id;
    status.node = core.id();
    status.state = role_text(core.role());
    status.leader = core.leader_id();
    status.term = core.term();
    status.commit_index = core.commit_index();
    status.applied_index = viewer.applied_index;
    status.last_index = core.log().last_index();
    status.ready = core.leader_id() != 0 && status.applied_index == status.commit_index;
    for (const raft::NodeId id : members_of(core)) {
        status.members.push_back(describe_member(node, id, peers, viewer));
    }
    status.removed = core.configuration().removed;
    return status;
}

}  // namespace cairn::server
