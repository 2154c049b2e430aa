// One rendered message of a stream, immutable and shared by everybody it is sent to.
//
// Pure functions around stream_json.h. A message carries the cursor to resume from after it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "fsm/history.h"
#include "fsm/state_machine.h"

namespace cairn::server {

using MessageText = std::shared_ptr<const std::string>;

// What an event means to a watch, and to an events stream.
MessageText watch_message(const fsm::Event& event, std::int64_t utc_offset_ns);
MessageText event_message(const fsm::Event& event, std::int64_t utc_offset_ns);

// A value as it is now; an item without bytes: not set.
MessageText present_message(const fsm::ListItem& item, std::int64_t utc_offset_ns,
                            const fsm::Cursor& cursor);

MessageText subscribed_message(const fsm::Cursor& cursor);
MessageText progress_message(const fsm::Cursor& cursor);
MessageText gap_message(const fsm::Cursor& cursor);

}  // namespace cairn::server
