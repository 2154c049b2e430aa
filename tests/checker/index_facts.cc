#include "tests/checker/index_facts.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <utility>

#include "tests/checker/history_text.h"

namespace cairn::checker {
namespace {

using Problems = std::vector<std::string>;

// The greatest index that this answer told.
std::uint64_t evidence_of(const Operation& op) {
    if (op.outcome == Outcome::unknown) {
        return 0;
    }
    std::uint64_t told = op.applied_index;
    if (is_answered(op)) {
        told = std::max({told, op.index, op.previous_index});
    }
    return told;
}

bool is_written(const Operation& op) {
    return op.outcome == Outcome::ok &&
           (op.kind == OpKind::set || op.kind == OpKind::create || op.kind == OpKind::update);
}

bool may_have_written(const Operation& op) {
    return is_written(op) ||
           (op.outcome == Outcome::unknown && !is_read(op.kind) && op.kind != OpKind::remove);
}

// What is known of an index: the value that was written there, and who was told first.
struct Fact {
    std::string name;
    bool has_value = false;  // else only that the name has, or had, a value of this index
    std::string value;
    const Operation* told = nullptr;
};

class Facts {
 public:
    Facts(const History& history, const std::vector<std::uint64_t>& floors, Problems& problems)
        : history_(history), floors_(floors), problems_(problems) {
        for (const Operation& op : history) {
            collect(op);
        }
    }

    void check_writers();
    void check_own_indexes();

 private:
    void collect(const Operation& op);
    void learn(std::uint64_t index, const Operation& op, const std::string* value);

