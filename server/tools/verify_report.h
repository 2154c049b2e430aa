// What `cairn verify` prints about what it found. Pure functions, owned by no thread.
//
// Both forms are for terminals too: nothing that came from the disk gets out unescaped.
#pragma once

#include <string>

#include "server/tools/verify.h"

namespace cairn::server {

// A line for each part and each damage, and one that sums up.
std::string verify_text(const VerifyReport& report);

// The same as one JSON object in one line, in ASCII. A cluster id and a digest are 16 hexadecimal
// digits.
std::string verify_json(const VerifyReport& report);

}  // namespace cairn::server
