#include "tests/support/core_cluster.h"

#include <algorithm>
#include <sstream>
#include <utility>

#include <doctest/doctest.h>

namespace cairn::raft::testing {

namespace {

constexpr int settle_rounds_max = 20000;

bool same(const Entry& a, const Entry& b) {
    return a.index == b.index && a.term == b.term && a.stamp_ns == b.stamp_ns && a.kind == b.kind &&
           a.payload.view() == b.payload.view();
}

// Cheaper than a doctest assertion, which the checks would make by the million.
template <class... Parts>
void require(bool holds, const Parts&... parts) {
    if (!holds) [[unlikely]] {
        std::ostringstream text;
        (text << ... << parts);
        FAIL(text.str());
    }
}

}  // namespace

CoreOptions small_options() {
    CoreOptions options;
    options.id = 1;
    options.election_timeout_ticks = 10;
    options.heartbeat_ticks = 2;
    return options;
}

Entry make_entry(Index index, Term term, std::string_view payload) {
    Entry entry;
    entry.index = index;
    entry.term = term;
    entry.kind = EntryKind::command;
    entry.payload = Payload::copy_of(payload);
    return entry;
}

std::vector<Entry> entries_of_terms(const std::vector<Term>& terms) {
    std::vector<Entry> entries;
    for (const Term term : terms) {
        entries.push_back(make_entry(entries.size() + 1, term));
    }
    return entries;
}

std::vector<Term> terms_of(const Log& log) {
    std::vector<Term> terms;
    for (Index index = log.first_index(); index <= log.last_index(); ++index) {
        terms.push_back(log.at(index).term);
    }
    return terms;
}

CoreCluster::CoreCluster(ClusterOptions options) : options_(std::move(options)) {
    configuration_ = configuration_of([&] {
        std::vector<NodeId> voters;
        for (NodeId id = 1; id <= options_.nodes; ++id) {
            voters.push_back(id);
        }
        return voters;
    }());
    members_.resize(options_.nodes);
    for (const NodeId id : ids()) {
        start(id);
    }
}

CoreCluster::Member& CoreCluster::member(NodeId id) {
    return members_.at(id - 1);
}
const CoreCluster::Member& CoreCluster::member(NodeId id) const {
    return members_.at(id - 1);
}

Core& CoreCluster::core(NodeId id) {
    REQUIRE(member(id).core != nullptr);
    return *member(id).core;
}

bool CoreCluster::is_up(NodeId id) const {
    return member(id).core != nullptr;
}
std::vector<NodeId> CoreCluster::ids() const {
    return configuration_.voters;
}
const std::vector<Entry>& CoreCluster::disk(NodeId id) const {
    return member(id).disk;
}
HardState CoreCluster::disk_hard_state(NodeId id) const {
    return member(id).disk_hard_state;
}
const std::vector<Entry>& CoreCluster::applied(NodeId id) const {
    return member(id).applied;
}
const std::vector<ReadState>& CoreCluster::reads(NodeId id) const {
    return member(id).reads;
}

NodeId CoreCluster::leader() const {
    NodeId newest = 0;
    Term term = 0;
    for (const NodeId id : ids()) {
        const Member& one = member(id);
        if (one.core != nullptr && one.core->is_leader() && one.core->term() > term) {
            newest = id;
            term = one.core->term();
        }
    }
    return newest;
}

void CoreCluster::start(NodeId id) {
    Member& one = member(id);
    CoreOptions options = options_.core;
    options.id = id;
    options.random_seed += id * 7919 + ++one.incarnation * 104729;
    one.core = std::make_unique<Core>(
        options, CoreStart{{}, configuration_, one.disk_hard_state, one.disk});
    one.applied.clear();
    one.reads.clear();
    one.writes.clear();
    one.seen_term = one.disk_hard_state.term;
    one.seen_commit = 0;
    one.seen_leading = false;
}

void CoreCluster::start_from(NodeId id, HardState hard_state, std::vector<Entry> entries) {
    member(id).disk_hard_state = hard_state;
    member(id).disk = std::move(entries);
    start(id);
    check(id);
}

void CoreCluster::crash(NodeId id, std::size_t written) {
    Member& one = member(id);
    for (std::size_t i = 0; i < written && i < one.writes.size(); ++i) {
        write(one, one.writes[i]);
    }
    one.writes.clear();
    one.core.reset();
}

void CoreCluster::restart(NodeId id) {
    REQUIRE(!is_up(id));
    start(id);
    check(id);
}

void CoreCluster::tick(NodeId id, int ticks) {
    for (int i = 0; i < ticks; ++i) {
        core(id).tick();
        check(id);
    }
}

void CoreCluster::step(Message message) {
    const NodeId to = header_of(message).to;
    core(to).step(std::move(message));
    check(to);
}

ProposeResult CoreCluster::propose(NodeId id, std::string_view payload) {
    const Payload copy = Payload::copy_of(payload);
    const ProposeResult result = core(id).propose({&copy, 1});
    check(id);
    return result;
}

ReadId CoreCluster::read_index(NodeId id) {
    return core(id).read_index();
}

bool CoreCluster::transfer(NodeId from, NodeId target) {
    return core(from).transfer_leadership(target);
}

void CoreCluster::collect(NodeId id) {
    Member& one = member(id);
    if (one.core == nullptr) {
        return;
    }
    one.core->take_ready(options_.overlapping_writes || one.writes.empty(), one.ready);
    for (const Message& message : one.ready.messages) {
        check_vouching(one, message);
        sent_.push_back(message);
        take_in(message);
    }
    if (one.ready.sequence != 0) {
        one.writes.push_back({one.ready.sequence, one.ready.hard_state, one.ready.entries});
    }
    for (const Entry& entry : one.ready.committed) {
        REQUIRE(entry.index == one.applied.size() + 1);
        one.applied.push_back(entry);
    }
    one.reads.insert(one.reads.end(), one.ready.reads.begin(), one.ready.reads.end());
    check(id);
}

void CoreCluster::take_in(Message message) {
    const auto hits = [&](const std::vector<Predicate>& rules) {
        return std::any_of(rules.begin(), rules.end(),
                           [&](const Predicate& rule) { return rule(message); });
    };
    if (hits(drop_)) {
        return;
    }
    if (hits(hold_)) {
        held_.push_back(std::move(message));
    } else {
        in_transit_.push_back(std::move(message));
    }
}

void CoreCluster::hold_disk(NodeId id) {
    member(id).disk_held = true;
}
void CoreCluster::release_disk(NodeId id) {
    member(id).disk_held = false;
}
std::size_t CoreCluster::writes_under_way(NodeId id) const {
    return member(id).writes.size();
}

void CoreCluster::write(Member& one, const Write& batch) {
    if (batch.hard_state.has_value()) {
        REQUIRE(batch.hard_state->term >= one.disk_hard_state.term);
        one.disk_hard_state = *batch.hard_state;
    }
    for (const Entry& entry : batch.entries) {
        REQUIRE(entry.index >= 1);
        REQUIRE(entry.index <= one.disk.size() + 1);
        one.disk.resize(entry.index - 1);
        one.disk.push_back(entry);
    }
}

bool CoreCluster::persist(NodeId id) {
    Member& one = member(id);
    if (one.core == nullptr || one.writes.empty()) {
        return false;
    }
    const Write batch = std::move(one.writes.front());
    one.writes.pop_front();
    write(one, batch);
    one.core->persisted(batch.sequence);
    check(id);
    return true;
}

void CoreCluster::drop_if(Predicate predicate) {
    drop_.push_back(std::move(predicate));
}
void CoreCluster::hold_if(Predicate predicate) {
    hold_.push_back(std::move(predicate));
}

void CoreCluster::cut(NodeId from, NodeId to) {
    drop_if([=](const Message& m) { return header_of(m).from == from && header_of(m).to == to; });
}

void CoreCluster::isolate(NodeId id) {
    drop_if([=](const Message& m) { return header_of(m).from == id || header_of(m).to == id; });
}

void CoreCluster::heal() {
    drop_.clear();
    hold_.clear();
}

void CoreCluster::release_held() {
    in_transit_.insert(in_transit_.end(), held_.begin(), held_.end());
    held_.clear();
}

void CoreCluster::forget_held() {
    held_.clear();
}

void CoreCluster::deliver(std::size_t position) {
    REQUIRE(position < in_transit_.size());
    const auto at = in_transit_.begin() + static_cast<std::ptrdiff_t>(position);
    Message message = std::move(*at);
    in_transit_.erase(at);
    if (is_up(header_of(message).to)) {
        step(std::move(message));
    }
}

bool CoreCluster::collect_and_persist() {
    bool moved = false;
    for (const NodeId id : ids()) {
        collect(id);
        moved = moved || (is_up(id) && core(id).has_more_committed());
        while (!member(id).disk_held && persist(id)) {
            moved = true;
        }
    }
    return moved;
}

void CoreCluster::settle() {
    for (int round = 0; round < settle_rounds_max; ++round) {
        const bool moved = collect_and_persist();
        if (!moved && in_transit_.empty()) {
            return;
        }
        for (std::size_t count = in_transit_.size(); count > 0; --count) {
            deliver(0);
        }
    }
    FAIL("the cluster does not come to rest");
}

void CoreCluster::run(int ticks) {
    for (int i = 0; i < ticks; ++i) {
        for (const NodeId id : ids()) {
            if (is_up(id)) {
                tick(id);
            }
        }
        settle();
    }
}

bool CoreCluster::elect(NodeId id) {
    settle();
    // Nobody hears anybody until every lease has lapsed. Who begins to campaign does so in vain.
    std::vector<Predicate> rules = drop_;
    drop_.push_back([](const Message&) { return true; });
    const int timeout = options_.core.election_timeout_ticks;
    for (const NodeId other : ids()) {
        if (is_up(other) && !core(other).is_leader()) {
            tick(other, timeout);
        }
        collect(other);
    }
    drop_ = std::move(rules);
    for (int i = 0; i < 2 * timeout && !core(id).is_leader(); ++i) {
        tick(id);
        settle();
    }
    return core(id).is_leader();
}

std::size_t CoreCluster::count_sent(const Predicate& predicate) const {
    return static_cast<std::size_t>(std::count_if(sent_.begin(), sent_.end(), predicate));
}

std::vector<std::string> CoreCluster::applied_commands(NodeId id) const {
    std::vector<std::string> commands;
    for (const Entry& entry : applied(id)) {
        if (entry.kind == EntryKind::command) {
            commands.emplace_back(entry.payload.view());
        }
    }
    return commands;
}

const ReadState* CoreCluster::read(NodeId id, ReadId read_id) const {
    for (const ReadState& state : reads(id)) {
        if (state.read_id == read_id) {
            return &state;
        }
    }
    return nullptr;
}

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
    // What the core calls durable is on the disk, this very entry.
    const Index stable = node.log().stable_index();
    require(stable <= one.disk.size(), "node ", id, ": stable <= one.disk.size()");
    if (stable > 0) {
        require(one.disk[stable - 1].term == node.log().at(stable).term, "node ", id,
                " takes index ", stable, " for durable");
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
    for (Index index = from; index <= committed_.size(); ++index) {
        if (committed_in_[index - 1] <= leading.term()) {
            require(leading.log().matches(index, committed_[index - 1].term), "leader ",
                    leading.id(), " lacks committed index ", index);
        }
    }
}

bool CoreCluster::durable_on_quorum(const Entry& entry) const {
    const auto count = std::count_if(members_.begin(), members_.end(), [&](const Member& one) {
        return one.disk.size() >= entry.index && same(one.disk[entry.index - 1], entry);
    });
    return static_cast<std::size_t>(count) > members_.size() / 2;
}

void CoreCluster::check_commit(NodeId id) {
    const Member& one = member(id);
    const Core& node = *one.core;
    const std::size_t known = committed_.size();
    for (Index index = one.seen_commit + 1; index <= node.commit_index(); ++index) {
        const Entry& entry = node.log().at(index);
        if (index <= committed_.size()) {
            require(same(committed_[index - 1], entry), "node ", id,
                    " committed something else at ", index);
            continue;
        }
        require(durable_on_quorum(entry), "index ", index, " committed too early");
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
            bool must_agree = false;
            for (Index i = std::min(first.last_index(), second.last_index()); i > 0; --i) {
                must_agree = must_agree || first.at(i).term == second.at(i).term;
                if (must_agree) {
                    require(same(first.at(i), second.at(i)), "logs ", a + 1, " and ", b + 1,
                            " differ at ", i, " below a match");
                }
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
    if (append_reply != nullptr && !append_reply->rejected && header.term == disk.term) {
        const Index match = append_reply->match_index;
        require(match <= one.disk.size(), "node ", header.from, " vouched for ", match);
        const Member& asked = member(header.to);
        const bool leads =
            asked.core != nullptr && asked.core->is_leader() && asked.core->term() == header.term;
        if (match > 0 && leads) {
            require(asked.core->log().matches(match, one.disk[match - 1].term), "node ",
                    header.from, " vouched for another entry at ", match);
        }
    }
}

}  // namespace cairn::raft::testing
