// Replication: what is appended, acknowledged and committed when messages and disks misbehave
// (paper §5.3, §5.4; thesis §10.2).

#include <algorithm>

#include <doctest/doctest.h>

#include "tests/support/core_cluster.h"

namespace {

using namespace cairn::raft;
using namespace cairn::raft::testing;

using Commands = std::vector<std::string>;

const Progress& progress_of(CoreCluster& cluster, NodeId leader, NodeId member) {
    const auto all = cluster.core(leader).progress();
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const Progress& one) { return one.id == member; });
    REQUIRE(found != all.end());
    return *found;
}

bool has_entries(const Message& message) {
    const auto* append = std::get_if<AppendEntries>(&message);
    return append != nullptr && !append->entries.empty();
}

TEST_CASE("replication: a proposal is applied everywhere, in order") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(2));
    CHECK(cluster.propose(2, "a").first_index == 2);
    CHECK(cluster.propose(2, "b").first_index == 3);
    cluster.settle();
    for (const NodeId id : cluster.ids()) {
        CHECK(cluster.applied_commands(id) == Commands{"a", "b"});
    }
    CHECK(cluster.propose(1, "c").error == ProposeError::not_leader);
}

TEST_CASE("replication: a batch gets consecutive indexes of one term") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    const std::vector<Payload> batch{Payload::copy_of("a"), Payload::copy_of("b"), Payload()};
    const ProposeResult result = cluster.core(1).propose(batch);
    CHECK(result.error == ProposeError::none);
    CHECK(result.first_index == 2);
    CHECK(result.term == cluster.core(1).term());
    cluster.settle();
    CHECK(cluster.core(3).commit_index() == 4);
}

TEST_CASE("replication: a leader commits only when an entry of its own term is on a quorum") {
    CoreCluster cluster;
    for (const NodeId id : {1, 2}) {
        cluster.start_from(id, {2, 0}, entries_of_terms({1, 2, 2}));
    }
    cluster.start_from(3, {2, 0}, {});
    cluster.hold_if(has_entries);
    REQUIRE(cluster.elect(1));
    // Node 2 has everything but the no-op, and says so.
    cluster.run(5);
    CHECK(progress_of(cluster, 1, 2).match_index == 3);
    CHECK(cluster.core(1).commit_index() == 0);
    CHECK_FALSE(cluster.core(1).leads_with_commit());
    cluster.heal();
    cluster.release_held();
    cluster.settle();
    CHECK(cluster.core(1).commit_index() == 4);
    CHECK(cluster.core(1).leads_with_commit());
}

TEST_CASE("replication: the window of messages is bounded and resumes after a loss is noticed") {
    ClusterOptions options;
    options.core.append_entries_max = 1;
    options.core.inflight_messages_max = 4;
    CoreCluster cluster(options);
    REQUIRE(cluster.elect(1));
    cluster.cut(1, 2);
    cluster.clear_sent();
    for (int i = 0; i < 20; ++i) {
        cluster.propose(1, "x");
        cluster.collect(1);
    }
    const auto to_2 = [](const Message& m) { return has_entries(m) && header_of(m).to == 2; };
    CHECK(cluster.count_sent(to_2) == 4);
    CHECK(progress_of(cluster, 1, 2).inflight_messages() == 4);
    cluster.settle();
    CHECK(cluster.core(2).log().last_index() == 1);
    cluster.heal();
    cluster.run(options.core.heartbeat_ticks);
    CHECK(cluster.core(2).log().last_index() == 21);
    CHECK(progress_of(cluster, 1, 2).inflight_messages() == 0);
    CHECK(progress_of(cluster, 1, 2).match_index == 21);
}

