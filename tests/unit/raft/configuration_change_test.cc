#include "raft/core/configuration_change.h"

#include <algorithm>
#include <string>

#include <doctest/doctest.h>

#include "raft/core/random.h"

namespace {

using namespace cairn::raft;
using Ids = std::vector<NodeId>;

Member member(NodeId id, std::uint64_t disk_id = 0, bool stays_learner = false) {
    return {id, "host-" + std::to_string(id) + ":7", disk_id, stays_learner};
}

// Voters 1, 2, 3 and learner 4, all noted.
Configuration example() {
    Configuration configuration = configuration_of({1, 2, 3});
    configuration.learners = {4};
    for (NodeId id = 1; id <= 4; ++id) {
        configuration.details.push_back(member(id, 100 + id));
    }
    configuration.removed = {9};
    return configuration;
}

TEST_CASE("change: an addition makes a learner of a newcomer") {
    const Configuration now = example();
    const PlannedChange planned = plan_addition(now, member(7, 107, true));
    REQUIRE(planned.error == ChangeError::none);
    CHECK(planned.next.voters == now.voters);
    CHECK(planned.next.learners == Ids{4, 7});
    CHECK_FALSE(planned.next.is_joint());
    REQUIRE(planned.next.detail(7) != nullptr);
    CHECK(*planned.next.detail(7) == member(7, 107, true));
    CHECK(planned.next.removed == now.removed);
    CHECK(is_single_step(now, planned.next));
}

TEST_CASE("change: an addition that is refused") {
    const Configuration now = example();
    CHECK(plan_addition(now, member(9)).error == ChangeError::was_removed);
    CHECK(plan_addition(now, member(2)).error == ChangeError::unchanged);
    CHECK(plan_addition(now, member(4)).error == ChangeError::unchanged);
    Member elsewhere = member(2);
    elsewhere.address = "other:7";
    CHECK(plan_addition(now, elsewhere).error == ChangeError::other_address);
    Member taken = member(7);
    taken.address = member(4).address;
    CHECK(plan_addition(now, taken).error == ChangeError::other_address);
    // Nothing is known of where 1 is.
    CHECK(plan_addition(configuration_of({1}), member(1)).error == ChangeError::other_address);
    Member nowhere = member(7);
    nowhere.address.clear();
    Configuration unknown = now;
    unknown.details[0].address.clear();
    CHECK(plan_addition(unknown, nowhere).error == ChangeError::none);
}

TEST_CASE("change: no more members than may become voters, no more learners than fit") {
    Configuration now = configuration_of({1});
    for (NodeId id = 2; id <= voters_max; ++id) {
        const PlannedChange planned = plan_addition(now, member(id));
        REQUIRE(planned.error == ChangeError::none);
        now = planned.next;
    }
    CHECK(plan_addition(now, member(100)).error == ChangeError::too_many);
    const PlannedChange last = plan_addition(now, member(100, 0, true));
    REQUIRE(last.error == ChangeError::none);
    CHECK(last.next.learners.size() == learners_max);
    CHECK(plan_addition(last.next, member(101, 0, true)).error == ChangeError::too_many);
    Ids all;
    for (NodeId id = 1; id <= voters_max; ++id) {
        all.push_back(id);
    }
    Configuration full = configuration_of(all);
    full.learners = {100};
    CHECK(plan_promotion(full, 100).error == ChangeError::too_many);
}

TEST_CASE("change: the removal of a voter is joint, and its details stay until the second step") {
    const Configuration now = example();
    const PlannedChange planned = plan_removal(now, 2);
    REQUIRE(planned.error == ChangeError::none);
    CHECK(planned.next.voters == Ids{1, 3});
    CHECK(planned.next.outgoing_voters == Ids{1, 2, 3});
    CHECK(planned.next.removed == Ids{2, 9});
    CHECK(planned.next.detail(2) != nullptr);
    CHECK(planned.next.may_campaign(2));
    CHECK(is_single_step(now, planned.next));
    const Configuration last = leave_joint(planned.next);
    CHECK(last.voters == Ids{1, 3});
    CHECK_FALSE(last.is_joint());
    CHECK(last.learners == Ids{4});
    CHECK(last.detail(2) == nullptr);
    CHECK(last.detail(1) != nullptr);
    CHECK(last.detail(4) != nullptr);
    CHECK(last.was_removed(2));
    CHECK(validate(last).empty());
}

TEST_CASE("change: the removal of a learner is one step") {
    const Configuration now = example();
    const PlannedChange planned = plan_removal(now, 4);
    REQUIRE(planned.error == ChangeError::none);
    CHECK_FALSE(planned.next.is_joint());
    CHECK(planned.next.voters == now.voters);
    CHECK(planned.next.learners.empty());
    CHECK(planned.next.detail(4) == nullptr);
    CHECK(planned.next.was_removed(4));
    CHECK(is_single_step(now, planned.next));
}

TEST_CASE("change: a removal that is refused") {
    const Configuration now = example();
    CHECK(plan_removal(now, 7).error == ChangeError::no_such_member);
    CHECK(plan_removal(now, 9).error == ChangeError::unchanged);
    Configuration alone = configuration_of({1});
    alone.learners = {2};
    CHECK(plan_removal(alone, 1).error == ChangeError::last_voter);
    CHECK(plan_removal(alone, 2).error == ChangeError::none);
}

TEST_CASE("change: of too many removed the smallest ids are forgotten") {
    Configuration now = configuration_of({1});
    now.removed.clear();
    for (NodeId id = 0; id < removed_max; ++id) {
        now.removed.push_back(10 + id);
    }
    now.learners = {100000};
    const PlannedChange planned = plan_removal(now, 100000);
    REQUIRE(planned.error == ChangeError::none);
    CHECK(planned.next.removed.size() == removed_max);
    CHECK_FALSE(planned.next.was_removed(10));
    CHECK(planned.next.was_removed(11));
    CHECK(planned.next.was_removed(100000));
    CHECK(validate(planned.next).empty());
}

TEST_CASE("change: a promotion makes a voter of a learner, jointly") {
    const Configuration now = example();
    const PlannedChange planned = plan_promotion(now, 4);
    REQUIRE(planned.error == ChangeError::none);
    CHECK(planned.next.voters == Ids{1, 2, 3, 4});
    CHECK(planned.next.outgoing_voters == Ids{1, 2, 3});
    CHECK(planned.next.learners.empty());
    CHECK(planned.next.details == now.details);
    CHECK(is_single_step(now, planned.next));
    CHECK(plan_promotion(now, 2).error == ChangeError::unchanged);
    CHECK(plan_promotion(now, 9).error == ChangeError::no_such_member);
}

TEST_CASE("change: a voter with a new disk becomes a learner, jointly") {
    const Configuration now = example();
    const PlannedChange planned = plan_new_disk(now, 3, 555);
    REQUIRE(planned.error == ChangeError::none);
    CHECK(planned.next.voters == Ids{1, 2});
    CHECK(planned.next.outgoing_voters == Ids{1, 2, 3});
    CHECK(planned.next.learners == Ids{3, 4});
    CHECK(planned.next.detail(3)->disk_id == 555);
    CHECK(planned.next.detail(3)->address == member(3).address);
    CHECK_FALSE(planned.next.may_campaign(3));
    CHECK(planned.next.is_voter(3));
    CHECK(planned.next.removed == now.removed);
    CHECK(is_single_step(now, planned.next));
    const Configuration last = leave_joint(planned.next);
    CHECK(last.learners == Ids{3, 4});
    CHECK(last.detail(3)->disk_id == 555);
    CHECK_FALSE(last.is_voter(3));
}

TEST_CASE("change: a learner's new disk is one step") {
    const Configuration now = example();
    const PlannedChange planned = plan_new_disk(now, 4, 555);
    REQUIRE(planned.error == ChangeError::none);
    CHECK_FALSE(planned.next.is_joint());
    CHECK(planned.next.learners == Ids{4});
    CHECK(planned.next.detail(4)->disk_id == 555);
    CHECK(is_single_step(now, planned.next));
}

TEST_CASE("change: a new disk that is refused") {
    const Configuration now = example();
    CHECK(plan_new_disk(now, 3, 103).error == ChangeError::unchanged);
    CHECK(plan_new_disk(now, 7, 555).error == ChangeError::no_such_member);
    CHECK(plan_new_disk(now, 9, 555).error == ChangeError::was_removed);
    CHECK(plan_new_disk(configuration_of({1}), 1, 555).error == ChangeError::last_voter);
    // One of which none was noted gets details.
    const PlannedChange planned = plan_new_disk(configuration_of({1, 2}), 2, 555);
    REQUIRE(planned.error == ChangeError::none);
    CHECK(planned.next.detail(2)->disk_id == 555);
}

TEST_CASE("change: disks are noted where none is, and only there") {
    Configuration now = configuration_of({1, 2, 3});
    now.details.push_back(member(2, 102));
    const std::vector<MemberDisk> disks = {{3, 103}, {2, 999}, {1, 101}, {7, 107}};
    const PlannedChange planned = plan_disk_notes(now, disks);
    REQUIRE(planned.error == ChangeError::none);
    CHECK(planned.next.detail(1)->disk_id == 101);
    CHECK(planned.next.detail(2)->disk_id == 102);
    CHECK(planned.next.detail(3)->disk_id == 103);
    CHECK(planned.next.detail(7) == nullptr);
    CHECK(is_single_step(now, planned.next));
    CHECK(plan_disk_notes(planned.next, disks).error == ChangeError::unchanged);
    CHECK(plan_disk_notes(now, {}).error == ChangeError::unchanged);
    const std::vector<MemberDisk> unknown = {{1, 0}};
    CHECK(plan_disk_notes(now, unknown).error == ChangeError::unchanged);
}

TEST_CASE("change: what is no single step") {
    const Configuration now = example();
    CHECK(is_single_step(now, now));
    Configuration other = now;
    other.voters = {1, 2};
    CHECK_FALSE(is_single_step(now, other));  // voters without joint consensus
    other.outgoing_voters = {1, 2};
    CHECK_FALSE(is_single_step(now, other));  // not from here
    other.outgoing_voters = {1, 2, 3};
    CHECK(is_single_step(now, other));
    CHECK_FALSE(is_single_step(other, leave_joint(other)));  // the leader's own to take
    CHECK_FALSE(is_single_step(other, other));
    Configuration wrong = now;
    wrong.learners = {3};
    CHECK_FALSE(is_single_step(now, wrong));
}

TEST_CASE("change: every plan is valid, one step, and its quorums meet those before it") {
    Random random(11);
    const auto majority_meets = [](const Ids& a, const Ids& b) {
        // The largest sets without a common member: all of b that isn't in a's smallest majority.
        const std::size_t common =
            static_cast<std::size_t>(std::count_if(a.begin(), a.end(), [&](NodeId id) {
                return std::binary_search(b.begin(), b.end(), id);
            }));
        const std::size_t needed_a = a.size() / 2 + 1;
        const std::size_t needed_b = b.size() / 2 + 1;
        const std::size_t only_a = a.size() - common;
        const std::size_t of_common = needed_a > only_a ? needed_a - only_a : 0;
        return b.size() - of_common < needed_b;
    };
    Configuration now = configuration_of({1, 2, 3});
    NodeId next_id = 4;
    int made = 0;
    for (int i = 0; i < 3000; ++i) {
        const Ids members = now.members();
        const NodeId some = members[random.next() % members.size()];
        PlannedChange planned;
        switch (random.next() % 4) {
            case 0:
                planned = plan_addition(now, member(next_id, next_id, random.next() % 4 == 0));
                next_id += planned.error == ChangeError::none ? 1 : 0;
                break;
            case 1:
                planned = plan_removal(now, some);
                break;
            case 2:
                planned = plan_promotion(now, some);
                break;
            default:
                planned = plan_new_disk(now, some, 10000 + random.next() % 10000);
                break;
        }
        if (planned.error != ChangeError::none) {
            continue;
        }
        ++made;
        const std::string wrong = validate(planned.next);
        REQUIRE(wrong.empty());
        REQUIRE(is_single_step(now, planned.next));
        Configuration read;
        REQUIRE(decode_configuration(encode_configuration(planned.next), read));
        REQUIRE(read == planned.next);
        if (planned.next.is_joint()) {
            REQUIRE(planned.next.outgoing_voters == now.voters);
            // Core relies on it for a member with a new disk, which is an outgoing voter yet: the
            // incoming majority alone meets every earlier one, and in somebody else.
            REQUIRE(majority_meets(planned.next.voters, now.voters));
            now = leave_joint(planned.next);
        } else {
            now = planned.next;
        }
        REQUIRE(validate(now).empty());
        for (const Member& detail : now.details) {
            REQUIRE(now.contains(detail.id));
        }
    }
    CHECK(made > 500);
}

}  // namespace
