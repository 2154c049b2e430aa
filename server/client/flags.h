// The command lines of `cairn get`, `set`, `watch` and the other commands for a running cluster.
//
// For the parser of command lines, on the main thread. Declares them to CLI11, from which the help
// and the completion of words are made; reads what was given into Options, or says in one sentence
// what is wrong with it. Names are checked by the state machine's own rule, so that a curl line
// means the same.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/base/parse_result.h"
#include "server/client/options.h"
#include "server/settings/environment.h"

namespace CLI {
class App;
}  // namespace CLI

namespace cairn::client {

class Flags {
 public:
    explicit Flags(CLI::App& app);

    // The one that was given, or none.
    const CLI::App* parsed() const;

    // One of them was parsed. Answers what is wrong, or nothing.
    std::string read(const server::EnvironmentLookup& environment, Options& options) const;

 private:
    CLI::App& add(Verb verb, CLI::App& parent, const std::string& name, const std::string& help);
    void add_values(CLI::App& app);
    void add_streams(CLI::App& app);
    void add_cluster(CLI::App& app);

    std::vector<std::pair<Verb, CLI::App*>> verbs_;
};

// "HOST:PORT,http://HOST:PORT": one or more, in the order in which they are asked.
server::ParseResult<std::vector<server::Address>> parse_endpoints(std::string_view text);

}  // namespace cairn::client
