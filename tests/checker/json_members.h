// Reads members of JSON objects into plain fields: what the forms of histories share.
//
// Pure. Every function says whether the member was of the right type; then only is `out` set.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace cairn::checker {

template <typename T>
bool read_word(const nlohmann::json& value, const std::map<std::string_view, T>& words, T& out) {
    const auto found =
        value.is_string() ? words.find(value.get_ref<const std::string&>()) : words.end();
    if (found == words.end()) {
        return false;
    }
    out = found->second;
    return true;
}

inline bool read_text(const nlohmann::json& value, std::string& out) {
    if (!value.is_string()) {
        return false;
    }
    out = value.get<std::string>();
    return true;
}

template <typename T>
bool read_number(const nlohmann::json& value, T& out) {
    if (!value.is_number_unsigned() ||
        static_cast<std::uint64_t>(static_cast<T>(value.get<std::uint64_t>())) !=
            value.get<std::uint64_t>()) {
        return false;
    }
    out = static_cast<T>(value.get<std::uint64_t>());
    return true;
}

inline bool read_time(const nlohmann::json& value, std::int64_t& out) {
    if (!value.is_number_integer()) {
        return false;
    }
    out = value.get<std::int64_t>();
    return true;
}

inline bool read_flag(const nlohmann::json& value, bool& out) {
    if (!value.is_boolean()) {
        return false;
    }
    out = value.get<bool>();
    return true;
}

}  // namespace cairn::checker
