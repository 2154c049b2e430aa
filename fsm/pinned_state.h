// The state as it was when a snapshot began, while entries go on changing it; written out part by
// part. Internal to the state machine, which owns one while a snapshot is taken.
//
// Nothing is copied at the beginning. A value knows the entry that wrote it, so one whose index is
// after the pinned one wasn't there, and all others are as they were. The state machine says when
// one of those is about to go (preserve, and PinnedOutcomes for outcomes): if it is still to be
// read, it is kept here, in order, and merged back when its turn comes. So no more is kept than was
// pinned, changed and not yet read; new names cost nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "fsm/digest.h"
#include "fsm/idempotency.h"
#include "fsm/snapshot_format.h"
#include "fsm/state_machine.h"

namespace cairn::fsm {

class StateMachine::PinnedState {
 public:
    explicit PinnedState(const StateMachine& machine);

    // `value` is about to be replaced or removed.
    void preserve(std::string_view name, const Value& value);
    PinnedOutcomes* outcomes() { return &outcomes_; }

    // As StateMachine::read_snapshot(); `machine` is the one it was made of, wherever it moved.
    bool read(const StateMachine& machine, std::size_t bytes_max, std::string& out);

 private:
    enum class Phase : std::uint8_t { header, values, outcomes, footer, done };

    // Where a part goes, and how much of the work that it may be is done.
    class Part {
     public:
        Part(std::size_t bytes_max, std::string& to) : out(to), bytes_left_(bytes_max) {}

        bool is_full() const { return bytes_left_ == 0; }
        std::size_t bytes_left() const { return bytes_left_; }
        void spend(std::size_t bytes) { bytes_left_ -= bytes < bytes_left_ ? bytes : bytes_left_; }

        std::string& out;

     private:
        std::size_t bytes_left_;
    };

    void read_values(const StateMachine& machine, Part& part);
    void read_outcomes(const StateMachine& machine, Part& part);
    void write_header(Part& part);
    void write_value(std::string_view name, const Value& value, Part& part);
    void write_outcome(Index index, const KeptOutcome& outcome, Part& part);
    void write_footer(Part& part);
    // The next bytes of the value whose record is begun.
    void write_bytes(Part& part);

    snapshot::Header header_;
    Digest digest_;
    Phase phase_ = Phase::header;
    std::string read_name_;  // all names up to this one are read
    std::map<std::string, Value, std::less<>> changed_;
    PinnedOutcomes outcomes_;
    Bytes bytes_;  // being written, from here on; null when none
    std::size_t bytes_written_ = 0;
};

}  // namespace cairn::fsm
