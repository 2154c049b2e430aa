#include "server/base/name_check.h"

#include <string>

#include "fsm/name.h"

namespace cairn::server {

bool is_name(std::string_view name, bool is_prefix) {
    if (!is_prefix) {
        return fsm::valid_name(name);
    }
    // The last segment of a prefix isn't complete: with "x" behind it, it must be part of a name.
    // Only the size limit is then one too strict.
    return name.empty() || fsm::valid_name(std::string(name) + "x");
}

}  // namespace cairn::server
