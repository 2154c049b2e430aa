// What a gateway asks of the node behind it, and how the answer comes back.
//
// A Backend belongs to one gateway thread: it is called there, and it calls back there, whatever
// thread does the work. It bundles what is asked within one turn. The gateway knows nothing of
// Raft, the node nothing of HTTP.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fsm/history.h"
#include "fsm/state_machine.h"
#include "server/http/allowed_origins.h"

namespace cairn::server {

enum class Consistency : std::uint8_t { linearizable, lease, local };

// Why an operation has no result. For a write all but `unknown` mean: certainly not applied.
enum class Failure : std::uint8_t {
    none,
    no_leader,    // nobody leads, or the leader can't be reached: 503 UNAVAILABLE
    overloaded,   // a bound on uncommitted work is reached: 503 OVERLOADED
    dropped,      // another leader's entry took the place: 503 UNAVAILABLE, not_applied
    interrupted,  // a write that may or may not have happened: the leader was lost: 503 UNAVAILABLE
    unknown,      // a write that may or may not have happened when its deadline passed: 504 TIMEOUT
    timeout,      // a read (or min_index wait) whose deadline passed: 504 TIMEOUT
    draining,     // the node shuts down: 503 UNAVAILABLE
    disk_full,    // a write that stores something, and the leader has no room: 507 DISK_FULL
};

inline constexpr std::size_t failure_count = 9;

struct MemberStatus {
    std::uint64_t id = 0;
    std::string raft_address;
    std::string http_address;  // empty when not known yet
    bool voter = true;
    std::uint64_t disk_id = 0;  // of its data directory; 0: not noted yet
    std::string
        state;  // "leader", "follower", "candidate", "pre_candidate", "unreachable", "unknown"
    std::optional<std::uint64_t> match_index;     // known to the leader, told to others
    std::optional<std::uint64_t> lag;             // leader's last index minus match_index
    std::optional<std::int64_t> last_contact_ms;  // since the answering node heard from it
    // Of the link between the answering node and this one.
    std::optional<std::int64_t> rtt_ns;
    std::optional<bool> hears;    // what it sends arrives here
    std::optional<bool> reaches;  // what is sent to it arrives there
};

struct ClusterStatus {
    std::uint64_t cluster_id = 0;
    std::uint64_t node = 0;
    std::string state;  // this node's role
    std::uint64_t leader = 0;
    std::uint64_t term = 0;
    std::uint64_t commit_index = 0;
    std::uint64_t applied_index = 0;
    std::uint64_t last_index = 0;
    bool ready = false;  // has a leader, has caught up, can write
    std::string not_ready_reason;
    std::int64_t leader_since_utc_ns = 0;  // as this node learnt of it; 0: nobody leads
    std::int64_t started_utc_ns = 0;
    std::uint64_t snapshot_index = 0;
    std::int64_t disk_ns = 0;  // a write with its sync, lately; 0: not known
    std::vector<MemberStatus> members;
    std::vector<std::uint64_t> removed;  // ids of those who were members; they aren't used again
};

// What a write waited for, by the replica's clock.
struct WriteTiming {
    std::int64_t received_ns = 0;  // when the gateway had all of the request
    std::int64_t started_ns = 0;   // when it was proposed or passed on; 0: it was not
    std::int64_t commit_ns = 0;    // how long the leader took from its proposal to the commit
    bool forwarded = false;
};

struct NodeFigures;

// What became of a change of the membership.
enum class MembershipOutcome : std::uint8_t {
    done,
    unchanged,  // it was so already
    conflict,   // it can't be, or not now: 409; the operation's error says why
    not_found,  // there is no such member
};

// Something too large for an answer, which the node hands out piece by piece for as long as anybody
// has this. Never changed, so any thread may read it.
struct Download {
    std::uint64_t cluster_id = 0;
    std::uint64_t index = 0;  // everything up to it is included
    std::uint64_t bytes = 0;  // of all pieces
    std::uint32_t crc = 0;    // CRC32C of all of them
    std::uint64_t piece_count = 0;
};

// One question to the node. Reused by its session from request to request: `reset` keeps memory.
struct Operation {
    enum class Kind : std::uint8_t {
        write,
        get,
        list,
        cluster_status,
        take_snapshot,
        transfer_leadership,
        add_member,
        remove_member,
        backup,      // begins one: the answer is `download`
        next_piece,  // of `download`
        end_wait,    // of the long poll `ended`, which answers at once; this itself isn't answered
        metrics,     // `figures`, and what is made of them in `piece`
    };

    Kind kind = Kind::get;
    int timeout_ms = 5000;

    // write: a serialized cairn.server.v1.Command
    std::string command;
    // write: what names it in the logs of the node that it is passed on to; empty: nothing
    std::string request_id;
    std::string trace_id;

