// Membership in groups of whole nodes: what becomes of an operator's request, whoever takes it,
// whoever leads, and what the transports and the data directories are told.
#include "server/node/membership.h"

#include <algorithm>
#include <memory>
#include <string>

#include <doctest/doctest.h>

#include "server/node/hand_over.h"
#include "tests/unit/server/replica_group.h"

namespace {

using namespace cairn;
using namespace cairn::server;
using namespace cairn::server::test;
using Outcome = MembershipOutcome;
using Asked = std::shared_ptr<Operation>;

Asked make_request(Operation::Kind kind, raft::NodeId id, int timeout_ms) {
    auto operation = std::make_shared<Operation>();
    operation->kind = kind;
    operation->member = id;
    operation->timeout_ms = timeout_ms;
    return operation;
}

Asked ask_to_add(Member& through, raft::NodeId id, const std::string& address = {},
                 int timeout_ms = 5000) {
    const Asked operation = make_request(Operation::Kind::add_member, id, timeout_ms);
    operation->member_address = address.empty() ? address_of_node(id) : address;
    through.replica.submit(operation, through.port);
    return operation;
}

Asked ask_to_remove(Member& through, raft::NodeId id, int timeout_ms = 5000) {
    const Asked operation = make_request(Operation::Kind::remove_member, id, timeout_ms);
    through.replica.submit(operation, through.port);
    return operation;
}

Outcome outcome(Group& group, Member& through, const Asked& operation) {
    REQUIRE(group.pass_until([&] { return Group::is_done(through, operation); }));
    REQUIRE(operation->failure == Failure::none);
    return operation->membership;
}

Outcome add(Group& group, Member& through, raft::NodeId id, const std::string& address = {}) {
    return outcome(group, through, ask_to_add(through, id, address));
}

Outcome remove(Group& group, Member& through, raft::NodeId id) {
    return outcome(group, through, ask_to_remove(through, id));
}

bool tells(const Member& member, raft::NodeId id) {
    const auto& told = member.transport.members;
    return std::any_of(told.begin(), told.end(), [id](const auto& each) { return each.id == id; });
}

std::size_t log_size(Group& group) {
    return group.leader()->core().log().last_index();
}

}  // namespace

TEST_CASE("membership: add, again, elsewhere; remove, again; whoever is asked") {
    for (const bool at_the_leader : {true, false}) {
        CAPTURE(at_the_leader);
        Group group;
        Member& asked = at_the_leader ? *group.leader() : group.follower();
        CHECK(add(group, asked, 4) == Outcome::done);
        CHECK(group.leader()->core().committed_configuration().is_learner(4));
        CHECK(group.leader()->configuration().detail(4)->address == address_of_node(4));

        const std::size_t before = log_size(group);
        CHECK(add(group, asked, 4) == Outcome::unchanged);
        const Asked elsewhere = ask_to_add(asked, 4, "elsewhere:1");
        CHECK(outcome(group, asked, elsewhere) == Outcome::conflict);
        CHECK(elsewhere->error.find("another address") != std::string::npos);
        CHECK(add(group, asked, 5, address_of_node(4)) == Outcome::conflict);
        CHECK(add(group, asked, 1) == Outcome::unchanged);
        const Asked unknown = ask_to_remove(asked, 9);
        CHECK(outcome(group, asked, unknown) == Outcome::not_found);
        CHECK(unknown->error == "There is no member with the id 9.");
        CHECK(log_size(group) == before);

        CHECK(remove(group, asked, 4) == Outcome::done);
        CHECK_FALSE(group.leader()->core().committed_configuration().contains(4));
        CHECK(remove(group, asked, 4) == Outcome::unchanged);
        const Asked again = ask_to_add(asked, 4);
        CHECK(outcome(group, asked, again) == Outcome::conflict);
        CHECK(again->error.find("take a new one") != std::string::npos);
        CHECK(again->cluster.members.size() == 3);
        // The id is gone, the address isn't.
        CHECK(add(group, asked, 5, address_of_node(4)) == Outcome::done);
    }
}

TEST_CASE(
    "membership: a node that joins becomes a voter by itself, unless it is to stay a learner") {
    Group group(3, true);
    const Asked learner = make_request(Operation::Kind::add_member, 5, 5000);
    learner->member_address = address_of_node(5);
    learner->stays_learner = true;
    group.follower().replica.submit(learner, group.follower().port);
    CHECK(outcome(group, group.follower(), learner) == Outcome::done);
    CHECK(add(group, group.follower(), 4) == Outcome::done);
    Member& four = group.join({104, 0, true});
    Member& five = group.join({105, 0, true});
    REQUIRE(group.pass_until([&] { return four.configuration().is_voter(4); }));
    group.pass(2000 * ms);
    CHECK(five.configuration().is_learner(5));
    CHECK(five.configuration().detail(5)->stays_learner);
    CHECK_FALSE(four.configuration().is_joint());
    for (raft::NodeId id = 1; id <= 5; ++id) {
        CHECK(four.configuration().detail(id)->disk_id == 100 + id);
        CHECK(group.member(id).noted.size() == 5);
        CHECK(group.member(id).transport.members.size() == 5);
    }
    CHECK(group.write(five, set_command("a", "1")) == Failure::none);
}

