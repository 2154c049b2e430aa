#include "tests/checker/register_search.h"

#include <algorithm>
#include <array>
#include <unordered_set>
#include <utility>

namespace cairn::checker {
namespace {

using Need = RegisterOp::Need;
using Effect = RegisterOp::Effect;

constexpr int expiry = -1;
constexpr std::uint64_t no_limit = UINT64_MAX;

// Places are remembered by 128 bits of hash: that two places share one is not to be expected in any
// number of runs, and saves remembering the places themselves.
struct Key {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    friend bool operator==(const Key&, const Key&) = default;
};

struct KeyHash {
    std::size_t operator()(const Key& key) const { return key.low; }
};

std::uint64_t mixed(std::uint64_t x) {
    x += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
}

Key key_of(std::uint64_t number, std::uint64_t kind) {
    return {mixed(mixed(number) ^ kind), mixed(mixed(number ^ 0x5bd1e995) + 3 * kind + 1)};
}

// The operation fits only while `passed` isn't above this.
std::uint64_t latest_of(const RegisterOp& op) {
    std::uint64_t latest = no_limit;
    if (op.need_index != 0) {
        latest = 2 * op.need_index;
    }
    if (op.index != 0) {
        latest = std::min(latest, 2 * op.index - 1);
    }
    return latest;
}

class Search {
 public:
    Search(const std::vector<RegisterOp>& ops, std::size_t states_max)
        : ops_(ops), states_max_(states_max) {
        link_by_invocation();
        order_by_latest();
        find_known();
    }

    SearchResult run();

 private:
    struct Frame {
        SearchState state;
        std::size_t trail = 0;         // how long the order was on arrival, observations left out
        std::size_t latest_first = 0;  // where in by_latest_ to begin
        std::vector<int> choices;
        std::size_t next = 0;
    };

    // What those need that had to come next and can't.
    struct Wants {
        bool nothing = false;      // that there is no value
        bool any_value = false;    // that there is one, whatever it is, or of some index
        bool other_value = false;  // that there is one, perhaps not the one that is there
        std::vector<int> values;
    };

    void link_by_invocation();
    void order_by_latest();
    void find_known();

    void lift(int op);
    void unlift(int op);
    void undo_to(std::size_t trail);

    // The certain ones that may come next in real time. Returns the first answer still owed.
    std::int64_t find_enabled(std::vector<int>& enabled) const;
    void take_observations(const SearchState& state);
    bool is_dead(Frame& frame) const;
    void add_want(Wants& wants, const RegisterOp& op, const SearchState& state) const;
    bool is_wanted(const Wants& wants, const RegisterOp& op) const;
    Wants find_wants(const SearchState& state);
    void add_removals(Frame& frame) const;
    void add_writes(Frame& frame, const Wants& wants) const;
    void find_choices(Frame& frame);
    SearchState after(const SearchState& before, int choice) const;
    bool enter(Frame& frame);
    void remember_best(const SearchState& state);

    const std::vector<RegisterOp>& ops_;
    std::size_t states_max_;

    // Those not yet in the order, by invocation: two rings, of the certain ones through the place
    // after the last operation, of the others through the next place.
    std::vector<int> next_;
    std::vector<int> previous_;
    std::vector<bool> lifted_;
    std::vector<int> by_latest_;
    std::size_t certain_left_ = 0;
    Key lifted_key_;
    std::vector<int> trail_;

    std::unordered_set<std::uint64_t> known_indexes_;  // of writes that certainly happened
    std::unordered_set<int> seen_values_;              // in answers

