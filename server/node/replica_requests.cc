// What people ask of the cluster itself through a replica: a snapshot now, another leader.
#include "server/node/replica.h"

namespace cairn::server {

namespace {

constexpr std::int64_t ns_per_ms = 1'000'000;

}  // namespace

void Replica::take_snapshot(std::shared_ptr<Operation> operation, Port& port) {
    operation->failure = Failure::none;
    operation->error.clear();
    operation->snapshot_index = 0;
    const std::int64_t deadline_ns = steady_ns_ + operation->timeout_ms * ns_per_ms;
    const auto request = std::make_shared<SnapshotRequest>(
        SnapshotRequest{std::move(operation), &port, deadline_ns});
    snapshot_requests_.push_back(request);
    snapshots_.take([request](raft::Index index, const std::string& error) {
        if (!request->operation) {
            return;  // too late
        }
        request->operation->snapshot_index = index;
        request->operation->error = error;
        request->port->finished(std::move(request->operation));
    });
}

// The snapshot goes on; only the asker doesn't wait for it any more.
void Replica::end_late_snapshot_requests() {
    std::erase_if(snapshot_requests_, [this](const std::shared_ptr<SnapshotRequest>& request) {
        if (request->operation && steady_ns_ >= request->deadline_ns) {
            request->operation->failure = Failure::timeout;
            request->port->finished(std::move(request->operation));
        }
        return !request->operation;
    });
}

// The leader hands over; anybody else passes the wish on and watches who leads.
void Replica::start_transfer(std::shared_ptr<Operation> operation, Port& port) {
    const raft::Core& core = node_.core();
    operation->failure = Failure::none;
    operation->error.clear();
    if (!core.configuration().is_voter(operation->member)) {
        operation->error = "There is no voter with this id.";
        port.finished(std::move(operation));
        return;
    }
    if (core.is_leader()) {
        node_.transfer_leadership(operation->member);
    } else if (core.leader_id() != 0 && core.leader_id() != operation->member) {
        v1::PeerNote note;
        note.mutable_transfer_request()->set_target(operation->member);
        (void)transport_.send_application(core.leader_id(), note.SerializeAsString());
    }
    const std::int64_t deadline_ns = steady_ns_ + operation->timeout_ms * ns_per_ms;
    transfers_.push_back({std::move(operation), &port, deadline_ns});
}

void Replica::finish_transfers() {
    std::erase_if(transfers_, [this](Transfer& transfer) {
        const bool done = node_.core().leader_id() == transfer.operation->member;
        const bool given_up = leaderless_ns() > options_.reads.hold_ns;
        if (!done && !given_up && steady_ns_ < transfer.deadline_ns) {
            return false;
        }
        transfer.operation->failure = done       ? Failure::none
                                      : given_up ? Failure::no_leader
                                                 : Failure::timeout;
        transfer.port->finished(std::move(transfer.operation));
        return true;
    });
}

}  // namespace cairn::server
