#include "server/tools/dump_record.h"

#include "cairn/server/v1/command.pb.h"
#include "fsm/command.h"
#include "fsm/name.h"
#include "fsm/utf8.h"
#include "server/base/base64.h"
#include "server/base/duration.h"
#include "server/base/printable.h"

namespace cairn::server {
namespace {

using Json = nlohmann::ordered_json;
using Input = ::atomix::multiraft::atomic::value::v1::AtomicValueInput;

template <class Written>
void describe_written(const Written& input, bool with_values, Json& json) {
    describe_value(input.value(), with_values, json);
    if (input.has_ttl()) {
        const std::optional<std::int64_t> ttl_ns = fsm::ttl_ns_of(input.ttl());
        json["ttl"] = ttl_ns ? format_duration(*ttl_ns) : "not a ttl";
    }
}

void describe_input(const Input& input, bool with_values, Json& json) {
    switch (input.input_case()) {
        case Input::kGet:
            json["does"] = "get";
            return;
        case Input::kSet:
            json["does"] = "set";
            describe_written(input.set(), with_values, json);
            return;
        case Input::kUpdate:
            json["does"] = "update";
            describe_written(input.update(), with_values, json);
            json["prev_index"] = input.update().prev_index();
            return;
        case Input::kDelete:
            json["does"] = "delete";
            json["prev_index"] = input.delete_().prev_index();
            return;
        case Input::kWatch:
        case Input::kEvents:
        case Input::INPUT_NOT_SET:
            json["does"] = "nothing: not a command";
            return;
    }
}

void describe_command(std::string_view bytes, bool with_values, Json& json) {
    v1::Command command;
    json["bytes"] = bytes.size();
    if (!command.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())) ||
        command.command_case() == v1::Command::COMMAND_NOT_SET) {
        json["does"] = "nothing: not a command";
        return;
    }
    if (command.has_clock()) {
        json["does"] = "clock";
        if (command.clock().has_utc_offset_ns()) {
            json["utc_offset_ns"] = command.clock().utc_offset_ns();
        }
        return;
    }
    const v1::ValueCommand& value = command.value();
    describe_text("name", value.name(), json);
    describe_input(value.input(), with_values, json);
    if (value.create_only()) {
        json["create_only"] = true;
    }
    if (!value.idempotency_key().empty()) {
        describe_text("idempotency_key", value.idempotency_key(), json);
    }
}

// The one place that says what a configuration is.
void describe_configuration_entry(std::string_view bytes, Json& json) {
    json["bytes"] = bytes.size();
    raft::Configuration configuration;
    if (raft::decode_configuration(bytes, configuration)) {
        json["configuration"] = describe_configuration(configuration);
    }
}

void describe_entry(const raft::WalRecord& record, bool with_values, Json& json) {
    json["index"] = record.header.index;
    json["term"] = record.header.term;
    json["stamp_ns"] = record.header.stamp_ns;
    switch (record.header.kind) {
        case raft::EntryKind::no_op:
            json["kind"] = "no_op";
            return;
        case raft::EntryKind::command:
            json["kind"] = "command";
            describe_command(record.payload, with_values, json);
            return;
        case raft::EntryKind::configuration:
            json["kind"] = "configuration";
            describe_configuration_entry(record.payload, json);
            return;
    }
}

// Members that need no name, for their value says what it is.
bool speaks_for_itself(std::string_view key) {
    return key == "record" || key == "kind" || key == "does";
}

}  // namespace

nlohmann::ordered_json describe_configuration(const raft::Configuration& configuration) {
    Json members = Json::array();
    for (const raft::Member& member : configuration.details) {
        members.push_back({{"id", member.id},
                           {"raft", printable(member.address)},
                           {"disk_id", member.disk_id},
                           {"stays_learner", member.stays_learner}});
    }
    return {{"voters", configuration.voters},
            {"outgoing_voters", configuration.outgoing_voters},
            {"learners", configuration.learners},
            {"members", std::move(members)},
            {"removed", configuration.removed}};
}

nlohmann::ordered_json describe_record(const raft::WalRecord& record, bool with_values) {
    Json json;
    switch (record.header.type) {
        case raft::WalRecordType::entry:
            json["record"] = "entry";
            describe_entry(record, with_values, json);
            break;
        case raft::WalRecordType::hard_state:
            json["record"] = "hard_state";
            json["term"] = record.header.term;
            json["voted_for"] = record.header.index;
            break;
        case raft::WalRecordType::log_start:
            json["record"] = "log_start";
            json["index"] = record.header.index;
            break;
        case raft::WalRecordType::end_of_segment:
            json["record"] = "end_of_segment";
            break;
    }
    if (record.header.type != raft::WalRecordType::end_of_segment) {
        json["group"] = record.header.group;
    }
    json["offset"] = record.offset;
    return json;
}

void describe_text(const std::string& key, std::string_view text, nlohmann::ordered_json& json) {
    if (fsm::is_valid_utf8(text)) {
        json[key] = text;
        return;
    }
    std::string base64;
    append_base64(text, base64);
    json[key + "_base64"] = base64;
}

void describe_value(std::string_view bytes, bool with_values, nlohmann::ordered_json& json) {
    json["value_bytes"] = bytes.size();
    if (!with_values) {
        return;
    }
    std::string_view shown = bytes.substr(0, dump_value_bytes_max);
    if (shown.size() < bytes.size() && fsm::is_valid_utf8(bytes)) {
        shown = shown.substr(0, fsm::valid_utf8_prefix(shown));  // not through a character
    }
    describe_text("value", shown, json);
    if (shown.size() < bytes.size()) {
        json["value_cut"] = true;
    }
}

std::string plain_text(const nlohmann::ordered_json& json) {
    std::string out;
    for (const auto& [key, value] : json.items()) {
        out += out.empty() ? "" : ", ";
        if (speaks_for_itself(key)) {
            out += printable(value.get_ref<const std::string&>());
            continue;
        }
        out += key + " ";
        if (value.is_string()) {
            append_printable_json(value.get_ref<const std::string&>(), out);
        } else {
            out += json_text(value);
        }
    }
    return out;
}

std::string json_text(const nlohmann::ordered_json& json) {
    return json.dump(-1, ' ', true, Json::error_handler_t::replace);
}

}  // namespace cairn::server
