// Who is a member: carries out what operators ask for, notes the members' data directories, takes
// members that lost theirs in again, and tells the transport and the data directory whom to know.
//
// Lives on the raft thread, between the replica and the node. The leader plans and appends one
// change after the other; any other node passes requests on to it and asks again when it changes,
// which is safe: adding who is there and removing who is gone change nothing. A request is done
// when the configuration it wanted is committed. What changes may follow each other is
// raft/core/configuration_change.h's, when one may be made is raft::Core's.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cairn/server/v1/command.pb.h"
#include "raft/core/node.h"
#include "raft/core/transport.h"
#include "server/node/backend.h"
#include "server/node/port.h"

namespace cairn::server {

struct MembershipOptions {
    std::uint64_t disk_id = 0;      // this node's data directory; 0: of no importance (tests)
    std::size_t requests_max = 64;  // that wait at this node
    std::int64_t resend_ns = 1'000'000'000;
    // Before voters change, a quorum of those that will be must be heard from anew, within this.
    std::int64_t hear_ns = 600'000'000;
    // Requests are counted from here, at random, so that an answer to what this node asked before
    // it was started anew is taken for no other's.
    std::uint64_t first_request_id = 0;
    std::int64_t note_interval_ns = 50'000'000;  // between two looks at who came with which disk
};

// What became of a request.
struct MembershipAnswer {
    MembershipOutcome outcome = MembershipOutcome::done;
    std::string text;  // for people, when it can't be
};

class Membership {
 public:
    using Members = std::vector<std::pair<raft::NodeId, std::string>>;  // with Raft addresses

    // `describe` is what answers to clients show of the cluster. `hand_over` hands leadership to
    // somebody else; `members_changed` hears of every committed change.
    Membership(raft::Node& node, raft::Transport& transport, const MembershipOptions& options,
               std::function<ClusterStatus()> describe, std::function<void()> hand_over,
               std::function<void(const Members&)> members_changed);

    // add_member or remove_member.
    void submit(std::shared_ptr<Operation> operation, Port& port, std::int64_t now_ns);
    void on_request(raft::NodeId from, const v1::MembershipRequest& request, std::int64_t now_ns);
    void on_reply(raft::NodeId from, const v1::MembershipReply& reply);
    // Another configuration is in force or committed, or another node leads.
    void on_change();
    void on_disk_replaced(raft::NodeId peer, std::uint64_t disk_id);
    // A member says that this node is one no more.
    void on_removed(raft::NodeId by);
    void turn(std::int64_t now_ns);
    // Ends what waits.
    void stop();

    // This node was removed from the cluster, and has nothing more to do.
    bool removed() const { return removed_; }
    std::size_t waiting() const { return requests_.size(); }

 private:
    struct Request {
        bool remove = false;
        raft::Member member;
        std::int64_t deadline_ns = 0;
        // Who asked: a client here, or a peer.
        std::shared_ptr<Operation> operation;
        Port* port = nullptr;
        raft::NodeId peer = 0;
        std::uint64_t peer_request_id = 0;
        // Passed on to the leader.
        std::uint64_t id = 0;
        raft::NodeId sent_to = 0;
        std::int64_t sent_ns = 0;
        // Since when this node, leading, means to do it; term 0: not yet.
        raft::Term led_term = 0;
        std::int64_t led_ns = 0;
        // Appended here; term 0: not yet.
        raft::Term appended_term = 0;
        bool tried = false;  // appended or passed on, by whatever term: it may come to be
    };
    bool advance(Request& request);
    bool lead(Request& request);
    bool is_settled() const;
    bool is_fulfilled(const Request& request) const;
    bool hears_quorum(const Request& request, const raft::Configuration& next) const;
    bool another_is_under_way(const Request& request) const;
    void forward(Request& request);
    void finish(Request& request, Failure failure, const MembershipAnswer& answer = {});
    void take_in_again();
    void note_disks();
    void tell_members();

    raft::Node& node_;
    raft::Transport& transport_;
    const MembershipOptions options_;
    std::function<ClusterStatus()> describe_;
    std::function<void()> hand_over_;
    std::function<void(const Members&)> members_changed_;
    std::vector<Request> requests_;
    std::map<raft::NodeId, std::uint64_t> replaced_disks_;
    std::uint64_t last_id_;
    std::int64_t now_ns_ = 0;
    std::int64_t noted_ns_ = 0;
    bool configuration_changed_ = true;
    bool disks_missing_ = true;
    bool removed_ = false;
};

}  // namespace cairn::server
