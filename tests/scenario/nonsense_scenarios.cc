// Peers that talk nonsense: it is ignored and counted, and breaks nothing.

#include <algorithm>
#include <limits>

#include <doctest/doctest.h>

#include "raft/core/random.h"
#include "tests/support/core_cluster.h"

namespace {

using namespace cairn::raft;
using namespace cairn::raft::testing;

TEST_CASE("nonsense: what breaks the protocol is ignored and counted") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.core(1).set_clock(100);
    cluster.propose(1, "a");
    cluster.settle();
    Core& node = cluster.core(2);
    REQUIRE(node.commit_index() == 2);
    const Term term = node.term();
    AppendEntries append;
    append.header = {1, 1, 2, term};
    append.prev_log_index = 2;
    append.prev_log_term = term;
    append.entries = {make_entry(3, term), make_entry(4, term)};
    append.entries[0].stamp_ns = append.entries[1].stamp_ns = 200;

    SUBCASE("another group") {
        append.header.group = 2;
    }
    SUBCASE("not for us") {
        append.header.to = 3;
    }
    SUBCASE("from a stranger") {
        append.header.from = 9;
    }
    SUBCASE("from nobody") {
        append.header.from = 0;
    }
    SUBCASE("from ourselves") {
        append.header.from = 2;
    }
    SUBCASE("a second leader of the term") {
        append.header.from = 3;
    }
    SUBCASE("a gap in the entries") {
        append.entries[1].index = 5;
    }
    SUBCASE("a gap at the beginning") {
        append.entries.erase(append.entries.begin());
    }
    SUBCASE("an entry twice") {
        append.entries[1].index = 3;
    }
    SUBCASE("decreasing terms") {
        append.entries[1].term = term - 1;
    }
    SUBCASE("an entry of the future") {
        append.entries[1].term = term + 1;
    }
    SUBCASE("an entry of term 0") {
        append.entries[0].term = 0;
    }
    SUBCASE("a previous entry of the future") {
        append.prev_log_term = term + 1;
    }
    SUBCASE("decreasing stamps") {
        append.entries[1].stamp_ns = 150;
    }
    SUBCASE("stamps below what is there") {
        append.entries[0].stamp_ns = append.entries[1].stamp_ns = 50;
    }
    SUBCASE("stamps below what is there, behind entries that are there") {
        append.prev_log_index = 0;
        append.prev_log_term = 0;
        append.entries = {make_entry(1, term), make_entry(2, term), make_entry(3, term)};
    }
    SUBCASE("contradicts what is committed") {
        append.prev_log_index = 2;
        append.prev_log_term = term - 1;
    }
    SUBCASE("entries that contradict what is committed") {
        append.prev_log_index = 0;
        append.prev_log_term = 0;
        append.header.term = term + 1;
        append.entries = {make_entry(1, term + 1)};
    }
    SUBCASE("a term out of which nothing could be counted") {
        append.header.term = std::numeric_limits<Term>::max();
    }
    const std::uint64_t before = node.statistics().rejected_messages;
    node.step(append);
    CHECK(node.statistics().rejected_messages == before + 1);
    CHECK(node.log().last_index() == 2);
    CHECK(node.commit_index() == 2);
    CHECK(node.term() <= term + 1);
    cluster.collect(2);
    for (const Message& message : cluster.in_transit()) {
        const auto* reply = std::get_if<AppendEntriesReply>(&message);
        CHECK((reply == nullptr || reply->rejected));
    }
}

TEST_CASE("nonsense: acknowledgements of what the leader doesn't have are ignored and counted") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.settle();
    cluster.cut(1, 2);
    cluster.cut(1, 3);
    cluster.propose(1, "a");
    cluster.settle();
    Core& node = cluster.core(1);
    AppendEntriesReply reply;
    reply.header = {1, 2, 1, node.term()};
    SUBCASE("beyond the last entry") {
        reply.match_index = 3;
    }
    SUBCASE("beyond everything") {
        reply.match_index = std::numeric_limits<Index>::max();
    }
    SUBCASE("of a round that never was") {
        reply.match_index = 2;
        reply.read_id = 1000;
    }
    node.step(reply);
    CHECK(node.statistics().rejected_messages == 1);
    CHECK(node.commit_index() == 1);
}

TEST_CASE("nonsense: rejections that make no sense move nothing back below the match") {
    CoreCluster cluster;
    REQUIRE(cluster.elect(1));
    cluster.propose(1, "a");
    cluster.settle();
    for (const Index probed : {Index{0}, Index{1}, Index{2}, Index{3}, Index{1} << 63U}) {
        for (const Index hint : {Index{0}, Index{2}, Index{9}, Index{1} << 63U}) {
            AppendEntriesReply reply;
            reply.header = {1, 2, 1, cluster.core(1).term()};
            reply.rejected = true;
            reply.rejected_prev_log_index = probed;
            reply.hint_index = hint;
            reply.hint_term = 77;
            cluster.step(reply);
            CHECK(cluster.core(1).progress()[1].next_index == 3);
            CHECK(cluster.core(1).progress()[1].match_index == 2);
            if (probed <= 2) {  // an old one: no reason to stop sending ahead
                CHECK(cluster.core(1).progress()[1].state == Progress::State::replicate);
            }
        }
    }
}

class Nonsense {
 public:
    explicit Nonsense(std::uint64_t seed) : random_(seed) {}