    // get: `name`; list: `name` is the prefix
    std::string name;
    std::string after;
    std::size_t limit = 0;
    std::uint64_t at_index = 0;  // list: as it was at this index; 0: as it is
    // lease: becomes linearizable when no lease could serve it
    Consistency consistency = Consistency::linearizable;
    std::uint64_t min_index = 0;  // wait until the node has applied this

    // get: a long poll. When the value has this index (0: there is none), wait so long for another.
    std::uint64_t known_index = 0;
    int wait_ms = 0;                   // 0: don't
    std::shared_ptr<Operation> ended;  // end_wait: which; with its `failure`, if there is one

    // transfer_leadership: who is to lead; add_member, remove_member: who
    std::uint64_t member = 0;
    std::string member_address;                // add_member: host:port of its Raft
    bool stays_learner = false;                // add_member: not to become a voter
    std::shared_ptr<const Download> download;  // next_piece: of what; backup: the answer
    std::uint64_t piece_number = 0;            // next_piece: which, from 0 on

    // The answer.
    Failure failure = Failure::none;
    fsm::Output output;                // write; get (kind get, ok or not_found)
    bool unchanged = false;            // get: the wait is over and the index still the same
    std::vector<fsm::ListItem> items;  // list
    bool more = false;                 // list
    bool too_old = false;              // list: at_index is further back than the node remembers
    std::uint64_t served_index = 0;    // applied index it was served at
    std::int64_t utc_offset_ns = 0;    // deadline + this = UTC
    ClusterStatus cluster;             // cluster_status
    std::uint64_t snapshot_index = 0;  // take_snapshot: everything up to it is included
    MembershipOutcome membership = MembershipOutcome::done;  // add_member, remove_member
    std::string piece;                                       // next_piece, metrics
    std::shared_ptr<NodeFigures> figures;                    // metrics
    WriteTiming timing;
    std::string error;  // why not, or empty: of what concerns the cluster, and of downloads

    // Called once on the gateway's thread, unless the gateway reset it because the client is gone.
    std::function<void()> on_done;
};

// What one turn of the node changed, for all streams; shared by all who look at it.
struct EventBatch {
    std::vector<fsm::Event> events;   // in history order
    std::uint64_t applied_index = 0;  // everything up to here has been published
    std::int64_t utc_offset_ns = 0;
    std::int64_t applied_ns = 0;  // when, by the replica's clock
    fsm::Cursor history_oldest;   // what happened before it is no longer kept
    // Events before this batch are missing (a snapshot took their place): streams that are open
    // can't go on, but resume from their cursor, which tells them of the gap.
    bool history_lost = false;
};

// Opening a stream over one name or a prefix. The answer is atomic with the history: what is in it
// plus every batch that the listener hears afterwards is complete, without overlap.
struct StreamOpen {
    std::string name;
    bool prefix = false;
    // One that begins is told what is selected now; one that resumes in a gap always is.
    bool wants_present = false;
    // Resume after this place in the history; none: from now.
    std::optional<std::uint64_t> after_index;
    // How many events of the entry after_index were seen; all of them when it is UINT32_MAX.
    std::uint32_t after_position = UINT32_MAX;
    std::size_t replay_max = SIZE_MAX;  // as many events, whatever follows: the first ones

    // The answer.
    Failure failure = Failure::none;
    // What happened after the place is no longer kept, and something may have: of a single name
    // nothing did when its value is from before.
    bool gap = false;
    std::vector<fsm::Event> replay;      // events after the place, when it is kept
    std::vector<fsm::ListItem> present;  // what is selected now
    std::uint64_t applied_index = 0;
    std::int64_t utc_offset_ns = 0;

    std::function<void()> on_done;
};

// Facts about the node that any thread may read at any time.
struct NodeView {
    std::uint64_t node = 0;
    std::atomic<std::uint64_t> leader{0};
    std::atomic<std::uint64_t> applied_index{0};
    std::atomic<bool> draining{false};
    MemberAddresses http_addresses;  // of all members that have told them
};

class EventListener {
 public:
    virtual ~EventListener() = default;
    virtual void on_events(const std::shared_ptr<const EventBatch>& batch) = 0;
};

class Backend {
 public:
    virtual ~Backend() = default;
    virtual void submit(std::shared_ptr<Operation> operation) = 0;
    virtual void open_stream(std::shared_ptr<StreamOpen> open) = 0;
    // From the answer to the first open_stream on the listener hears every batch, also empty ones
    // now and then that only move applied_index on.
    virtual void set_listener(EventListener* listener) = 0;
    virtual const NodeView& view() const = 0;
};

}  // namespace cairn::server
