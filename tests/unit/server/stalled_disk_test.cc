// A disk that is stalled or full, from what is watched to what a group of nodes does about it.
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "server/node/disk_watch.h"
#include "server/node/hand_over.h"
#include "tests/unit/server/replica_group.h"

namespace {

using namespace cairn;
using namespace cairn::server;
using namespace cairn::server::test;
using Change = DiskWatch::Change;

constexpr std::int64_t bound = 1000 * ms;

std::string delete_command(std::string_view name) {
    std::string command;
    fsm::encode_delete(name, 0, command);
    return command;
}

}  // namespace

TEST_CASE("scenario 8: slow is not stalled; one write without an end is, until it has ended") {
    DiskWatch watch(bound);
    std::int64_t now = 5000 * ms;
    // Each write takes nearly as long as it may.
    for (raft::Sequence sequence = 1; sequence <= 20; ++sequence) {
        for (std::int64_t i = 0; i < 99; ++i) {
            REQUIRE(watch.observe(sequence, now) == Change::none);
            now += 10 * ms;
        }
    }
    CHECK(watch.observe(0, now) == Change::none);
    CHECK(watch.observe(0, now += 100 * bound) == Change::none);  // nothing to do
    CHECK_FALSE(watch.is_stalled());

    watch.observe(21, now);
    const std::int64_t began = now;
    while (watch.observe(21, now += 10 * ms) == Change::none) {
        REQUIRE(now < began + 2 * bound);
    }
    CHECK(now == began + bound);
    CHECK(watch.is_stalled());
    CHECK(watch.observe(21, now += 10 * ms) == Change::none);  // said once
    CHECK(watch.stalled_ns() == bound + 10 * ms);
    CHECK(watch.observe(22, now += 10 * ms) == Change::ended);
    CHECK_FALSE(watch.is_stalled());
    CHECK(watch.stalled_ns() == bound + 10 * ms);
    CHECK(watch.observe(22, now += 10 * ms) == Change::none);  // a new one counts from its start
}

