// Reads a snapshot back: StateMachine::read_snapshot() writes one, SnapshotLoader makes a state
// machine of it that is the same in every respect.
//
// Owned by one thread, any. The bytes come in parts cut anywhere and are judged as they come: what
// a state can't hold, what isn't in its one right order and whatever else no StateMachine writes is
// refused, and so is a state whose digest isn't the one written. Besides the state it holds at most
// one record. It does not hold the state to be the right one: which snapshot it is, is Raft's
// matter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "fsm/digest.h"
#include "fsm/snapshot_format.h"
#include "fsm/state_machine.h"

namespace cairn::fsm {

class SnapshotLoader {
 public:
    // The next part. False when this isn't a snapshot, now or at an earlier part: finish() says
    // why, and more parts change nothing.
    bool feed(std::string_view bytes);

    // After the last part, once. None, and why, when the snapshot isn't whole or isn't one.
    std::optional<StateMachine> finish(std::string& error);

 private:
    enum class Stage : std::uint8_t { header, tag, value, outcome, footer, done };

    void take_head(std::string_view& bytes);
    void take_payload(std::string_view& bytes);
    // Each once what it waited for is there: a record's fixed bytes, its name or key, its value.
    void on_head();
    void on_header();
    void on_tag();
    void on_value_head();
    void on_name();
    void on_outcome_head();
    void on_key();
    void on_footer();
    void on_payload();
    void on_value();
    void on_outcome();

    void wait_for_payload(std::size_t bytes);
    void wait_for_tag();
    void fail(const char* reason);

    bool is_index(Index index) const { return index != 0 && index <= header_.applied_index; }
    // Of a value: permanent, or no further off than the longest ttl.
    bool is_deadline(std::int64_t deadline_ns) const;
    bool is_output(const Output& output) const;

    Stage stage_ = Stage::header;
    std::string head_;  // of the record being read: fixed bytes, then name or key
    std::size_t head_wanted_ = snapshot::header_bytes;
    std::string payload_;  // and its value
    std::size_t payload_wanted_ = 0;
    bool payload_begun_ = false;

    snapshot::Header header_;
    snapshot::ValueHead value_;
    snapshot::OutcomeHead outcome_;
    std::string last_name_;
    Index last_entry_index_ = 0;
    std::int64_t last_deadline_ns_ = 0;
    std::uint64_t values_ = 0;
    std::uint64_t outcomes_ = 0;
    Digest digest_;
    StateMachine machine_;

    std::uint64_t bytes_taken_ = 0;
    std::string error_;  // empty while none
};

}  // namespace cairn::fsm
