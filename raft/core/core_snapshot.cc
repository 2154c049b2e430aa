// Core: log compaction and InstallSnapshot (paper §7, thesis chapter 5). What a snapshot holds, how
// it is stored and how its chunks are read is the driver's; here is what it means for log and
// commit.

#include <algorithm>
#include <limits>

#include "raft/core/core.h"
#include "raft/core/invariant.h"

namespace cairn::raft {

namespace {

// No log gets there by counting; what comes after it must not wrap around.
constexpr Index index_max = std::numeric_limits<Index>::max() / 2;

}  // namespace

Index Core::compact(Index index) {
    // Only what is applied and durable here can be given up.
    const Index last = std::min({index, handed_out_commit_, log_.stable_index()});
    if (last > log_.base().index) {
        log_.compact(last);
        configurations_.compact(last);
    }
    return log_.first_index();
}

bool Core::installed(const LogPosition& last_included, const Configuration& configuration,
                     bool& log_replaced) {
    log_replaced = false;
    if (last_included.index <= commit_index_ || is_leader()) {
        return false;
    }
    RAFT_ASSERT(last_included.term <= hard_state_.term);
    if (log_.matches(last_included.index, last_included.term) &&
        last_included.index <= log_.stable_index()) {
        // What follows may be acknowledged already: it stays.
        log_.compact(last_included.index);
        configurations_.reset(last_included.index, configuration, true);
    } else {
        log_replaced = true;
        log_.reset(last_included);
        configurations_.reset(last_included.index, configuration, false);
        verified_index_ = 0;  // may have been beyond what is left
        for (PersistRecord& record : persisting_) {
            record.last_index = std::min(record.last_index, last_included.index);
        }
    }
    commit_index_ = last_included.index;
    handed_out_commit_ = last_included.index;
    verified_index_ = std::max(verified_index_, last_included.index);
    // Votes asked for a log that was given up must not make a leader of the one that is left.
    if (!std::holds_alternative<Follower>(role_)) {
        become_follower(hard_state_.term, leader_id_);
    }
    if (leader_id_ != 0) {
        acknowledge(leader_id_);
    }
    return true;
}

void Core::want_snapshot(Progress& progress) {
    progress.become_snapshot();
    if (std::find(snapshots_wanted_.begin(), snapshots_wanted_.end(), progress.id) ==
        snapshots_wanted_.end()) {
        snapshots_wanted_.push_back(progress.id);
    }
}

bool Core::send_snapshot_chunk(NodeId to, InstallSnapshot chunk) {
    Leader* leading = leader();
    Progress* progress = leading == nullptr ? nullptr : find(*leading, to);
    if (progress == nullptr || progress->state != Progress::State::snapshot) {
        return false;
    }
    progress->snapshot_index = chunk.last_included.index;
    chunk.header = header_for(to);
    chunk.leader_clock_ns = clock_ns_;
    send(std::move(chunk));
    return true;
}

void Core::snapshot_failed(NodeId peer) {
    Leader* leading = leader();
    Progress* progress = leading == nullptr ? nullptr : find(*leading, peer);
    if (progress != nullptr && progress->state == Progress::State::snapshot) {
        progress->become_probe();
        progress->probe_sent = true;  // a heartbeat's time, so that what fails at once can't spin
    }
}

// A member that gets a snapshot has acknowledged something.
void Core::leave_snapshot(Progress& progress) {
    if (progress.match_index >= log_.base().index) {
        progress.become_replicate();
    } else if (progress.snapshot_index != 0 && progress.match_index >= progress.snapshot_index) {
        // It has the one it was sent, but the log begins later by now: it needs a newer one.
        progress.become_probe();
    }
}

// The leader hears of progress made, so that it can send on; and that this node is alive.
void Core::snapshot_received(Index last_included_index, std::uint64_t next_offset) {
    if (leader_id_ != 0 && !is_leader()) {
        send(InstallSnapshotReply{header_for(leader_id_), last_included_index, next_offset});
    }
}

// Keeps a member's election timer quiet and confirms reads while it gets a snapshot. It need not
// match anything: the answer, most likely a rejection, is all that is wanted.
void Core::send_snapshot_heartbeat(Progress& progress) {
    AppendEntries heartbeat;
    heartbeat.header = header_for(progress.id);
    heartbeat.prev_log_index = log_.base().index;
    heartbeat.prev_log_term = log_.base().term;
    heartbeat.leader_commit = commit_index_;
    heartbeat.read_id = leader()->round;
    heartbeat.leader_clock_ns = clock_ns_;
    progress.sent_read_id = leader()->round;
    send(std::move(heartbeat));
}

// What installed() and the driver rely on, asked of a peer's chunk.
bool Core::valid_snapshot(const InstallSnapshot& message) const {
    const LogPosition& last = message.last_included;
    const bool whole = message.offset <= message.content_bytes &&
                       message.data.size() <= message.content_bytes - message.offset;
    if (!whole || !validate(message.configuration).empty() || last.index == 0 ||
        last.index > index_max || last.term == 0 || last.term > message.header.term) {
        return false;
    }
    // No leader contradicts what is committed.
    if (last.index <= commit_index_) {
        return log_.term_at(last.index).value_or(last.term) == last.term;
    }
    const LogPosition committed = log_.position_at(commit_index_);
    return last.term >= committed.term && last.stamp_ns >= committed.stamp_ns;
}

void Core::on_install_snapshot(InstallSnapshot& message) {
    if (!accept_leader(message.header.from)) {
        return;
    }
    if (!valid_snapshot(message)) {
        ++statistics_.rejected_messages;
        return;
    }
    if (message.last_included.index <= commit_index_) {
        verified_index_ = std::max(verified_index_, commit_index_);
        acknowledge(message.header.from);  // as far already
        return;
    }
    snapshot_chunks_.push_back(std::move(message));
}

void Core::on_install_snapshot_reply(const InstallSnapshotReply& message) {
    Leader* leading = leader();
    Progress* progress = leading == nullptr ? nullptr : find(*leading, message.header.from);
    if (progress == nullptr) {
        return;
    }
    progress->recent_active = true;
    progress->silent_ticks = 0;
    if (progress->state == Progress::State::snapshot) {
        snapshot_replies_.push_back(message);
    }
}

}  // namespace cairn::raft