TEST_CASE("replication: the window of bytes is bounded by itself plus one message") {
    ClusterOptions options;
    options.core.append_bytes_max = 100;
    options.core.inflight_bytes_max = 250;
    CoreCluster cluster(options);
    REQUIRE(cluster.elect(1));
    cluster.hold_if(to_node<AppendEntries>(2));
    for (int i = 0; i < 30; ++i) {
        cluster.propose(1, std::string(40, 'x'));
        cluster.settle();
    }
    std::size_t bytes = 0;
    for (const Message& message : cluster.held()) {
        std::size_t one = 0;
        for (const Entry& entry : std::get<AppendEntries>(message).entries) {
            one += entry.payload.size();
        }
        CHECK(one <= 100);
        bytes += one;
    }
    CHECK(bytes >= 250);
    CHECK(bytes < 250 + 100);
    cluster.heal();
    cluster.release_held();
    cluster.settle();
    CHECK(cluster.core(2).log().last_index() == 31);
    // A single larger entry goes alone.
    cluster.propose(1, std::string(1000, 'y'));
    cluster.propose(1, "z");
    cluster.settle();
    CHECK(cluster.core(2).log().last_index() == 33);
}

TEST_CASE("replication: a lost acknowledgement is made good by a heartbeat's answer") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.crash(3);
    cluster.cut(2, 1);
    cluster.propose(1, "a");
    cluster.settle();
    CHECK(cluster.core(1).commit_index() == 1);
    cluster.heal();
    cluster.run(2);
    CHECK(cluster.core(1).commit_index() == 2);
}

TEST_CASE("replication: a connection that broke makes the leader probe from what is known") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.cut(1, 2);
    cluster.propose(1, "a");
    cluster.settle();
    cluster.core(1).peer_unreachable(2);
    CHECK(progress_of(cluster, 1, 2).state == Progress::State::probe);
    CHECK(progress_of(cluster, 1, 2).next_index == 2);
    cluster.settle();  // the probe is lost too
    cluster.heal();
    cluster.settle();
    CHECK(cluster.core(2).log().last_index() == 1);
    cluster.core(1).peer_reachable(2);
    cluster.settle();
    CHECK(cluster.core(2).log().last_index() == 2);
    CHECK(progress_of(cluster, 1, 2).state == Progress::State::replicate);
}

TEST_CASE("replication: heartbeat answers recover a probed member") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.crash(3);
    cluster.run(1);
    cluster.core(1).peer_unreachable(3);
    cluster.propose(1, "a");
    cluster.settle();
    CHECK(progress_of(cluster, 1, 3).state == Progress::State::probe);
    cluster.clear_sent();
    cluster.settle();
    CHECK(cluster.count_sent(to_node<AppendEntries>(3)) == 0);  // one probe, then it waits
    cluster.restart(3);
    cluster.run(2);
    CHECK(progress_of(cluster, 1, 3).state == Progress::State::replicate);
    CHECK(cluster.applied_commands(3) == Commands{"a"});
}

TEST_CASE("replication: a follower acknowledges only what is durable") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.crash(3);
    cluster.hold_disk(2);
    cluster.propose(1, "a");
    cluster.settle();
    CHECK(cluster.core(2).log().last_index() == 2);
    CHECK(cluster.writes_under_way(2) == 1);
    CHECK(progress_of(cluster, 1, 2).match_index == 1);
    cluster.run(4);  // heartbeats are answered, but not for more than is durable
    CHECK(progress_of(cluster, 1, 2).match_index == 1);
    CHECK(cluster.core(1).commit_index() == 1);
    REQUIRE(cluster.persist(2));
    cluster.settle();
    CHECK(cluster.core(1).commit_index() == 2);
}

TEST_CASE("replication: a follower that lost what it had not acknowledged gets it again") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.hold_disk(2);
    cluster.propose(1, "a");
    cluster.settle();
    cluster.crash(2);
    cluster.restart(2);
    CHECK(cluster.core(2).log().last_index() == 1);
    cluster.release_disk(2);
    cluster.run(4);
    CHECK(cluster.applied_commands(2) == Commands{"a"});
}

TEST_CASE("replication: the leader counts itself only after its own write") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.crash(3);
    cluster.hold_disk(1);
    cluster.propose(1, "a");
    cluster.settle();
    CHECK(progress_of(cluster, 1, 2).match_index == 2);  // its disk ran beside
    CHECK(progress_of(cluster, 1, 1).match_index == 1);
    CHECK(cluster.core(1).commit_index() == 1);
    REQUIRE(cluster.persist(1));
    CHECK(cluster.core(1).commit_index() == 2);
}