TEST_CASE("membership: a learner without a data directory that is noted is not promoted") {
    Group group(3, true);
    CHECK(add(group, *group.leader(), 4) == Outcome::done);
    Member& four = group.join({0, 0, true});
    group.pass(3000 * ms);
    CHECK(four.core().commit_index() == group.leader()->core().commit_index());
    CHECK(four.configuration().is_learner(4));
}

// Or it took as long as the time between two heartbeats, which may be longer than any request has.
TEST_CASE("membership: who is to stay is asked whether it is there, not waited for") {
    Group group;
    group.settle();
    const raft::NodeId gone = group.follower().view.node;
    const Asked asked = ask_to_remove(*group.leader(), gone);
    group.settle(1);
    group.clock.pass(1 * ms);  // no tick: no heartbeat
    group.settle();
    CHECK(Group::is_done(*group.leader(), asked));
    CHECK(asked->membership == Outcome::done);
    CHECK_FALSE(group.leader()->configuration().contains(gone));
}

TEST_CASE("membership: the last voter stays") {
    Group group(1);
    const Asked last = ask_to_remove(*group.leader(), 1);
    CHECK(outcome(group, *group.leader(), last) == Outcome::conflict);
    CHECK(last->error == "Node 1 is the only voter; nobody would be left.");
    CHECK(group.leader() != nullptr);
    CHECK(group.leader()->removals == 0);
}

TEST_CASE("membership: a leader that is to go hands over, and the next one removes it") {
    for (const bool at_itself : {true, false}) {
        CAPTURE(at_itself);
        Group group;
        Member& old = *group.leader();
        Member& asked = at_itself ? old : group.follower();
        const raft::NodeId id = old.view.node;
        CHECK(remove(group, asked, id) == Outcome::done);
        CHECK(asked.port.done.size() == 1);
        REQUIRE(group.leader() != nullptr);
        CHECK(group.leader() != &old);
        CHECK_FALSE(group.leader()->configuration().contains(id));
        REQUIRE(group.pass_until([&] { return old.removals > 0; }));
        group.pass(1000 * ms);
        CHECK(old.removals == 1);
        CHECK(group.write(*group.leader(), set_command("a", "1")) == Failure::none);
    }
}

