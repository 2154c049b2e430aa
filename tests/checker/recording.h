// All that was recorded of one run of a cluster: what clients asked and were told, what streams
// delivered, and the log that was applied meanwhile. And its judgement by all checkers together.
//
// Plain values and pure functions, owned by whoever calls them.
//
// As text it is one JSON object a line. A line without a member "record" is an operation as in
// history_json.h. The others say what they are:
//   "event"    an event that the applied log gave: kind (created, updated, deleted, expired), name,
//              index, position, value, value_index, previous_index, previous_value
//   "stream"   what a stream selects: stream (its number), name, prefix, watch, complete_up_to (a
//              cursor)
//   "message"  what a stream received, in order: stream, node, and the members of the interface's
//              own message; type may also be "opened" (cursor: where it resumed) or "closed"
//   "keyed"    a command with an idempotency key as it came to be in the log: index, time_ns, key,
//              fingerprint, result (applied, replayed, mismatch), first_index, outcome
// A cursor is "42", or "42.3" within an entry. Members may be left out when they are 0, false or
// empty; unknown ones are an error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tests/checker/history.h"
#include "tests/checker/idempotency_check.h"
#include "tests/checker/stream_check.h"

namespace cairn::checker {

struct RecordedStream {
    std::uint64_t number = 0;
    StreamSelection selection;
    std::vector<Received> messages;
    std::optional<Place> complete_up_to;
};

struct Recording {
    History operations;
    std::vector<CanonicalEvent> events;
    std::vector<RecordedStream> streams;
    std::vector<KeyedCommand> keyed;
};

// Nothing when a line is none of these; `error` says which and why.
std::optional<Recording> parse_recording(std::string_view lines, std::string& error);

// What is wrong besides the order of operations (linearizability.h), one line each: events that
// don't fit each other, writes that were acknowledged and are not among the events, or are although
// they were refused, streams, and keys whose command was done twice. Without events nothing is said
// about writes and streams.
std::vector<std::string> check_recording(const Recording& recording);

}  // namespace cairn::checker
