// `cairn verify` and `cairn dump`: what they need of the operating system around verify.h and
// dump.h, the lock and standard output.
//
// For main, on the main thread. Exit status: 0 all is well; 1 something in the directory is damaged
// or can't be read; 2 nothing was looked at or the output couldn't be written: no data directory, a
// running node uses it. The reason for 2 is one line on standard error.
#pragma once

#include <string>

#include "server/tools/dump.h"

namespace cairn::server {

struct VerifyOptions {
    std::string data_dir = "./cairn-data";
    bool json = false;
};

int run_verify(const VerifyOptions& options);
int run_dump(const DumpOptions& options);

}  // namespace cairn::server
