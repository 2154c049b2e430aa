#include "tests/checker/brute_force.h"

#include <algorithm>

namespace cairn::checker::testing {
namespace {

struct Register {
    bool is_set = false;
    std::string value;
    std::uint64_t index = 0;  // 0: of an unknown write, and nobody said it yet
    std::uint64_t above = 0;  // the index is greater than this
    std::uint64_t last = 0;   // no index up to this comes again
    std::int64_t expires_ns = never_ns;
};

class BruteForce {
 public:
    explicit BruteForce(const History& history) : history_(history), used_(history.size()) {}

    bool has_order(const Register& before, std::int64_t now_ns) {
        if (is_complete()) {
            return true;
        }
        if (before.is_set && before.expires_ns != never_ns) {
            Register gone = before;
            gone.is_set = false;
            if (has_order(gone, std::max(now_ns, before.expires_ns))) {
                return true;
            }
        }
        for (std::size_t i = 0; i < history_.size(); ++i) {
            const Operation& op = history_[i];
            const std::int64_t moment_ns = std::max(now_ns, op.invoked_ns);
            const bool is_open = op.outcome == Outcome::unknown;
            Register next = before;
            if (used_[i] || op.outcome == Outcome::not_applied || (is_open && is_read(op.kind)) ||
                (!is_open && moment_ns > op.returned_ns) || !happens(op, next)) {
                continue;
            }
            used_[i] = true;
            const bool found = has_order(next, moment_ns);
            used_[i] = false;
            if (found) {
                return true;
            }
        }
        return false;
    }

 private:
    bool is_complete() const {
        for (std::size_t i = 0; i < history_.size(); ++i) {
            if (!used_[i] && is_answered(history_[i])) {
                return false;
            }
        }
        return true;
    }

    // The greatest index told before this operation began.
    std::uint64_t told_before(const Operation& op) const {
        std::uint64_t told = 0;
        for (const Operation& other : history_) {
            if (is_answered(other) && other.returned_ns < op.invoked_ns) {
                told = std::max({told, other.index, other.previous_index});
            }
        }
        return told;
    }

    static bool has_index(Register& state, std::uint64_t index) {
        if (state.index == 0 && index > state.above) {
            state.index = index;
            state.last = index;
        }
        return state.index == index;
    }

    bool writes(const Operation& op, std::uint64_t index, Register& state) const {
        const std::uint64_t told = told_before(op);
        if (index != 0 && (index <= state.last || index <= told)) {
            return false;
        }
        state.last = std::max(state.last, index);
        state.is_set = op.kind != OpKind::remove;
        state.value = op.value;
        state.index = index;
        state.above = std::max(state.last, told);
        state.expires_ns = op.ttl_ns == 0 ? never_ns : op.invoked_ns + op.ttl_ns;
        return true;
    }

    bool happens(const Operation& op, Register& state) const {
        const bool has_condition = op.kind == OpKind::update || op.kind == OpKind::remove;
        switch (op.outcome) {
            case Outcome::not_found:
                return !state.is_set && (op.kind == OpKind::get || has_condition);
            case Outcome::already_exists:
                return op.kind == OpKind::create && state.is_set &&
                       (op.index == 0 || has_index(state, op.index));
            case Outcome::conflict:
                return has_condition && state.is_set && op.prev_index != 0 &&
                       op.prev_index != op.index && has_index(state, op.index);
            case Outcome::not_applied:
                return false;
            case Outcome::ok:
            case Outcome::unknown:
                break;
        }
        if (op.kind == OpKind::get) {
            return state.is_set && state.value == op.returned_value && has_index(state, op.index);
        }
        if ((op.kind == OpKind::create && state.is_set) || (has_condition && !state.is_set) ||
            (op.prev_index != 0 && !has_index(state, op.prev_index))) {
            return false;
        }
        if (op.outcome == Outcome::unknown) {
            return writes(op, 0, state);
        }
        if ((op.previous == Previous::present && !state.is_set) ||
            (op.previous == Previous::absent && state.is_set)) {
            return false;
        }
        if (op.previous_index != 0 &&
            (op.previous_value != state.value || !has_index(state, op.previous_index))) {
            return false;
        }
        return writes(op, op.index, state);
    }

    const History& history_;
    std::vector<bool> used_;
};

}  // namespace

bool has_order_by_brute_force(const History& history) {
    return BruteForce(history).has_order({}, 0);
}

}  // namespace cairn::checker::testing
