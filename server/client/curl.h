// The curl line that does what a command does, for pasting into a shell.
//
// Pure functions, any thread. The line is for bash and POSIX shells, and holds no control character
// but the line ends of a value: nothing that is pasted acts on the terminal. A list's line gets its
// first page. What a line doesn't do is to ask another node, and to make up a key.
#pragma once

#include <string>
#include <string_view>

#include "server/client/http_client.h"
#include "server/client/options.h"

namespace cairn::client {

// As one word of a shell, with quotes where it needs them.
std::string shell_word(std::string_view text);

// Ends with a line end. `question` has been made of `options`, to be sent to `address`.
std::string curl_line(const Options& options, const server::Address& address,
                      const server::HttpQuestion& question);

}  // namespace cairn::client
