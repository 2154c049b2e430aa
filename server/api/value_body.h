// The JSON body of a PUT: {"value" or "value_base64", "ttl"?, "prev_index"?}.
//
// Pure, owned by no thread; any bytes may come in. Strict, because a mistyped member that is
// ignored is a write that does something else than meant: unknown and repeated members, wrong
// types, both or neither spelling of the value are refused, each by name.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "fsm/state_machine.h"

namespace cairn::server {

struct PutBody {
    std::string value;
    std::optional<std::int64_t> ttl_ns;
    std::optional<fsm::Index> prev_index;
};

// None when `body` was read into `result`; else a sentence for people.
std::optional<std::string> parse_put_body(std::string_view body, PutBody& result);

// "… is not a duration such as …": the same words wherever a ttl may stand.
std::string ttl_error(std::string_view text);

}  // namespace cairn::server