TEST_CASE("membership: a leader whose removal can't be committed stays leader") {
    Group group;
    Member& leader = *group.leader();
    // Without the leader both of the others would be needed.
    group.follower().cut_off = true;
    const Asked asked = ask_to_remove(leader, leader.view.node, 30'000);
    CHECK(outcome(group, leader, asked) == Outcome::conflict);
    CHECK(group.leader() == &leader);
    CHECK(leader.configuration().is_voter(leader.view.node));
}

TEST_CASE("membership: a hand-over that comes to nothing is tried again") {
    Group group;
    Member& old = *group.leader();
    // The first that is asked can't take over: its vote doesn't get to its disk.
    Member& first = group.member(hand_over_target(old.core()));
    first.disk_held = true;
    const Asked asked = ask_to_remove(old, old.view.node, 30'000);
    group.pass(400 * ms);  // no longer: without it the removal lacks a quorum, and that is told
    CHECK_FALSE(Group::is_done(old, asked));
    first.disk_held = false;
    CHECK(outcome(group, old, asked) == Outcome::done);
    CHECK(group.leader() != &old);
}

TEST_CASE("membership: of two different requests at once the second is refused") {
    for (const bool at_the_leader : {true, false}) {
        CAPTURE(at_the_leader);
        Group group;
        Member& asked = at_the_leader ? *group.leader() : group.follower();
        const Asked first = ask_to_add(asked, 4);
        const Asked second = ask_to_add(*group.leader(), 5);
        const Asked third = ask_to_remove(asked, 2);
        CHECK(outcome(group, asked, first) == (at_the_leader ? Outcome::done : Outcome::conflict));
        CHECK(outcome(group, *group.leader(), second) ==
              (at_the_leader ? Outcome::conflict : Outcome::done));
        CHECK(outcome(group, asked, third) == Outcome::conflict);
        CHECK(third->error == "Another change of the membership is under way.");
    }
}

TEST_CASE("membership: the same request twice comes to the same end") {
    Group group;
    const Asked first = ask_to_add(*group.leader(), 4);
    const Asked second = ask_to_add(group.follower(), 4);
    CHECK(outcome(group, *group.leader(), first) == Outcome::done);
    CHECK(outcome(group, group.follower(), second) != Outcome::conflict);
    const Asked gone = ask_to_remove(group.follower(), 4);
    const Asked gone_too = ask_to_remove(*group.leader(), 4);
    CHECK(outcome(group, group.follower(), gone) != Outcome::conflict);
    CHECK(outcome(group, *group.leader(), gone_too) != Outcome::conflict);
    CHECK_FALSE(group.leader()->configuration().contains(4));
}

TEST_CASE("membership: what the cluster changes by itself is waited for") {
    Group group(3, true);
    REQUIRE(add(group, *group.leader(), 4) == Outcome::done);
    Member& four = group.join({104, 0, true});
    Member& lead = *group.leader();
    REQUIRE(group.pass_until([&] {
        return four.configuration().detail(4) != nullptr &&
               four.configuration().detail(4)->disk_id == 104;
    }));
    // Stops in the midst of the promotion.
    for (int i = 0; i < 5000 && !lead.configuration().is_joint(); ++i) {
        group.clock.pass(10 * ms);
        for (const auto& one : group.members) {
            one->replica.tick();
        }
        group.settle(1);
    }
    REQUIRE(lead.configuration().is_joint());
    const Asked asked = ask_to_remove(lead, 2);
    lead.replica.turn();
    CHECK_FALSE(Group::is_done(lead, asked));
    CHECK(lead.configuration().is_voter(4));
    CHECK(outcome(group, lead, asked) == Outcome::done);
    CHECK(group.leader()->configuration().voters == std::vector<raft::NodeId>{1, 3, 4});
}

TEST_CASE("membership: what a leader that died did not answer is asked of the next one") {
    Group group;
    Member& old = *group.leader();
    Member& asked = group.follower();
    old.cut_off = true;
    const Asked request = ask_to_add(asked, 4, {}, 20'000);
    CHECK(outcome(group, asked, request) == Outcome::done);
    CHECK(group.leader() != &old);
    old.cut_off = false;
    group.pass(1000 * ms);
    CHECK(old.configuration().is_learner(4));
}

TEST_CASE("membership: a leader that lost its leadership passes on what it was asked") {
    Group group;
    Member& old = *group.leader();
    old.cut_off = true;
    const Asked lost = ask_to_add(old, 4, {}, 30'000);  // appended, and of no avail
    group.pass(2000 * ms);
    REQUIRE(old.configuration().is_learner(4));
    CHECK(tells(old, 4));
    CHECK(old.noted.size() == 3);  // nothing that isn't committed
    REQUIRE(group.leader() != nullptr);
    CHECK_FALSE(Group::is_done(old, lost));
    REQUIRE(add(group, *group.leader(), 5) == Outcome::done);
    old.cut_off = false;
    CHECK(outcome(group, old, lost) == Outcome::done);
    CHECK(group.leader()->configuration().learners == std::vector<raft::NodeId>{4, 5});
    group.pass(100 * ms);
    CHECK(old.configuration() == group.leader()->configuration());
}

TEST_CASE("membership: an addition that is rolled back is taken back from the transport") {
    Group group;
    Member& old = *group.leader();
    old.cut_off = true;
    const Asked lost = ask_to_add(old, 4, {}, 1000);
    group.pass(2000 * ms);
    REQUIRE(Group::is_done(old, lost));
    CHECK(lost->failure == Failure::unknown);  // it was appended
    CHECK(tells(old, 4));
    REQUIRE(group.write(*group.leader(), set_command("a", "1")) == Failure::none);
    old.cut_off = false;
    group.pass(1000 * ms);
    CHECK_FALSE(old.configuration().contains(4));
    CHECK_FALSE(tells(old, 4));
    CHECK(old.transport.removed.empty());
    CHECK(old.noted.size() == 3);
}

TEST_CASE("membership: the deadline: nobody leads, nothing was tried; or it was, who knows") {
    Group group;
    Member& lead = *group.leader();
    Member& other = group.follower();
    other.cut_off = true;
    group.pass(2000 * ms);
    REQUIRE(other.core().leader_id() == 0);
    const Asked hopeless = ask_to_remove(other, 2, 500);
    group.pass(600 * ms);
    REQUIRE(Group::is_done(other, hopeless));
    CHECK(hopeless->failure == Failure::no_leader);
    other.cut_off = false;
    group.pass(1000 * ms);
    REQUIRE(group.leader() == &lead);

    const Asked on_its_way = ask_to_add(other, 4, {}, 300);
    other.replica.turn();
    REQUIRE_FALSE(other.notes_sent.empty());
    other.notes_sent.clear();
    for (int i = 0; i < 31; ++i) {
        group.clock.pass(10 * ms);
        other.replica.tick();
        other.replica.turn();
    }
    REQUIRE(Group::is_done(other, on_its_way));
    CHECK(on_its_way->failure == Failure::unknown);
}

TEST_CASE("membership: who is asked to stop says so; what is under way may come to be") {
    Group group;
    Member& lead = *group.leader();
    Member& other = group.follower();
    const Asked appended = ask_to_add(lead, 4);
    lead.replica.turn();
    const Asked fresh = ask_to_add(lead, 5);
    lead.replica.stop();
    CHECK(appended->failure == Failure::interrupted);
    CHECK(fresh->failure == Failure::draining);
    CHECK(lead.port.done.size() == 2);
    const Asked late = ask_to_add(lead, 5);
    CHECK(late->failure == Failure::draining);

    other.transport.takes_notes = false;
    const Asked kept = ask_to_add(other, 5);
    other.replica.turn();
    other.replica.stop();
    CHECK(kept->failure == Failure::draining);  // it never left
}

TEST_CASE("membership: who is told to the transport while a voter goes") {
    Group group;
    Member& lead = *group.leader();
    const raft::NodeId gone = group.follower().view.node;
    const Asked asked = ask_to_remove(lead, gone);
    bool was_joint = false;
    bool was_final = false;
    for (int i = 0; i < 1000 && !Group::is_done(lead, asked); ++i) {
        if (i % 20 == 0) {  // a quorum must be heard from anew: heartbeats
            group.clock.pass(10 * ms);
            for (const auto& one : group.members) {
                one->replica.tick();
            }
        }
        group.settle(1);
        const bool committed =
            lead.core().configurations().current_index() <= lead.core().commit_index();
        if (lead.configuration().is_joint()) {
            was_joint = true;
            CHECK(tells(lead, gone));
            CHECK(lead.transport.removed.empty());
            CHECK(lead.noted.size() == 3);
        } else if (was_joint && !committed) {
            was_final = true;
            CHECK_FALSE(lead.configuration().contains(gone));
            CHECK(tells(lead, gone));  // the second step isn't committed
            CHECK(lead.transport.removed.empty());
        }
    }
    CHECK(was_joint);
    CHECK(was_final);
    REQUIRE(Group::is_done(lead, asked));
    CHECK_FALSE(tells(lead, gone));
    CHECK(lead.transport.removed == std::vector<raft::NodeId>{gone});
    CHECK(lead.noted.size() == 2);
    group.settle();
    CHECK(group.member(gone).removals == 1);
    for (const auto& one : group.members) {
        CHECK((one->removals == 1) == (one->view.node == gone));
    }
}

TEST_CASE(
    "membership: a voter that lost its data is a learner with the new directory, then votes") {
    Group group(3, true);
    REQUIRE(group.write(*group.leader(), set_command("a", "1")) == Failure::none);
    const raft::NodeId id = group.follower().view.node;
    Member& anew = group.begin_anew(id, {900, 100 + id, true});
    bool was_learner = false;
    const auto votes_again = [&] {
        const raft::Configuration& now = group.leader()->configuration();
        was_learner = was_learner || (now.is_learner(id) && now.detail(id)->disk_id == 900);
        return was_learner && now.may_campaign(id) && !now.is_joint();
    };
    REQUIRE(group.pass_until([&] { return group.leader() != nullptr; }));
    REQUIRE(group.pass_until(votes_again));
    group.pass(500 * ms);
    CHECK(group.leader()->configuration().detail(id)->disk_id == 900);
    CHECK(anew.configuration() == group.leader()->configuration());
    CHECK(*anew.replica.state_machine().get("a")->bytes == "1");
    CHECK(anew.removals == 0);
}

TEST_CASE(
    "membership: another directory of a member that doesn't say it lost one is not taken in") {
    Group group(3, true);
    group.pass(1000 * ms);
    const raft::NodeId id = group.follower().view.node;
    REQUIRE(group.leader()->configuration().detail(id)->disk_id == 100 + id);
    const std::size_t before = log_size(group);
    Member& other = group.begin_anew(id, {900, 0, true});
    group.pass(3000 * ms);
    CHECK(group.leader()->configuration().detail(id)->disk_id == 100 + id);
    CHECK(group.leader()->configuration().is_voter(id));
    CHECK(log_size(group) == before);
    CHECK(other.core().commit_index() == 0);
}