    Message next() {
        switch (random_.next() % 9) {
            case 0:
                return RequestVote{header(), number(), number(), flag(), flag()};
            case 1:
                return RequestVoteReply{header(), flag(), flag()};
            case 2:
            case 3:
                return append();
            case 4:
                return AppendEntriesReply{header(), number(), flag(),  number(),
                                          number(), number(), number()};
            case 5:
                return flag() ? Message(ReadIndexRequest{header(), number()})
                              : Message(ReadIndexReply{header(), number(), flag(), number()});
            case 6:
                return snapshot();
            case 7:
                return InstallSnapshotReply{header(), number(), number()};
            default:
                return TimeoutNow{header()};
        }
    }
    Random& random() { return random_; }

 private:
    bool flag() { return random_.next() % 2 == 0; }
    // Mostly small, so that things fit together by chance; now and then at the edges.
    std::uint64_t number() {
        switch (random_.next() % 40) {
            case 0:
                return std::numeric_limits<std::uint64_t>::max() - random_.next() % 2;
            case 1:
                return std::numeric_limits<std::uint64_t>::max() / 2 + random_.next() % 2;
            default:
                return random_.next() % 8;
        }
    }
    Term term() {
        // Rises slowly, so that there is time to do things in a term.
        floor_ += random_.next() % 50 == 0 ? 1 : 0;
        return random_.next() % 20 == 0 ? number() : floor_ + random_.next() % 3;
    }
    Header header() {
        const bool odd = random_.next() % 30 == 0;
        return {odd ? number() : 1, odd ? number() : random_.between(2, 3),
                random_.next() % 30 == 0 ? number() : 1, term()};
    }
    AppendEntries append() {
        AppendEntries message;
        message.header = header();
        message.prev_log_index = number();
        message.prev_log_term = flag() ? number() : message.prev_log_index == 0 ? 0 : 1;
        message.leader_commit = number();
        message.read_id = number();
        message.leader_clock_ns = static_cast<std::int64_t>(number());
        const bool honest = random_.next() % 4 != 0;
        Index index = message.prev_log_index;
        Term entry_term = 1 + random_.next() % 3;
        std::int64_t stamp = static_cast<std::int64_t>(random_.next() % 4);
        for (std::uint64_t left = random_.next() % 5; left > 0; --left) {
            Entry entry;
            entry.index = honest ? ++index : number();
            entry_term += random_.next() % 3 == 0 ? 1 : 0;
            entry.term = honest ? entry_term : number();
            stamp += static_cast<std::int64_t>(random_.next() % 2);
            entry.stamp_ns = honest ? stamp : static_cast<std::int64_t>(random_.next());
            entry.kind = static_cast<EntryKind>(random_.next() % 3);
            entry.payload = Payload::copy_of("payload");
            message.entries.push_back(std::move(entry));
        }
        return message;
    }

    InstallSnapshot snapshot() {
        InstallSnapshot message;
        message.header = header();
        message.last_included = {number(), number(), static_cast<std::int64_t>(number())};
        message.configuration = configuration_of({1, 2, 3});
        if (random_.next() % 20 == 0) {
            message.configuration = {.voters = {number(), number()},
                                     .outgoing_voters = {number()},
                                     .learners = {number()}};
        }
        message.content_bytes = number();
        message.offset = number();
        message.data = flag() ? Payload() : Payload::copy_of("chunk");
        return message;
    }

    Random random_;
    Term floor_ = 0;
};

// No asserts of its own: the core's would abort the process.
TEST_CASE("nonsense: random messages never break an invariant of the core") {
    std::uint64_t leaderships = 0;
    std::uint64_t commits = 0;
    std::uint64_t installations = 0;
    for (std::uint64_t seed = 1; seed <= 400; ++seed) {
        Nonsense nonsense(seed);
        CoreOptions options = small_options();
        options.random_seed = seed;
        options.append_entries_max = 3;
        Core core(options, CoreStart{{}, configuration_of({1, 2, 3}), {}, {}});
        Ready ready;
        Sequence newest = 0;
        Sequence done = 0;
        Term term = 0;
        Index commit = 0;
        for (int i = 0; i < 1500; ++i) {
            core.step(nonsense.next());
            Random& random = nonsense.random();
            if (random.next() % 5 == 0) {
                core.tick();
            }
            if (random.next() % 20 == 0) {
                const Payload payload = Payload::copy_of("own");
                core.propose({&payload, 1});
                core.read_index();
            }
            if (random.next() % 3 == 0) {
                core.take_ready(random.next() % 2 == 0, ready);
                newest = std::max(newest, ready.sequence);
                for (const InstallSnapshot& chunk : ready.snapshot_chunks) {
                    bool replaced = false;
                    if (random.next() % 2 == 0 &&
                        core.installed(chunk.last_included, chunk.configuration, replaced)) {
                        ++installations;
                    }
                }
            }
            if (random.next() % 20 == 0) {
                core.compact(random.next() % 10);
                core.snapshot_failed(random.between(1, 4));
                core.snapshot_received(random.next() % 10, random.next() % 10);
                core.send_snapshot_chunk(random.between(1, 4), {});
            }
            if (done < newest && random.next() % 3 == 0) {
                core.persisted(++done);
            }
            if (core.term() < term || core.commit_index() < commit) {
                FAIL("went back, seed ", seed);
            }
            term = core.term();
            commit = core.commit_index();
        }
        leaderships += core.statistics().leaderships;
        commits += commit;
    }
    CHECK(leaderships > 0);
    CHECK(commits > 0);
    CHECK(installations > 0);
}

}  // namespace
