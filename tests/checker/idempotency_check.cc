#include "tests/checker/idempotency_check.h"

#include <map>

#include "tests/checker/history_text.h"

namespace cairn::checker {
namespace {

struct First {
    const KeyedCommand* command = nullptr;
    std::size_t number = 0;  // counts the commands that were kept
};

std::string place(const KeyedCommand& command) {
    return "key " + quoted(command.key) + " at index " + std::to_string(command.index);
}

// A key that is kept was there; null when this command is as it must be.
const char* wrong_while_kept(const KeyedCommand& first, const KeyedCommand& command) {
    const bool is_same = first.fingerprint == command.fingerprint;
    switch (command.result) {
        case KeyedCommand::Result::applied:
            return is_same ? "applied again" : "another request was applied under a key in use";
        case KeyedCommand::Result::replayed:
            if (!is_same) {
                return "another request got the first one's outcome";
            }
            if (command.first_index != first.index) {
                return "the outcome of another entry was given";
            }
            return command.outcome != first.outcome ? "a replay with another outcome" : nullptr;
        case KeyedCommand::Result::mismatch:
            return is_same ? "the same request was refused as another" : nullptr;
    }
    return nullptr;
}

}  // namespace

std::vector<std::string> check_idempotency(const std::vector<KeyedCommand>& log,
                                           const IdempotencyCheckOptions& options) {
    std::vector<std::string> problems;
    std::map<std::string, First> firsts;
    std::size_t kept = 0;
    const KeyedCommand* before = nullptr;
    for (const KeyedCommand& command : log) {
        if (before != nullptr &&
            (command.index <= before->index || command.time_ns < before->time_ns)) {
            problems.push_back("the log goes back: " + place(command));
        }
        before = &command;
        const auto found = firsts.find(command.key);
        const bool is_first = found == firsts.end();
        const bool is_past =
            !is_first && command.time_ns - found->second.command->time_ns >= options.retention_ns;
        const bool may_be_pushed_out = !is_first && kept - found->second.number >= options.kept_max;
        const bool applied = command.result == KeyedCommand::Result::applied;
        if (is_first || is_past) {
            if (!applied) {
                problems.push_back(place(command) +
                                   ": refused or replayed, and no such key is kept");
            }
        } else if (!may_be_pushed_out || !applied) {
            const char* wrong = wrong_while_kept(*found->second.command, command);
            if (wrong != nullptr) {
                problems.push_back(place(command) + ", first at " +
                                   std::to_string(found->second.command->index) + ": " + wrong);
            }
        }
        if (applied) {
            firsts[command.key] = {&command, ++kept};
        }
    }
    return problems;
}

}  // namespace cairn::checker
