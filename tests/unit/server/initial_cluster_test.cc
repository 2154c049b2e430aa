#include "server/settings/initial_cluster.h"

#include <optional>
#include <string>

#include <doctest/doctest.h>

#include "raft/core/quorum.h"

using namespace cairn::server;

namespace {

std::string read(std::string_view text) {
    const ParseResult<InitialCluster> members = parse_initial_cluster(text);
    return members ? initial_cluster_text(*members) : "!" + members.error().text;
}

InitialCluster cluster(std::string_view text) {
    ParseResult<InitialCluster> members = parse_initial_cluster(text);
    REQUIRE(members.has_value());
    return *std::move(members);
}

}  // namespace

TEST_CASE("a list of members, sorted by id") {
    const InitialCluster members = cluster("3=c:3,1=[::1]:1, 2=10.0.0.2:2 ");
    REQUIRE(members.size() == 3);
    CHECK(members[0] == InitialMember{1, {"::1", 1}});
    CHECK(members[1] == InitialMember{2, {"10.0.0.2", 2}});
    CHECK(members[2] == InitialMember{3, {"c", 3}});
    CHECK(initial_cluster_text(members) == "1=[::1]:1,2=10.0.0.2:2,3=c:3");
    CHECK(cluster(initial_cluster_text(members)) == members);
    CHECK(has_member(members, 2));
    CHECK_FALSE(has_member(members, 4));
}

TEST_CASE("ids are sorted as numbers") {
    CHECK(read("10=a:1,9=b:1") == "9=b:1,10=a:1");
}

TEST_CASE("ids go from 1 to 2^63") {
    CHECK(read("9223372036854775808=a:1") == "9223372036854775808=a:1");
    for (const char* id : {"0", "9223372036854775809", "18446744073709551616", "-1", "+1", "1a", "",
                           " ", "0x1", "1 "}) {
        CAPTURE(id);
        CHECK(read(std::string(id) + "=a:1").starts_with('!'));
        CHECK_FALSE(parse_node_id(id).has_value());
    }
    CHECK(*parse_node_id("9223372036854775808") == node_id_max);
}

TEST_CASE("what is no list is refused") {
    for (const char* text : {"", ",", "1=a:1,", ",1=a:1", "1=a:1,,2=b:2", "a:1", "1", "1=", "=a:1",
                             "1=a", "1=a:0", "1=a:65536", "1=a:1;2=b:2", "1=a:1 2=b:2", "1:a:1"}) {
        CAPTURE(text);
        CHECK(read(text).starts_with('!'));
    }
}

TEST_CASE("duplicates are refused") {
    CHECK(read("1=a:1,2=b:2,1=c:3") == "!id 1 is in the list twice");
    CHECK(read("1=a:1,1=a:1") == "!id 1 is in the list twice");
    CHECK(read("1=a:1,2=b:2,3=A:1") == "!nodes 1 and 3 have the same address \"a:1\"");
    CHECK(read("1=a:1,2=a:2") == "1=a:1,2=a:2");
}

TEST_CASE("an address that nobody can dial serves one node alone") {
    CHECK(read("1=0.0.0.0:7080") == "1=0.0.0.0:7080");
    CHECK(read("1=0.0.0.0:7080,2=b:1") ==
          "!\"0.0.0.0:7080\" is an address that other nodes can't dial");
    CHECK(read("1=a:1,2=[::]:1").starts_with('!'));
}

TEST_CASE("the list is bounded") {
    // Raft asserts on its own bound: a longer list must be refused before it gets there.
    static_assert(initial_members_max <= cairn::raft::voters_max);
    std::string text;
    for (std::size_t i = 1; i <= initial_members_max; ++i) {
        text += (i > 1 ? "," : "") + std::to_string(i) + "=a:" + std::to_string(i);
    }
    CHECK(read(text) == text);
    CHECK(read(text + ",1000=b:1")
              .starts_with("!the list names more than " + std::to_string(initial_members_max)));
    CHECK(read(text + ",1000=b:1,x") == read(text + ",1000=b:1"));
}

TEST_CASE("the cluster id never changes") {
    // These numbers are in data directories: if this fails, the code is wrong, not the test.
    CHECK(cluster_id_of(cluster("1=127.0.0.1:7080")) == 13192080636710612921U);
    CHECK(cluster_id_of(cluster("1=127.0.0.1:7081,2=127.0.0.1:7082,3=127.0.0.1:7083")) ==
          3637465290183931659U);
}

TEST_CASE("the cluster id is that of the members, not of how they were written") {
    const std::uint64_t id = cluster_id_of(cluster("1=a:1,2=[::1]:2"));
    CHECK(cluster_id_of(cluster("2=[0:0::1]:2, 1=A:1")) == id);
    CHECK(cluster_id_of(cluster("1=a:1,2=[::1]:3")) != id);
    CHECK(cluster_id_of(cluster("1=a:1,3=[::1]:2")) != id);
    CHECK(cluster_id_of(cluster("1=a:1")) != id);
}

TEST_CASE("the data directory's list against the one given") {
    const InitialCluster stored = cluster("1=a:1,2=b:2,3=c:3");
    CHECK(match_initial_cluster(stored, std::nullopt) == ClusterMatch::same);
    CHECK(match_initial_cluster(stored, stored) == ClusterMatch::same);
    CHECK(match_initial_cluster(stored, cluster("3=C:3,2=b:2,1=a:1")) == ClusterMatch::same);

    CHECK(match_initial_cluster(stored, cluster("1=a:1")) == ClusterMatch::stored_wins);
    CHECK(match_initial_cluster(stored, cluster("1=x:1,2=b:2,4=d:4")) == ClusterMatch::stored_wins);
    CHECK(match_initial_cluster(stored, cluster("1=a:1,2=b:2,3=c:3,4=d:4")) ==
          ClusterMatch::stored_wins);

    CHECK(match_initial_cluster(stored, cluster("4=d:4")) == ClusterMatch::another_cluster);
    // Neither the ids nor the addresses alone make it the same cluster.
    CHECK(match_initial_cluster(stored, cluster("1=x:1,2=y:2,3=z:3")) ==
          ClusterMatch::another_cluster);
    CHECK(match_initial_cluster(stored, cluster("1=b:2,2=c:3,3=a:1")) ==
          ClusterMatch::another_cluster);
}
