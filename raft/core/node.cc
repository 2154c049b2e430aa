#include "raft/core/node.h"

#include <algorithm>

#include "raft/core/invariant.h"

namespace cairn::raft {

Node::Node(Core core, Storage& storage, Transport& transport, NodeHandler& handler,
           std::int64_t steady_ns)
    : core_(std::move(core)),
      storage_(storage),
      transport_(transport),
      handler_(handler),
      clock_(core_.log().last_stamp_ns(), steady_ns) {
    note_members();
}

void Node::on_message(Message message, std::int64_t steady_ns) {
    const Header header = header_of(message);
    std::int64_t leader_clock_ns = 0;
    if (const auto* append = std::get_if<AppendEntries>(&message)) {
        leader_clock_ns = append->leader_clock_ns;
        if (!append->entries.empty()) {
            leader_clock_ns = std::max(leader_clock_ns, append->entries.back().stamp_ns);
        }
    } else if (const auto* chunk = std::get_if<InstallSnapshot>(&message)) {
        leader_clock_ns = chunk->leader_clock_ns;
    }
    note_heard(header.from, steady_ns);
    core_.set_clock(clock_.now_ns(steady_ns));
    core_.step(std::move(message));
    const bool from_leader = header.group == core_.options().group &&
                             core_.leader_id() == header.from && core_.term() == header.term;
    // No clock of ours shows a time beyond some centuries; nor must a sum overflow.
    constexpr std::int64_t clock_ns_max = std::int64_t{1} << 62U;
    if (from_leader && leader_clock_ns > 0 && leader_clock_ns < clock_ns_max) {
        clock_.observe(leader_clock_ns, steady_ns);
    }
}

bool Node::on_receiving(NodeId peer, bool entries, std::int64_t steady_ns) {
    note_heard(peer, steady_ns);
    return core_.peer_is_sending(peer, entries);
}

void Node::on_tick(std::int64_t steady_ns) {
    core_.set_clock(clock_.now_ns(steady_ns));
    core_.set_steady_time(steady_ns);
    core_.tick();
}

void Node::on_persisted(Sequence sequence) {
    RAFT_ASSERT(persisting_ != 0);
    persisting_ = 0;
    core_.persisted(sequence);
}

void Node::on_peer_connected(NodeId peer) {
    core_.peer_reachable(peer);
}

void Node::on_peer_disconnected(NodeId peer) {
    core_.peer_unreachable(peer);
}

ProposeResult Node::propose(std::span<const Payload> payloads, std::int64_t steady_ns) {
    core_.set_clock(clock_.now_ns(steady_ns));
    return core_.propose(payloads);
}

ChangeResult Node::change_configuration(const Configuration& next, std::int64_t steady_ns) {
    core_.set_clock(clock_.now_ns(steady_ns));
    return core_.change_configuration(next);
}

void Node::tell_configuration() {
    const ConfigurationLog& configurations = core_.configurations();
    const bool committed = configurations.current_index() <= core_.commit_index();
    if (configurations.version() == seen_configuration_ &&
        committed == seen_configuration_committed_) {
        return;
    }
    seen_configuration_ = configurations.version();
    seen_configuration_committed_ = committed;
    note_members();
    handler_.on_configuration_changed();
}

void Node::note_members() {
    const std::vector<NodeId> members = core_.configuration().members();
    std::erase_if(heard_, [&](const Heard& heard) {
        return !std::binary_search(members.begin(), members.end(), heard.id);
    });
    for (const NodeId id : members) {
        const bool known = std::any_of(heard_.begin(), heard_.end(),
                                       [id](const Heard& heard) { return heard.id == id; });
        if (!known) {
            heard_.push_back({id, 0});
        }
    }
}

bool Node::process() {
    core_.take_ready(persisting_ == 0, ready_);
    for (const Message& message : ready_.messages) {
        transport_.send(message);
    }
    transport_.flush();
    if (ready_.sequence != 0) {
        persisting_ = ready_.sequence;
        storage_.submit(
            {core_.options().group, ready_.sequence, ready_.hard_state, std::move(ready_.entries)});
        ready_.entries = {};
    }
    for (const Entry& entry : ready_.committed) {
        handler_.on_committed(entry);
    }
    for (const ReadState& read : ready_.reads) {
        handler_.on_read(read);
    }
    for (const NodeId peer : ready_.snapshots_wanted) {
        handler_.on_snapshot_wanted(peer);
    }
    for (const InstallSnapshot& chunk : ready_.snapshot_chunks) {
        handler_.on_snapshot_chunk(chunk);
    }
    for (const InstallSnapshotReply& reply : ready_.snapshot_replies) {
        handler_.on_snapshot_reply(reply);
    }
    tell_configuration();
    if (seen_term_ != core_.term() || seen_leader_ != core_.leader_id() ||
        seen_role_ != core_.role()) {
        seen_term_ = core_.term();
        seen_leader_ = core_.leader_id();
        seen_role_ = core_.role();
        handler_.on_leadership_changed();
    }
    return core_.has_more_committed();
}

std::int64_t Node::last_heard_ns(NodeId peer) const {
    for (const Heard& heard : heard_) {
        if (heard.id == peer) {
            return heard.steady_ns;
        }
    }
    return 0;
}

void Node::note_heard(NodeId peer, std::int64_t steady_ns) {
    for (Heard& heard : heard_) {
        if (heard.id == peer) {
            heard.steady_ns = steady_ns;
        }
    }
}

}  // namespace cairn::raft
