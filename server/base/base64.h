// Base64 (RFC 4648 §4): the standard alphabet with padding, nothing else.
//
// Pure functions, owned by no thread; any bytes may come in.
#pragma once

#include <string>
#include <string_view>

namespace cairn::server {

void append_base64(std::string_view bytes, std::string& out);

// Appends the bytes. False, with `out` in an unspecified state, on anything that append_base64
// would not have written: other characters, white space, padding missing or too much, bits set
// behind the last byte.
bool decode_base64(std::string_view text, std::string& out);

}  // namespace cairn::server
