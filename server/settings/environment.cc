#include "server/settings/environment.h"

#include <cstdlib>
#include <utility>

#include "server/settings/options.h"

namespace cairn::server {

std::optional<std::string> process_environment(const std::string& name) {
    const char* value = std::getenv(name.c_str());
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

std::optional<std::string> told_by(const EnvironmentLookup& environment, std::string_view setting) {
    std::optional<std::string> value = environment(environment_name(setting));
    return value && !value->empty() ? std::move(value) : std::nullopt;
}

}  // namespace cairn::server
