// Percent-decoding and query strings, strictly and once.
//
// Pure functions, owned by no thread; any bytes may come in. What they return has been decoded
// exactly once and may hold any bytes at all: validity of names is decided elsewhere.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cairn::server {

// Appends what `text` says to `out`. False at a '%' without two hexadecimal digits behind it.
bool percent_decode(std::string_view text, std::string& out);

// Appends `text` so that it can stand in a path: all but unreserved characters and '/' escaped.
void percent_encode_path(std::string_view text, std::string& out);

struct QueryParameter {
    std::string name;
    std::string value;
};

// Parses "a=1&b=x%20y". '+' is a space, as forms and the usual encoders write it. On failure
// `error` is a sentence for people: a bad escape, a parameter without a name, or one that comes
// twice.
bool parse_query(std::string_view query, std::vector<QueryParameter>& parameters,
                 std::string& error);

// "/a/b?x=1" is "/a/b" and "x=1".
std::pair<std::string_view, std::string_view> split_target(std::string_view target);

}  // namespace cairn::server
