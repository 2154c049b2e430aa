// JSON from a client, looked over before anything is built of it.
//
// Pure functions, owned by no thread; any bytes may come in. What passes is one document of valid
// JSON that all readers take for the same: no member twice, under whichever of the two names that
// protobuf gives it. It is small but for its strings, so that a parser may follow that builds a
// tree or recurses. Whether it says anything that makes sense is for others to find out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace cairn::server {

struct CheckedJson {
    std::string fault;  // to be said of it: "is not JSON (at byte 7)"; empty: none
    // The document's member "id" where that is a whole number; also beside a fault, when it was
    // read and can't be another.
    std::optional<std::uint64_t> id;
};

CheckedJson check_json(std::string_view text);

// What is in a body; discarded (is_discarded()) when it has a fault.
nlohmann::json parse_json_body(std::string_view body, std::string& fault);

}  // namespace cairn::server
