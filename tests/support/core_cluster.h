// A cluster of raft::Core in memory, for tests that decide every event themselves: which message
// arrives, which is lost or late, when a disk is done, who ticks, who crashes.
//
// One thread, no clock, no randomness of its own. A crashed node comes back with exactly what its
// disk had. After every event it checks what Raft promises and fails the running test otherwise:
// election safety, log matching, leader completeness, state machine safety, terms and commit
// indexes that never go back, commits that are durable on a quorum, and that nothing leaves a node
// that vouches for what is not durable there.
//
// The state machine of a node is the list of what it applied, a snapshot is that list as bytes. The
// cluster plays the driver's part: it stores snapshots, sends them chunk by chunk, gathers and
// installs them, and checks that every state is what was committed. It doesn't drive raft::Node;
// tests/unit/raft/node_test.cc does.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "raft/core/core.h"

namespace cairn::raft::testing {

// Small numbers, so that tests can count ticks.
CoreOptions small_options();

Entry make_entry(Index index, Term term, std::string_view payload = "x");
// One entry for each term, indexes from 1.
std::vector<Entry> entries_of_terms(const std::vector<Term>& terms);
std::vector<Term> terms_of(const Log& log);

struct ClusterOptions {
    std::size_t nodes = 3;  // ids 1, 2, ...
    // How many of them are the group's first voters, the others wait to be added; 0: all.
    std::size_t founders = 0;
    // Whether the group's first configuration names their data directories.
    bool disks_noted = true;
    CoreOptions core = small_options();
    // Hand a disk the next batch before it finished the last (a driver need not wait for it).
    bool overlapping_writes = false;
    std::size_t snapshot_chunk_bytes = 64;
    // A sender without an answer repeats its chunk after so many ticks, and gives up after so many.
    int snapshot_resend_ticks = 4;
    int snapshot_give_up_ticks = 20;
    // What a tick moves a node's steady time on by.
    std::int64_t tick_ns = 10'000'000;
};

// A state as bytes; `last_included.index` 0: none.
struct Snapshot {
    LogPosition last_included;
    std::shared_ptr<const std::string> bytes;
};
// `entries` are all from the first on.
Snapshot snapshot_of(const std::vector<Entry>& entries);
std::vector<Entry> state_of(const Snapshot& snapshot);

class CoreCluster {
 public:
    using Predicate = std::function<bool(const Message&)>;

    explicit CoreCluster(ClusterOptions options = {});

    Core& core(NodeId id);
    bool is_up(NodeId id) const;
    std::int64_t steady_ns(NodeId id) const;
    bool holds_lease(NodeId id) const;  // now, by its own time
    std::vector<NodeId> ids() const;
    // The leader of the newest term; 0: none.
    NodeId leader() const;

    // Replaces the node by one that starts from this disk.
    void start_from(NodeId id, HardState hard_state, std::vector<Entry> entries);
    // The same behind a snapshot, whose entries count as committed.
    void start_from(NodeId id, HardState hard_state, const std::vector<Entry>& snapshot,
                    std::vector<Entry> entries);
    // What was on its way to the disk is lost, but for the first `written` batches.
    void crash(NodeId id, std::size_t written = 0);
    void restart(NodeId id);
    const std::vector<Entry>& disk(NodeId id) const;
    HardState disk_hard_state(NodeId id) const;

    // Events. Each is followed by the checks; none delivers anything by itself.
    void tick(NodeId id, int ticks = 1);
    // The node's steady time goes on without ticks, as when its process stands still.
    void pass_time(NodeId id, std::int64_t ns);
    void step(Message message);
    ProposeResult propose(NodeId id, std::string_view payload);
    ReadId read_index(NodeId id);
    bool transfer(NodeId from, NodeId target);
    // Appends the planned configuration, which must have come without an error.
    ChangeResult change(NodeId id, const PlannedChange& planned);
    // Replaces the node by one whose disk is new and empty. Returns its disk id. `as_founder`: it
    // is started as when the group was formed, so that it doesn't know that it comes late.
    std::uint64_t lose_disk(NodeId id, bool as_founder = false);
    // Replaces the node by one that has a disk again which was lost.
    void bring_back_disk(NodeId id, std::uint64_t disk_id);
    std::uint64_t disk_id(NodeId id) const { return member(id).disk_id; }
    // As an added member is written down.
    raft::Member newcomer(NodeId id) const;

    // Takes what the node has to say: messages go into transit, its writes to its disk.
    void collect(NodeId id);
    // Disks: a held disk finishes nothing until persist() or release_disk().
    void hold_disk(NodeId id);
    void release_disk(NodeId id);
    bool persist(NodeId id);  // finishes the oldest batch; false: none
    std::size_t writes_under_way(NodeId id) const;

    // Snapshots. One is durable at once, unless the node's snapshots are held: then by
    // persist_snapshot(), release_snapshots() or never.
    Index take_snapshot(NodeId id);  // of what is applied; what it includes
    // Gives up the log that the newest durable snapshot includes, but for the last `kept` entries.
    // Returns the first index left.
    Index compact(NodeId id, Index kept = 0);
    void hold_snapshots(NodeId id);
    void release_snapshots(NodeId id);
    bool persist_snapshot(
        NodeId id);  // finishes the oldest, installs it when it came from a leader
    Index snapshot_index(NodeId id) const;  // newest durable
    bool sends_snapshot(NodeId from, NodeId to) const;
    // The sender repeats its chunk, or gives up.
    void resend_snapshot(NodeId from, NodeId to);
    void give_up_snapshot(NodeId from, NodeId to);
    // How often the core took a leader's snapshot, over all its lives.
    std::uint64_t installed_count(NodeId id) const;
    // Every member that the node's core named since it started.
    const std::vector<NodeId>& snapshots_wanted(NodeId id) const;