    std::unordered_set<Key, KeyHash> visited_;
    std::vector<int> enabled_;
    std::vector<int> doubtful_;
    SearchResult result_;
    std::size_t fewest_left_ = SIZE_MAX;
};

void Search::link_by_invocation() {
    const int count = static_cast<int>(ops_.size());
    std::vector<int> order(ops_.size());
    for (int i = 0; i < count; ++i) {
        order[static_cast<std::size_t>(i)] = i;
        certain_left_ += ops_[static_cast<std::size_t>(i)].certain ? 1 : 0;
    }
    std::sort(order.begin(), order.end(), [this](int a, int b) {
        return std::pair(ops_[static_cast<std::size_t>(a)].invoked_ns, a) <
               std::pair(ops_[static_cast<std::size_t>(b)].invoked_ns, b);
    });
    next_.resize(ops_.size() + 2);
    previous_.resize(ops_.size() + 2);
    lifted_.resize(ops_.size());
    for (const bool certain : {true, false}) {
        const int head = certain ? count : count + 1;
        int last = head;
        for (const int op : order) {
            if (ops_[static_cast<std::size_t>(op)].certain == certain) {
                next_[static_cast<std::size_t>(last)] = op;
                previous_[static_cast<std::size_t>(op)] = last;
                last = op;
            }
        }
        next_[static_cast<std::size_t>(last)] = head;
        previous_[static_cast<std::size_t>(head)] = last;
    }
}

void Search::order_by_latest() {
    for (std::size_t i = 0; i < ops_.size(); ++i) {
        if (ops_[i].certain && latest_of(ops_[i]) != no_limit) {
            by_latest_.push_back(static_cast<int>(i));
        }
    }
    std::sort(by_latest_.begin(), by_latest_.end(), [this](int a, int b) {
        return std::pair(latest_of(ops_[static_cast<std::size_t>(a)]), a) <
               std::pair(latest_of(ops_[static_cast<std::size_t>(b)]), b);
    });
}

void Search::find_known() {
    for (const RegisterOp& op : ops_) {
        if (op.effect == Effect::write && op.certain && op.index != 0) {
            known_indexes_.insert(op.index);
        }
        if (op.need_value != RegisterOp::any_value) {
            seen_values_.insert(op.need_value);
        }
    }
}

void Search::lift(int op) {
    const auto at = static_cast<std::size_t>(op);
    next_[static_cast<std::size_t>(previous_[at])] = next_[at];
    previous_[static_cast<std::size_t>(next_[at])] = previous_[at];
    lifted_[at] = true;
    certain_left_ -= ops_[at].certain ? 1 : 0;
    const Key key = key_of(at, 0);
    lifted_key_ = {lifted_key_.high ^ key.high, lifted_key_.low ^ key.low};
}

void Search::unlift(int op) {
    const auto at = static_cast<std::size_t>(op);
    next_[static_cast<std::size_t>(previous_[at])] = op;
    previous_[static_cast<std::size_t>(next_[at])] = op;
    lifted_[at] = false;
    certain_left_ += ops_[at].certain ? 1 : 0;
    const Key key = key_of(at, 0);
    lifted_key_ = {lifted_key_.high ^ key.high, lifted_key_.low ^ key.low};
}

void Search::undo_to(std::size_t trail) {
    while (trail_.size() > trail) {
        if (trail_.back() != expiry) {
            unlift(trail_.back());
        }
        trail_.pop_back();
    }
}

std::int64_t Search::find_enabled(std::vector<int>& enabled) const {
    enabled.clear();
    std::int64_t first_return = never_ns;
    const int end = static_cast<int>(ops_.size());
    for (int i = next_[ops_.size()]; i != end; i = next_[static_cast<std::size_t>(i)]) {
        const RegisterOp& op = ops_[static_cast<std::size_t>(i)];
        if (op.invoked_ns > first_return) {
            break;  // as are all that follow, and they return later still
        }
        enabled.push_back(i);
        first_return = std::min(first_return, op.returned_ns);
    }
    return first_return;
}

void Search::take_observations(const SearchState& state) {
    bool took = true;
    while (took) {
        took = false;
        find_enabled(enabled_);
        for (const int i : enabled_) {
            const RegisterOp& op = ops_[static_cast<std::size_t>(i)];
            const bool binds = op.need_index != 0 && state.index == 0;
            if (op.effect == Effect::none && !binds && why_not(ops_, op, state) == nullptr) {
                lift(i);
                trail_.push_back(i);
                took = true;
            }
        }
    }
}

// Whether some answer needs an index that this order has passed.
bool Search::is_dead(Frame& frame) const {
    std::size_t& first = frame.latest_first;
    while (first < by_latest_.size() && lifted_[static_cast<std::size_t>(by_latest_[first])]) {
        ++first;
    }
    return first < by_latest_.size() &&
           latest_of(ops_[static_cast<std::size_t>(by_latest_[first])]) < frame.state.passed;
}

// Adds what `op` would need to happen next; nothing when it can already, or when it is of no use.
void Search::add_want(Wants& wants, const RegisterOp& op, const SearchState& state) const {
    if (why_not(ops_, op, state) == nullptr) {
        // An observation that would settle the index of what is there could as well be of another
        // value, one that shows later, or expires.
        const bool binds = op.need_index != 0 && state.index == 0;
        wants.other_value = wants.other_value || (binds && op.effect == Effect::none);
        return;
    }
    if (op.need == Need::absent) {
        wants.nothing = true;
    } else if (op.need == Need::present && !known_indexes_.contains(op.need_index)) {
        if (op.need_value == RegisterOp::any_value) {
            wants.any_value = true;
        } else if (std::find(wants.values.begin(), wants.values.end(), op.need_value) ==
                   wants.values.end()) {
            wants.values.push_back(op.need_value);
        }
    }
}

bool Search::is_wanted(const Wants& wants, const RegisterOp& op) const {
    if (op.effect == Effect::remove) {
        return wants.nothing;
    }
    // One that nobody asks for may still expire, and take along what was there before.
    const bool expires = op.expires_ns != never_ns;
    return wants.any_value || (wants.nothing && expires) ||
           (wants.other_value && (expires || seen_values_.contains(op.value))) ||
           std::find(wants.values.begin(), wants.values.end(), op.value) != wants.values.end();
}

// What must come next can't yet. An operation in doubt is of use only right before one that needs
// what it leaves, since without that it may as well not have happened; so is expiry. What those in
// doubt need in turn is found in rounds.
Search::Wants Search::find_wants(const SearchState& state) {
    Wants wants;
    for (const int i : enabled_) {
        add_want(wants, ops_[static_cast<std::size_t>(i)], state);
    }
    bool grew = true;
    while (grew) {
        const Wants before = wants;
        for (const int i : doubtful_) {
            const RegisterOp& op = ops_[static_cast<std::size_t>(i)];
            if (is_wanted(wants, op)) {
                add_want(wants, op, state);
            }
        }
        grew = wants.nothing != before.nothing || wants.any_value != before.any_value ||
               wants.other_value != before.other_value;
    }
    return wants;
}

// Of several in doubt that lead to the same place, the one that is of least use later.
void Search::add_removals(Frame& frame) const {
    const SearchState& state = frame.state;
    const int* any = nullptr;
    for (const int& i : doubtful_) {
        const RegisterOp& op = ops_[static_cast<std::size_t>(i)];
        if (op.effect != Effect::remove || why_not(ops_, op, state) != nullptr) {
            continue;
        }
        if (op.need_index == 0) {
            any = any == nullptr ? &i : any;
        } else if (state.index == 0) {
            frame.choices.push_back(i);  // it says which index that is
        } else {
            frame.choices.push_back(i);  // no value has that index again
            return;
        }
    }
    if (any != nullptr) {
        frame.choices.push_back(*any);
    }
}

void Search::find_choices(Frame& frame) {
    frame.choices.clear();
    frame.next = 0;
    const std::int64_t first_return = find_enabled(enabled_);
    const SearchState& state = frame.state;
    for (const int i : enabled_) {
        if (why_not(ops_, ops_[static_cast<std::size_t>(i)], state) == nullptr) {
            frame.choices.push_back(i);
        }
    }
    doubtful_.clear();
    const int head = static_cast<int>(ops_.size()) + 1;
    for (int i = next_[ops_.size() + 1]; i != head; i = next_[static_cast<std::size_t>(i)]) {
        if (ops_[static_cast<std::size_t>(i)].invoked_ns > first_return) {
            break;
        }
        doubtful_.push_back(i);
    }
    const Wants wants = find_wants(state);
    if (wants.nothing && state.writer >= 0) {
        if (ops_[static_cast<std::size_t>(state.writer)].expires_ns <= first_return) {
            frame.choices.push_back(expiry);
        } else {
            add_removals(frame);
        }
    }
    add_writes(frame, wants);
}

// Of those whose values nobody saw and that need the same, the first is as good as any.
void Search::add_writes(Frame& frame, const Wants& wants) const {
    std::array<bool, 3> has_unseen{};
    for (const int i : doubtful_) {
        const RegisterOp& op = ops_[static_cast<std::size_t>(i)];
        if (op.effect != Effect::write || !is_wanted(wants, op) ||
            why_not(ops_, op, frame.state) != nullptr) {
            continue;
        }
        if (op.need_index == 0 && op.expires_ns == never_ns && !seen_values_.contains(op.value)) {
            bool& has = has_unseen.at(static_cast<std::size_t>(op.need));
            if (has) {
                continue;
            }
            has = true;
        }
        frame.choices.push_back(i);
    }
}

SearchState Search::after(const SearchState& before, int choice) const {
    SearchState state = before;
    if (choice == expiry) {
        state.writer = -1;
        state.passed += state.index != 0 ? 1 : 0;
        state.index = 0;
        return state;
    }
    const RegisterOp& op = ops_[static_cast<std::size_t>(choice)];
    if (op.need_index != 0 && state.index == 0) {
        state.index = op.need_index;
        state.passed = 2 * op.need_index;
    }
    if (op.effect == Effect::none) {
        return state;
    }
    if (state.writer >= 0 && state.index != 0) {
        state.passed = 2 * state.index + 1;
    }
    if (op.effect == Effect::write) {
        state.writer = choice;
        state.index = op.index;
        state.passed = op.index != 0 ? 2 * op.index : state.passed;
    } else {
        state.writer = -1;
        state.index = 0;
        state.passed = op.index != 0 ? 2 * op.index + 1 : state.passed;
    }
    return state;
}

// Takes what can be taken at once and finds what may follow; false when this place leads nowhere.
bool Search::enter(Frame& frame) {
    take_observations(frame.state);
    if (certain_left_ == 0) {
        return true;
    }
    bool fresh = !is_dead(frame);
    if (fresh) {
        const Key state = key_of(static_cast<std::uint64_t>(frame.state.writer + 1), 1);
        const Key passed = key_of(frame.state.passed, 2);  // which tells the value's index too
        fresh = visited_
                    .insert({lifted_key_.high ^ state.high ^ passed.high,
                             lifted_key_.low ^ state.low ^ passed.low})
                    .second;
    }
    if (fresh) {
        find_choices(frame);
    }
    fresh = fresh && !frame.choices.empty();
    if (!fresh) {
        remember_best(frame.state);
    }
    return fresh;
}

void Search::remember_best(const SearchState& state) {
    if (certain_left_ >= fewest_left_) {
        return;
    }
    fewest_left_ = certain_left_;
    result_.order = trail_;
    result_.state = state;
    find_enabled(result_.candidates);
}

SearchResult Search::run() {
    std::vector<Frame> frames(1);
    if (!enter(frames.back())) {
        frames.pop_back();
    }
    while (!frames.empty() && certain_left_ > 0) {
        if (visited_.size() > states_max_) {
            result_.kind = SearchResult::Kind::undecided;
            break;
        }
        Frame& frame = frames.back();
        if (frame.next == frame.choices.size()) {
            undo_to(frame.trail);
            frames.pop_back();
            continue;
        }
        const int choice = frame.choices[frame.next++];
        Frame next;
        next.state = after(frame.state, choice);
        next.trail = trail_.size();
        next.latest_first = frame.latest_first;
        trail_.push_back(choice);
        if (choice != expiry) {
            lift(choice);
        }
        const std::size_t before = next.trail;
        if (enter(next)) {
            frames.push_back(std::move(next));
        } else {
            undo_to(before);
        }
    }
    result_.states = visited_.size();
    if (certain_left_ == 0) {
        result_.kind = SearchResult::Kind::found;
        result_.order = trail_;
        result_.candidates.clear();
    } else if (result_.kind == SearchResult::Kind::found) {
        result_.kind = SearchResult::Kind::none;
    }
    return result_;
}

}  // namespace

const char* why_not(const std::vector<RegisterOp>& ops, const RegisterOp& op,
                    const SearchState& state) {
    if (op.need == Need::absent && state.writer >= 0) {
        return "it needs that there is no value";
    }
    if (op.need == Need::present) {
        if (state.writer < 0) {
            return "it needs that there is a value";
        }
        const RegisterOp& writer = ops[static_cast<std::size_t>(state.writer)];
        if (op.need_value != RegisterOp::any_value && op.need_value != writer.value) {
            return "it needs that another value is there";
        }
        if (state.index != 0 && op.need_index != 0 && op.need_index != state.index) {
            return "it needs that the value has another index";
        }
        if (state.index != 0 && op.forbidden_index == state.index) {
            return "it was refused for another index, and the value has the one it asked for";
        }
        if (state.index == 0 && op.need_index != 0 &&
            (2 * op.need_index <= state.passed || op.need_index <= writer.floor)) {
            return "the value there was written too late to have that index";
        }
    }
    std::uint64_t passed = state.passed;
    if (op.need == Need::present && state.index == 0 && op.need_index != 0) {
        passed = 2 * op.need_index;
    }
    if (op.effect != Effect::none && op.index != 0 && 2 * op.index <= passed) {
        return "its index is not above those before it";
    }
    return nullptr;
}

SearchResult search_order(const std::vector<RegisterOp>& ops, std::size_t states_max) {
    return Search(ops, states_max).run();
}

}  // namespace cairn::checker
