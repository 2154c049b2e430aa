#include <map>
#include <utility>

#include "tests/checker/history_text.h"
#include "tests/checker/recording.h"

namespace cairn::checker {
namespace {

bool writes_value(const Operation& op) {
    return !is_read(op.kind) && op.kind != OpKind::remove;
}

bool is_new_value(const CanonicalEvent& event) {
    return event.kind == EventKind::created || event.kind == EventKind::updated;
}

// What clients were told about their writes, held against the events that the log gave.
class WriteCheck {
 public:
    explicit WriteCheck(const Recording& recording) : recording_(recording) {
        for (const CanonicalEvent& event : recording.events) {
            if (is_new_value(event)) {
                written_[{event.name, event.value}] = &event;
            } else if (event.kind == EventKind::deleted) {
                deleted_[{event.name, event.value_index}] = &event;
            }
        }
        for (const Operation& op : recording.operations) {
            if (writes_value(op) && op.outcome != Outcome::not_applied) {
                ++may_have_written_[{op.name, op.value}];
            }
        }
    }

    std::vector<std::string> problems() const {
        std::vector<std::string> found;
        for (const Operation& op : recording_.operations) {
            const char* wrong = is_read(op.kind) ? nullptr : wrong_with(op);
            if (wrong != nullptr) {
                found.push_back(std::string(wrong) + ": " + describe(op));
            }
        }
        return found;
    }

 private:
    const char* wrong_with(const Operation& op) const {
        if (op.outcome == Outcome::ok) {
            return op.kind == OpKind::remove ? wrong_with_removal(op) : wrong_with_write(op);
        }
        const bool refused = op.outcome != Outcome::unknown && writes_value(op);
        // One that was sent again with its key may have been applied by another try.
        const auto tries = may_have_written_.find({op.name, op.value});
        const std::size_t allowed = op.outcome == Outcome::not_applied ? 0 : 1;
        const bool by_this_one = tries == may_have_written_.end() || tries->second <= allowed;
        if (refused && by_this_one && written_.contains({op.name, op.value})) {
            return "refused, and it is in the log";
        }
        return nullptr;
    }

    const char* wrong_with_write(const Operation& op) const {
        const auto found = written_.find({op.name, op.value});
        if (found == written_.end()) {
            return "acknowledged, and it is not in the log";
        }
        return op.index != 0 && found->second->index != op.index
                   ? "acknowledged, and it is elsewhere in the log"
                   : nullptr;
    }

    const char* wrong_with_removal(const Operation& op) const {
        return op.previous_index != 0 && !deleted_.contains({op.name, op.previous_index})
                   ? "acknowledged, and it is not in the log"
                   : nullptr;
    }

    using NameAndValue = std::pair<std::string, std::string>;

    const Recording& recording_;
    std::map<NameAndValue, const CanonicalEvent*> written_;
    std::map<std::pair<std::string, std::uint64_t>, const CanonicalEvent*> deleted_;
    std::map<NameAndValue, std::size_t> may_have_written_;
};

}  // namespace

std::vector<std::string> check_recording(const Recording& recording) {
    std::vector<std::string> problems;
    if (!recording.events.empty()) {
        problems = check_canonical_events(recording.events);
        for (std::string& problem : WriteCheck(recording).problems()) {
            problems.push_back(std::move(problem));
        }
        for (const RecordedStream& stream : recording.streams) {
            for (const std::string& problem : check_stream(
                     recording.events, stream.selection, stream.messages, stream.complete_up_to)) {
                problems.push_back("stream " + std::to_string(stream.number) + ", " + problem);
            }
        }
    }
    for (const std::string& problem : check_idempotency(recording.keyed)) {
        problems.push_back("keys: " + problem);
    }
    return problems;
}

}  // namespace cairn::checker
