// What a record of the log says, for people and as JSON.
//
// Pure functions, owned by no thread; any bytes may come in, and nothing comes out that does
// something to a terminal. Values may be secrets: their bytes are only shown when asked for, and
// then only their beginning. Names and idempotency keys are shown.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "raft/core/configuration.h"
#include "raft/core/types.h"
#include "raft/disk/wal_reader.h"

namespace cairn::server {

constexpr std::size_t dump_value_bytes_max = 64;  // of a value's beginning

// The members of an object that describe the record: index, term, stamp, what the command does.
nlohmann::ordered_json describe_record(const raft::WalRecord& record, bool with_values);

nlohmann::ordered_json describe_configuration(const raft::Configuration& configuration);

// "value_bytes", and with `with_values` "value" or, when it isn't UTF-8, "value_base64", and
// "value_cut" when that is only its beginning.
void describe_value(std::string_view bytes, bool with_values, nlohmann::ordered_json& json);

// "name", or "name_base64" when the text isn't UTF-8.
void describe_text(const std::string& key, std::string_view text, nlohmann::ordered_json& json);

// An object in one line for people: `entry, index 7, name "a/b"`.
std::string plain_text(const nlohmann::ordered_json& json);

// One object in one line of ASCII.
std::string json_text(const nlohmann::ordered_json& json);

}  // namespace cairn::server