    // Network. Rules stay until heal(); dropping comes before holding.
    void drop_if(Predicate predicate);
    void hold_if(Predicate predicate);
    void cut(NodeId from, NodeId to);
    void isolate(NodeId id);
    void heal();          // forgets all rules; what is held stays held
    void release_held();  // puts what is held into transit, in order
    void forget_held();
    std::vector<Message>& held() { return held_; }
    std::deque<Message>& in_transit() { return in_transit_; }
    void deliver(std::size_t position);  // in_transit()[position]; to a crashed node: lost
    // Collects, persists and delivers until nothing moves. Time stands still.
    void settle();
    // `ticks` times: one tick everywhere, then settle().
    void run(int ticks);

    // Makes `id` leader by its own candidacy, whoever leads now; the others' leases lapse first,
    // in silence. False when it did not win.
    bool elect(NodeId id);

    // Everything sent since the last clear, lost or not.
    const std::vector<Message>& sent() const { return sent_; }
    void clear_sent() { sent_.clear(); }
    std::size_t count_sent(const Predicate& predicate) const;

    // What the node has handed over since it started.
    const std::vector<Entry>& applied(NodeId id) const;
    std::vector<std::string> applied_commands(NodeId id) const;
    const std::vector<ReadState>& reads(NodeId id) const;
    // The outcome of one read; nullptr: still open.
    const ReadState* read(NodeId id, ReadId read_id) const;
    // What any node ever saw committed.
    const std::vector<Entry>& committed() const { return committed_; }

 private:
    struct Write {
        Sequence sequence = 0;
        std::optional<HardState> hard_state;
        std::optional<Index> log_start;  // the log so far is void and begins here
        Index release_to = 0;            // what is below isn't wanted, when all else is written
        std::vector<Entry> entries;
    };
    struct SnapshotWrite {
        Snapshot snapshot;
        bool received = false;  // to be installed
    };
    struct Outgoing {
        Snapshot snapshot;
        std::uint64_t offset = 0;
        int idle_ticks = 0;
        int silent_ticks = 0;
    };
    struct Incoming {
        LogPosition last_included;
        std::uint64_t content_bytes = 0;
        std::string bytes;
    };
    struct Member {
        std::unique_ptr<Core> core;
        std::uint64_t incarnation = 0;
        std::uint64_t disk_id = 0;
        bool joined = false;
        std::int64_t steady_ns = 1'000'000'000;
        HardState disk_hard_state;
        std::vector<Entry> disk;
        Index disk_first = 1;  // of disk[0], or of what comes there
        Snapshot snapshot;     // newest durable
        bool disk_held = false;
        bool snapshots_held = false;
        std::deque<Write> writes;
        std::deque<SnapshotWrite> snapshot_writes;
        std::map<NodeId, Outgoing> outgoing;
        std::optional<Incoming> incoming;
        std::vector<NodeId> snapshots_wanted;
        std::uint64_t installed_count = 0;
        std::vector<Entry> applied;
        std::vector<ReadState> reads;
        Ready ready;
        // As of the last check, to see that nothing goes back.
        Term seen_term = 0;
        Index seen_commit = 0;
        bool seen_leading = false;
    };

    static std::uint64_t first_disk_id(NodeId id) { return 1000 + id; }
    Member& member(NodeId id);
    const Member& member(NodeId id) const;
    void start(NodeId id);
    Configuration configuration_behind(const Snapshot& snapshot, const Member& member) const;
    void take_in(Message message);
    bool collect_and_persist();
    static void write(Member& member, const Write& batch);

    // core_cluster_snapshots.cc
    static std::vector<Entry> recover_log(Member& member);
    static const Entry* on_disk(const Member& member, Index index);  // null: not there
    void handle_snapshots(NodeId id);
    void begin_sending(NodeId id, NodeId to);
    void send_chunk(NodeId id, NodeId to);
    void on_snapshot_reply(NodeId id, const InstallSnapshotReply& reply);
    void on_chunk(NodeId id, const InstallSnapshot& chunk);
    void install(NodeId id, const Snapshot& snapshot);
    static void drop_ended_transfers(Member& member);
    void tick_senders(NodeId id);

    // core_cluster_checks.cc
    void check(NodeId id);
    void check_vouching(const Member& member, const Message& message) const;
    void check_leadership(NodeId id);
    void check_commit(NodeId id);
    void check_log_matching() const;
    void check_completeness(const Core& leading, Index from) const;
    bool durable_on_quorum(const Entry& entry, const Configuration& configuration) const;

    ClusterOptions options_;
    Configuration founders_;
    std::vector<Member> members_;
    std::vector<Member> lost_disks_;
    std::vector<Predicate> drop_;
    std::vector<Predicate> hold_;
    std::deque<Message> in_transit_;
    std::vector<Message> held_;
    std::vector<Message> sent_;
    std::map<Term, NodeId> leaders_;
    std::vector<Entry> committed_;
    std::vector<Term> committed_in_;  // term of the node that first saw each committed
};

// Predicates.
template <class T>
bool is_a(const Message& message) {
    return std::holds_alternative<T>(message);
}
template <class T>
CoreCluster::Predicate to_node(NodeId id) {
    return [id](const Message& m) { return is_a<T>(m) && header_of(m).to == id; };
}
template <class T>
CoreCluster::Predicate from_node(NodeId id) {
    return [id](const Message& m) { return is_a<T>(m) && header_of(m).from == id; };
}

}  // namespace cairn::raft::testing
