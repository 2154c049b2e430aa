// Completing words of a command line in a shell.
//
// Pure functions, any thread. The script that a shell is given knows nothing: it asks
// `cairn complete WORD…`, which answers from the same description of the commands that the parser
// and the help use, so that it can't be out of date.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "server/client/options.h"

namespace CLI {
class App;
}  // namespace CLI

namespace cairn::client {

// What may stand for the last word.
struct Completions {
    // Each "WORD" or "WORD\tWHAT IT IS", or ":files" for the shell's own.
    std::vector<std::string> lines;
    // How the names of values begin that may stand there too.
    std::optional<std::string> name_prefix;
    std::vector<std::string> endpoints;  // whom to ask for them, when that was given
};

// `words` stand after the program's name; the last one is unfinished, and maybe empty.
Completions complete(const CLI::App& app, const std::vector<std::string>& words);

// The list that answers name_prefix, from endpoints that make sense, quickly or not at all.
void set_names_question(const Completions& completions, Options& options);

// For bash, zsh or fish.
std::string completion_script(const std::string& shell);

}  // namespace cairn::client
