// Values as JSON, written by hand into a string that is reused.
//
// Pure functions, owned by no thread. Names are what fsm::valid_name lets through; bytes may be
// any. utc_offset_ns turns a deadline, which is log time, into the time of day of "expire".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fsm/state_machine.h"

namespace cairn::server {

// ,"expire":"2026-01-02T03:04:05.678Z" for a value with a deadline, else nothing.
void append_expire_member(const fsm::Value& value, std::int64_t utc_offset_ns, std::string& out);

// {"name","value","index","expire"?}
void append_value_json(std::string_view name, const fsm::Value& value, std::int64_t utc_offset_ns,
                       std::string& out);

// {"name","value","index"}: what was deleted
void append_deleted_json(std::string_view name, const fsm::Value& value, std::string& out);

// {"name","index"} and, when `prev_value` isn't null, "prev_value":{"value","index"}
void append_written_json(std::string_view name, fsm::Index index, const fsm::Value* prev_value,
                         std::string& out);

// {"value","index"}
void append_bare_value_json(const fsm::Value& value, std::string& out);

// {"values":[…]} and, when there is more, "next":"…","index":… . Ends early once `bytes_max` is
// passed; there is more when it did or when `more`. "next" is the last name shown, "index" the one
// that the list shows.
void append_list_json(const std::vector<fsm::ListItem>& items, bool more, bool keys_only,
                      fsm::Index index, std::int64_t utc_offset_ns, std::size_t bytes_max,
                      std::string& out);

}  // namespace cairn::server
