// The messages of streams, one JSON object each, the same on every transport (api.md, Streams).
//
// Pure functions, owned by no thread. They append one object without a line end. A cursor is text
// as fsm::Cursor::format() makes it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "fsm/state_machine.h"

namespace cairn::server {

// watch: {"type":"value","name","value","index","expire"?,"cursor"}
void append_watch_value(std::string_view name, const fsm::Value& value, std::int64_t utc_offset_ns,
                        std::string_view cursor, std::string& out);

// watch, not set or gone: {"type":"value","name","value":null,"index","expired"?,"cursor"}
void append_watch_absent(std::string_view name, fsm::Index index, bool expired,
                         std::string_view cursor, std::string& out);

// events: created, updated or deleted
void append_event(const fsm::Event& event, std::int64_t utc_offset_ns, std::string_view cursor,
                  std::string& out);

// watch: what an event means to it, one of the first two
void append_watch_event(const fsm::Event& event, std::int64_t utc_offset_ns,
                        std::string_view cursor, std::string& out);

void append_subscribed(std::string_view cursor, std::string& out);
void append_progress(std::string_view cursor, std::string& out);
void append_gap(std::string_view cursor, std::string& out);

}  // namespace cairn::server