TEST_CASE("scenario 8: a pause of the process is not the disk's") {
    DiskWatch watch(bound);
    watch.observe(1, 0);
    CHECK(watch.observe(1, 60'000 * ms) == Change::none);
    CHECK(watch.observe(2, 60'010 * ms) == Change::none);
    CHECK(watch.observe(2, 0) == Change::none);
    CHECK_FALSE(watch.is_stalled());
}

TEST_CASE("scenario 8: handing over is tried at once, then after pauses that grow to a bound") {
    DiskWatch watch(bound);
    CHECK_FALSE(watch.take_attempt(0));
    std::vector<std::int64_t> attempts;
    for (std::int64_t now = 0; now <= 200 * bound; now += 10 * ms) {
        watch.observe(1, now);
        if (watch.take_attempt(now)) {
            attempts.push_back(now / bound);
        }
    }
    CHECK(attempts == std::vector<std::int64_t>{1, 2, 4, 8, 16, 32, 64, 96, 128, 160, 192});
}

TEST_CASE(
    "scenario 8: a node that may not campaign waits, refuses to be made leader, and follows") {
    TestNode alone({1, 2, 3});
    alone.node.set_may_campaign(false);
    for (int i = 0; i < 100; ++i) {
        alone.node.on_tick(1000 * ms);
        alone.settle();
    }
    CHECK(alone.node.core().role() == raft::RoleName::follower);
    CHECK(alone.node.core().term() == 0);
    alone.follow(4);
    alone.step(raft::TimeoutNow{alone.from(2, 4)});
    CHECK(alone.node.core().term() == 4);
    CHECK(alone.node.core().leader_id() == 2);
    // It still helps others to be elected.
    raft::RequestVote vote;
    vote.header = alone.from(3, 5);
    vote.leadership_transfer = true;
    alone.transport.messages.clear();
    alone.step(vote);
    REQUIRE(alone.transport.messages.size() == 1);
    CHECK(std::get<raft::RequestVoteReply>(alone.transport.messages[0]).granted);

    alone.node.set_may_campaign(true);
    alone.lead();

    TestNode asking({1, 2, 3});
    while (asking.node.core().role() != raft::RoleName::pre_candidate) {
        asking.node.on_tick(1000 * ms);
    }
    asking.node.set_may_campaign(false);
    asking.step(raft::RequestVoteReply{asking.from(2, 1), true, true});
    CHECK(asking.node.core().role() == raft::RoleName::follower);
    CHECK(asking.node.core().term() == 0);
}

TEST_CASE("scenario 8: a leader whose disk stalls hands over, and doesn't come back by itself") {
    Group group;
    REQUIRE(group.write(*group.leader(), set_command("a", "1")) == Failure::none);
    Member& old = *group.leader();
    const raft::Term term = group.term();
    old.disk_held = true;
    // The others are a majority: the write goes through, and the disk has something to do.
    CHECK(group.write(old, set_command("a", "2")) == Failure::none);
    group.pass(bound - 50 * ms);
    CHECK(group.leader() == &old);
    CHECK(group.status(old).ready);
    group.pass(200 * ms);
    REQUIRE(group.leader() != nullptr);
    CHECK(group.leader() != &old);
    CHECK(group.term() == term + 1);
    CHECK_FALSE(group.status(old).ready);
    CHECK(group.status(old).not_ready_reason == "the disk is stalled");
    CHECK(group.write(*group.leader(), set_command("a", "3")) == Failure::none);
    Member* const next = group.leader();
    group.pass(10 * bound);
    CHECK(group.leader() == next);
    CHECK(group.term() == term + 1);

    old.disk_held = false;
    group.pass(10 * bound);
    CHECK(group.leader() == next);
    CHECK(group.term() == term + 1);
    CHECK(group.status(old).ready);
    CHECK(group.write(old, set_command("a", "4")) == Failure::none);
    CHECK(*old.replica.state_machine().get("a")->bytes == "4");
}

TEST_CASE("scenario 8: if the one that is to take over can't, another one is asked") {
    Group group(5);
    Member& old = *group.leader();
    old.disk_held = true;
    REQUIRE(group.write(old, set_command("a", "1")) == Failure::none);
    // All others have it. The disk of the one that is asked first stalls at its own vote.
    Member& first = group.member(hand_over_target(old.replica.node().core()));
    first.disk_held = true;
    group.pass(bound + 500 * ms);
    CHECK(group.leader() == &old);
    CHECK_FALSE(first.replica.node().core().is_durable());  // it was asked
    group.pass(bound);
    REQUIRE(group.leader() != nullptr);
    CHECK(group.leader() != &old);
    CHECK(group.leader() != &first);
    CHECK(group.write(*group.leader(), set_command("a", "3")) == Failure::none);
}

TEST_CASE(
    "scenario 8: a stalled node that loses its leader doesn't campaign until the disk answers") {
    Group group;
    Member& slow = group.follower();
    slow.disk_held = true;
    REQUIRE(group.write(*group.leader(), set_command("a", "1")) == Failure::none);
    group.pass(2 * bound);
    slow.cut_off = true;
    const auto& core = slow.replica.node().core();
    for (int i = 0; i < 300; ++i) {
        group.pass(10 * ms);
        REQUIRE(core.role() == raft::RoleName::follower);
    }
    CHECK(core.leader_id() == 0);
    slow.disk_held = false;
    bool campaigned = false;
    for (int i = 0; i < 100; ++i) {
        group.pass(10 * ms);
        campaigned = campaigned || core.role() == raft::RoleName::pre_candidate;
    }
    CHECK(campaigned);
}

TEST_CASE("scenario 8: a follower whose disk stalls leaves commit and leadership alone") {
    Group group;
    Member& lead = *group.leader();
    Member& slow = group.follower();
    const raft::Term term = group.term();
    slow.disk_held = true;
    for (int i = 0; i < 30; ++i) {
        CHECK(group.write(lead, set_command("a", std::to_string(i))) == Failure::none);
        group.pass(100 * ms);
    }
    CHECK(group.leader() == &lead);
    CHECK(group.term() == term);
    CHECK(group.status(lead).ready);
    CHECK(group.status(slow).not_ready_reason == "the disk is stalled");
    CHECK(group.write(slow, set_command("a", "through it")) == Failure::none);
    // Nobody can make it leader either.
    const auto transfer = std::make_shared<Operation>();
    transfer->kind = Operation::Kind::transfer_leadership;
    transfer->member = slow.view.node;
    lead.replica.submit(transfer, lead.port);
    group.pass(bound);
    CHECK(group.leader() == &lead);
    CHECK(group.term() == term);
    slow.disk_held = false;
    group.pass(bound);
    CHECK(group.term() == term);
    CHECK(*slow.replica.state_machine().get("a")->bytes == "through it");
    CHECK(group.status(slow).ready);
}

TEST_CASE("scenario 7: a leader without room takes deletes, reads and expiry, and nothing else") {
    Group group;
    Member& lead = *group.leader();
    Member& other = group.follower();
    REQUIRE(group.write(lead, set_command("a", "1")) == Failure::none);
    REQUIRE(group.write(lead, set_command("b", "1")) == Failure::none);
    REQUIRE(group.write(lead, set_command("short", "1", 500 * ms)) == Failure::none);
    other.storage.full = true;  // a follower's is no reason to refuse
    CHECK(group.write(other, set_command("a", "2")) == Failure::none);
    CHECK(group.status(lead).ready);
    CHECK(group.status(other).not_ready_reason == "the disk is full");
    other.storage.full = false;

    lead.storage.full = true;
    const raft::Index last = lead.replica.node().core().log().last_index();
    CHECK(group.write(lead, set_command("a", "3")) == Failure::disk_full);
    CHECK(group.write(other, set_command("a", "3")) == Failure::disk_full);
    CHECK(lead.replica.node().core().log().last_index() == last);
    CHECK(group.write(lead, delete_command("a")) == Failure::none);
    CHECK(group.write(other, delete_command("b")) == Failure::none);
    CHECK_FALSE(group.status(lead).ready);
    CHECK(group.status(lead).not_ready_reason == "the disk is full");
    const auto read = std::make_shared<Operation>();
    read->kind = Operation::Kind::get;
    read->name = "a";
    other.replica.submit(read, other.port);
    group.settle();
    CHECK(read->failure == Failure::none);
    CHECK(read->output.status == fsm::Status::not_found);
    group.pass(600 * ms);
    CHECK(lead.replica.state_machine().get("short") == nullptr);
    CHECK(group.leader() == &lead);

    lead.storage.full = false;
    CHECK(group.write(other, set_command("a", "4")) == Failure::none);
    CHECK(group.status(lead).ready);
}