TEST_CASE("replication: two followers commit for a leader whose own disk is not done") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.hold_disk(1);
    cluster.propose(1, "a");
    cluster.settle();
    CHECK(cluster.core(1).log().stable_index() == 1);
    CHECK(cluster.core(1).commit_index() == 2);
    CHECK(cluster.applied_commands(2) == Commands{"a"});
    // It crashes and has lost what it committed; the others have not.
    cluster.crash(1);
    cluster.restart(1);
    cluster.release_disk(1);
    CHECK(cluster.disk(1).size() == 1);
    CHECK_FALSE(cluster.elect(1));
    REQUIRE(cluster.elect(2));
    cluster.run(4);
    CHECK(cluster.applied_commands(1) == Commands{"a"});
}

// etcd's async_storage_writes_append_aba_race: an entry is written, overwritten in memory, and
// comes back; that the first write is done must not count for what is there now.
TEST_CASE("replication: the late durability of an overwritten entry doesn't count") {
    ClusterOptions options;
    options.nodes = 5;
    options.overlapping_writes = true;
    CoreCluster cluster(options);
    const auto append = [](NodeId leader, Term term, std::vector<Entry> entries) {
        AppendEntries message;
        message.header = {1, leader, 5, term};
        message.entries = std::move(entries);
        return message;
    };
    cluster.hold_disk(5);
    cluster.step(append(1, 1, {make_entry(1, 1, "A")}));
    cluster.collect(5);
    cluster.step(append(2, 2, {make_entry(1, 2, "B")}));
    cluster.collect(5);
    cluster.step(append(3, 3, {make_entry(1, 1, "A"), make_entry(2, 3, "C")}));
    cluster.collect(5);
    REQUIRE(cluster.writes_under_way(5) == 3);
    cluster.clear_sent();
    REQUIRE(cluster.persist(5));
    cluster.collect(5);
    CHECK(cluster.core(5).log().stable_index() == 0);
    REQUIRE(cluster.persist(5));
    cluster.collect(5);
    CHECK(cluster.core(5).log().stable_index() == 0);
    CHECK(cluster.sent().empty());
    CHECK(cluster.disk(5).at(0).payload.view() == "B");  // A is in memory, B on the disk
    REQUIRE(cluster.persist(5));
    cluster.collect(5);
    CHECK(cluster.core(5).log().stable_index() == 2);
    // Answers of all three terms: only the last may vouch for anything.
    for (const Message& message : cluster.sent()) {
        const auto& reply = std::get<AppendEntriesReply>(message);
        CHECK(reply.match_index == (reply.header.term == 3 ? 2 : 0));
    }
    CHECK(cluster.sent().size() == 1);
}

TEST_CASE("replication: backing up takes no more probes than terms that differ") {
    // The follower has 100 entries of each of three terms nobody else has.
    std::vector<Term> leaders{1};
    std::vector<Term> followers{1};
    for (const Term term : {2, 4, 6}) {
        followers.insert(followers.end(), 100, term);
    }
    for (const Term term : {3, 5, 7}) {
        leaders.insert(leaders.end(), 120, term);
    }
    CoreCluster cluster;
    cluster.start_from(1, {7, 0}, entries_of_terms(leaders));
    cluster.start_from(2, {7, 0}, entries_of_terms(leaders));
    cluster.start_from(3, {7, 0}, entries_of_terms(followers));
    REQUIRE(cluster.elect(1));
    CHECK(terms_of(cluster.core(3).log()) == terms_of(cluster.core(1).log()));
    const auto rejections = cluster.count_sent([](const Message& m) {
        const auto* reply = std::get_if<AppendEntriesReply>(&m);
        return reply != nullptr && reply->rejected && reply->header.from == 3;
    });
    CHECK(rejections >= 1);
    CHECK(rejections <= 3);
}

