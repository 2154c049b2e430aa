#include "tests/checker/linearizability.h"

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

#include "tests/checker/history_text.h"
#include "tests/checker/index_facts.h"
#include "tests/checker/register_search.h"

namespace cairn::checker {
namespace {

using Need = RegisterOp::Need;
using Effect = RegisterOp::Effect;

// The operations of one name as the search wants them.
struct Reduced {
    std::vector<RegisterOp> ops;
    std::vector<std::size_t> origins;  // places in the name's history
};

class Reducer {
 public:
    Reducer(const History& history, const std::vector<std::uint64_t>& floors,
            const LinearizabilityOptions& options)
        : history_(history), floors_(floors), options_(options) {}

    Reduced reduce();

 private:
    std::optional<RegisterOp> reduce(const Operation& op);
    void reduce_read(const Operation& op, RegisterOp& reduced);
    void reduce_request(const Operation& op, RegisterOp& reduced);
    void reduce_refusal(const Operation& op, RegisterOp& reduced);
    void reduce_success(const Operation& op, RegisterOp& reduced);
    void settle_unknown(Reduced& reduced);
    int value_number(const std::string& value);
    std::int64_t expires_ns(const Operation& op) const;

    const History& history_;
    const std::vector<std::uint64_t>& floors_;
    const LinearizabilityOptions& options_;
    std::unordered_map<std::string, int> values_;
};

int Reducer::value_number(const std::string& value) {
    return values_.emplace(value, static_cast<int>(values_.size())).first->second;
}

std::int64_t Reducer::expires_ns(const Operation& op) const {
    if (op.ttl_ns == 0) {
        return never_ns;
    }
    const double shortest = static_cast<double>(op.ttl_ns) * (1 - options_.clock_drift);
    return op.invoked_ns + static_cast<std::int64_t>(shortest) - options_.early_ns;
}

void Reducer::reduce_read(const Operation& op, RegisterOp& reduced) {
    if (op.outcome != Outcome::ok) {
        reduced.need = Need::absent;
        return;
    }
    reduced.need = Need::present;
    reduced.need_index = op.index;
    reduced.need_value = value_number(op.returned_value);
}

// What a write needs and does if it happens at all.
void Reducer::reduce_request(const Operation& op, RegisterOp& reduced) {
    if (op.kind == OpKind::remove) {
        reduced.effect = Effect::remove;
    } else {
        reduced.effect = Effect::write;
        reduced.value = value_number(op.value);
        reduced.expires_ns = expires_ns(op);
    }
    if (op.kind == OpKind::create) {
        reduced.need = Need::absent;
    } else if (op.kind != OpKind::set) {
        reduced.need = Need::present;
        reduced.need_index = op.prev_index;
    }
}

void Reducer::reduce_success(const Operation& op, RegisterOp& reduced) {
    reduced.index = op.index;
    if (op.previous == Previous::absent) {
        reduced.need = Need::absent;
    } else if (op.previous == Previous::present) {
        reduced.need = Need::present;
        if (op.previous_index != 0) {
            reduced.need_index = op.previous_index;
            reduced.need_value = value_number(op.previous_value);
        }
    }
}

void Reducer::reduce_refusal(const Operation& op, RegisterOp& reduced) {
    reduced.effect = Effect::none;
    reduced.value = RegisterOp::any_value;
    reduced.expires_ns = never_ns;
    reduced.need_index = 0;
    if (op.outcome == Outcome::not_found) {
        reduced.need = Need::absent;
        return;
    }
    reduced.need = Need::present;
    reduced.need_index = op.index;
    reduced.forbidden_index = op.prev_index;
}

std::optional<RegisterOp> Reducer::reduce(const Operation& op) {
    const bool is_doubtful = op.outcome == Outcome::unknown;
    if (op.kind == OpKind::local_get || op.outcome == Outcome::not_applied ||
        (is_doubtful && op.kind == OpKind::get)) {
        return std::nullopt;
    }
    RegisterOp reduced;
    reduced.invoked_ns = op.invoked_ns;
    reduced.returned_ns = is_doubtful ? never_ns : op.returned_ns;
    reduced.certain = !is_doubtful;
    if (op.kind == OpKind::get) {
        reduce_read(op, reduced);
        return reduced;
    }
    reduce_request(op, reduced);
    if (op.outcome == Outcome::ok) {
        reduce_success(op, reduced);
    } else if (!is_doubtful) {
        reduce_refusal(op, reduced);
    }
    return reduced;
}

// An unknown write whose value was seen, and which alone wrote that value, did happen, and has the
// index that was seen.
void Reducer::settle_unknown(Reduced& reduced) {
    std::unordered_map<int, int> writers;
    for (const RegisterOp& op : reduced.ops) {
        if (op.effect == Effect::write) {
            ++writers[op.value];
        }
    }
    std::unordered_map<int, std::uint64_t> seen;  // with two indexes it has no order anyway
    const auto see = [&](const std::string& value, std::uint64_t index) {
        seen.emplace(value_number(value), index);
    };
    for (const Operation& op : history_) {
        if (is_read(op.kind) && op.outcome == Outcome::ok) {
            see(op.returned_value, op.index);
        }
        if (op.outcome == Outcome::ok && op.previous == Previous::present &&
            op.previous_index != 0) {
            see(op.previous_value, op.previous_index);
        }
    }
    for (RegisterOp& op : reduced.ops) {
        const auto found =
            op.certain || op.effect != Effect::write ? seen.end() : seen.find(op.value);
        if (found != seen.end() && found->second != 0 && writers[op.value] == 1) {
            op.certain = true;
            op.index = found->second;
        }
    }
}

Reduced Reducer::reduce() {
    Reduced reduced;
    for (std::size_t i = 0; i < history_.size(); ++i) {
        std::optional<RegisterOp> op = reduce(history_[i]);
        if (op) {
            op->floor = floors_[i];
            reduced.ops.push_back(*op);
            reduced.origins.push_back(i);
        }
    }
    settle_unknown(reduced);
    return reduced;
}

// An answer that this request can't have, whatever the register holds.
const char* impossible_answer(const Operation& op) {
    const bool has_condition = op.kind == OpKind::update || op.kind == OpKind::remove;
    switch (op.outcome) {
        case Outcome::conflict:
            if (!has_condition || op.prev_index == 0) {
                return "a conflict where no index was asked for";
            }
            return op.index == op.prev_index ? "a conflict with the index that was asked for"
                                             : nullptr;
        case Outcome::already_exists:
            return op.kind == OpKind::create ? nullptr : "already_exists, and it isn't create";
        case Outcome::not_found:
            return op.kind == OpKind::set || op.kind == OpKind::create
                       ? "not_found, and it needs no value"
                       : nullptr;
        case Outcome::ok:
            if (has_condition && op.prev_index != 0 && op.previous_index != 0 &&
                op.previous_index != op.prev_index) {
                return "success on another index than the one asked for";
            }
            return (has_condition && op.previous == Previous::absent) ||
                           (op.kind == OpKind::create && op.previous == Previous::present)
                       ? "success on what it must refuse"
                       : nullptr;
        case Outcome::not_applied:
        case Outcome::unknown:
            return nullptr;
    }
    return nullptr;
}

struct Part {
    History history;  // of one name, by invocation
    std::vector<std::uint64_t> floors;
};

struct Searched {
    Reduced reduced;
    SearchResult result;
};

Searched search(const Part& part, const LinearizabilityOptions& options) {
    Searched searched;
    searched.reduced = Reducer(part.history, part.floors, options).reduce();
    searched.result = search_order(searched.reduced.ops, options.states_max);
    return searched;
}

// The part as it was known at a moment: later answers aren't there yet.
Part cut(const Part& part, std::int64_t moment_ns) {
    Part early;
    for (std::size_t i = 0; i < part.history.size(); ++i) {
        Operation op = part.history[i];
        if (op.invoked_ns > moment_ns) {
            continue;
        }
        if (op.outcome != Outcome::unknown && op.returned_ns > moment_ns) {
            if (is_read(op.kind) || op.outcome == Outcome::not_applied) {
                continue;
            }
            op.outcome = Outcome::unknown;
        }
        early.history.push_back(std::move(op));
        early.floors.push_back(part.floors[i]);
    }
    return early;
}

// What has no order at some moment has none later, so halving finds the first such moment.
Part shortest_without_order(const Part& part, const LinearizabilityOptions& options,
                            std::size_t& states) {
    std::vector<std::int64_t> moments;
    for (const Operation& op : part.history) {
        if (op.outcome != Outcome::unknown) {
            moments.push_back(op.returned_ns);
        }
    }
    std::sort(moments.begin(), moments.end());
    std::size_t low = 0;
    std::size_t high = moments.empty() ? 0 : moments.size() - 1;
    while (low < high) {
        const std::size_t middle = low + (high - low) / 2;
        const Searched searched = search(cut(part, moments[middle]), options);
        states += searched.result.states;
        if (searched.result.kind == SearchResult::Kind::none) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Part shortest = moments.empty() ? part : cut(part, moments[low]);
    const bool holds = search(shortest, options).result.kind == SearchResult::Kind::none;
    return holds ? shortest : part;
}

std::string describe_state(const SearchState& state, const Reduced& reduced,
                           const History& history) {
    if (state.writer < 0) {
        return state.passed == 0 ? "no value yet" : "no value";
    }
    const std::size_t origin = reduced.origins[static_cast<std::size_t>(state.writer)];
    return quoted(history[origin].value) +
           (state.index != 0 ? ", index " + std::to_string(state.index) : ", index not known");
}

Explanation explain(const Part& part, const LinearizabilityOptions& options) {
    const Searched searched = search(part, options);
    const Reduced& reduced = searched.reduced;
    Explanation explanation;
    explanation.name = part.history.front().name;
    explanation.operations = part.history;
    explanation.order.resize(part.history.size());
    std::size_t place = 0;
    for (const int i : searched.result.order) {
        if (i >= 0) {
            explanation.order[reduced.origins[static_cast<std::size_t>(i)]] = ++place;
        }
    }
    for (const int i : searched.result.candidates) {
        const RegisterOp& op = reduced.ops[static_cast<std::size_t>(i)];
        if (!op.certain) {
            continue;
        }
        const char* reason = why_not(reduced.ops, op, searched.result.state);
        explanation.stuck.push_back(reduced.origins[static_cast<std::size_t>(i)]);
        explanation.reasons.emplace_back(
            reason != nullptr ? reason : "it could come next, but then others have no place");
    }
    explanation.state = describe_state(searched.result.state, reduced, part.history);
    return explanation;
}

std::map<std::string, Part> split_by_name(const History& history,
                                          const std::vector<std::uint64_t>& floors) {
    std::vector<std::size_t> order(history.size());
    for (std::size_t i = 0; i < order.size(); ++i) {
        order[i] = i;
    }
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return std::pair(history[a].invoked_ns, a) < std::pair(history[b].invoked_ns, b);
    });
    std::map<std::string, Part> parts;
    for (const std::size_t i : order) {
        Part& part = parts[history[i].name];
        part.history.push_back(history[i]);
        part.floors.push_back(floors[i]);
    }
    return parts;
}

}  // namespace

