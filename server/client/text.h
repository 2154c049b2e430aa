// What commands print of the server's JSON, for people.
//
// Pure functions, any thread. Whatever an answer holds, no control character of it gets into a
// text: names and values come from others, and a terminal acts on what it is shown. Parts of an
// answer that are missing or of another kind are shown as nothing. For programs there is --json.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "server/client/options.h"

namespace cairn::client {

// The bytes in "value" or "value_base64"; none when neither is there.
std::optional<std::string> value_bytes(const nlohmann::json& holder);

// A value on a terminal: itself when it is text, else escaped. Ends with a line end unless empty.
struct ShownValue {
    std::string text;
    bool is_escaped = false;
};
ShownValue terminal_value(std::string_view bytes);

// The same JSON, with what a terminal acts on as \uXXXX, and a line end.
std::string json_line(std::string_view json);

// Columns with two spaces between them; each row ends with a line end.
std::string table(const std::vector<std::vector<std::string>>& rows);

// "values" of a page of a list.
std::string list_text(const nlohmann::json& page, bool with_header);

// The answer to GET /v1/cluster.
std::string status_text(const nlohmann::json& cluster);
std::string members_text(const nlohmann::json& cluster);

// What a write has done.
std::string written_text(Verb verb, unsigned status, const nlohmann::json& answer);

// One message of a stream, its fields with tabs between them; empty when it tells people nothing.
std::string message_text(const nlohmann::json& message);

}  // namespace cairn::client