    const History& history_;
    const std::vector<std::uint64_t>& floors_;
    Problems& problems_;
    std::map<std::uint64_t, Fact> by_index_;
};

void Facts::collect(const Operation& op) {
    if (!is_answered(op)) {
        return;
    }
    if (is_written(op)) {
        learn(op.index, op, &op.value);
    } else if (is_read(op.kind) && op.outcome == Outcome::ok) {
        learn(op.index, op, &op.returned_value);
    } else if (op.outcome == Outcome::conflict || op.outcome == Outcome::already_exists) {
        learn(op.index, op, nullptr);
    }
    if (op.outcome == Outcome::ok && op.previous == Previous::present) {
        learn(op.previous_index, op, &op.previous_value);
    }
}

void Facts::learn(std::uint64_t index, const Operation& op, const std::string* value) {
    if (index == 0) {
        return;
    }
    Fact& fact = by_index_[index];
    if (fact.told == nullptr) {
        fact.name = op.name;
        fact.told = &op;
    }
    const bool differs = value != nullptr && fact.has_value && fact.value != *value;
    if (fact.name != op.name || differs) {
        problems_.push_back("index " + std::to_string(index) +
                            " is of two values: " + describe(*fact.told) + "; " + describe(op));
        return;
    }
    if (value != nullptr) {
        fact.has_value = true;
        fact.value = *value;
    }
    if (op.returned_ns < fact.told->returned_ns) {
        fact.told = &op;
    }
}

// Every value that anybody saw was written, before it was seen, and as often as it shows.
void Facts::check_writers() {
    std::map<std::pair<std::string, std::string>, std::vector<std::size_t>> writers;
    std::map<std::pair<std::string, std::string>, std::vector<std::uint64_t>> indexes;
    for (std::size_t i = 0; i < history_.size(); ++i) {
        if (may_have_written(history_[i])) {
            writers[{history_[i].name, history_[i].value}].push_back(i);
        }
    }
    for (const auto& [index, fact] : by_index_) {
        if (!fact.has_value) {
            continue;
        }
        const std::pair<std::string, std::string> key{fact.name, fact.value};
        indexes[key].push_back(index);
        bool in_time = false;
        bool above_floor = false;
        for (const std::size_t i : writers[key]) {
            in_time = in_time || history_[i].invoked_ns <= fact.told->returned_ns;
            above_floor = above_floor || floors_[i] < index;
        }
        if (writers[key].empty()) {
            problems_.push_back("a value that nobody wrote: " + describe(*fact.told));
        } else if (!in_time) {
            problems_.push_back("a value before it was written: " + describe(*fact.told));
        } else if (!above_floor) {
            problems_.push_back("an index that was passed before the write began: " +
                                describe(*fact.told));
        }
    }
    for (const auto& [key, seen] : indexes) {
        if (!writers[key].empty() && seen.size() > writers[key].size()) {
            problems_.push_back(quoted(key.first) + " = " + quoted(key.second) + " was written " +
                                std::to_string(writers[key].size()) + " time(s) and shows at " +
                                std::to_string(seen.size()) + " indexes, the last " +
                                std::to_string(seen.back()));
        }
    }
}

void Facts::check_own_indexes() {
    std::map<std::uint64_t, const Operation*> owners;
    for (std::size_t i = 0; i < history_.size(); ++i) {
        const Operation& op = history_[i];
        const bool removed = op.kind == OpKind::remove && op.outcome == Outcome::ok;
        if ((!is_written(op) && !removed) || op.index == 0) {
            continue;
        }
        const auto [owner, is_new] = owners.emplace(op.index, &op);
        if (!is_new || (removed && by_index_.contains(op.index))) {
            const Operation& other = is_new ? *by_index_[op.index].told : *owner->second;
            problems_.push_back("one index, two writes: " + describe(other) + "; " + describe(op));
        }
        if (op.index <= floors_[i]) {
            problems_.push_back("index " + std::to_string(floors_[i]) +
                                " had been told before this write began: " + describe(op));
        }
    }
}

void check_reads(const History& history, const std::vector<std::uint64_t>& floors,
                 Problems& problems) {
    for (std::size_t i = 0; i < history.size(); ++i) {
        const Operation& op = history[i];
        if (!is_read(op.kind) || !is_answered(op) || op.applied_index == 0) {
            continue;
        }
        if (op.outcome == Outcome::ok && op.index > op.applied_index) {
            problems.push_back("served from a state older than the value: " + describe(op));
        }
        if (op.kind == OpKind::get && op.applied_index < floors[i]) {
            problems.push_back("index " + std::to_string(floors[i]) +
                               " had been told before this read began, which was served at " +
                               std::to_string(op.applied_index) + ": " + describe(op));
        }
    }
}

// One node's state only moves forward in the eyes of one client.
void check_local_reads(const History& history, Problems& problems) {
    struct Seen {
        std::uint64_t index = 0;
        bool gone = false;  // and then there was none
        std::uint64_t applied_index = 0;
    };
    std::vector<const Operation*> reads;
    for (const Operation& op : history) {
        if (op.kind == OpKind::local_get && is_answered(op)) {
            reads.push_back(&op);
        }
    }
    std::sort(reads.begin(), reads.end(), [](const Operation* a, const Operation* b) {
        return a->invoked_ns != b->invoked_ns ? a->invoked_ns < b->invoked_ns : a < b;
    });
    using Place = std::pair<std::pair<std::uint64_t, std::uint64_t>, std::uint64_t>;
    std::map<std::pair<Place, std::string>, Seen> seen;
    for (const Operation* op : reads) {
        Seen& before = seen[{{{op->client, op->node}, op->incarnation}, op->name}];
        const bool found = op->outcome == Outcome::ok;
        const bool back =
            found && (before.gone ? op->index <= before.index : op->index < before.index);
        const bool older = op->applied_index != 0 && op->applied_index < before.applied_index;
        if (back || older) {
            problems.push_back("a local read went back, index " + std::to_string(before.index) +
                               (before.gone ? " was gone" : " was there") +
                               " before: " + describe(*op));
        }
        before.index = found ? std::max(before.index, op->index) : before.index;
        before.gone = found ? before.gone && back : true;
        before.applied_index = std::max(before.applied_index, op->applied_index);
    }
}

bool is_same_request(const Operation& a, const Operation& b) {
    return a.kind == b.kind && a.name == b.name && a.value == b.value &&
           a.prev_index == b.prev_index && a.ttl_ns == b.ttl_ns;
}

bool is_same_answer(const Operation& a, const Operation& b) {
    return a.outcome == b.outcome && a.index == b.index && a.previous == b.previous &&
           a.previous_index == b.previous_index && a.previous_value == b.previous_value;
}

// `merged` takes in another attempt of the same request, neither of them refused.
void merge_attempt(Operation& merged, const Operation& attempt, Problems& problems) {
    if (is_answered(merged) && is_answered(attempt) && !is_same_answer(merged, attempt)) {
        problems.push_back("one request, two answers: " + describe(merged) + "; " +
                           describe(attempt));
    }
    const std::int64_t invoked_ns = std::min(merged.invoked_ns, attempt.invoked_ns);
    const bool is_first_answer =
        is_answered(attempt) && (!is_answered(merged) || attempt.returned_ns < merged.returned_ns);
    if (is_first_answer) {
        merged = attempt;
    }
    merged.invoked_ns = invoked_ns;
}

}  // namespace

std::vector<std::uint64_t> index_floors(const History& history) {
    std::vector<std::size_t> by_invocation(history.size());
    std::iota(by_invocation.begin(), by_invocation.end(), std::size_t{0});
    std::vector<std::size_t> by_return;
    for (const std::size_t i : by_invocation) {
        if (evidence_of(history[i]) != 0) {
            by_return.push_back(i);
        }
    }
    std::sort(by_invocation.begin(), by_invocation.end(), [&](std::size_t a, std::size_t b) {
        return history[a].invoked_ns < history[b].invoked_ns;
    });
    std::sort(by_return.begin(), by_return.end(), [&](std::size_t a, std::size_t b) {
        return history[a].returned_ns < history[b].returned_ns;
    });
    std::vector<std::uint64_t> floors(history.size());
    std::uint64_t floor = 0;
    std::size_t returned = 0;
    for (const std::size_t i : by_invocation) {
        while (returned < by_return.size() &&
               history[by_return[returned]].returned_ns < history[i].invoked_ns) {
            floor = std::max(floor, evidence_of(history[by_return[returned]]));
            ++returned;
        }
        floors[i] = floor;
    }
    return floors;
}

Problems check_index_facts(const History& history, const std::vector<std::uint64_t>& floors) {
    Problems problems;
    Facts facts(history, floors, problems);
    facts.check_writers();
    facts.check_own_indexes();
    check_reads(history, floors, problems);
    check_local_reads(history, problems);
    return problems;
}

History merge_retries(const History& history, Problems& problems) {
    History merged;
    std::map<std::string, std::size_t> by_key;
    for (const Operation& op : history) {
        // A refused attempt did nothing, whatever the others did.
        if (op.idempotency_key.empty() || op.outcome == Outcome::not_applied) {
            merged.push_back(op);
            continue;
        }
        const auto [found, is_new] = by_key.emplace(op.idempotency_key, merged.size());
        if (is_new) {
            merged.push_back(op);
            continue;
        }
        Operation& first = merged[found->second];
        if (!is_same_request(first, op)) {
            problems.push_back("one idempotency key, two requests: " + describe(first) + "; " +
                               describe(op));
            merged.push_back(op);
            continue;
        }
        merge_attempt(first, op, problems);
    }
    return merged;
}

}  // namespace cairn::checker
