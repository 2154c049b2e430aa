// Standard output and a command's other ends: the value it is given, the file it writes.
//
// For the main thread; blocks. Who closes standard output ends the command by SIGPIPE, as with
// other programs, and Ctrl-C by SIGINT; all else that goes wrong is answered as a sentence.
#pragma once

#include <string>
#include <string_view>

#include "server/base/parse_result.h"
#include "server/client/options.h"

namespace cairn::client {

bool is_terminal();

// Whether it got out. Flushes, so that who reads a stream has each message at once.
bool print(std::string_view text);

// One line on standard error, from what is printable.
void complain(const std::string& reason);

std::string write_file(const std::string& path, std::string_view bytes);

// The value of set and update.
server::ParseResult<std::string> read_value(const Options& options);

}  // namespace cairn::client
