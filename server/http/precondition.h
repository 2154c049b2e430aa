// If-Match and If-None-Match (RFC 9110 §13.1), whose entity tags are our indexes: "42".
//
// Pure functions, owned by no thread; any bytes may come in. They only read the headers: the state
// machine decides, in log order. An entity tag that was never ours ("abc", "0", "042", one beyond
// 64 bits) is well-formed and matches nothing.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "fsm/state_machine.h"

namespace cairn::server {

// An index that no value ever has. Index 0 would mean "any" to the state machine.
constexpr fsm::Index never_index = UINT64_MAX;

struct IfMatch {
    enum class Kind : std::uint8_t {
        absent,
        any,      // *
        index,    // one tag; never_index when it can't match (also W/"42": it compares strongly)
        several,  // a list of tags
        malformed,
    };
    Kind kind = Kind::absent;
    fsm::Index index = 0;
};

// `field` is the header's value; data() == nullptr says that there is none.
IfMatch parse_if_match(std::string_view field);

struct IfNoneMatch {
    enum class Kind : std::uint8_t { absent, any, tags, malformed };
    Kind kind = Kind::absent;
    std::vector<fsm::Index> indexes;  // tags: those that can match; compared weakly

    // Whether it names the value at `index` (or anything that is there, for *).
    bool names(fsm::Index index) const;
};

// Fills `result`, which keeps its memory.
void parse_if_none_match(std::string_view field, IfNoneMatch& result);

}  // namespace cairn::server
