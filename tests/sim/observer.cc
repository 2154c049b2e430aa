#include "tests/sim/observer.h"

#include <algorithm>

#include "raft/core/quorum.h"

namespace cairn::sim {

void Observer::on_start(raft::NodeId id, const raft::CoreStart& start, const Durable& durable) {
    Watched& one = nodes_[id];
    require(start.hard_state.term >= durable.hard_state.term, "node ", id, " forgot its term");
    require(start.hard_state.term > durable.hard_state.term ||
                start.hard_state.voted_for == durable.hard_state.voted_for ||
                durable.hard_state.voted_for == 0,
            "node ", id, " forgot its vote");
    require(start.base.index >= durable.snapshot_index, "node ", id, " lost its snapshot of ",
            durable.snapshot_index);
    const auto after = configurations_.upper_bound(start.base.index);
    require(after == configurations_.begin() || start.configuration == std::prev(after)->second,
            "node ", id, " has a snapshot of ", start.base.index, " with other members than then");
    const raft::Index first = start.base.index + 1;
    const auto at_base = durable.entries.find(start.base.index);
    if (at_base != durable.entries.end() && at_base->second.term != start.base.term) {
        trace_.sometimes("log replaced by a snapshot");
    }
    for (auto entry = durable.entries.upper_bound(start.base.index); entry != durable.entries.end();
         ++entry) {
        const auto& [index, place] = *entry;
        // What a batch that was not reported replaced is gone rightly: then the term is newer.
        const bool there = index - first < start.entries.size();
        // So it is when a snapshot was installed that the log doesn't match.
        const bool replaced =
            (!start.entries.empty() && start.entries.back().term > place.term) ||
            (at_base != durable.entries.end() && at_base->second.term != start.base.term);
        require(replaced || (there && start.entries[index - first].term == place.term &&
                             digest_of(start.entries[index - first]) == place.digest),
                "node ", id, " lost its durable entry ", index);
    }
    one.running = true;
    one.durable = &durable;
    one.term = start.hard_state.term;
    one.commit = start.base.index;
    one.applied = start.base.index;
    one.newly_applied.clear();
    one.leading = false;
    one.last_index = start.base.index;
    one.truncations = 0;
    one.configuration_version = 0;
}

void Observer::on_disk_lost(raft::NodeId id, const Durable& durable) {
    nodes_[id].lost.push_back(durable);
    nodes_[id].durable = nullptr;
    nodes_[id].promised_until_ns = 0;  // nobody counts the votes of another disk
}

void Observer::on_step(raft::NodeId id, const server::Replica& replica, std::int64_t steady_ns) {
    Watched& one = nodes_.at(id);
    const raft::Core& core = replica.node().core();
    require(core.term() >= one.term, "the term of node ", id, " went back");
    require(core.commit_index() >= one.commit, "the commit index of node ", id, " went back");
    require(core.commit_index() <= core.log().last_index(), "node ", id,
            " committed beyond its log");
    if (core.is_leader() != one.leading || core.term() != one.term) {
        trace_.note(id, core.is_leader() ? "leads" : "follows", core.term(), core.leader_id());
    }
    check_log(one, core);
    check_leadership(one, core);
    require(core.term() >= newest_term() || !core.holds_lease(steady_ns), "node ", id,
            " holds a lease in term ", core.term(), ", and somebody leads in term ", newest_term());
    check_commit(one, core);
    check_applied(one, replica);
    check_bounds(replica);
    one.term = core.term();
    one.leading = core.is_leader();
    one.commit = core.commit_index();
    if (one.configuration_version != core.configurations().version()) {
        one.configuration_version = core.configurations().version();
        one.configuration = core.configuration();
    }
}

void Observer::check_leadership(Watched& one, const raft::Core& core) {
    if (!core.is_leader()) {
        if (one.leading) {
            trace_.sometimes("leader stepped down");
        }
        return;
    }
    if (one.leading && one.term == core.term()) {
        return;
    }
    const auto [known, fresh] = leaders_.emplace(core.term(), core.id());
    require(known->second == core.id() && fresh, "two leaders in term ", core.term(), ": ",
            known->second, " and ", core.id());
    require(one.durable->hard_state.term == core.term() &&
                one.durable->hard_state.voted_for == core.id(),
            "node ", core.id(), " leads before its own vote is durable");
    trace_.sometimes("leader elected");
    for (raft::Index index = std::max<raft::Index>(core.log().base().index, 1);
         index <= reference_.last_index(); ++index) {
        // One that stood still may find only now that it had won, while later leaders have gone on.
        const bool later = reference_.at(index).seen_term >= core.term();
        require(later || core.log().matches(index, reference_.at(index).term), "leader ", core.id(),
                " of term ", core.term(), " lacks committed entry ", index);
    }
}

// Two entries with the same index and term are the same, and so is what is before them.
void Observer::check_log(Watched& one, const raft::Core& core) {
    const raft::Log& log = core.log();
    raft::Index from = one.last_index + 1;
    if (core.statistics().truncations != one.truncations || log.last_index() < one.last_index) {
        trace_.sometimes("log truncated");
        from = 1;
    }
    for (raft::Index index = std::max(from, log.first_index()); index <= log.last_index();
         ++index) {
        const raft::Entry& entry = log.at(index);
        const Appended appended{digest_of(entry), log.term_at(index - 1).value_or(0)};
        const auto [known, fresh] = appended_.emplace(std::pair(index, entry.term), appended);
        require(fresh || (known->second.digest == appended.digest &&
                          known->second.previous_term == appended.previous_term),
                "node ", core.id(), ": another entry ", index, " of term ", entry.term,
                " than elsewhere");
    }
    one.last_index = log.last_index();
    one.truncations = core.statistics().truncations;
}

bool Observer::durable_on_quorum(const raft::Entry& entry,
                                 const raft::Configuration& configuration) {
    return raft::quorum_vote(configuration, [&](raft::NodeId id) {
               const Watched& one = nodes_[id];
               const bool lost = std::any_of(
                   one.lost.begin(), one.lost.end(),
                   [&](const Durable& durable) { return durable.has(entry.index, entry.term); });
               const bool has =
                   lost || (one.durable != nullptr && one.durable->has(entry.index, entry.term));
               return has ? 1 : -1;
           }) == raft::VoteResult::won;
}

void Observer::check_commit(Watched& one, const raft::Core& core) {
    const raft::Log& log = core.log();
    for (raft::Index index = one.commit + 1; index <= core.commit_index(); ++index) {
        if (index <= log.base().index) {
            require(index <= reference_.last_index(), "node ", core.id(),
                    " has a snapshot of what nobody committed");
            if (index == log.base().index) {
                trace_.sometimes("snapshot installed");
            }
            continue;
        }
        const raft::Entry& entry = log.at(index);
        if (index <= reference_.last_index()) {
            require(digest_of(entry) == reference_.at(index).digest, "node ", core.id(),
                    " committed another entry ", index);
            continue;
        }
        // A change of the configuration may follow in the very step that committed.
        require(durable_on_quorum(entry, core.configuration()) ||
                    durable_on_quorum(entry, core.committed_configuration()) ||
                    durable_on_quorum(entry, one.configuration),
                "node ", core.id(), " committed ", index, " before a quorum has it durable");
        reference_.append(entry, queue_.now_ns(), core.term());
        if (entry.kind == raft::EntryKind::configuration) {
            require(raft::decode_configuration(entry.payload.view(), configurations_[index]),
                    "a configuration at ", index, " that nobody can read");
            trace_.sometimes("configuration committed");
        }
    }
    if (core.is_leader() && one.leading && core.commit_index() > one.commit) {
        require(log.term_at(core.commit_index()) == core.term(), "leader ", core.id(),
                " committed an entry of an earlier term by counting");
    }
}

void Observer::check_applied(Watched& one, const server::Replica& replica) {
    const fsm::StateMachine& machine = replica.state_machine();
    const raft::Index applied = machine.applied_index();
    require(applied >= one.applied, "node ", replica.node().core().id(), " applied backwards");
    require(applied <= reference_.last_index(), "node ", replica.node().core().id(),
            " applied what isn't committed");
    one.applied = applied;
    for (const Applied& entry : one.newly_applied) {
        require(entry.index <= applied, "node ", replica.node().core().id(), " applied ",
                entry.index, " and says ", applied);
        require(entry.outcome == reference_.at(entry.index).outcome, "node ",
                replica.node().core().id(), " did something else at ", entry.index);
        require(!entry.state || *entry.state == reference_.digest_at(entry.index), "node ",
                replica.node().core().id(), " has another state at ", entry.index);
    }
    one.newly_applied.clear();
}

// What is committed is known only after the step.
void Observer::on_applied(raft::NodeId id, const raft::Entry& entry, const fsm::Output& output,
                          std::span<const fsm::Event> events, const fsm::StateMachine& machine) {
    Applied applied{entry.index, digest_of(output, events), {}};
    if (Reference::is_digest_due(entry.index)) {
        applied.state = machine.digest();
        trace_.sometimes("digest compared");
    }
    nodes_.at(id).newly_applied.push_back(applied);
}

void Observer::check_same_state(raft::NodeId id, const server::Replica& replica) {
    const fsm::StateMachine& machine = replica.state_machine();
    require(machine.applied_index() == reference_.last_index(), "node ", id, " applied ",
            machine.applied_index(), " of ", reference_.last_index());
    require(machine.digest() == reference_.machine().digest(), "node ", id,
            " ends with another state");
}

// A message may only say what its sender will still know after a crash.
void Observer::on_send(raft::NodeId id, const raft::Core& core, const raft::Message& message) {
    check_promise(id, message);
    const auto found = nodes_.find(id);
    if (found == nodes_.end() || found->second.durable == nullptr) {
        return;
    }
    const Durable& durable = *found->second.durable;
    const raft::Header& header = raft::header_of(message);
    const auto* vote = std::get_if<raft::RequestVote>(&message);
    const auto* vote_reply = std::get_if<raft::RequestVoteReply>(&message);
    const auto* append_reply = std::get_if<raft::AppendEntriesReply>(&message);
    if ((vote != nullptr && vote->pre_vote) || (vote_reply != nullptr && vote_reply->pre_vote)) {
        return;
    }
    require(header.term <= durable.hard_state.term, "node ", id, " spoke in term ", header.term,
            " before that was durable");
    const bool later_term = durable.hard_state.term > header.term;
    require(vote == nullptr || later_term || durable.hard_state.voted_for == id, "node ", id,
            " asked for votes before its own was durable");
    require(vote_reply == nullptr || !vote_reply->granted || later_term ||
                durable.hard_state.voted_for == header.to,
            "node ", id, " gave a vote that isn't durable");
    if (append_reply != nullptr && !append_reply->rejected && header.term == core.term()) {
        const raft::Index match = append_reply->match_index;
        const std::optional<raft::Term> term = core.log().term_at(match);
        require(
            match == 0 || match <= core.log().base().index || (term && durable.has(match, *term)),
            "node ", id, " vouched for ", match, ", which isn't durable");
    }
}

// Everything that waits has a bound (WriteLimits, ReadLimits, HistoryOptions, CoreOptions).
void Observer::check_bounds(const server::Replica& replica) {
    const raft::Core& core = replica.node().core();
    const server::WriteQueue& writes = replica.writes();
    // One of the replica's own comes beside, and one that is larger goes alone.
    require(writes.forwarded() <= swarm_.writes_forwarded_max, "too many writes were passed on");
    require(writes.queued() <= swarm_.writes_held_max + swarm_.writes_forwarded_max + 1,
            "too many writes wait");
    require(
        writes.held_bytes() <= std::max(swarm_.writes_held_bytes_max, swarm_.command_bytes_max()),
        "the writes that wait are too large");
    require(replica.reads().waiting() <= swarm_.reads_waiting_max, "too many reads wait");
    require(core.pending_reads() <= swarm_.pending_reads_max, "too many rounds of reads wait");
    require(replica.membership().waiting() <= server::MembershipOptions{}.requests_max,
            "too many changes of members wait");
    require(replica.history().size() <= swarm_.history_events_max &&
                replica.history().bytes() <= swarm_.history_bytes_max,
            "the history is too large");
    for (const raft::Progress& progress : core.progress()) {
        require(progress.inflight_messages() <= swarm_.inflight_messages_max &&
                    progress.inflight_bytes() <=
                        raft::CoreOptions{}.inflight_bytes_max + swarm_.append_bytes_max,
                "too much is on its way to node ", progress.id);
    }
    if (!core.is_leader()) {
        return;
    }
    // What it took on itself: what others left it may have been committed where it doesn't know.
    std::size_t entries = 0;
    std::size_t bytes = 0;
    for (raft::Index index = core.log().last_index(); index > core.commit_index(); --index) {
        const raft::Entry& entry = core.log().at(index);
        if (entry.term != core.term() || entry.kind != raft::EntryKind::command) {
            break;
        }
        ++entries;
        bytes += entry.payload.size();
    }
    require(entries <= swarm_.uncommitted_entries_max &&
                bytes <= std::max(swarm_.uncommitted_bytes_max, swarm_.command_bytes_max()),
            "leader ", core.id(), " took on too much: ", entries, " entries, ", bytes, " bytes");
}

// A lease lasts from when a round began, nine tenths of what those who answer it promise. So long
// none of them votes for another, unless the leader itself wished so.
void Observer::check_promise(raft::NodeId id, const raft::Message& message) {
    const std::int64_t now_ns = queue_.now_ns();
    const raft::Header& header = raft::header_of(message);
    Watched& one = nodes_[id];
    if (const auto* append = std::get_if<raft::AppendEntries>(&message)) {
        rounds_.emplace(std::pair(header.term, append->read_id), now_ns);
    } else if (const auto* reply = std::get_if<raft::AppendEntriesReply>(&message)) {
        const auto began = rounds_.find({header.term, reply->read_id});
        if (reply->vote_promise_ns == 0 || began == rounds_.end()) {
            return;
        }
        const std::int64_t until_ns = began->second + reply->vote_promise_ns / 10 * 9;
        if (until_ns > one.promised_until_ns) {
            one.promised_until_ns = until_ns;
            one.promised_to = header.to;
        }
    } else if (const auto* vote = std::get_if<raft::RequestVote>(&message)) {
        if (vote->leadership_transfer) {
            transfers_.emplace(header.term, id);
        }
    } else if (const auto* vote_reply = std::get_if<raft::RequestVoteReply>(&message)) {
        if (vote_reply->pre_vote || !vote_reply->granted) {
            return;
        }
        require(header.to == one.promised_to || now_ns >= one.promised_until_ns ||
                    transfers_.contains({header.term, header.to}),
                "node ", id, " voted for ", header.to, " though it had promised ", one.promised_to,
                " not to");
    }
}

}  // namespace cairn::sim
