// The JSON object in the body of a request to the cluster itself.
//
// A pure function, owned by no thread; any bytes may come in.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace cairn::server {

// Discarded (is_discarded()) when it isn't JSON. `twice` becomes a member of it that is there more
// than once, if there is one: readers differ on which of them counts.
nlohmann::json parse_json_body(std::string_view body, std::optional<std::string>& twice);

}  // namespace cairn::server