TEST_CASE("replication: a short log is found by one probe") {
    CoreCluster cluster;
    cluster.start_from(1, {1, 0}, entries_of_terms(std::vector<Term>(500, 1)));
    cluster.start_from(2, {1, 0}, entries_of_terms(std::vector<Term>(500, 1)));
    cluster.start_from(3, {1, 0}, entries_of_terms({1, 1, 1}));
    REQUIRE(cluster.elect(1));
    CHECK(cluster.core(3).log().last_index() == 501);
    CHECK(cluster.count_sent([](const Message& m) {
        const auto* reply = std::get_if<AppendEntriesReply>(&m);
        return reply != nullptr && reply->rejected;
    }) == 1);
}

TEST_CASE("replication: an old append never truncates what is newer in the same term") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.hold_if(is_a<AppendEntriesReply>);  // so that nothing gets committed
    cluster.clear_sent();
    cluster.propose(1, "a");
    cluster.settle();
    const std::vector<Message> early = cluster.sent();
    cluster.propose(1, "b");
    cluster.settle();
    REQUIRE(cluster.core(2).log().last_index() == 3);
    REQUIRE(cluster.core(2).commit_index() == 1);
    std::size_t repeated = 0;
    for (const Message& message : early) {
        if (has_entries(message) && header_of(message).to == 2) {
            cluster.step(message);
            ++repeated;
        }
    }
    CHECK(repeated == 1);
    CHECK(cluster.core(2).log().last_index() == 3);
    CHECK(cluster.core(2).log().stable_index() == 3);
    CHECK(cluster.core(2).statistics().truncations == 0);
}

TEST_CASE("replication: what matched an old leader's log is not vouched for to a new one") {
    CoreCluster cluster;
    AppendEntries append;
    append.header = {1, 1, 2, 1};
    append.entries = entries_of_terms({1, 1, 1, 1, 1});
    cluster.step(append);
    cluster.settle();
    REQUIRE(cluster.core(2).log().stable_index() == 5);
    cluster.clear_sent();
    AppendEntries heartbeat;
    heartbeat.header = {1, 3, 2, 2};
    heartbeat.prev_log_index = 3;
    heartbeat.prev_log_term = 1;
    cluster.step(heartbeat);
    cluster.settle();
    REQUIRE(cluster.sent().size() == 1);
    CHECK(std::get<AppendEntriesReply>(cluster.sent().front()).match_index == 3);
}

TEST_CASE("replication: a commit index that lags is announced without waiting for a heartbeat") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.propose(1, "a");
    cluster.settle();  // no tick
    CHECK(cluster.core(2).commit_index() == 2);
    CHECK(cluster.core(3).commit_index() == 2);
    // And by the next heartbeat when the announcement is lost.
    cluster.drop_if([](const Message& m) {
        const auto* append = std::get_if<AppendEntries>(&m);
        return append != nullptr && append->leader_commit == 3;
    });
    cluster.propose(1, "b");
    cluster.settle();
    CHECK(cluster.core(1).commit_index() == 3);
    CHECK(cluster.core(2).commit_index() == 2);
    cluster.heal();
    cluster.run(2);
    CHECK(cluster.core(2).commit_index() == 3);
}

TEST_CASE("replication: a follower commits no further than it matches its leader") {
    CoreCluster cluster;
    // Entries 2 and 3 are of a deposed leader; the new one announces a commit beyond its probe.
    cluster.start_from(2, {3, 0}, entries_of_terms({1, 2, 2}));
    AppendEntries heartbeat;
    heartbeat.header = {1, 1, 2, 3};
    heartbeat.prev_log_index = 1;
    heartbeat.prev_log_term = 1;
    heartbeat.leader_commit = 3;
    cluster.core(2).step(heartbeat);
    CHECK(cluster.core(2).commit_index() == 1);
}

TEST_CASE("replication: too many uncommitted entries answer busy until some are committed") {
    ClusterOptions options;
    options.core.uncommitted_entries_max = 3;
    CoreCluster cluster(options);
    REQUIRE(cluster.elect(1));
    cluster.hold_if(is_a<AppendEntriesReply>);
    for (int i = 0; i < 3; ++i) {
        CHECK(cluster.propose(1, "x").error == ProposeError::none);
    }
    CHECK(cluster.propose(1, "x").error == ProposeError::busy);
    CHECK(cluster.core(1).log().last_index() == 4);
    cluster.heal();
    cluster.settle();
    cluster.release_held();
    cluster.settle();
    CHECK(cluster.propose(1, "x").error == ProposeError::none);
}

