// Seeded chaos: what the checks of CoreCluster must survive, and peers that talk nonsense. Every
// failure names its seed; the same seed plays the same run.

#include <algorithm>
#include <limits>

#include <doctest/doctest.h>

#include "raft/random.h"
#include "tests/support/core_cluster.h"

namespace {

using namespace cairn::raft;
using namespace cairn::raft::testing;

// One random event; messages are lost, doubled and reordered, disks finish when they like.
class ChaosRun {
 public:
    ChaosRun(std::uint64_t seed, ClusterOptions options)
        : random_(seed), cluster_(std::move(options)) {}

    void play(int steps) {
        for (int i = 0; i < steps; ++i) {
            event();
        }
        check_recovers();
    }
    const CoreCluster& cluster() const { return cluster_; }

 private:
    bool chance(std::uint64_t percent) { return random_.next() % 100 < percent; }
    NodeId any_node() { return random_.between(1, cluster_.ids().size()); }

    void event() {
        const NodeId id = any_node();
        const std::uint64_t dice = random_.next() % 100;
        if (dice < 10) {
            tick(id);
        } else if (dice < 16) {
            write(cluster_.leader());
        } else if (dice < 20) {
            read(id);
        } else if (dice < 22) {
            crash_or_restart(id);
        } else if (dice < 24) {
            disturb(id);
        } else if (dice < 36) {
            cluster_.persist(id);
        } else if (dice < 55) {
            collect(id);
        } else {
            network();
        }
        confirm_reads();
    }

    void tick(NodeId id) {
        if (cluster_.is_up(id)) {
            cluster_.tick(id, chance(10) ? 12 : 1);
        }
    }

    void disturb(NodeId id) {
        const NodeId leader = cluster_.leader();
        if (leader == 0) {
            return;
        }
        if (chance(20)) {
            cluster_.transfer(leader, id);
        } else {
            cluster_.core(leader).peer_unreachable(id);
        }
    }

    void write(NodeId leader) {
        if (leader == 0) {
            return;
        }
        const std::string text = std::to_string(++writes_);
        if (cluster_.propose(leader, text).error == ProposeError::none && chance(50)) {
            collect(leader);
        }
    }

    void collect(NodeId id) {
        if (cluster_.is_up(id)) {
            cluster_.collect(id);
        }
    }

    // A read must see at least what was committed when it was asked.
    void read(NodeId id) {
        if (!cluster_.is_up(id)) {
            return;
        }
        if (const ReadId read = cluster_.read_index(id); read != 0) {
            open_reads_.push_back({id, read, cluster_.committed().size()});
        }
    }

    void confirm_reads() {
        std::erase_if(open_reads_, [&](const OpenRead& open) {
            const ReadState* state = cluster_.read(open.node, open.read);
            if (state != nullptr && state->ok) {
                REQUIRE(state->read_index >= open.committed);
            }
            return state != nullptr;
        });
    }

    void crash_or_restart(NodeId id) {
        if (!chance(25)) {
            return;
        }
        if (cluster_.is_up(id)) {
            cluster_.crash(id, random_.next() % 3);
            std::erase_if(open_reads_, [&](const OpenRead& open) { return open.node == id; });
        } else {
            cluster_.restart(id);
        }
    }

    void network() {
        std::deque<Message>& messages = cluster_.in_transit();
        if (messages.empty()) {
            return;
        }
        const std::size_t at = chance(30) ? random_.next() % messages.size() : 0;
        if (chance(10)) {
            messages.erase(messages.begin() + static_cast<std::ptrdiff_t>(at));
            return;
        }
        if (chance(10)) {
            const Message again = messages[at];
            messages.push_back(again);
        }
        cluster_.deliver(at);
    }

    // When the faults stop it converges and works.
    void check_recovers() {
        for (const NodeId id : cluster_.ids()) {
            if (!cluster_.is_up(id)) {
                cluster_.restart(id);
            }
        }
        cluster_.run(100);
        const NodeId leader = cluster_.leader();
        REQUIRE(leader != 0);
        REQUIRE(cluster_.propose(leader, "last").error == ProposeError::none);
        cluster_.run(10);
        for (const NodeId id : cluster_.ids()) {
            REQUIRE(cluster_.applied(id).size() == cluster_.committed().size());
            REQUIRE(cluster_.applied_commands(id).back() == "last");
            REQUIRE(cluster_.core(id).statistics().rejected_messages == 0);
        }
        for (const OpenRead& open : open_reads_) {
            const ReadState* state = cluster_.read(open.node, open.read);
            REQUIRE(state != nullptr);
            REQUIRE((!state->ok || state->read_index >= open.committed));
        }
    }

    struct OpenRead {
        NodeId node = 0;
        ReadId read = 0;
        Index committed = 0;
    };
    Random random_;
    CoreCluster cluster_;
    std::vector<OpenRead> open_reads_;
    int writes_ = 0;
};

TEST_CASE("chaos: loss, doubles, reordering, slow disks and crashes break no promise") {
    std::size_t committed = 0;
    for (std::uint64_t seed = 1; seed <= 400; ++seed) {
        CAPTURE(seed);
        ClusterOptions options;
        options.nodes = seed % 4 == 0 ? 5 : 3;
        options.core.random_seed = seed;
        options.overlapping_writes = seed % 2 == 0;
        options.core.append_entries_max = 1 + seed % 3;
        options.core.inflight_messages_max = 1 + seed % 5;
        options.core.persist_bytes_max = seed % 3 == 0 ? 2 : 1000;
        ChaosRun run(seed, options);
        run.play(2500);
        committed += run.cluster().committed().size();
    }
    CHECK(committed > 400 * 10);  // it did something
}

TEST_CASE("chaos: acknowledgements lost, doubled and late alone cost no entry") {
    for (std::uint64_t seed = 1; seed <= 200; ++seed) {
        CAPTURE(seed);
        ClusterOptions options;
        options.core.random_seed = seed;
        options.core.inflight_messages_max = 2;
        CoreCluster cluster(options);
        Random random(seed);
        REQUIRE(cluster.elect(1));
        cluster.hold_if(is_a<AppendEntriesReply>);
        for (int i = 0; i < 20; ++i) {
            cluster.propose(1, std::to_string(i));
            cluster.settle();
            std::vector<Message>& held = cluster.held();
            if (!held.empty()) {
                const auto at = static_cast<std::ptrdiff_t>(random.next() % held.size());
                const Message message = held[static_cast<std::size_t>(at)];
                if (random.next() % 3 != 0) {
                    held.erase(held.begin() + at);
                }
                if (random.next() % 2 != 0) {
                    cluster.step(message);
                }
            }
        }
        cluster.heal();
        cluster.forget_held();
        cluster.run(6);
        CHECK(cluster.core(1).is_leader());
        for (const NodeId id : cluster.ids()) {
            CHECK(cluster.applied_commands(id).size() == 20);
        }
    }
}

// ---- Nonsense from peers
// -------------------------------------------------------------------------

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
        switch (random_.next() % 7) {
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

    Random random_;
    Term floor_ = 0;
};

// No asserts of its own: the core's would abort the process.
TEST_CASE("nonsense: random messages never break an invariant of the core") {
    std::uint64_t leaderships = 0;
    std::uint64_t commits = 0;
    for (std::uint64_t seed = 1; seed <= 400; ++seed) {
        Nonsense nonsense(seed);
        CoreOptions options = small_options();
        options.random_seed = seed;
        options.append_entries_max = 3;
        Core core(options, configuration_of({1, 2, 3}), {}, {});
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
}

}  // namespace
