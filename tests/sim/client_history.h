// What the clients did and what they were told, in virtual time: the input of checkers that know
// nothing of the cluster.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cairn::sim {

struct HistoryOperation {
    enum class Kind : std::uint8_t { set, create, update, remove, get };
    enum class Outcome : std::uint8_t {
        unknown,      // may have happened, may yet happen
        not_applied,  // certainly didn't and never will
        ok,           // the answer is in `status` and what follows
    };

    std::uint64_t client = 0;  // does one after the other; one that doesn't know goes no further
    Kind kind = Kind::get;
    std::string name;
    std::string value;             // set, create, update: unique in the history
    std::uint64_t prev_index = 0;  // update, remove: 0: whatever there is
    std::optional<std::int64_t> ttl_ns;
    std::int64_t invoke_ns = 0;
    std::optional<std::int64_t> return_ns;  // none: no answer
    Outcome outcome = Outcome::unknown;

    int status = 0;                 // fsm::Status
    std::uint64_t index = 0;        // fsm::Output::index
    std::uint64_t log_index = 0;    // of the entry; get: of the state that was read
    bool exists = false;            // get
    std::string found;              // get: the value's bytes
    std::uint64_t found_index = 0;  // get: its index
    std::int64_t found_deadline_ns = 0;
};

using History = std::vector<HistoryOperation>;

}  // namespace cairn::sim
