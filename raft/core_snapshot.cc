// Core: log compaction and InstallSnapshot (paper §7, thesis chapter 5). What a snapshot holds, how
// it is stored and how its chunks are read is the driver's; here is what it means for log and commit.

#include <algorithm>

#include "raft/core.h"
#include "raft/invariant.h"

namespace cairn::raft {

Index Core::compact(Index index) {
    // Only what is applied and durable here can be given up.
    const Index last = std::min({index, handed_out_commit_, log_.stable_index()});
    if (last > log_.base().index) {
        log_.compact(last);
    }
    return log_.first_index();
}

bool Core::installed(const LogPosition& last_included, const Configuration& configuration,
                     bool& log_replaced) {
    log_replaced = false;
    if (last_included.index <= commit_index_ || is_leader()) {
        return false;
    }
    if (log_.matches(last_included.index, last_included.term) &&
        last_included.index <= log_.stable_index()) {
        // What follows may be acknowledged already: it stays.
        log_.compact(last_included.index);
    } else {
        log_replaced = true;
        log_.reset(last_included);
        for (PersistRecord& record : persisting_) {
            record.last_index = std::min(record.last_index, last_included.index);
        }
    }
    commit_index_ = last_included.index;
    handed_out_commit_ = last_included.index;
    configuration_ = configuration;
    verified_index_ = std::max(verified_index_, last_included.index);
    if (leader_id_ != 0) {
        acknowledge(leader_id_);
    }
    return true;
}

void Core::snapshot_failed(NodeId peer) {
    Leader* leading = leader();
    Progress* progress = leading == nullptr ? nullptr : find(*leading, peer);
    if (progress != nullptr && progress->state == Progress::State::snapshot) {
        progress->become_probe();
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

void Core::on_install_snapshot(InstallSnapshot& message) {
    if (!accept_leader(message.header.from)) {
        return;
    }
    const Configuration& configuration = message.configuration;
    const bool whole = message.offset <= message.content_bytes &&
                       message.data.size() <= message.content_bytes - message.offset;
    if (!whole || configuration.voters.empty() || configuration.voters.size() > voters_max ||
        configuration.outgoing_voters.size() > voters_max ||
        message.last_included.term > message.header.term || message.last_included.term == 0) {
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
    if (progress->state == Progress::State::snapshot) {
        snapshot_replies_.push_back(message);
    }
}

}  // namespace cairn::raft
