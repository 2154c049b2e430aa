// Membership at one node, turn by turn: what peers ask and answer, however wrong, and the bounds.
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "server/node/membership.h"
#include "tests/unit/server/replica_group.h"
#include "tests/unit/server/replica_testing.h"

namespace {

using namespace cairn;
using namespace cairn::server;
using namespace cairn::server::test;
using Outcome = MembershipOutcome;
using Reply = v1::MembershipReply;

// Node 1 of three with a Membership beside it, and nothing else.
struct Rig {
    explicit Rig(const MembershipOptions& options = {}, raft::Configuration founding = founders(3))
        : alone(std::move(founding)),
          membership(
              alone.node, alone.transport, options, [] { return ClusterStatus{}; },
              [this] { ++hand_overs; },
              [this](const Membership::Members& members) { noted = members; }) {}
    void lead() {
        alone.lead();
        settle();
        acknowledge();
    }
    // Node 2 has everything that node 1 has.
    void acknowledge() {
        raft::AppendEntriesReply reply;
        reply.header = alone.from(2, alone.node.core().term());
        reply.match_index = alone.node.core().log().last_index();
        alone.step(reply);
        settle();
    }
    void settle() {
        alone.settle();
        if (alone.configuration_changes != seen_changes) {
            seen_changes = alone.configuration_changes;
            membership.on_change();
        }
        membership.turn(now);
        alone.settle();
    }
    std::shared_ptr<Operation> submit(Operation::Kind kind, raft::NodeId id) {
        auto operation = std::make_shared<Operation>();
        operation->kind = kind;
        operation->member = id;
        operation->member_address = address_of_node(id);
        membership.submit(operation, port, now);
        return operation;
    }
    static v1::MembershipRequest addition(std::uint64_t id, raft::NodeId member) {
        v1::MembershipRequest wire;
        wire.set_id(id);
        wire.set_member(member);
        wire.set_address(address_of_node(member));
        wire.set_timeout_ms(5000);
        return wire;
    }
    void ask(raft::NodeId from, const v1::MembershipRequest& wire) {
        membership.on_request(from, wire, now);
        settle();
    }
    std::vector<Reply> take_replies() {
        std::vector<Reply> replies;
        for (const auto& note : std::exchange(alone.transport.notes, {})) {
            if (note.note.has_membership_reply()) {
                replies.push_back(note.note.membership_reply());
            }
        }
        return replies;
    }
    std::vector<v1::MembershipRequest> take_requests(raft::NodeId to) {
        std::vector<v1::MembershipRequest> requests;
        for (const auto& note : std::exchange(alone.transport.notes, {})) {
            if (note.note.has_membership_request() && note.to == to) {
                requests.push_back(note.note.membership_request());
            }
        }
        return requests;
    }
    void reply(raft::NodeId from, std::uint64_t id, Reply::Outcome outcome,
               const std::string& text = {}) {
        Reply wire;
        wire.set_id(id);
        wire.set_outcome(outcome);
        wire.set_text(text);
        membership.on_reply(from, wire);
    }
    const raft::Configuration& configuration() const { return alone.node.core().configuration(); }

    TestNode alone;
    FakePort port;
    Membership::Members noted;
    std::int64_t now = 1000 * ms;
    int hand_overs = 0;
    int seen_changes = -1;
    Membership membership;
};

}  // namespace

