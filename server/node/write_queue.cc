#include "server/node/write_queue.h"

#include <algorithm>
#include <utility>

#include "fsm/command.h"

namespace cairn::server {

namespace {

constexpr std::int64_t ns_per_ms = 1'000'000;

v1::ForwardReply::Outcome outcome_of(Failure failure) {
    switch (failure) {
        case Failure::none:
            return v1::ForwardReply::APPLIED;
        case Failure::overloaded:
            return v1::ForwardReply::OVERLOADED;
        case Failure::dropped:
            return v1::ForwardReply::DROPPED;
        case Failure::no_leader:
        case Failure::draining:
            return v1::ForwardReply::NOT_LEADER;
        case Failure::disk_full:
            return v1::ForwardReply::DISK_FULL;
        case Failure::unknown:
        case Failure::interrupted:
        case Failure::timeout:
            break;
    }
    return v1::ForwardReply::UNKNOWN;
}

// Copying a small command costs less than keeping its memory; a large one is not copied.
raft::Payload payload_of(std::string& command) {
    constexpr std::size_t copied_bytes_max = 4096;
    if (command.size() <= copied_bytes_max) {
        return raft::Payload::copy_of(command);
    }
    return raft::Payload::taken_from(std::move(command));
}

}  // namespace

void WriteQueue::submit(std::shared_ptr<Operation> operation, Port& port, std::int64_t now_ns) {
    Write write;
    write.deadline_ns = now_ns + operation->timeout_ms * ns_per_ms;
    write.held_since_ns = now_ns;
    write.operation = std::move(operation);
    write.port = &port;
    admit(std::move(write));
}

void WriteQueue::submit_internal(std::string command) {
    Write write;
    write.command = std::move(command);
    write.deadline_ns = 0;
    queued_.push_back(std::move(write));
}

void WriteQueue::on_forward_request(raft::NodeId from, v1::ForwardRequest& request,
                                    std::int64_t now_ns) {
    Write write;
    write.origin = from;
    write.origin_id = request.id();
    write.command = std::move(*request.mutable_command());
    write.deadline_ns = now_ns + request.timeout_ms() * ns_per_ms;
    if (on_peers_write) {
        write.request_id = std::move(*request.mutable_request_id());
        write.trace_id = std::move(*request.mutable_trace_id());
    }
    admit(std::move(write));
}

void WriteQueue::admit(Write write) {
    const std::size_t bytes = write.bytes().size();
    // One that is larger than the bound is let through when nothing else waits.
    if (queued_.size() >= limits_.held_max ||
        (held_bytes_ != 0 && held_bytes_ + bytes > limits_.held_bytes_max)) {
        finish(write, Failure::overloaded, nullptr, 0);
        return;
    }
    write.held_bytes = bytes;
    held_bytes_ += bytes;
    queued_.push_back(std::move(write));
}

// Its command isn't kept for it any more.
void WriteQueue::let_go(Write& write) {
    held_bytes_ -= std::exchange(write.held_bytes, 0);
}

void WriteQueue::start_turn(std::int64_t now_ns, bool disk_full) {
    now_ns_ = now_ns;
    if (queued_.empty()) {
        return;
    }
    if (node_.core().is_leader()) {
        // The next leader may have room.
        if (disk_full && !node_.core().is_transferring()) {
            refuse_what_needs_room();
        }
        propose_queued(now_ns);
        return;
    }
    refuse_peers_writes();
    forward_queued(now_ns);
}

void WriteQueue::refuse_what_needs_room() {
    std::erase_if(queued_, [this](Write& write) {
        if (!fsm::needs_room(write.bytes())) {
            return false;
        }
        finish(write, Failure::disk_full, nullptr, 0);
        return true;
    });
}

// As many as the core takes now; the others would only wait behind them.
void WriteQueue::propose_queued(std::int64_t now_ns) {
    if (node_.core().is_transferring()) {
        refuse_peers_writes();  // ours wait for the new leader
        return;
    }
    payloads_.clear();
    for (Write& write : queued_) {
        // From here on a command is proposed or refused: nobody needs it again.
        payloads_.push_back(payload_of(write.bytes()));
    }
    payloads_.resize(node_.core().proposable(payloads_));
    const raft::ProposeResult proposed = node_.propose(payloads_, now_ns);
    const std::size_t taken = proposed.error == raft::ProposeError::none ? payloads_.size() : 0;
    payloads_.clear();
    for (std::size_t i = 0; i < taken; ++i) {
        let_go(queued_[i]);
        queued_[i].command = {};
        queued_[i].started_ns = now_ns;
        waiting_.push_back({proposed.first_index + i, proposed.term, std::move(queued_[i])});
    }
    queued_.erase(queued_.begin(), queued_.begin() + static_cast<std::ptrdiff_t>(taken));
    refuse_queued(Failure::overloaded);
}

// A peer passed these on because it took us for the leader; it knows best what to do now.
void WriteQueue::refuse_peers_writes() {
    std::erase_if(queued_, [this](Write& write) {
        if (write.operation) {
            return false;
        }
        finish(write, Failure::no_leader, nullptr, 0);
        return true;
    });
}

void WriteQueue::refuse_queued(Failure failure) {
    for (Write& write : queued_) {
        finish(write, failure, nullptr, 0);
    }
    queued_.clear();
}

void WriteQueue::forward_queued(std::int64_t now_ns) {
    const raft::NodeId leader = node_.core().leader_id();
    // One that is handing leadership over refuses for a while: not as often as the network carries.
    if (leader == 0 || (leader == refused_by_ && now_ns < ask_again_ns_)) {
        return;
    }
    std::size_t sent = 0;
    for (Write& write : queued_) {
        if (forwarded_.size() >= limits_.forwarded_max ||
            !send_forward(next_forward_id_ + 1, write, leader, now_ns)) {
            break;
        }
        write.started_ns = now_ns;
        write.forwarded = true;
        forwarded_.push_back({++next_forward_id_, leader, std::move(write), 0});
        ++sent;
    }
    queued_.erase(queued_.begin(), queued_.begin() + static_cast<std::ptrdiff_t>(sent));
}

bool WriteQueue::send_forward(std::uint64_t id, Write& write, raft::NodeId leader,
                              std::int64_t now_ns) {
    v1::ForwardRequest& request = *note_.mutable_forward_request();
    request.set_id(id);
    request.set_command(write.bytes());
    request.clear_request_id();
    request.clear_trace_id();
    if (!write.operation->request_id.empty()) {
        request.set_request_id(write.operation->request_id);
    }
    if (!write.operation->trace_id.empty()) {
        request.set_trace_id(write.operation->trace_id);
    }
    const std::int64_t left_ms = (write.deadline_ns - now_ns) / ns_per_ms;
    request.set_timeout_ms(static_cast<std::uint32_t>(std::max<std::int64_t>(left_ms, 1)));
    note_.SerializeToString(&note_bytes_);
    return transport_.send_application(leader, note_bytes_);
}

void WriteQueue::on_forward_reply(raft::NodeId from, v1::ForwardReply& reply, std::int64_t now_ns) {
    const auto found = std::lower_bound(
        forwarded_.begin(), forwarded_.end(), reply.id(),
        [](const Forwarded& forwarded, std::uint64_t id) { return forwarded.id < id; });
    if (found == forwarded_.end() || found->id != reply.id() || found->leader != from ||
        found->write.done) {
        return;
    }
    Write& write = found->write;
    switch (reply.outcome()) {
        case v1::ForwardReply::APPLIED: {
            const auto output = fsm::decode_output(std::move(*reply.mutable_output()));
            write.commit_ns = static_cast<std::int64_t>(reply.commit_ns());
            // An answer that can't be read leaves the outcome open.
            finish(write, output ? Failure::none : Failure::interrupted,
                   output ? &*output : nullptr, reply.entry_index());
            break;
        }
        case v1::ForwardReply::NOT_LEADER:
            // Certainly not applied: try again with whoever leads now, as long as it may wait.
            write.held_since_ns = std::max(write.held_since_ns, now_ns - limits_.hold_ns / 2);
            queued_.push_back(std::move(write));
            write.done = true;
            refused_by_ = from;
            ask_again_ns_ = now_ns + limits_.pause_ns;
            break;
        case v1::ForwardReply::OVERLOADED:
            finish(write, Failure::overloaded, nullptr, 0);
            break;
        case v1::ForwardReply::DROPPED:
            finish(write, Failure::dropped, nullptr, 0);
            break;
        case v1::ForwardReply::DISK_FULL:
            finish(write, Failure::disk_full, nullptr, 0);
            break;
        default:
            finish(write, Failure::unknown, nullptr, 0);
            break;
    }
    while (!forwarded_.empty() && forwarded_.front().write.done) {
        forwarded_.pop_front();
    }
}

// Whether the leader got what was on its way, and what it made of it, nobody can tell us now.
void WriteQueue::on_peer_disconnected(raft::NodeId peer) {
    for (Forwarded& forwarded : forwarded_) {
        if (forwarded.leader == peer) {
            finish(forwarded.write, Failure::interrupted, nullptr, 0);
        }
    }
    while (!forwarded_.empty() && forwarded_.front().write.done) {
        forwarded_.pop_front();
    }
}

void WriteQueue::on_committed(const raft::Entry& entry, const fsm::Output& output) {
    // Terms never decrease along a log, so once an entry of a later term is committed, what was
    // appended in an earlier one and isn't committed never will be.
    while (!waiting_.empty() &&
           (waiting_.front().index <= entry.index || waiting_.front().term < entry.term)) {
        Waiter& waiter = waiting_.front();
        if (waiter.index == entry.index && waiter.term == entry.term) {
            waiter.write.commit_ns = now_ns_ - waiter.write.started_ns;
            commit_durations_.observe(waiter.write.commit_ns);
            finish(waiter.write, Failure::none, &output, entry.index);
        } else {
            finish(waiter.write, Failure::dropped, nullptr, 0);
        }
        waiting_.pop_front();
    }
}

void WriteQueue::on_installed(raft::Index index) {
    // Anywhere in the queue: a write of an earlier leadership, never committed, may stand at a
    // higher index before one of a later leadership that the snapshot includes.
    std::erase_if(waiting_, [&](Waiter& waiter) {
        if (waiter.index > index) {
            return false;
        }
        finish(waiter.write, Failure::interrupted, nullptr, 0);
        return true;
    });
}

void WriteQueue::sweep(std::int64_t now_ns, std::int64_t leaderless_ns) {
    const bool given_up = leaderless_ns > limits_.hold_ns;
    std::erase_if(queued_, [&](Write& write) {
        const bool late = write.operation && now_ns >= write.deadline_ns;
        const bool held = write.operation && now_ns - write.held_since_ns > limits_.hold_ns;
        if (!late && !held && !given_up) {
            return false;
        }
        finish(write, Failure::no_leader, nullptr, 0);
        return true;
    });
    for (Waiter& waiter : waiting_) {
        if (now_ns >= waiter.write.deadline_ns) {
            finish(waiter.write, Failure::unknown, nullptr, 0);
        } else if (given_up) {
            finish(waiter.write, Failure::interrupted, nullptr, 0);
        }
    }
    const raft::NodeId leader = node_.core().leader_id();
    for (Forwarded& forwarded : forwarded_) {
        if (leader != 0 && leader != forwarded.leader && forwarded.outlived_since_ns == 0) {
            forwarded.outlived_since_ns = now_ns;
        }
        const bool outlived = forwarded.outlived_since_ns != 0 &&
                              now_ns - forwarded.outlived_since_ns >= limits_.outlived_ns;
        if (now_ns >= forwarded.write.deadline_ns) {
            finish(forwarded.write, Failure::unknown, nullptr, 0);
        } else if (outlived) {
            finish(forwarded.write, Failure::interrupted, nullptr, 0);
        }
    }
    while (!forwarded_.empty() && forwarded_.front().write.done) {
        forwarded_.pop_front();
    }
}

void WriteQueue::fail_all() {
    refuse_queued(Failure::draining);
    for (Waiter& waiter : waiting_) {
        finish(waiter.write, Failure::interrupted, nullptr, 0);
    }
    waiting_.clear();
    for (Forwarded& forwarded : forwarded_) {
        finish(forwarded.write, Failure::interrupted, nullptr, 0);
    }
    forwarded_.clear();
}

WriteQueue::Figures WriteQueue::figures() const {
    Figures figures;
    figures.queued = queued_.size();
    figures.committing = waiting_.size();
    figures.forwarded = forwarded_.size();
    figures.held_bytes = held_bytes_;
    figures.finished = finished_;
    figures.for_peers = finished_for_peers_;
    figures.commit = commit_durations_.figures();
    return figures;
}

void WriteQueue::finish(Write& write, Failure failure, const fsm::Output* output,
                        raft::Index index) {
    if (write.done) {
        return;
    }
    write.done = true;
    let_go(write);
    if (write.origin != 0) {
        ++finished_for_peers_;
        if (on_peers_write) {
            on_peers_write({write.origin, failure, index,
                            write.started_ns == 0 ? 0 : now_ns_ - write.started_ns,
                            write.request_id, write.trace_id});
        }
        reply_to_peer(write, failure, output, index);
        return;
    }
    if (!write.operation) {
        return;
    }
    ++finished_[static_cast<std::size_t>(failure)];
    write.operation->failure = failure;
    write.operation->timing.started_ns = write.started_ns;
    write.operation->timing.commit_ns = write.commit_ns;
    write.operation->timing.forwarded = write.forwarded;
    if (output != nullptr) {
        write.operation->output = *output;
    }
    write.operation->served_index = index;
    write.port->finished(std::move(write.operation));
    write.operation = nullptr;
}

void WriteQueue::reply_to_peer(const Write& write, Failure failure, const fsm::Output* output,
                               raft::Index index) {
    v1::ForwardReply& reply = *note_.mutable_forward_reply();
    reply.Clear();
    reply.set_id(write.origin_id);
    reply.set_outcome(outcome_of(failure));
    if (output != nullptr) {
        reply.set_entry_index(index);
        reply.set_commit_ns(static_cast<std::uint64_t>(std::max<std::int64_t>(write.commit_ns, 0)));
        fsm::encode_output(*output, *reply.mutable_output());
    }
    note_.SerializeToString(&note_bytes_);
    // A peer that can't be reached takes its write for unknown once its connection or deadline
    // ends.
    (void)transport_.send_application(write.origin, note_bytes_);
}

}  // namespace cairn::server
