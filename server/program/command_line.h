// From the command line, the environment and the settings file to options, or to a message and an
// exit status.
//
// For main, before anything else starts. Nothing is printed, and nothing but the settings file is
// touched: main prints `out` and `err` and, for Action::exit, ends with exit_status. A flag beats
// its environment variable, which beats the settings file; lists are replaced, not joined. Empty
// environment variables count as not set. What is wrong is one line in `err` and exit status 2.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "server/client/options.h"
#include "server/settings/environment.h"
#include "server/settings/options.h"
#include "server/tools/cluster_tools.h"
#include "server/tools/tools.h"

namespace cairn::server {

struct CommandLineResult {
    enum class Action { serve, verify, dump, recover, restore, client, exit };

    Action action = Action::exit;
    int exit_status = 0;
    std::string out;       // for stdout, complete with newline
    std::string err;       // for stderr, complete with newline
    ServeOptions options;  // for Action::serve
    VerifyOptions verify;  // for Action::verify
    DumpOptions dump;      // for Action::dump
    RecoverOptions recover;
    RestoreOptions restore;
    client::Options client;
};

// `arguments` without the program's name; `cores` decides the default of gateway-threads.
CommandLineResult parse_command_line(const std::vector<std::string>& arguments,
                                     const EnvironmentLookup& environment, unsigned cores);

}  // namespace cairn::server
