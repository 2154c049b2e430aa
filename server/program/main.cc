// The program: reads the command line and does what it says.

#include <csignal>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "fsm/name_hash.h"
#include "server/base/random_number.h"
#include "server/client/run.h"
#include "server/program/app.h"
#include "server/program/command_line.h"
#include "server/tools/cluster_tools.h"
#include "server/tools/tools.h"

int main(int argc, char** argv) {
    using cairn::server::CommandLineResult;
    const std::vector<std::string> arguments(argv + 1, argv + argc);
    cairn::fsm::set_hash_secret({cairn::server::random_number(), cairn::server::random_number()});
    const CommandLineResult result = cairn::server::parse_command_line(
        arguments, cairn::server::process_environment, std::thread::hardware_concurrency());
    std::fputs(result.out.c_str(), stdout);
    std::fputs(result.err.c_str(), stderr);
    switch (result.action) {
        case CommandLineResult::Action::exit:
            return result.exit_status;
        case CommandLineResult::Action::verify:
            return cairn::server::run_verify(result.verify);
        case CommandLineResult::Action::dump:
            return cairn::server::run_dump(result.dump);
        case CommandLineResult::Action::recover:
            return cairn::server::run_recover(result.recover);
        case CommandLineResult::Action::restore:
            return cairn::server::run_restore(result.restore);
        case CommandLineResult::Action::client:
            return cairn::client::run(result.client);
        case CommandLineResult::Action::serve:
            break;
    }
    // A client that closes its socket is an error code of the write, not the end of the process.
    std::signal(SIGPIPE, SIG_IGN);
    return cairn::server::serve(result.options);
}
