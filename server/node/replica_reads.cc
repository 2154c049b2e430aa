// The replica's reads: how one is taken, served and refused.
#include <algorithm>
#include <cstdint>
#include <utility>

#include "fsm/past_list.h"
#include "server/node/replica.h"
#include "server/node/stream_resume.h"

namespace cairn::server {

namespace {

constexpr std::int64_t ns_per_ms = 1'000'000;
// What lists of the past and openings of streams may cost one turn, in values and events looked at
// or owed: a few milliseconds. The last may go beyond it; more wait for the next turn.
constexpr std::size_t looked_at_max = 20'000;

}  // namespace

void Replica::submit_read(std::shared_ptr<Operation> operation, Port& port) {
    Read read;
    read.deadline_ns = steady_ns_ + operation->timeout_ms * ns_per_ms;
    read.needed_index = operation->min_index;
    if (operation->wait_ms > 0) {
        // Not the last turn's time: nobody waits less than was asked for.
        read.wait_until_ns = clock_.steady_ns() + operation->wait_ms * ns_per_ms;
    }
    // A node that can't write isn't ready, whatever the leader would say: no need to ask it, and
    // with a stalled disk there may be no way to.
    const bool known = operation->kind == Operation::Kind::cluster_status && !can_write();
    read.linearizable = operation->consistency != Consistency::local && !known;
    if (lacks_everything_ && operation->kind != Operation::Kind::cluster_status) {
        operation->consistency = Consistency::linearizable;
        read.linearizable = true;
    }
    if (operation->at_index != 0) {
        // The past is the same on every node: nobody needs to be asked.
        read.needed_index = std::max(read.needed_index, operation->at_index);
        operation->consistency = Consistency::local;
        read.linearizable = false;
    }
    read.lease = operation->consistency == Consistency::lease;
    read.port = &port;
    read.operation = std::move(operation);
    if (!reads_.submit(read)) {
        fail_read(read, Failure::overloaded);
    }
}

void Replica::open_stream(std::shared_ptr<StreamOpen> open, Port& port) {
    constexpr std::int64_t open_timeout_ns = 5000 * ns_per_ms;
    Read read;
    read.deadline_ns = steady_ns_ + open_timeout_ns;
    // A stream that resumes says itself from where; one that begins must not begin in the past.
    read.linearizable = !open->after_index.has_value();
    read.port = &port;
    read.open = std::move(open);
    if (stopped_) {
        fail_read(read, Failure::draining);
    } else if (!reads_.submit(read)) {
        fail_read(read, Failure::overloaded);
    }
    request_turn_();
}

void Replica::serve_reads() {
    if (reads_.idle()) {
        return;
    }
    ready_reads_.clear();
    reads_.take_ready(state_machine_.applied_index(), ready_reads_);
    looked_at_ = 0;
    for (Read& read : ready_reads_) {
        lacks_everything_ = lacks_everything_ && !read.linearizable;
        const bool may_be_long = read.open || read.operation->at_index != 0;
        if (!may_be_long || looked_at_ < looked_at_max) {
            serve(read);
            continue;
        }
        read.linearizable = false;  // it has been confirmed
        if (reads_.submit(read)) {
            request_turn_();
        } else {
            fail_read(read, Failure::overloaded);
        }
    }
    ready_reads_.clear();
}

void Replica::serve(Read& read) {
    if (read.open) {
        add_listener(*read.port);
        answer_open(*read.open);
        looked_at_ += read.open->present.size() + read.open->replay.size();
        read.port->opened(std::move(read.open));
        return;
    }
    Operation& operation = *read.operation;
    operation.failure = Failure::none;
    if (operation.consistency == Consistency::lease && !read.lease) {
        operation.consistency = Consistency::linearizable;
    }
    operation.served_index = state_machine_.applied_index();
    operation.utc_offset_ns = state_machine_.utc_offset_ns();
    if (operation.kind == Operation::Kind::backup) {
        backups_.open(std::move(read.operation), *read.port, state_machine_.applied_index(),
                      steady_ns_);
        return;
    }
    if (operation.kind != Operation::Kind::cluster_status) {
        ++reads_served_[static_cast<std::size_t>(operation.consistency)];
    }
    if (operation.kind == Operation::Kind::get) {
        serve_get(read);
        return;
    }
    if (operation.kind == Operation::Kind::list) {
        serve_list(operation);
    } else {
        operation.cluster = cluster_status();
        // A confirmed read is proof; without one it's what this node believes.
        operation.cluster.ready = read.linearizable || operation.cluster.ready;
        if (!can_write()) {
            operation.cluster.ready = false;
            operation.cluster.not_ready_reason =
                disk_watch_.is_stalled() ? "the disk is stalled" : "the disk is full";
        }
    }
    read.port->finished(std::move(read.operation));
}

// One at an index shows that index, whatever the node has applied since.
void Replica::serve_list(Operation& operation) {
    const fsm::Index at_index = operation.at_index;
    if (at_index == 0 || at_index == state_machine_.applied_index()) {
        operation.items =
            state_machine_.list(operation.name, operation.after, operation.limit, operation.more);
        return;
    }
    operation.served_index = at_index;
    auto items = fsm::list_at(state_machine_, history_, at_index, operation.name, operation.after,
                              operation.limit, operation.more, looked_at_);
    operation.too_old = !items;
    operation.items = std::move(items).value_or(std::vector<fsm::ListItem>());
}

void Replica::note_overdue() {
    if (state_machine_.has_overdue()) {
        history_.note_overdue(state_machine_.applied_index(), state_machine_.time_ns());
    }
}

// A get, which a long poll is until it is seen that there is nothing new.
void Replica::serve_get(Read& read) {
    Operation& operation = *read.operation;
    const bool is_new = look_at(operation) || operation.wait_ms == 0;
    if (!is_new && read.wait_until_ns > steady_ns_) {
        LongPoll poll{std::move(read.operation), read.port, read.wait_until_ns};
        if (polls_.add(poll)) {
            return;
        }
        read.operation = std::move(poll.operation);
        fail_read(read, Failure::overloaded);
        return;
    }
    operation.unchanged = !is_new;
    read.port->finished(std::move(read.operation));
}

// Fills in what is there now; whether that is something else than what the asker knows.
bool Replica::look_at(Operation& operation) const {
    const fsm::Value* value = state_machine_.get(operation.name);
    operation.output = fsm::Output{};
    operation.output.kind = fsm::Output::Kind::get;
    operation.output.status = value != nullptr ? fsm::Status::ok : fsm::Status::not_found;
    if (value != nullptr) {
        operation.output.index = value->index;
        operation.output.value = *value;
    }
    operation.served_index = state_machine_.applied_index();
    operation.utc_offset_ns = state_machine_.utc_offset_ns();
    return operation.output.index != operation.known_index;
}

// Answers the taken ones, whatever is there.
void Replica::finish_polls(Failure failure) {
    for (LongPoll& poll : taken_polls_) {
        poll.operation->failure = failure;
        poll.operation->unchanged = !look_at(*poll.operation);
        poll.port->finished(std::move(poll.operation));
    }
    taken_polls_.clear();
}

// Looks again at those whose value has changed in this turn.
void Replica::answer_polls() {
    if (std::exchange(polls_are_stale_, false)) {
        polls_.take_all(taken_polls_);
    }
    for (const std::string& name : polled_names_) {
        polls_.take_of(name, taken_polls_);
    }
    polled_names_.clear();
    for (LongPoll& poll : taken_polls_) {
        if (look_at(*poll.operation)) {
            poll.port->finished(std::move(poll.operation));
        } else {
            (void)polls_.add(poll);  // there was room for it before
        }
    }
    taken_polls_.clear();
}

// The gateway's wish may cross the answer: then there is nothing to end.
void Replica::end_wait(const Operation& end) {
    polls_.take(*end.ended, taken_polls_);
    finish_polls(end.failure);
    if (Read* const read = reads_.find(*end.ended)) {
        read->wait_until_ns = 0;
    }
}

void Replica::answer_open(StreamOpen& open) {
    open.failure = Failure::none;
    open.applied_index = state_machine_.applied_index();
    open.utc_offset_ns = state_machine_.utc_offset_ns();
    if (open.after_index) {
        open.gap = !history_.replay(*open.after_index, open.after_position, open.name, open.prefix,
                                    open.replay, open.replay_max);
        if (!open.gap) {
            return;
        }
    } else if (!open.wants_present) {
        return;
    }
    if (open.prefix) {
        bool more = false;
        open.present = state_machine_.list(open.name, {}, SIZE_MAX, more);
    } else if (const fsm::Value* value = state_machine_.get(open.name)) {
        if (open.gap && is_unchanged_since(*value, {*open.after_index, open.after_position},
                                           open.applied_index)) {
            open.gap = false;
            return;
        }
        open.present.push_back({open.name, *value});
    }
}

void Replica::fail_read(Read& read, Failure failure) {
    if (read.open) {
        read.open->failure = failure;
        read.port->opened(std::move(read.open));
        return;
    }
    read.operation->failure = failure;
    failed_reads_ += read.operation->kind != Operation::Kind::cluster_status ? 1 : 0;
    if (read.operation->consistency == Consistency::lease) {
        read.operation->consistency = Consistency::linearizable;
    }
    if (read.operation->kind == Operation::Kind::cluster_status) {
        read.operation->cluster = cluster_status();
        read.operation->cluster.ready = false;
        // That the cluster doesn't answer is what was asked: not ready, whatever the reason.
        if (failure == Failure::timeout || failure == Failure::no_leader) {
            read.operation->failure = Failure::none;
            read.operation->cluster.not_ready_reason =
                failure == Failure::timeout ? "The leader did not answer in time."
                                            : "There is no leader, or it can't be reached.";
        }
    }
    read.operation->served_index = state_machine_.applied_index();
    read.port->finished(std::move(read.operation));
}

}  // namespace cairn::server
