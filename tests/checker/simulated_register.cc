#include "tests/checker/simulated_register.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace cairn::checker::testing {
namespace {

struct Stored {
    std::string value;
    std::uint64_t index = 0;
    std::int64_t deadline_ns = 0;
};

class Simulation {
 public:
    Simulation(Random& random, const SimulatedOptions& options)
        : random_(random), options_(options), open_(options.clients) {}

    History run() {
        while (history_.size() < options_.operations || is_anything_open()) {
            now_ns_ += static_cast<std::int64_t>(random_.below(20)) + 1;
            step(random_.below(options_.clients));
            if (!abandoned_.empty() && random_.chance(10)) {
                const std::size_t which = random_.below(abandoned_.size());
                Operation op = abandoned_[which];
                abandoned_.erase(abandoned_.begin() + static_cast<std::ptrdiff_t>(which));
                apply(op);  // nobody is told
            }
        }
        return history_;
    }

 private:
    struct Open {
        std::size_t number = 0;  // in the history
        bool applied = false;
        Operation answer;
    };

    bool is_anything_open() const {
        for (const auto& open : open_) {
            if (open) {
                return true;
            }
        }
        return false;
    }

    void step(std::uint64_t client) {
        std::optional<Open>& open = open_[client];
        if (!open) {
            if (history_.size() < options_.operations) {
                history_.push_back(invent(client));
                open = Open{history_.size() - 1, false, history_.back()};
            }
            return;
        }
        if (!open->applied && random_.chance(options_.unknown_percent / 2)) {
            abandoned_.push_back(open->answer);
            open.reset();
        } else if (!open->applied) {
            apply(open->answer);
            open->applied = true;
        } else if (random_.chance(options_.unknown_percent / 2)) {
            open.reset();
        } else {
            open->answer.returned_ns = now_ns_;
            history_[open->number] = open->answer;
            open.reset();
        }
    }

    Operation invent(std::uint64_t client) {
        Operation op;
        op.client = client;
        op.name = "n" + std::to_string(random_.below(options_.names));
        op.invoked_ns = now_ns_;
        constexpr OpKind kinds[] = {OpKind::get,    OpKind::get,    OpKind::get,    OpKind::set,
                                    OpKind::create, OpKind::update, OpKind::update, OpKind::remove};
        op.kind = kinds[random_.below(8)];
        if (op.kind == OpKind::get) {
            return op;
        }
        const bool has_condition = op.kind == OpKind::update || op.kind == OpKind::remove;
        if (has_condition && random_.chance(70)) {
            op.prev_index = guess_index(op.name);
        }
        if (op.kind != OpKind::remove) {
            const std::uint64_t number =
                options_.values == 0 ? ++written_ : random_.below(options_.values);
            op.value = "v" + std::to_string(number);
            op.ttl_ns = random_.chance(options_.ttl_percent)
                            ? static_cast<std::int64_t>(random_.below(300)) + 1
                            : 0;
        }
        return op;
    }

    std::uint64_t guess_index(const std::string& name) {
        const auto found = values_.find(name);
        const std::uint64_t current = found == values_.end() ? index_ : found->second.index;
        return random_.chance(70) || current < 2 ? current : current - 1;
    }

    void apply(Operation& op) {
        auto found = values_.find(op.name);
        if (found != values_.end() && found->second.deadline_ns != 0 &&
            found->second.deadline_ns <= now_ns_ && random_.chance(80)) {
            values_.erase(found);
            found = values_.end();
        }
        const bool is_there = found != values_.end();
        if (op.kind == OpKind::get) {
            op.outcome = is_there ? Outcome::ok : Outcome::not_found;
            op.index = is_there ? found->second.index : 0;
            op.returned_value = is_there ? found->second.value : "";
            return;
        }
        ++index_;
        if (op.kind == OpKind::create && is_there) {
            op.outcome = Outcome::already_exists;
            op.index = random_.chance(80) ? found->second.index : 0;
        } else if (is_there && op.prev_index != 0 && op.prev_index != found->second.index) {
            op.outcome = Outcome::conflict;
            op.index = found->second.index;
        } else if (!is_there && (op.kind == OpKind::update || op.kind == OpKind::remove)) {
            op.outcome = Outcome::not_found;
        } else {
            write(op, is_there ? &found->second : nullptr);
        }
    }

    void write(Operation& op, const Stored* before) {
        op.outcome = Outcome::ok;
        if (random_.chance(60)) {
            op.previous = before != nullptr ? Previous::present : Previous::absent;
            if (before != nullptr && random_.chance(70)) {
                op.previous_index = before->index;
                op.previous_value = before->value;
            }
        }
        if (op.kind == OpKind::remove) {
            op.index = random_.chance(30) ? index_ : 0;
            values_.erase(op.name);
            return;
        }
        op.index = index_;
        values_[op.name] = {op.value, index_, op.ttl_ns == 0 ? 0 : now_ns_ + op.ttl_ns};
    }

    Random& random_;
    SimulatedOptions options_;
    std::int64_t now_ns_ = 0;
    std::uint64_t index_ = 1;
    std::uint64_t written_ = 0;
    std::map<std::string, Stored> values_;
    std::vector<std::optional<Open>> open_;
    std::vector<Operation> abandoned_;
    History history_;
};

}  // namespace

History simulate(Random& random, const SimulatedOptions& options) {
    return Simulation(random, options).run();
}

}  // namespace cairn::checker::testing