LinearizabilityReport check_linearizability(const History& recorded,
                                            const LinearizabilityOptions& options) {
    LinearizabilityReport report;
    std::vector<std::string> broken;
    const History history = merge_retries(recorded, broken);
    for (const Operation& op : history) {
        if (is_answered(op) && op.returned_ns < op.invoked_ns) {
            broken.push_back("answered before it was asked: " + describe(op));
        }
        const char* impossible = impossible_answer(op);
        if (impossible != nullptr) {
            broken.push_back(std::string(impossible) + ": " + describe(op));
        }
    }
    const std::vector<std::uint64_t> floors = index_floors(history);
    for (std::string& text : check_index_facts(history, floors)) {
        broken.push_back(std::move(text));
    }
    for (std::string& text : broken) {
        report.problems.push_back({std::move(text), {}});
    }
    for (const auto& [name, part] : split_by_name(history, floors)) {
        ++report.names;
        const Searched searched = search(part, options);
        report.states += searched.result.states;
        if (searched.result.kind == SearchResult::Kind::undecided) {
            report.undecided_names.push_back(name);
        } else if (searched.result.kind == SearchResult::Kind::none) {
            report.problems.push_back(
                {"the operations on " + quoted(name) + " have no order",
                 explain(shortest_without_order(part, options, report.states), options)});
        }
    }
    if (!report.problems.empty()) {
        report.verdict = Verdict::violated;
    } else if (!report.undecided_names.empty()) {
        report.verdict = Verdict::undecided;
    }
    return report;
}

std::string LinearizabilityReport::format() const {
    std::string text;
    for (const Problem& problem : problems) {
        text += problem.text + "\n";
        if (!problem.explanation.operations.empty()) {
            text += format_explanation(problem.explanation);
        }
    }
    for (const std::string& name : undecided_names) {
        text += "undecided: too many orders to try of the operations on " + quoted(name) + "\n";
    }
    return text;
}

}  // namespace cairn::checker
