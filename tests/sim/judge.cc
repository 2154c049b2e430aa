#include "tests/sim/judge.h"

#include "fsm/types.h"

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

}  // namespace

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