TEST_CASE("replication: too many uncommitted bytes answer busy, a single large entry doesn't") {
    ClusterOptions options;
    options.core.uncommitted_bytes_max = 100;
    CoreCluster cluster(options);
    REQUIRE(cluster.elect(1));
    CHECK(cluster.propose(1, std::string(500, 'x')).error == ProposeError::none);
    CHECK(cluster.propose(1, "x").error == ProposeError::busy);
    cluster.settle();
    CHECK(cluster.propose(1, std::string(60, 'x')).error == ProposeError::none);
    CHECK(cluster.propose(1, std::string(60, 'x')).error == ProposeError::busy);
    CHECK(cluster.propose(1, std::string(40, 'x')).error == ProposeError::none);
    cluster.settle();
    // What a predecessor left uncommitted counts for the successor as well.
    cluster.cut(2, 1);
    cluster.cut(3, 1);
    CHECK(cluster.propose(1, std::string(80, 'x')).error == ProposeError::none);
    cluster.settle();
    cluster.crash(1);
    cluster.hold_if(is_a<AppendEntriesReply>);
    REQUIRE(cluster.elect(2));
    CHECK(cluster.propose(2, std::string(40, 'x')).error == ProposeError::busy);
}

TEST_CASE("replication: a leader takes no more than its own disk does, though others commit") {
    ClusterOptions options;
    options.core.uncommitted_bytes_max = 100;
    options.core.uncommitted_entries_max = 3;
    CoreCluster cluster(options);
    REQUIRE(cluster.elect(1));
    cluster.settle();
    cluster.hold_disk(1);
    CHECK(cluster.propose(1, std::string(60, 'x')).error == ProposeError::none);
    cluster.settle();
    CHECK(cluster.core(1).commit_index() == 2);
    CHECK(cluster.propose(1, std::string(41, 'x')).error == ProposeError::busy);
    CHECK(cluster.propose(1, std::string(38, 'x')).error == ProposeError::none);
    CHECK(cluster.propose(1, "y").error == ProposeError::none);
    cluster.settle();
    CHECK(cluster.core(1).commit_index() == 4);
    CHECK(cluster.propose(1, "z").error == ProposeError::busy);  // a fourth
    cluster.release_disk(1);
    cluster.settle();
    CHECK(cluster.propose(1, std::string(41, 'x')).error == ProposeError::none);
}

TEST_CASE("replication: one turn hands over a bounded number of committed entries") {
    ClusterOptions options;
    options.core.committed_entries_max = 2;
    CoreCluster cluster(options);
    REQUIRE(cluster.elect(1));
    cluster.hold_if(is_a<AppendEntriesReply>);
    for (int i = 0; i < 5; ++i) {
        cluster.propose(1, std::to_string(i));
    }
    cluster.settle();
    cluster.heal();
    cluster.release_held();
    while (!cluster.in_transit().empty()) {
        cluster.deliver(0);
    }
    REQUIRE(cluster.core(1).commit_index() == 6);
    const std::size_t before = cluster.applied(1).size();
    cluster.collect(1);
    CHECK(cluster.applied(1).size() == before + 2);
    CHECK(cluster.core(1).has_more_committed());
    cluster.settle();
    CHECK(cluster.applied_commands(1) == Commands{"0", "1", "2", "3", "4"});
}

TEST_CASE("replication: stamps never go back, whatever clock a leader has") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.core(1).set_clock(1000);
    cluster.propose(1, "a");
    cluster.core(1).set_clock(500);
    cluster.propose(1, "b");
    cluster.settle();
    cluster.crash(1);
    REQUIRE(cluster.elect(2));
    cluster.core(2).set_clock(700);
    cluster.propose(2, "c");
    cluster.settle();
    const std::vector<Entry>& applied = cluster.applied(3);
    REQUIRE(applied.size() == 5);
    CHECK(applied[1].stamp_ns == 1000);
    for (std::size_t i = 1; i < applied.size(); ++i) {
        CHECK(applied[i].stamp_ns >= applied[i - 1].stamp_ns);
    }
}

}  // namespace
