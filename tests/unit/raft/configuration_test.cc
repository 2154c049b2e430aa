#include "raft/core/configuration.h"

#include <algorithm>

#include <doctest/doctest.h>

namespace {

using namespace cairn::raft;

TEST_CASE("configuration: sorts its voters and drops duplicates") {
    const Configuration configuration = configuration_of({3, 1, 2, 3, 1});
    CHECK(configuration.voters == std::vector<NodeId>{1, 2, 3});
    CHECK_FALSE(configuration.is_joint());
    CHECK(configuration.members() == configuration.voters);
    CHECK(configuration == configuration_of({1, 2, 3}));
    CHECK_FALSE(configuration == configuration_of({1, 2}));
}

TEST_CASE("configuration: of nobody") {
    const Configuration configuration = configuration_of({});
    CHECK(configuration.members().empty());
    CHECK_FALSE(configuration.contains(1));
}

TEST_CASE("configuration: both halves vote while joint, learners belong but don't vote") {
    const Configuration configuration{
        .voters = {1, 2, 3}, .outgoing_voters = {2, 3, 4}, .learners = {5}};
    CHECK(configuration.is_joint());
    CHECK(configuration.members() == std::vector<NodeId>{1, 2, 3, 4, 5});
    for (const NodeId id : {1, 2, 3, 4}) {
        CHECK(configuration.is_voter(id));
        CHECK(configuration.contains(id));
    }
    CHECK_FALSE(configuration.is_voter(5));
    CHECK(configuration.contains(5));
    CHECK_FALSE(configuration.contains(6));
    CHECK_FALSE(configuration.contains(0));
}

// With something in every list.
Configuration example() {
    Configuration configuration;
    configuration.voters = {1, 2, 0xfedcba9876543210};
    configuration.outgoing_voters = {1, 2, 3, 4};
    configuration.learners = {4, 5, 6};
    configuration.removed = {3, 9, 10};
    configuration.details = {{1, "a:1", 0xfedcba9876543210, false},
                             {3, "", 3, false},
                             {4, "[::1]:7080", 0, true},
                             {6, std::string(member_address_bytes_max, '~'), 6, true}};
    return configuration;
}

TEST_CASE("configuration: an outgoing voter that becomes a learner doesn't campaign") {
    const Configuration configuration = example();
    CHECK(configuration.may_campaign(1));
    CHECK(configuration.may_campaign(3));
    CHECK(configuration.is_voter(4));
    CHECK(configuration.is_learner(4));
    CHECK_FALSE(configuration.may_campaign(4));
    CHECK_FALSE(configuration.may_campaign(5));
    CHECK_FALSE(configuration.may_campaign(0));
    CHECK_FALSE(configuration.may_campaign(9));
    CHECK(configuration.members() == std::vector<NodeId>{1, 2, 3, 4, 5, 6, 0xfedcba9876543210});
    CHECK(configuration.detail(3)->disk_id == 3);
    CHECK(configuration.detail(2) == nullptr);
    CHECK(configuration.detail(7) == nullptr);
    CHECK(configuration.was_removed(9));
    CHECK_FALSE(configuration.was_removed(1));
}

TEST_CASE("configuration: what is wrong with one") {
    REQUIRE(validate(example()).empty());
    REQUIRE(validate(configuration_of({1})).empty());
    CHECK_FALSE(validate(Configuration{}).empty());
    const auto wrong = [](auto change) {
        Configuration configuration = example();
        change(configuration);
        return !validate(configuration).empty();
    };
    CHECK(wrong([](Configuration& c) { c.voters = {}; }));
    for (const std::vector<NodeId>& ids :
         {std::vector<NodeId>{0}, std::vector<NodeId>{20, 20}, std::vector<NodeId>{21, 20}}) {
        CHECK(wrong([&](Configuration& c) { c.voters = ids; }));
        CHECK(wrong([&](Configuration& c) { c.outgoing_voters = ids; }));
        CHECK(wrong([&](Configuration& c) { c.learners = ids; }));
        CHECK(wrong([&](Configuration& c) { c.removed = ids; }));
    }
    const auto many = [](NodeId count) {
        std::vector<NodeId> ids;
        for (NodeId id = 1; id <= count; ++id) {
            ids.push_back(100 + id);
        }
        return ids;
    };
    CHECK_FALSE(
        wrong([&](Configuration& c) { c.outgoing_voters = many(voters_max), c.details = {}; }));
    CHECK(
        wrong([&](Configuration& c) { c.outgoing_voters = many(voters_max + 1), c.details = {}; }));
    CHECK(wrong([&](Configuration& c) { c.voters = many(voters_max + 1), c.details = {}; }));
    CHECK_FALSE(wrong([&](Configuration& c) { c.learners = many(learners_max), c.details = {}; }));
    CHECK(wrong([&](Configuration& c) { c.learners = many(learners_max + 1), c.details = {}; }));
    CHECK_FALSE(wrong([&](Configuration& c) { c.removed = many(removed_max); }));
    CHECK(wrong([&](Configuration& c) { c.removed = many(removed_max + 1); }));
    CHECK(wrong([](Configuration& c) { c.learners = {2, 4, 6}; }));
    CHECK(wrong([](Configuration& c) { c.removed = {1}; }));
    CHECK(wrong([](Configuration& c) { c.removed = {5}; }));
    CHECK(wrong([](Configuration& c) { std::swap(c.details[0], c.details[1]); }));
    CHECK(wrong([](Configuration& c) { c.details[1] = c.details[0]; }));
    CHECK(wrong([](Configuration& c) { c.details[1].id = 7; }));
    CHECK(wrong([](Configuration& c) { c.details[3].address += 'x'; }));
    for (const char* address : {"a b", "a\n", "\x7f", "\xc3\xa4:1"}) {
        CHECK(wrong([&](Configuration& c) { c.details[0].address = address; }));
    }
}

TEST_CASE("configuration: comes back from its bytes") {
    for (const Configuration& configuration : {example(), configuration_of({7})}) {
        Configuration read = configuration_of({99});
        REQUIRE(decode_configuration(encode_configuration(configuration), read));
        CHECK(read == configuration);
    }
}

TEST_CASE("configuration: no part of its bytes is one, nor more than all of them") {
    const std::string bytes = encode_configuration(example());
    Configuration read = configuration_of({99});
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        CAPTURE(size);
        REQUIRE_FALSE(decode_configuration(std::string_view(bytes).substr(0, size), read));
    }
    REQUIRE_FALSE(decode_configuration(bytes + '\0', read));
    CHECK(read == configuration_of({99}));  // untouched
}

TEST_CASE("configuration: wrong bytes are refused, or are exactly another configuration's") {
    const std::string bytes = encode_configuration(example());
    int accepted = 0;
    for (std::size_t bit = 0; bit < 8 * bytes.size(); ++bit) {
        CAPTURE(bit);
        std::string flipped = bytes;
        flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
        Configuration read;
        if (decode_configuration(flipped, read)) {
            ++accepted;
            REQUIRE(validate(read).empty());
            REQUIRE(encode_configuration(read) == flipped);
            REQUIRE_FALSE(read == example());
        }
    }
    CHECK(accepted > 0);  // a disk id may be anything
    CHECK(accepted < static_cast<int>(8 * bytes.size()));
}

TEST_CASE("configuration: a list that claims to be endless is refused at once") {
    std::string bytes = encode_configuration(configuration_of({1}));
    std::fill(bytes.begin() + 1, bytes.begin() + 5, '\xff');
    Configuration read;
    CHECK_FALSE(decode_configuration(bytes, read));
    CHECK_FALSE(decode_configuration(std::string(100000, '\1'), read));
    // One that the codec can write and that is not valid.
    Configuration nobody;
    CHECK_FALSE(decode_configuration(encode_configuration(nobody), read));
}

}  // namespace
