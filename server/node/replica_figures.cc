// What a replica tells of itself to people and to metrics.
#include <algorithm>

#include "server/node/cluster_view.h"
#include "server/node/node_figures.h"
#include "server/node/replica.h"

namespace cairn::server {

namespace {

std::optional<std::int64_t> since_contact_ns(std::int64_t heard_ns, const LinkProbe::Link* link,
                                             std::int64_t now_ns) {
    const std::int64_t newest_ns = std::max(heard_ns, link == nullptr ? 0 : link->heard_ns);
    return newest_ns == 0 ? std::nullopt
                          : std::optional(std::max<std::int64_t>(now_ns - newest_ns, 0));
}

}  // namespace

void Replica::note_leader() {
    const raft::Core& core = node_.core();
    if (core.leader_id() == known_leader_ && (known_leader_ == 0 || core.term() == known_term_)) {
        return;
    }
    known_leader_ = core.leader_id();
    known_term_ = core.term();
    leader_since_utc_ns_ = known_leader_ == 0 ? 0 : clock_.utc_ns();
    leader_changes_ += known_leader_ == 0 ? 0 : 1;
}

// For the gateways: whose pages are the cluster's own.
void Replica::note_addresses() {
    const std::vector<raft::NodeId> members = node_.core().configuration().members();
    std::vector<std::string> addresses = {options_.http_address};
    for (raft::PeerStatus& peer : transport_.peers()) {
        if (std::binary_search(members.begin(), members.end(), peer.id)) {
            addresses.push_back(std::move(peer.http_address));
        }
    }
    view_.http_addresses.set(std::move(addresses));
}

// What the leader knows others were told a moment ago.
void Replica::add_told_indexes(ClusterStatus& status) const {
    std::uint64_t last_index = status.last_index;
    if (const LinkProbe::Link* leader = links_.link(status.leader)) {
        last_index = std::max(last_index, leader->stable_index.value_or(0));
    }
    for (MemberStatus& member : status.members) {
        if (const LinkProbe::Link* link = links_.link(member.id); link && !member.match_index) {
            member.match_index = link->stable_index;
        }
        if (member.match_index && !member.lag) {
            member.lag = last_index - std::min(last_index, *member.match_index);
        }
    }
}

ClusterStatus Replica::cluster_status() const {
    ClusterStatus status =
        describe_cluster(node_, transport_.peers(),
                         {options_.cluster_id, options_.http_address, options_.raft_address,
                          state_machine_.applied_index(), steady_ns_});
    status.leader_since_utc_ns = leader_since_utc_ns_;
    status.started_utc_ns = started_utc_ns_;
    status.snapshot_index = snapshots_.last_index();
    status.disk_ns = storage_.recent_append_ns();
    for (MemberStatus& member : status.members) {
        if (const LinkProbe::Link* link = links_.link(member.id)) {
            member.rtt_ns = link->rtt_ns;
            member.hears = LinkProbe::hears(*link, steady_ns_);
            member.reaches = LinkProbe::reaches(*link, steady_ns_);
            if (const auto since =
                    since_contact_ns(node_.last_heard_ns(member.id), link, steady_ns_)) {
                member.last_contact_ms = *since / 1'000'000;
            }
        }
    }
    add_told_indexes(status);
    return status;
}

void Replica::submit_metrics(std::shared_ptr<Operation> operation, Port& port) {
    operation->failure = Failure::none;
    operation->figures = std::make_shared<NodeFigures>();
    collect(*operation->figures);
    operation->served_index = state_machine_.applied_index();
    options_.on_metrics(std::move(operation), port);
}

void Replica::collect(NodeFigures& figures) const {
    const raft::Core& core = node_.core();
    figures.node = core.id();
    figures.role = core.role();
    figures.leader = core.leader_id();
    figures.term = core.term();
    figures.commit_index = core.commit_index();
    figures.applied_index = state_machine_.applied_index();
    figures.last_index = core.log().last_index();
    figures.first_index = core.log().first_index();
    figures.log_memory_bytes = core.log().bytes();
    figures.voters = core.configuration().voters.size();
    figures.learners = core.configuration().members().size() - figures.voters;
    figures.core = core.statistics();
    figures.leader_changes = leader_changes_;
    figures.leader_since_utc_ns = leader_since_utc_ns_;
    figures.started_utc_ns = started_utc_ns_;
    figures.values = state_machine_.size();
    figures.value_bytes = state_machine_.bytes();
    figures.idempotency_keys = state_machine_.kept().outcomes().size();
    figures.idempotency_bytes = state_machine_.kept().bytes();
    figures.history_events = history_.size();
    figures.history_bytes = history_.bytes();
    figures.writes = writes_.figures();
    figures.write_limits = writes_.limits();
    figures.reads = reads_served_;
    figures.failed_reads = failed_reads_;
    figures.waiting_reads = reads_.waiting();
    figures.waiting_reads_max = options_.reads.waiting_max;
    figures.apply = apply_durations_.figures();
    figures.applied_entries = applied_entries_;
    figures.snapshots = snapshots_.figures();
    figures.disk_stalled = disk_watch_.is_stalled();
    for (raft::PeerStatus& status : transport_.peers()) {
        LinkFigures& of_peer = figures.links.emplace_back();
        const LinkProbe::Link* link = links_.link(status.id);
        of_peer.last_contact_ns =
            since_contact_ns(node_.last_heard_ns(status.id), link, steady_ns_);
        if (link != nullptr) {
            of_peer.rtt_ns = link->rtt_ns;
            of_peer.hears = LinkProbe::hears(*link, steady_ns_);
            of_peer.reaches = LinkProbe::reaches(*link, steady_ns_);
        }
        of_peer.status = std::move(status);
    }
}

}  // namespace cairn::server
