// The messages of streams as protobuf: serialized cairn.server.v1.ServerMessage without an id
// (proto/cairn/server/v1/stream.proto), the counterpart of stream_json.h.
//
// Pure functions, owned by no thread. They append; an id may be put in front, since the fields of a
// message may come in any order.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "fsm/state_machine.h"

namespace cairn::server {

void append_watch_value_protobuf(std::string_view name, const fsm::Value& value,
                                 std::int64_t utc_offset_ns, std::string_view cursor,
                                 std::string& out);
void append_watch_absent_protobuf(std::string_view name, fsm::Index index, bool expired,
                                  std::string_view cursor, std::string& out);
void append_event_protobuf(const fsm::Event& event, std::int64_t utc_offset_ns,
                           std::string_view cursor, std::string& out);
void append_watch_event_protobuf(const fsm::Event& event, std::int64_t utc_offset_ns,
                                 std::string_view cursor, std::string& out);
void append_subscribed_protobuf(std::string_view cursor, std::string& out);
void append_progress_protobuf(std::string_view cursor, std::string& out);
void append_gap_protobuf(std::string_view cursor, std::string& out);

}  // namespace cairn::server
