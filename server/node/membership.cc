#include "server/node/membership.h"

#include <algorithm>

#include <spdlog/spdlog.h>

#include "server/base/address.h"
#include "server/settings/initial_cluster.h"

namespace cairn::server {

namespace {

constexpr std::int64_t ns_per_ms = 1'000'000;
constexpr int timeout_ms_max = 60'000;

std::string member_text(raft::NodeId id) {
    return "Node " + std::to_string(id);
}

// Why a change can't be, for people.
std::string text_of(raft::ChangeError error, raft::NodeId id) {
    switch (error) {
        case raft::ChangeError::no_quorum:
            return "Too few of the voters that would be left can be reached; the cluster would "
                   "lose its quorum.";
        case raft::ChangeError::no_such_member:
            return "There is no member with the id " + std::to_string(id) + ".";
        case raft::ChangeError::other_address:
            return member_text(id) +
                   " is a member with another address, or another member has this address.";
        case raft::ChangeError::was_removed:
            return member_text(id) +
                   " was a member and was removed; an id is not used twice, take a new one.";
        case raft::ChangeError::too_many:
            return "The cluster has as many members as it may have.";
        case raft::ChangeError::invalid_member:
            return "No member can have this id and this address.";
        case raft::ChangeError::last_voter:
            return member_text(id) + " is the only voter; nobody would be left.";
        case raft::ChangeError::pending:
            return "Another change of the membership is under way.";
        case raft::ChangeError::none:
        case raft::ChangeError::not_leader:
        case raft::ChangeError::not_ready:
        case raft::ChangeError::unchanged:
        case raft::ChangeError::leader_itself:
            break;
    }
    return "The membership can't be changed so.";
}

MembershipOutcome outcome_of(raft::ChangeError error) {
    return error == raft::ChangeError::no_such_member ? MembershipOutcome::not_found
                                                      : MembershipOutcome::conflict;
}

// A peer's request is input. What clients ask for was looked at in the same way.
bool is_possible(const raft::Member& member, bool remove) {
    if (member.id == 0 || member.id > node_id_max) {
        return false;
    }
    const ParseResult<Address> address = parse_address(member.address, PortZero::refused);
    return remove || (address && address->text() == member.address && !address->is_wildcard());
}

v1::MembershipReply::Outcome wire_outcome(MembershipOutcome outcome) {
    switch (outcome) {
        case MembershipOutcome::done:
            return v1::MembershipReply::DONE;
        case MembershipOutcome::unchanged:
            return v1::MembershipReply::UNCHANGED;
        case MembershipOutcome::conflict:
            return v1::MembershipReply::CONFLICT;
        case MembershipOutcome::not_found:
            break;
    }
    return v1::MembershipReply::NOT_FOUND;
}

}  // namespace

Membership::Membership(raft::Node& node, raft::Transport& transport,
                       const MembershipOptions& options, std::function<ClusterStatus()> describe,
                       std::function<void()> hand_over,
                       std::function<void(const Members&)> members_changed)
    : node_(node),
      transport_(transport),
      options_(options),
      describe_(std::move(describe)),
      hand_over_(std::move(hand_over)),
      members_changed_(std::move(members_changed)),
      last_id_(options.first_request_id) {}

void Membership::submit(std::shared_ptr<Operation> operation, Port& port, std::int64_t now_ns) {
    Request request;
    request.remove = operation->kind == Operation::Kind::remove_member;
    request.member = {operation->member, operation->member_address, 0, operation->stays_learner};
    request.deadline_ns = now_ns + operation->timeout_ms * ns_per_ms;
    request.id = ++last_id_;
    request.operation = std::move(operation);
    request.port = &port;
    if (requests_.size() >= options_.requests_max) {
        finish(request, Failure::overloaded);
        return;
    }
    requests_.push_back(std::move(request));
}

void Membership::on_request(raft::NodeId from, const v1::MembershipRequest& wire,
                            std::int64_t now_ns) {
    Request request;
    request.remove = wire.remove();
    request.member = {wire.member(), wire.address(), 0, wire.stays_learner()};
    const auto timeout_ms =
        static_cast<std::int64_t>(std::min<std::uint32_t>(wire.timeout_ms(), timeout_ms_max));
    request.deadline_ns = now_ns + timeout_ms * ns_per_ms;
    request.peer = from;
    request.peer_request_id = wire.id();
    const auto known = std::find_if(requests_.begin(), requests_.end(), [&](const Request& other) {
        return other.peer == from && other.peer_request_id == wire.id();
    });
    if (known != requests_.end()) {  // asked again: the first one answers
        known->deadline_ns = request.deadline_ns;
        return;
    }
    if (requests_.size() >= options_.requests_max) {
        return;
    }
    if (!is_possible(request.member, request.remove)) {
        finish(request, Failure::none,
               {MembershipOutcome::conflict,
                text_of(raft::ChangeError::invalid_member, request.member.id)});
        return;
    }
    requests_.push_back(std::move(request));
}

void Membership::on_reply(raft::NodeId from, const v1::MembershipReply& reply) {
    const auto found =
        std::find_if(requests_.begin(), requests_.end(), [&](const Request& request) {
            return request.operation && request.id == reply.id() && request.sent_to == from;
        });
    if (found == requests_.end()) {
        return;
    }
    MembershipAnswer answer;
    answer.text = reply.text();
    switch (reply.outcome()) {
        case v1::MembershipReply::DONE:
            break;
        case v1::MembershipReply::UNCHANGED:
            answer.outcome = MembershipOutcome::unchanged;
            break;
        case v1::MembershipReply::CONFLICT:
            answer.outcome = MembershipOutcome::conflict;
            break;
        case v1::MembershipReply::NOT_FOUND:
            answer.outcome = MembershipOutcome::not_found;
            break;
        default:  // NOT_LEADER: the next one is asked, or this one again after a while
            return;
    }
    finish(*found, Failure::none, answer);
    requests_.erase(found);
}

void Membership::on_change() {
    configuration_changed_ = true;
}

void Membership::on_disk_replaced(raft::NodeId peer, std::uint64_t disk_id) {
    if (node_.core().configuration().contains(peer)) {
        replaced_disks_[peer] = disk_id;
    }
}

void Membership::on_removed(raft::NodeId by) {
    if (!removed_) {
        spdlog::error("node {} says that this node was removed from the cluster", by);
    }
    removed_ = true;
}

void Membership::turn(std::int64_t now_ns) {
    now_ns_ = now_ns;
    // By position: a hand-over or a port may not add any, but answers leave in order.
    std::vector<Request> open;
    std::swap(open, requests_);
    for (std::size_t i = 0; i < open.size(); ++i) {
        requests_.push_back(std::move(open[i]));
        if (advance(requests_.back())) {
            requests_.pop_back();
        }
    }
    take_in_again();
    note_disks();
    if (configuration_changed_) {
        configuration_changed_ = false;
        transport_.flush();  // what is for a member that is one no more
        tell_members();
    }
}

// True when it is over.
bool Membership::advance(Request& request) {
    if (now_ns_ >= request.deadline_ns) {
        finish(request, request.tried                   ? Failure::unknown
                        : node_.core().leader_id() == 0 ? Failure::no_leader
                                                        : Failure::timeout);
        return true;
    }
    if (node_.core().is_leader()) {
        return lead(request);
    }
    request.appended_term = 0;
    if (request.peer != 0) {
        finish(request, Failure::no_leader);
        return true;
    }
    forward(request);
    return false;
}

bool Membership::is_settled() const {
    const raft::Core& core = node_.core();
    return core.configurations().current_index() <= core.commit_index() &&
           !core.configuration().is_joint();
}

bool Membership::is_fulfilled(const Request& request) const {
    const raft::NodeId id = request.member.id;
    const raft::Core& core = node_.core();
    return request.remove
               ? is_settled() && !core.configuration().contains(id)
               : core.configuration().contains(id) && core.committed_configuration().contains(id);
}

// By an operator's wish; what the cluster does by itself is waited for.
bool Membership::another_is_under_way(const Request& request) const {
    return std::any_of(requests_.begin(), requests_.end(), [&](const Request& other) {
        return &other != &request && other.appended_term == node_.core().term() &&
               (other.member.id != request.member.id || other.remove != request.remove);
    });
}

bool Membership::lead(Request& request) {
    const raft::Core& core = node_.core();
    const raft::NodeId id = request.member.id;
    if (request.appended_term == core.term()) {
        if (is_fulfilled(request)) {
            finish(request, Failure::none);
            return true;
        }
        return false;
    }
    if (request.led_term != core.term()) {
        request.led_term = core.term();
        request.led_ns = now_ns_;
        if (request.remove) {
            (void)node_.read_index();  // it makes the others answer now, not after a heartbeat
        }
    }
    if (another_is_under_way(request)) {
        finish(request, Failure::none,
               {MembershipOutcome::conflict, text_of(raft::ChangeError::pending, id)});
        return true;
    }
    if (core.may_change_configuration() != raft::ChangeError::none) {
        return false;
    }
    const raft::PlannedChange planned =
        request.remove ? raft::plan_removal(core.configuration(), id)
                       : raft::plan_addition(core.configuration(), request.member);
    raft::ChangeError error = planned.error;
    if (error == raft::ChangeError::unchanged) {
        finish(request, Failure::none, {MembershipOutcome::unchanged, {}});
        return true;
    }
    if (error == raft::ChangeError::none) {
        const bool heard = !planned.next.is_joint() || hears_quorum(request, planned.next);
        if (heard && request.remove && id == core.id()) {
            hand_over_();  // again when it came to nothing
            return false;  // the next leader does it
        }
        error = heard ? node_.change_configuration(planned.next, now_ns_).error
                      : raft::ChangeError::no_quorum;
    }
    // A leader that is new has yet to hear the others.
    if (error == raft::ChangeError::no_quorum && now_ns_ - request.led_ns < options_.hear_ns) {
        return false;
    }
    if (error == raft::ChangeError::none) {
        spdlog::info("{} node {}", request.remove ? "removing" : "adding", id);
        request.appended_term = core.term();
        request.tried = true;
        return false;
    }
    finish(request, Failure::none, {outcome_of(error), text_of(error, id)});
    return true;
}

// Heard after the wish came: a voter that died a moment ago must not be counted on, or the change
// could neither be committed nor undone.
bool Membership::hears_quorum(const Request& request, const raft::Configuration& next) const {
    const raft::VoteResult heard = raft::quorum_vote(next, [&](raft::NodeId id) {
        return id == node_.core().id() || node_.last_heard_ns(id) > request.led_ns ? 1 : -1;
    });
    return heard == raft::VoteResult::won;
}

void Membership::forward(Request& request) {
    const raft::NodeId leader = node_.core().leader_id();
    const bool due = request.sent_to != leader || now_ns_ - request.sent_ns >= options_.resend_ns;
    if (leader == 0 || !due) {
        return;
    }
    v1::PeerNote note;
    v1::MembershipRequest& wire = *note.mutable_membership_request();
    wire.set_id(request.id);
    wire.set_remove(request.remove);
    wire.set_member(request.member.id);
    wire.set_address(request.member.address);
    wire.set_stays_learner(request.member.stays_learner);
    wire.set_timeout_ms(static_cast<std::uint32_t>(
        std::max<std::int64_t>((request.deadline_ns - now_ns_) / ns_per_ms, 1)));
    const bool sent = transport_.send_application(leader, note.SerializeAsString());
    request.sent_ns = now_ns_;
    request.sent_to = sent ? leader : 0;
    request.tried = request.tried || sent;
}

void Membership::finish(Request& request, Failure failure, const MembershipAnswer& answer) {
    if (request.operation) {
        request.operation->failure = failure;
        request.operation->membership = answer.outcome;
        request.operation->error = answer.text;
        request.operation->cluster = describe_();
        request.port->finished(std::move(request.operation));
        return;
    }
    v1::PeerNote note;
    v1::MembershipReply& wire = *note.mutable_membership_reply();
    wire.set_id(request.peer_request_id);
    wire.set_outcome(failure == Failure::none ? wire_outcome(answer.outcome)
                                              : v1::MembershipReply::NOT_LEADER);
    wire.set_text(answer.text);
    (void)transport_.send_application(request.peer, note.SerializeAsString());  // it asks again
}

// A member with a new data directory is told to wait by everybody until the group has agreed that
// it is a learner with just that.
void Membership::take_in_again() {
    if (replaced_disks_.empty()) {
        return;
    }
    const raft::Core& core = node_.core();
    if (!core.is_leader()) {
        replaced_disks_.clear();  // it comes again, and to the leader too
        return;
    }
    for (auto replaced = replaced_disks_.begin(); replaced != replaced_disks_.end();) {
        if (core.may_change_configuration() != raft::ChangeError::none) {
            return;
        }
        const raft::PlannedChange planned =
            raft::plan_new_disk(core.configuration(), replaced->first, replaced->second);
        const bool appended =
            planned.error == raft::ChangeError::none &&
            node_.change_configuration(planned.next, now_ns_).error == raft::ChangeError::none;
        if (appended) {
            spdlog::warn("node {} lost its data; it is a learner until it has caught up again",
                         replaced->first);
        }
        replaced = replaced_disks_.erase(replaced);  // otherwise it comes again
    }
}

void Membership::note_disks() {
    const raft::Core& core = node_.core();
    if (!disks_missing_ || options_.disk_id == 0 ||
        now_ns_ - noted_ns_ < options_.note_interval_ns ||
        core.may_change_configuration() != raft::ChangeError::none) {
        return;
    }
    noted_ns_ = now_ns_;
    std::vector<raft::MemberDisk> disks{{core.id(), options_.disk_id}};
    for (const raft::PeerStatus& peer : transport_.peers()) {
        disks.push_back({peer.id, peer.disk_id});
    }
    const raft::PlannedChange planned = raft::plan_disk_notes(core.configuration(), disks);
    if (planned.error == raft::ChangeError::none) {
        (void)node_.change_configuration(planned.next, now_ns_);  // else at the next look
    }
}

void Membership::tell_members() {
    const raft::Core& core = node_.core();
    const raft::Configuration& current = core.configuration();
    const raft::Configuration& committed = core.committed_configuration();
    if (current.members().empty()) {
        return;  // a newcomer that hasn't heard anything; it knows whom it asked
    }
    const auto knows_address = [](const raft::Configuration& configuration, raft::NodeId id) {
        const raft::Member* detail = configuration.detail(id);
        return detail != nullptr && !detail->address.empty();
    };
    disks_missing_ = false;
    std::vector<raft::Member> members;
    for (const raft::NodeId id : current.members()) {
        if (!knows_address(current, id)) {
            continue;
        }
        members.push_back(*current.detail(id));
        disks_missing_ = disks_missing_ || members.back().disk_id == 0;
    }
    // Who goes is a member until that is committed.
    for (const raft::NodeId id : committed.members()) {
        if (!current.contains(id) && knows_address(committed, id)) {
            members.push_back(*committed.detail(id));
        }
    }
    std::vector<raft::NodeId> gone;
    for (const raft::NodeId id : committed.removed) {
        if (!current.contains(id) && !committed.contains(id)) {
            gone.push_back(id);
        }
    }
    Members addresses;
    for (raft::Member& member : members) {
        addresses.emplace_back(member.id, member.address);
        // Only a leader knows the newest: anybody else may lag behind the configuration that took
        // a member in with another data directory, and must not send it away for ever. What a wrong
        // one has to say counts for nothing anyway (raft/core/core_configuration.cc).
        member.disk_id = core.is_leader() ? member.disk_id : raft::any_disk_id;
    }
    transport_.set_members(members, gone);
    if (!is_settled()) {
        return;
    }
    if (current.was_removed(core.id()) && !current.contains(core.id()) && !removed_) {
        spdlog::error("this node was removed from the cluster");
        removed_ = true;
    }
    members_changed_(addresses);
}

void Membership::stop() {
    for (Request& request : requests_) {
        finish(request, request.tried ? Failure::interrupted : Failure::draining);
    }
    requests_.clear();
}

}  // namespace cairn::server
