// Appending JSON by hand: strings and the one member that holds a value's bytes.
//
// Pure functions, owned by no thread. What they append is valid UTF-8 and valid inside a JSON
// document, whatever bytes come in. They don't place commas.
#pragma once

#include <string>
#include <string_view>

namespace cairn::server {

// A JSON string with its quotes. Bytes that aren't UTF-8 become U+FFFD.
void append_json_string(std::string_view text, std::string& out);

// "value":"text" when the bytes are UTF-8, "value_base64":"…" otherwise: what was stored comes
// back.
void append_value_member(std::string_view bytes, std::string& out);

}  // namespace cairn::server
