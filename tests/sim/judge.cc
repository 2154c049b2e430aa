#include "tests/sim/judge.h"

#include "fsm/history.h"

namespace cairn::sim {

namespace {

checker::OpKind kind_of(HistoryOperation::Kind kind) {
    switch (kind) {
        case HistoryOperation::Kind::set:
            return checker::OpKind::set;
        case HistoryOperation::Kind::create:
            return checker::OpKind::create;
        case HistoryOperation::Kind::update:
            return checker::OpKind::update;
        case HistoryOperation::Kind::remove:
            return checker::OpKind::remove;
        case HistoryOperation::Kind::get:
            break;
    }
    return checker::OpKind::get;
}

checker::Outcome outcome_of_status(int status) {
    switch (static_cast<fsm::Status>(status)) {
        case fsm::Status::ok:
            return checker::Outcome::ok;
        case fsm::Status::not_found:
            return checker::Outcome::not_found;
        case fsm::Status::conflict:
            return checker::Outcome::conflict;
        case fsm::Status::already_exists:
            return checker::Outcome::already_exists;
        case fsm::Status::invalid:
        case fsm::Status::idempotency_mismatch:
            break;
    }
    return checker::Outcome::not_applied;
}

void tell_answer(const HistoryOperation& from, checker::Operation& to) {
    if (from.kind == HistoryOperation::Kind::get) {
        to.outcome = from.exists ? checker::Outcome::ok : checker::Outcome::not_found;
        to.index = from.found_index;
        to.returned_value = from.found;
        return;
    }
    to.outcome = outcome_of_status(from.status);
    const bool removed =
        from.kind == HistoryOperation::Kind::remove && to.outcome == checker::Outcome::ok;
    to.index = removed ? from.log_index : from.index;
}

checker::EventKind kind_of(const fsm::Event& event) {
    switch (event.kind) {
        case fsm::Event::Kind::created:
            return checker::EventKind::created;
        case fsm::Event::Kind::updated:
            return checker::EventKind::updated;
        case fsm::Event::Kind::deleted:
            break;
    }
    return event.expired ? checker::EventKind::expired : checker::EventKind::deleted;
}

checker::CanonicalEvent canonical(const fsm::Event& event) {
    checker::CanonicalEvent to;
    to.kind = kind_of(event);
    to.name = event.name;
    to.index = event.at_index;
    to.position = event.at_position;
    to.value = *event.value.bytes;
    to.value_index = event.value.index;
    if (event.prev_value) {
        to.previous_index = event.prev_value->index;
        to.previous_value = *event.prev_value->bytes;
    }
    return to;
}

}  // namespace

checker::Received received_event(const fsm::Event& event) {
    const checker::CanonicalEvent from = canonical(event);
    const fsm::Cursor after = fsm::Cursor::after(event);
    checker::Received to;
    to.kind = checker::Received::Kind::event;
    to.cursor = {after.index, after.position};
    to.event = from.kind;
    to.name = from.name;
    to.value = from.value;
    to.index = from.value_index;
    to.deleted_index = event.kind == fsm::Event::Kind::deleted ? from.index : 0;
    to.previous_index = from.previous_index;
    to.previous_value = from.previous_value;
    return to;
}

checker::Received received_value(const fsm::ListItem& item) {
    checker::Received to;
    to.kind = checker::Received::Kind::value;
    to.name = item.name;
    to.is_set = true;
    to.value = *item.value.bytes;
    to.index = item.value.index;
    return to;
}

std::string judge_streams(const std::vector<fsm::Event>& events,
                          const std::vector<StreamRecord>& streams,
                          std::optional<checker::Place> complete_up_to) {
    std::vector<checker::CanonicalEvent> all;
    all.reserve(events.size());
    for (const fsm::Event& event : events) {
        all.push_back(canonical(event));
    }
    std::vector<std::string> problems = checker::check_canonical_events(all);
    if (!problems.empty()) {
        return "the events themselves: " + problems.front();
    }
    for (const StreamRecord& stream : streams) {
        const checker::StreamSelection selection{stream.prefix, true, false};
        problems = check_stream(all, selection, stream.received, complete_up_to);
        if (!problems.empty()) {
            return "the stream of \"" + stream.prefix + "\": " + problems.front();
        }
    }
    return {};
}

std::string judge_keyed(const std::vector<checker::KeyedCommand>& log) {
    const std::vector<std::string> problems = checker::check_idempotency(log);
    return problems.empty() ? std::string() : "idempotency: " + problems.front();
}

checker::LinearizabilityReport judge(const History& history, int drift_per_mille) {
    checker::History told;
    told.reserve(history.size());
    for (const HistoryOperation& from : history) {
        checker::Operation to;
        to.client = from.client;
        to.kind = kind_of(from.kind);
        to.name = from.name;
        to.value = from.value;
        to.prev_index = from.prev_index;
        to.ttl_ns = from.ttl_ns.value_or(0);
        to.invoked_ns = from.invoke_ns;
        to.returned_ns = from.return_ns.value_or(0);
        switch (from.outcome) {
            case HistoryOperation::Outcome::unknown:
                to.outcome = checker::Outcome::unknown;
                break;
            case HistoryOperation::Outcome::not_applied:
                to.outcome = checker::Outcome::not_applied;
                break;
            case HistoryOperation::Outcome::ok:
                tell_answer(from, to);
                break;
        }
        told.push_back(std::move(to));
    }
    checker::LinearizabilityOptions options;
    // Both the writer's leader and the one that lets the value expire may be off.
    options.clock_drift = 2.0 * drift_per_mille / 1000;
    return check_linearizability(told, options);
}

}  // namespace cairn::sim
