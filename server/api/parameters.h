// The query parameters of every route, parsed and checked.
//
// Pure, owned by no thread; any bytes may come in. A route says which ones it knows; any other is
// refused by name, because a mistyped parameter that is ignored is a request that means something
// else.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "fsm/history.h"
#include "server/node/backend.h"

namespace cairn::server {

// One bit each.
struct Known {
    static constexpr std::uint32_t timeout = 1U << 0;
    static constexpr std::uint32_t consistency = 1U << 1;
    static constexpr std::uint32_t min_index = 1U << 2;
    static constexpr std::uint32_t ttl = 1U << 3;
    static constexpr std::uint32_t prefix_text = 1U << 4;  // list: the prefix itself
    static constexpr std::uint32_t prefix_flag = 1U << 5;  // streams: true or false
    static constexpr std::uint32_t limit = 1U << 6;
    static constexpr std::uint32_t after = 1U << 7;
    static constexpr std::uint32_t keys_only = 1U << 8;
    static constexpr std::uint32_t cursor = 1U << 9;
    static constexpr std::uint32_t lease = 1U << 10;  // consistency may be lease

    static constexpr std::uint32_t known_index = 1U << 11;  // long polls: "after"
    static constexpr std::uint32_t wait = 1U << 12;
    static constexpr std::uint32_t at_index = 1U << 13;

    static constexpr std::uint32_t poll = known_index | wait;
    static constexpr std::uint32_t read = timeout | consistency | min_index;
    static constexpr std::uint32_t list = read | prefix_text | limit | after | keys_only | at_index;
    static constexpr std::uint32_t stream = prefix_flag | cursor;
};

struct Parameters {
    int timeout_ms = 0;  // 0: not said
    Consistency consistency = Consistency::linearizable;
    std::uint64_t min_index = 0;
    std::optional<std::int64_t> ttl_ns;
    std::string prefix;
    bool is_prefix = false;
    std::size_t limit = 100;
    std::string after;
    bool keys_only = false;
    std::uint64_t at_index = 0;  // 0: not said
    std::optional<fsm::Cursor> cursor;
    std::optional<std::uint64_t> known_index;  // a long poll
    int wait_ms = 0;                           // of one: how long; 0: not said
};

constexpr std::size_t list_limit_max = 1000;
constexpr int timeout_ms_max = 60'000;
constexpr int wait_ms_max = 60'000;

// Parses the query of a route that knows `known`. None when all is well; else a sentence for
// people.
std::optional<std::string> parse_parameters(std::string_view query, std::uint32_t known,
                                            Parameters& parameters);

}  // namespace cairn::server