TEST_CASE("membership requests: a peer's request that no member could have is refused") {
    Rig rig;
    rig.lead();
    std::vector<v1::MembershipRequest> bad;
    const auto with_address = [](const std::string& address) {
        v1::MembershipRequest wire = Rig::addition(1, 4);
        wire.set_address(address);
        return wire;
    };
    bad.push_back(Rig::addition(1, 0));
    bad.push_back(Rig::addition(1, ~std::uint64_t{0}));
    bad.push_back(with_address(std::string(10'000, 'a') + ":1"));
    for (const std::string& text : std::vector<std::string>{
             "", "a", ":1", "a:", "a:0", "a:65536", "a:01", "a b:1", "a\n:1", "a\x7f:1", "\xff:1",
             "0.0.0.0:1", "[::]:1", "A:1", "[]:1", "::1:1"}) {
        bad.push_back(with_address(text));
    }
    bad.push_back(with_address(std::string("a\0b:1", 5)));
    v1::MembershipRequest removal;
    removal.set_id(1);
    removal.set_remove(true);
    removal.set_timeout_ms(5000);
    bad.push_back(removal);  // of nobody
    const raft::Index last = rig.alone.node.core().log().last_index();
    for (const v1::MembershipRequest& wire : bad) {
        CAPTURE(wire.address());
        rig.alone.transport.notes.clear();
        rig.ask(2, wire);
        const std::vector<Reply> replies = rig.take_replies();
        REQUIRE(replies.size() == 1);
        CHECK(replies[0].id() == 1);
        CHECK(replies[0].outcome() == Reply::CONFLICT);
        CHECK_FALSE(replies[0].text().empty());
        CHECK(rig.alone.node.core().log().last_index() == last);
    }
    rig.ask(2, Rig::addition(2, 4));
    CHECK(rig.configuration().is_learner(4));
}

TEST_CASE("membership requests: whatever is planned is valid, at every limit") {
    raft::Configuration full = founders(2);
    CHECK(raft::plan_addition(full, {0, "a:1", 0, false}).error ==
          raft::ChangeError::invalid_member);
    for (const std::string& address :
         {std::string("a b:1"), std::string("a\n:1"), std::string(513, 'a')}) {
        CHECK(raft::plan_addition(full, {4, address, 0, false}).error ==
              raft::ChangeError::invalid_member);
    }
    CHECK(raft::plan_addition(full, {4, std::string(512, 'a'), 0, false}).error ==
          raft::ChangeError::none);
    for (raft::NodeId id = 100; full.learners.size() < raft::learners_max; ++id) {
        const auto planned = raft::plan_addition(full, {id, address_of_node(id), 0, true});
        REQUIRE(planned.error == raft::ChangeError::none);
        REQUIRE(raft::is_single_step(full, planned.next));
        full = planned.next;
    }
    // As many learners as there may be, and a voter loses its data directory.
    CHECK(raft::plan_new_disk(full, 2, 77).error == raft::ChangeError::too_many);
    const auto learner = raft::plan_new_disk(full, 100, 77);
    REQUIRE(learner.error == raft::ChangeError::none);
    CHECK(raft::is_single_step(full, learner.next));
    const auto fewer = raft::plan_removal(full, 100);
    REQUIRE(fewer.error == raft::ChangeError::none);
    const auto voter = raft::plan_new_disk(fewer.next, 2, 77);
    REQUIRE(voter.error == raft::ChangeError::none);
    CHECK(raft::is_single_step(fewer.next, voter.next));
}

TEST_CASE("membership requests: the leader survives a data directory that can't be noted") {
    raft::Configuration full = founders(3);
    for (raft::NodeId id = 100; full.learners.size() < raft::learners_max; ++id) {
        full = raft::plan_addition(full, {id, address_of_node(id), 0, true}).next;
    }
    Rig rig({}, full);
    rig.lead();
    rig.membership.on_disk_replaced(3, 900);
    rig.membership.on_disk_replaced(3000, 900);  // nobody
    rig.membership.on_disk_replaced(1, 900);     // itself
    rig.settle();
    CHECK(rig.configuration() == full);
    CHECK(rig.alone.node.core().is_leader());
}

TEST_CASE("membership requests: a peer's is done once, whether asked once or again and again") {
    Rig rig;
    rig.lead();
    rig.ask(2, Rig::addition(7, 4));
    CHECK(rig.take_replies().empty());  // not committed
    for (int i = 0; i < 5; ++i) {
        rig.ask(2, Rig::addition(7, 4));
    }
    CHECK(rig.take_replies().empty());
    rig.acknowledge();
    std::vector<Reply> replies = rig.take_replies();
    REQUIRE(replies.size() == 1);
    CHECK(replies[0].id() == 7);
    CHECK(replies[0].outcome() == Reply::DONE);
    rig.ask(2, Rig::addition(7, 4));  // the answer was lost
    replies = rig.take_replies();
    REQUIRE(replies.size() == 1);
    CHECK(replies[0].outcome() == Reply::UNCHANGED);
}

TEST_CASE("membership requests: asked again, one that lacks a quorum is told so all the same") {
    MembershipOptions options;
    options.hear_ns = 2 * options.resend_ns;
    Rig rig(options);
    rig.lead();
    v1::MembershipRequest wire = Rig::addition(7, 3);
    wire.set_remove(true);
    std::vector<Reply> replies;
    for (std::int64_t passed_ns = 0; passed_ns <= options.hear_ns && replies.empty();
         passed_ns += options.resend_ns / 2) {
        rig.ask(2, wire);
        replies = rig.take_replies();
        rig.now += options.resend_ns / 2;
    }
    REQUIRE(replies.size() == 1);
    CHECK(replies[0].outcome() == Reply::CONFLICT);
    CHECK(rig.configuration().contains(3));
}

TEST_CASE("membership requests: a huge timeout is cut, one of nothing is over at once") {
    Rig rig;
    rig.lead();
    v1::MembershipRequest wire = Rig::addition(1, 4);
    wire.set_timeout_ms(~std::uint32_t{0});
    rig.ask(2, wire);
    REQUIRE(rig.configuration().is_learner(4));  // and never acknowledged
    rig.now += 59'000 * ms;
    rig.settle();
    CHECK(rig.take_replies().empty());
    rig.now += 1'000 * ms;
    rig.settle();
    std::vector<Reply> replies = rig.take_replies();
    REQUIRE(replies.size() == 1);
    CHECK(replies[0].outcome() == Reply::NOT_LEADER);
    wire = Rig::addition(2, 5);
    wire.set_timeout_ms(0);
    rig.ask(2, wire);
    CHECK(rig.take_replies().size() == 1);
    CHECK_FALSE(rig.configuration().contains(5));
}

TEST_CASE("membership requests: no more wait than may, from peers and clients alike") {
    MembershipOptions options;
    options.requests_max = 4;
    Rig rig(options);
    rig.alone.follow(1);
    for (raft::NodeId id = 10; id < 14; ++id) {
        rig.submit(Operation::Kind::add_member, id);
    }
    CHECK(rig.port.done.empty());
    const auto over = rig.submit(Operation::Kind::add_member, 14);
    REQUIRE(rig.port.done.size() == 1);
    CHECK(over->failure == Failure::overloaded);
    rig.ask(3, Rig::addition(1, 15));  // told nothing: it asks again
    CHECK(rig.take_replies().empty());
    rig.membership.stop();
    CHECK(rig.port.done.size() == 5);
}

TEST_CASE("membership requests: who doesn't lead says so, and asks nobody in a peer's name") {
    Rig rig;
    rig.alone.follow(1);
    rig.ask(3, Rig::addition(9, 4));
    REQUIRE(rig.alone.transport.notes.size() == 1);
    CHECK(rig.alone.transport.notes[0].to == 3);
    const std::vector<Reply> replies = rig.take_replies();
    REQUIRE(replies.size() == 1);
    CHECK(replies[0].outcome() == Reply::NOT_LEADER);
    CHECK(replies[0].id() == 9);
}

TEST_CASE("membership requests: answers count from who was asked, and what was asked") {
    MembershipOptions options;
    options.first_request_id = 1'000'000;
    Rig rig(options);
    rig.alone.follow(1);
    const auto operation = rig.submit(Operation::Kind::add_member, 4);
    rig.settle();
    const auto requests = rig.take_requests(2);
    REQUIRE(requests.size() == 1);
    CHECK(requests[0].id() == 1'000'001);
    CHECK(requests[0].member() == 4);
    CHECK(requests[0].address() == address_of_node(4));
    CHECK(requests[0].timeout_ms() == 5000);
    rig.reply(3, requests[0].id(), Reply::DONE);      // was not asked
    rig.reply(2, requests[0].id() + 1, Reply::DONE);  // nothing of ours
    rig.reply(2, 0, Reply::DONE);
    rig.reply(2, 1, Reply::DONE);  // of an earlier life
    rig.settle();
    CHECK(rig.port.done.empty());
    rig.reply(2, requests[0].id(), Reply::CONFLICT, "no");
    REQUIRE(rig.port.done.size() == 1);
    CHECK(operation->membership == Outcome::conflict);
    CHECK(operation->error == "no");
    rig.reply(2, requests[0].id(), Reply::DONE);  // again
    CHECK(rig.port.done.size() == 1);
}

TEST_CASE("membership requests: an answer of each kind") {
    Rig rig;
    rig.alone.follow(1);
    const std::vector<std::pair<Reply::Outcome, Outcome>> rows{
        {Reply::DONE, Outcome::done},
        {Reply::UNCHANGED, Outcome::unchanged},
        {Reply::CONFLICT, Outcome::conflict},
        {Reply::NOT_FOUND, Outcome::not_found},
    };
    for (const auto& [wire, expected] : rows) {
        const auto operation = rig.submit(Operation::Kind::remove_member, 3);
        rig.settle();
        const auto requests = rig.take_requests(2);
        REQUIRE(requests.size() == 1);
        CHECK(requests[0].remove());
        rig.reply(2, requests[0].id(), wire);
        REQUIRE(rig.port.done.back() == operation);
        CHECK(operation->failure == Failure::none);
        CHECK(operation->membership == expected);
    }
}

TEST_CASE("membership requests: asked again after a while, and at once of the next leader") {
    Rig rig;
    rig.alone.follow(1);
    const auto operation = rig.submit(Operation::Kind::add_member, 4);
    rig.settle();
    const auto first = rig.take_requests(2);
    REQUIRE(first.size() == 1);
    // One that says that it doesn't lead isn't asked in every turn as long as we think it does.
    for (int i = 0; i < 50; ++i) {
        rig.reply(2, first[0].id(), Reply::NOT_LEADER);
        rig.reply(2, first[0].id(), static_cast<Reply::Outcome>(99));
        rig.now += 10 * ms;
        rig.settle();
    }
    CHECK(rig.take_requests(2).empty());
    rig.now += 500 * ms;
    rig.settle();
    const auto again = rig.take_requests(2);
    REQUIRE(again.size() == 1);
    CHECK(again[0].id() == first[0].id());
    CHECK(again[0].timeout_ms() == 4000);

    raft::AppendEntries append;
    append.header = {5, 3, 1, 2};
    rig.alone.step(append);
    rig.settle();
    CHECK(rig.take_requests(3).size() == 1);
    rig.reply(2, first[0].id(), Reply::DONE);  // of whom it is asked no more
    CHECK(rig.port.done.empty());
    rig.reply(3, first[0].id(), Reply::DONE);
    CHECK(operation->membership == Outcome::done);
    CHECK(rig.port.done.size() == 1);
}

TEST_CASE("membership requests: what could not be sent was not tried") {
    Rig rig;
    rig.alone.follow(1);
    rig.alone.transport.takes_notes = false;
    const auto operation = rig.submit(Operation::Kind::add_member, 4);
    rig.settle();
    rig.now += 5000 * ms;
    rig.settle();
    REQUIRE(rig.port.done.size() == 1);
    CHECK(operation->failure == Failure::timeout);
}

TEST_CASE("membership requests: a leader that is to go asks for a hand-over until there is one") {
    Rig rig;
    rig.lead();
    const auto operation = rig.submit(Operation::Kind::remove_member, 1);
    rig.settle();
    CHECK(rig.hand_overs == 0);  // the others may be gone
    for (const raft::NodeId peer : {2, 3}) {
        raft::AppendEntriesReply reply;
        reply.header = rig.alone.from(peer, rig.alone.node.core().term());
        rig.alone.node.on_message(reply, rig.now + 1);
    }
    rig.settle();
    rig.settle();
    CHECK(rig.hand_overs >= 2);
    CHECK(rig.configuration() == founders(3));
    rig.alone.follow(9);
    rig.settle();
    const auto requests = rig.take_requests(2);
    REQUIRE(requests.size() == 1);
    CHECK(requests[0].member() == 1);
    CHECK(rig.port.done.empty());
}

TEST_CASE("membership requests: data directories are noted when all is quiet, and only once") {
    MembershipOptions options;
    options.disk_id = 101;
    Rig rig(options);
    rig.lead();
    REQUIRE(rig.configuration().detail(1)->disk_id == 101);
    CHECK(rig.configuration().detail(2)->disk_id == 0);
    raft::PeerStatus status;
    status.id = 2;
    status.disk_id = 102;
    raft::PeerStatus guest;
    guest.id = 50;
    guest.disk_id = 150;
    rig.alone.transport.statuses = {status, guest};
    rig.settle();
    CHECK(rig.configuration().detail(2)->disk_id == 0);  // the first note isn't committed
    rig.acknowledge();
    rig.now += 50 * ms;
    rig.settle();
    CHECK(rig.configuration().detail(2)->disk_id == 102);
    rig.acknowledge();
    CHECK_FALSE(rig.configuration().contains(50));
    const raft::Index last = rig.alone.node.core().log().last_index();
    rig.alone.transport.statuses[0].disk_id = 999;  // is not what was noted
    for (int i = 0; i < 10; ++i) {
        rig.now += 50 * ms;
        rig.settle();
    }
    CHECK(rig.alone.node.core().log().last_index() == last);
    CHECK(rig.configuration().detail(2)->disk_id == 102);
}

TEST_CASE("membership requests: who hears that it was removed, by whomever, is told once") {
    Rig rig;
    CHECK_FALSE(rig.membership.removed());
    rig.membership.on_removed(2);
    rig.membership.on_removed(3);
    CHECK(rig.membership.removed());
}
