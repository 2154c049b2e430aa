// Core: log replication and commitment (paper §5.3, §5.4; thesis §3.5, §3.6, §10.2).

#include <algorithm>

#include "raft/core/core.h"
#include "raft/core/invariant.h"

namespace cairn::raft {

void Core::append_as_leader(EntryKind kind, Payload payload) {
    Leader& leading = *leader();
    leading.uncommitted_bytes += payload.size();
    Entry entry;
    entry.index = log_.last_index() + 1;
    entry.term = hard_state_.term;
    entry.stamp_ns = std::max(clock_ns_, log_.last_stamp_ns());
    entry.kind = kind;
    entry.payload = std::move(payload);
    log_.append(std::move(entry));
}

void Core::send_appends(Leader& leading) {
    for (Progress& progress : leading.progress) {
        if (progress.id == options_.id) {
            continue;
        }
        while (send_append(leading, progress, false)) {
        }
        // Nothing to send, but a read round or news of a commit shouldn't wait for a heartbeat.
        const bool round_waits = !leading.reads.empty() && progress.sent_read_id < leading.round;
        const bool commit_waits = progress.state == Progress::State::replicate &&
                                  progress.sent_commit_index < commit_index_;
        if (round_waits || commit_waits) {
            send_append(leading, progress, true);
        }
    }
}

// Sends what `progress` is to get next; returns whether entries went out.
bool Core::send_append(Leader& leading, Progress& progress, bool even_if_empty) {
    const bool probing = progress.state == Progress::State::probe;
    const bool held_back = probing ? progress.probe_sent : progress.window_full(options_);
    if (held_back && !even_if_empty) {
        return false;
    }
    if (progress.state != Progress::State::snapshot && progress.next_index < log_.first_index()) {
        want_snapshot(progress);
    }
    if (progress.state == Progress::State::snapshot) {
        if (even_if_empty) {
            send_snapshot_heartbeat(progress);
        }
        return false;
    }
    AppendEntries append;
    append.prev_log_index = progress.next_index - 1;
    const std::optional<Term> prev_term = log_.term_at(append.prev_log_index);
    RAFT_ASSERT(prev_term.has_value());
    append.prev_log_term = *prev_term;
    std::size_t bytes = 0;
    if (!held_back) {
        for (Index index = progress.next_index; index <= log_.last_index(); ++index) {
            const Entry& entry = log_.at(index);
            const bool fits = bytes + entry.payload.size() <= options_.append_bytes_max;
            if (append.entries.size() >= options_.append_entries_max ||
                (!fits && !append.entries.empty())) {
                break;
            }
            bytes += entry.payload.size();
            append.entries.push_back(entry);
        }
    }
    // A probe goes out once even when it is empty: it is how the leader learns where to begin.
    if (append.entries.empty() && !even_if_empty && !probing) {
        return false;
    }
    append.header = header_for(progress.id);
    append.leader_commit = commit_index_;
    append.read_id = leading.round;
    append.leader_clock_ns = clock_ns_;
    progress.sent_read_id = leading.round;
    progress.sent_commit_index = commit_index_;
    const std::size_t count = append.entries.size();
    if (probing) {
        progress.probe_sent = true;
    } else if (count > 0) {
        progress.next_index += count;
        progress.sent(progress.next_index - 1, bytes);
    }
    send(std::move(append));
    return count > 0 && !probing;
}

void Core::broadcast_heartbeat(Leader& leading) {
    for (Progress& progress : leading.progress) {
        if (progress.id == options_.id) {
            continue;
        }
        // To a probed member whose last probe or its answer may be lost, this is the next probe,
        // and an empty one: the entries come when it is known where they fit.
        send_append(leading, progress, true);
    }
}

// Only an entry of the current term is committed by counting; earlier ones with it (paper §5.4.2).
void Core::maybe_commit(Leader& leading) {
    const Index reached = quorum_value(configuration(), [&](NodeId id) {
        const Progress* progress = find(leading, id);
        return progress == nullptr ? Index{0} : progress->match_index;
    });
    if (reached > commit_index_ && log_.matches(reached, hard_state_.term)) {
        commit_to(reached);
        finish_configuration_change(leading);
    }
}

void Core::commit_to(Index index) {
    RAFT_ASSERT(index <= log_.last_index());
    Leader* leading = leader();
    while (commit_index_ < index) {
        ++commit_index_;
        if (leading != nullptr) {
            leading->uncommitted_bytes -= log_.at(commit_index_).payload.size();
        }
    }
}

// Whether `from` leads in this term, as far as this node knows; follows it from now on.
bool Core::accept_leader(NodeId from) {
    if (is_leader() || (leader_id_ != 0 && leader_id_ != from)) {
        ++statistics_.rejected_messages;  // two leaders in one term: not ours to resolve
        return false;
    }
    if (leader_id_ != from || !std::holds_alternative<Follower>(role_)) {
        become_follower(hard_state_.term, from);
    }
    election_elapsed_ = 0;
    if (options_.vote_promise_ns > 0) {
        promise_ticks_left_ = options_.election_timeout_ticks;
    }
    return true;
}

void Core::on_append_entries(AppendEntries& message) {
    const NodeId from = message.header.from;
    if (!accept_leader(from)) {
        return;
    }
    if (!valid_entries(message)) {
        ++statistics_.rejected_messages;
        return;
    }
    const bool new_round = message.read_id > leader_read_id_;
    leader_read_id_ = std::max(leader_read_id_, message.read_id);
    if (!log_.matches(message.prev_log_index, message.prev_log_term) &&
        message.prev_log_index > commit_index_) {
        AppendEntriesReply reply = reply_to(from);
        reply.read_id = leader_read_id_;
        reply.vote_promise_ns = options_.vote_promise_ns;
        reply.rejected = true;
        reply.rejected_prev_log_index = message.prev_log_index;
        reply.hint_index =
            log_.last_index_with_term_at_most(message.prev_log_index, message.prev_log_term);
        reply.hint_term = log_.term_at(reply.hint_index).value_or(0);
        send(std::move(reply));
        return;
    }
    const Index covered = message.prev_log_index + message.entries.size();
    const bool empty = message.entries.empty();
    const bool appended = append_from_leader(message);
    // What is committed matches any leader's log (leader completeness, paper §5.4.3).
    verified_index_ = std::max({verified_index_, covered, commit_index_});
    commit_to(std::max(commit_index_, std::min(message.leader_commit, verified_index_)));
    // New entries are acknowledged once they are durable; everything else at once.
    if (empty || new_round || !appended) {
        acknowledge(from);
    }
}

// What the core's own asserts rely on, asked of a peer's entries.
bool Core::valid_entries(const AppendEntries& message) const {
    if (message.prev_log_term > message.header.term) {
        return false;
    }
    Index index = message.prev_log_index;
    Term term = message.prev_log_term;
    if (index <= commit_index_ && log_.term_at(index).value_or(term) != term) {
        return false;  // no leader contradicts what is committed
    }
    std::int64_t stamp_ns = 0;
    // What follows an entry that we hold is appended behind ours, so it is ours whose stamp counts.
    const auto note_own_stamp = [&] {
        if (log_.matches(index, term)) {
            stamp_ns = log_.position_at(index).stamp_ns;
        }
    };
    note_own_stamp();
    for (const Entry& entry : message.entries) {
        if (entry.index != index + 1 || entry.term < term || entry.term > message.header.term ||
            entry.term == 0 || entry.stamp_ns < stamp_ns) {
            return false;
        }
        Configuration configuration;
        if (entry.kind == EntryKind::configuration &&
            !decode_configuration(entry.payload.view(), configuration)) {
            return false;
        }
        index = entry.index;
        term = entry.term;
        stamp_ns = entry.stamp_ns;
        if (index <= commit_index_ && log_.term_at(index).value_or(term) != term) {
            return false;
        }
        note_own_stamp();
    }
    return true;
}

// Keeps what agrees and replaces what conflicts; never truncates for a message that is merely old
// (paper §5.3). Returns whether anything was appended.
bool Core::append_from_leader(AppendEntries& message) {
    bool appended = false;
    for (Entry& entry : message.entries) {
        if (entry.index <= commit_index_ || log_.matches(entry.index, entry.term)) {
            continue;
        }
        if (entry.index <= log_.last_index()) {
            truncate_from(entry.index);
        }
        note_configuration(entry);
        log_.append(std::move(entry));
        appended = true;
    }
    return appended;
}

void Core::truncate_from(Index index) {
    RAFT_ASSERT(index > commit_index_);
    ++statistics_.truncations;
    log_.truncate_from(index);
    configurations_.truncate_from(index);
    verified_index_ = std::min(verified_index_, index - 1);
    acknowledged_index_ = std::min(acknowledged_index_, index - 1);
    // A write still under way must not make durable what took the place of what it wrote.
    for (PersistRecord& record : persisting_) {
        record.last_index = std::min(record.last_index, index - 1);
    }
}

AppendEntriesReply Core::reply_to(NodeId leader) const {
    AppendEntriesReply reply;
    reply.header = header_for(leader);
    reply.disk_id = options_.disk_id;
    reply.joined = options_.joined;
    return reply;
}

// Tells the leader up to where the log both matches its own and is durable here.
void Core::acknowledge(NodeId leader) {
    AppendEntriesReply reply = reply_to(leader);
    reply.read_id = leader_read_id_;
    reply.vote_promise_ns = options_.vote_promise_ns;
    reply.match_index = std::min(verified_index_, log_.stable_index());
    acknowledged_index_ = reply.match_index;
    send(std::move(reply));
}

void Core::on_append_entries_reply(const AppendEntriesReply& message) {
    Leader* leading = leader();
    if (leading == nullptr) {
        return;
    }
    Progress* progress = find(*leading, message.header.from);
    if (progress == nullptr) {
        return;  // no member any more
    }
    if (message.match_index > log_.last_index() || message.read_id > leading->round) {
        ++statistics_.rejected_messages;
        return;
    }
    // Also with another disk: the leader of two must stay, so that it can take in the new one.
    progress->recent_active = true;
    progress->silent_ticks = 0;
    progress->heard_disk_id = message.disk_id;
    if (!is_of_member(*progress, message)) {
        return;
    }
    // Any answer in this term, also a rejection, says that nobody newer leads (thesis §6.4).
    progress->acked_read_id = std::max(progress->acked_read_id, message.read_id);
    progress->promised_until_ns =
        std::max(progress->promised_until_ns,
                 leading->lease_rounds.promised_until_ns(message.read_id, message.vote_promise_ns));
    if (message.rejected) {
        on_append_rejected(*progress, message);
        return;
    }
    const bool news = progress->acknowledged(message.match_index);
    if (progress->state == Progress::State::probe) {
        progress->become_replicate();
    } else if (progress->state == Progress::State::snapshot) {
        leave_snapshot(*progress);
    }
    if (!news) {
        return;
    }
    maybe_commit(*leading);  // may end the leadership, or change who is a member
    if (Leader* still_leading = this->leader()) {
        maybe_send_timeout_now(*still_leading);
    }
}

// The follower's log differs at the probe; go back by whole terms (paper §5.3, end).
void Core::on_append_rejected(Progress& progress, const AppendEntriesReply& message) {
    if (progress.state == Progress::State::snapshot) {
        return;
    }
    const Index probed = message.rejected_prev_log_index;
    // At or below the match nothing is left to find out: an old answer, or a member that lost what
    // it had acknowledged and would be asked again without end.
    const bool stale =
        probed <= progress.match_index ||
        (progress.state == Progress::State::probe && probed != progress.next_index - 1);
    if (stale || probed > log_.last_index() || message.hint_index > probed) {
        return;
    }
    Index next = std::min(message.hint_index, probed - 1);
    // Below what the log still has nothing can be compared: the next append finds that out and
    // wants a snapshot instead.
    if (next >= log_.base().index) {
        next = log_.last_index_with_term_at_most(next, message.hint_term);
    }
    ++next;
    if (progress.state == Progress::State::replicate) {
        progress.become_probe();
    }
    progress.next_index = std::max(progress.match_index + 1, next);
    progress.probe_sent = false;
}

}  // namespace cairn::raft
