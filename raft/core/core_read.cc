// Core: linearizable reads by ReadIndex (thesis §6.4). Reads that arrive in one turn share a round;
// a round is confirmed by the answers to any append sent after it began. Leases (§6.4.1) are
// renewed by rounds too.

#include <algorithm>
#include <limits>

#include "raft/core/core.h"
#include "raft/core/invariant.h"

namespace cairn::raft {

std::size_t Core::pending_reads() const {
    const auto* leading = std::get_if<Leader>(&role_);
    return leading == nullptr ? forwarded_reads_.size() : leading->reads.size();
}

ReadId Core::read_index() {
    if (Leader* leading = leader()) {
        if (leading->reads.size() >= options_.pending_reads_max) {
            return 0;
        }
        leading->reads.push_back({0, ++next_read_id_, 0, 0});
        return next_read_id_;
    }
    if (leader_id_ == 0 || forwarded_reads_.size() >= options_.pending_reads_max) {
        return 0;
    }
    forwarded_reads_.push_back({++next_read_id_, 0});
    send(ReadIndexRequest{header_for(leader_id_), next_read_id_});
    return next_read_id_;
}

// Puts the reads that wait into a new round, once an entry of this term is committed: before, the
// commit index may lag behind what an earlier leader has answered for.
void Core::start_read_round(Leader& leading) {
    if (leading.reads.empty() || leading.reads.back().round != 0 || !leads_with_commit()) {
        return;
    }
    ++leading.round;
    for (auto read = leading.reads.rbegin(); read != leading.reads.rend() && read->round == 0;
         ++read) {
        read->round = leading.round;
        read->read_index = commit_index_;
    }
    if (Progress* self = find(leading, options_.id)) {
        self->acked_read_id = leading.round;
    }
}

// With every heartbeat, so that a lease is renewed long before it ends. Any append from now on
// carries the round.
void Core::begin_lease_round(Leader& leading) {
    if (options_.vote_promise_ns == 0) {
        return;
    }
    ++leading.round;
    leading.lease_rounds.began(leading.round, steady_ns_);
    if (Progress* self = find(leading, options_.id)) {
        self->acked_read_id = leading.round;
    }
}

bool Core::holds_lease(std::int64_t steady_ns) const {
    const Leader* leading = leader();
    if (leading == nullptr || options_.vote_promise_ns == 0 || leading->timeout_now_sent ||
        leading->transfer_target != 0 || !leads_with_commit()) {
        return false;
    }
    // A leader that is on its way out: the one voter that is left need not wait for anybody.
    if (!configuration().is_voter(options_.id)) {
        return false;
    }
    // As long as it leads it has voted for nobody else.
    const std::uint64_t until_ns = quorum_value(configuration(), [&](NodeId id) {
        if (id == options_.id) {
            return std::numeric_limits<std::uint64_t>::max();
        }
        const auto progress = std::find_if(leading->progress.begin(), leading->progress.end(),
                                           [&](const Progress& member) { return member.id == id; });
        return progress == leading->progress.end()
                   ? std::uint64_t{0}
                   : static_cast<std::uint64_t>(progress->promised_until_ns);
    });
    return static_cast<std::uint64_t>(std::max(steady_ns, std::int64_t{0})) < until_ns;
}

void Core::confirm_reads(Leader& leading) {
    if (leading.reads.empty()) {
        return;
    }
    const ReadId confirmed = quorum_value(configuration(), [&](NodeId id) {
        const Progress* progress = find(leading, id);
        return progress == nullptr ? ReadId{0} : progress->acked_read_id;
    });
    while (!leading.reads.empty() && leading.reads.front().round != 0 &&
           leading.reads.front().round <= confirmed) {
        const PendingRead read = leading.reads.front();
        leading.reads.pop_front();
        finish_read(read, true);
    }
}

void Core::finish_read(const PendingRead& read, bool ok) {
    if (read.requester == 0) {
        reads_.push_back({read.read_id, ok, read.read_index});
        return;
    }
    send(ReadIndexReply{header_for(read.requester), read.read_id, !ok, read.read_index});
}

void Core::fail_leader_reads(Leader& leading) {
    for (const PendingRead& read : leading.reads) {
        finish_read(read, false);
    }
    leading.reads.clear();
}

void Core::fail_forwarded_reads() {
    for (const ForwardedRead& read : forwarded_reads_) {
        reads_.push_back({read.read_id, false, 0});
    }
    forwarded_reads_.clear();
}

// A request or its answer can be lost; the caller may ask again.
void Core::tick_forwarded_reads() {
    for (ForwardedRead& read : forwarded_reads_) {
        ++read.age_ticks;
    }
    while (!forwarded_reads_.empty() &&
           forwarded_reads_.front().age_ticks > options_.election_timeout_ticks) {
        reads_.push_back({forwarded_reads_.front().read_id, false, 0});
        forwarded_reads_.pop_front();
    }
}

void Core::on_read_index_request(const ReadIndexRequest& message) {
    Leader* leading = leader();
    if (leading == nullptr || leading->reads.size() >= options_.pending_reads_max) {
        send(ReadIndexReply{header_for(message.header.from), message.read_id, true, 0});
        return;
    }
    leading->reads.push_back({message.header.from, message.read_id, 0, 0});
}

void Core::on_read_index_reply(const ReadIndexReply& message) {
    const auto found =
        std::find_if(forwarded_reads_.begin(), forwarded_reads_.end(),
                     [&](const ForwardedRead& read) { return read.read_id == message.read_id; });
    if (found == forwarded_reads_.end() || message.header.from != leader_id_) {
        return;
    }
    reads_.push_back({message.read_id, !message.refused, message.read_index});
    forwarded_reads_.erase(found);
}

}  // namespace cairn::raft
