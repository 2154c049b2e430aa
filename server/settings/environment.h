// The environment's variables, as the command line reads them.
//
// For the main thread, before others start.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace cairn::server {

// The value of an environment variable, or nothing.
using EnvironmentLookup = std::function<std::optional<std::string>(const std::string& name)>;

// The process's own environment.
std::optional<std::string> process_environment(const std::string& name);

// What the variable of the setting says; a variable that is empty says nothing.
std::optional<std::string> told_by(const EnvironmentLookup& environment, std::string_view setting);

}  // namespace cairn::server
