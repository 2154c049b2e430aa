// What CoreCluster checks after every event.

#include <algorithm>

#include "tests/support/core_cluster.h"
#include "tests/support/require.h"

namespace cairn::raft::testing {

void CoreCluster::check(NodeId id) {
    Member& one = member(id);
    const Core& node = *one.core;
    require(node.term() >= one.seen_term, "the term of node ", id, " went back");
    require(node.commit_index() >= one.seen_commit, "commit of node ", id, " went back");
    require(node.commit_index() <= node.log().last_index(), "node ", id,
            ": node.commit_index() <= node.log().last_index()");
    require(node.log().stable_index() <= node.log().last_index(), "node ", id,
            ": node.log().stable_index() <= node.log().last_index()");
    require(node.log().last_term() <= node.term(), "node ", id,
            ": node.log().last_term() <= node.term()");
    // What the core calls durable is on the disk, this very entry, or in a snapshot.
    const LogPosition& base = node.log().base();
    const Index stable = node.log().stable_index();
    require(base.index <= one.snapshot.last_included.index, "node ", id, " gave up ", base.index,
            " without a durable snapshot of it");
    require(base.index <= node.handed_out_commit(), "node ", id, " gave up what is not applied");
    require(base.index <= stable, "node ", id, ": base.index <= stable");
    if (stable > base.index) {
        const Entry* durable = on_disk(one, stable);
        require(durable != nullptr && durable->term == node.log().at(stable).term, "node ", id,
                " takes index ", stable, " for durable");
    }
    if (base.index > 0) {
        const Entry& last = committed_.at(base.index - 1);
        require(base.term == last.term && base.stamp_ns == last.stamp_ns, "node ", id,
                " has a base that is not what was committed at ", base.index);
    }
    check_leadership(id);
    const bool news = node.commit_index() > one.seen_commit;
    check_commit(id);
    if (news) {
        check_log_matching();
    }
    one.seen_term = node.term();
    one.seen_commit = node.commit_index();
    one.seen_leading = node.is_leader();
    drop_ended_transfers(one);
}

void CoreCluster::check_leadership(NodeId id) {
    const Core& node = *member(id).core;
    if (!node.is_leader()) {
        return;
    }
    const auto [known, fresh] = leaders_.emplace(node.term(), id);
    require(known->second == id, "two leaders in term ", node.term());
    require(node.hard_state().voted_for == id, "node ", id, ": node.hard_state().voted_for == id");
    require(member(id).disk_hard_state == node.hard_state(), "node ", id,
            ": member(id).disk_hard_state == node.hard_state()");
    if (!member(id).seen_leading) {
        require(fresh, "node ", id, " leads twice in term ", node.term());
        check_completeness(node, 1);
        check_log_matching();
    }
    for (const Progress& progress : node.progress()) {
        require(progress.match_index < progress.next_index, "node ", id,
                ": progress.match_index < progress.next_index");
        require(progress.next_index <= node.log().last_index() + 1, "node ", id,
                ": progress.next_index <= node.log().last_index() + 1");
        require(progress.inflight_messages() <= node.options().inflight_messages_max, "node ", id,
                ": progress.inflight_messages() <= node.options().inflight_messages_max");
    }
}

void CoreCluster::check_completeness(const Core& leading, Index from) const {
    // What lies below its base it has in a snapshot.
    const Index lowest = std::max({from, leading.log().base().index, Index{1}});
    for (Index index = lowest; index <= committed_.size(); ++index) {
        if (committed_in_[index - 1] <= leading.term()) {
            require(leading.log().matches(index, committed_[index - 1].term), "leader ",
                    leading.id(), " lacks committed index ", index);
        }
    }
}

// What counts is the disk that the configuration names, or the founder's first when it names none;
// also when it has been lost meanwhile.
bool CoreCluster::durable_on_quorum(const Entry& entry, const Configuration& configuration) const {
    const auto has = [&](const Member& one) {
        const Entry* durable = on_disk(one, entry.index);
        return (durable != nullptr && same(*durable, entry)) ||
               one.snapshot.last_included.index >= entry.index;
    };
    return quorum_vote(configuration, [&](NodeId id) {
               const raft::Member* detail = configuration.detail(id);
               const std::uint64_t noted = detail == nullptr ? 0 : detail->disk_id;
               const auto counts = [&](const Member& one) {
                   return one.disk_id == (noted == 0 ? first_disk_id(id) : noted) && has(one);
               };
               const bool durable = counts(member(id)) ||
                                    std::any_of(lost_disks_.begin(), lost_disks_.end(), counts);
               return durable ? 1 : -1;
           }) == VoteResult::won;
}

void CoreCluster::check_commit(NodeId id) {
    const Member& one = member(id);
    const Core& node = *one.core;
    const std::size_t known = committed_.size();
    for (Index index = one.seen_commit + 1; index <= node.commit_index(); ++index) {
        if (index <= node.log().base().index) {
            require(index <= committed_.size(), "node ", id,
                    " has a snapshot of what nobody committed");
            continue;
        }
        const Entry& entry = node.log().at(index);
        if (index <= committed_.size()) {
            require(same(committed_[index - 1], entry), "node ", id,
                    " committed something else at ", index);
            continue;
        }
        // A leader is the first to know, by the configuration in force in its log.
        require(durable_on_quorum(entry, node.configuration()), "index ", index,
                " committed too early");
        committed_.push_back(entry);
        committed_in_.push_back(node.term());
    }
    if (committed_.size() > known) {
        for (const Member& other : members_) {
            if (other.core != nullptr && other.core->is_leader()) {
                check_completeness(*other.core, known + 1);
            }
        }
    }
}

// Two logs that agree in an index and term agree in everything before (paper, figure 3).
void CoreCluster::check_log_matching() const {
    for (std::size_t a = 0; a < members_.size(); ++a) {
        for (std::size_t b = a + 1; b < members_.size(); ++b) {
            if (members_[a].core == nullptr || members_[b].core == nullptr) {
                continue;
            }
            const Log& first = members_[a].core->log();
            const Log& second = members_[b].core->log();
            const Index lowest = std::max(first.base().index, second.base().index);
            bool must_agree = false;
            for (Index i = std::min(first.last_index(), second.last_index()); i > lowest; --i) {
                must_agree = must_agree || first.at(i).term == second.at(i).term;
                if (must_agree) {
                    require(same(first.at(i), second.at(i)), "logs ", a + 1, " and ", b + 1,
                            " differ at ", i, " below a match");
                }
            }
            if (must_agree) {
                require(first.term_at(lowest) == second.term_at(lowest), "logs ", a + 1, " and ",
                        b + 1, " differ at the base ", lowest, " below a match");
            }
        }
    }
}

// A message may only say what the sender will still know after a crash.
void CoreCluster::check_vouching(const Member& one, const Message& message) const {
    const Header& header = header_of(message);
    const HardState& disk = one.disk_hard_state;
    const auto* vote = std::get_if<RequestVote>(&message);
    const auto* vote_reply = std::get_if<RequestVoteReply>(&message);
    const auto* append_reply = std::get_if<AppendEntriesReply>(&message);
    const auto* chunk = std::get_if<InstallSnapshot>(&message);
    if ((vote != nullptr && vote->pre_vote) || (vote_reply != nullptr && vote_reply->pre_vote)) {
        return;
    }
    require(header.term <= disk.term, "node ", header.from, " spoke in term ", header.term,
            " before that was durable");
    if (vote != nullptr) {
        require(disk.term > header.term || disk.voted_for == header.from, "node ", header.from,
                " asked for votes before its own was durable");
    }
    if (vote_reply != nullptr && vote_reply->granted) {
        require((disk.term > header.term || disk.voted_for == header.to), "node ", header.from,
                " answered with a vote that is not durable");
    }
    if (chunk != nullptr) {
        const auto leads = leaders_.find(header.term);
        require(leads != leaders_.end() && leads->second == header.from, "node ", header.from,
                " sent a snapshot in term ", header.term, ", which it doesn't lead");
    }
    if (append_reply != nullptr && !append_reply->rejected && header.term == disk.term) {
        const Index match = append_reply->match_index;
        const Entry* durable = on_disk(one, match);
        const bool in_snapshot = match <= one.snapshot.last_included.index;
        require(durable != nullptr || in_snapshot, "node ", header.from, " vouched for ", match);
        const Member& asked = member(header.to);
        const bool leads =
            asked.core != nullptr && asked.core->is_leader() && asked.core->term() == header.term;
        if (leads && !in_snapshot && match >= asked.core->log().base().index) {
            require(asked.core->log().matches(match, durable->term), "node ", header.from,
                    " vouched for another entry at ", match);
        }
    }
}

}  // namespace cairn::raft::testing
