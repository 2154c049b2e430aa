#include "server/api/json_body.h"

#include <functional>
#include <set>

namespace cairn::server {

using Json = nlohmann::json;

Json parse_json_body(std::string_view body, std::optional<std::string>& twice) {
    // The parser takes a NUL for the end of its input and would not see what follows.
    if (body.find('\0') != std::string_view::npos) {
        return Json(Json::value_t::discarded);
    }
    std::set<std::string, std::less<>> keys;
    const auto note_key = [&](int depth, Json::parse_event_t event, const Json& parsed) {
        const bool is_key = event == Json::parse_event_t::key && depth == 1;
        if (is_key && !keys.insert(parsed.get_ref<const std::string&>()).second) {
            twice = parsed.get_ref<const std::string&>();
        }
        return true;
    };
    return Json::parse(body, note_key, false);
}

}  // namespace cairn::server
