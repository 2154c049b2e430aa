#include <charconv>
#include <map>

#include <nlohmann/json.hpp>

#include "tests/checker/history_json.h"
#include "tests/checker/json_members.h"
#include "tests/checker/recording.h"

namespace cairn::checker {
namespace {

using nlohmann::json;

const std::map<std::string_view, EventKind> event_kinds = {{"created", EventKind::created},
                                                           {"updated", EventKind::updated},
                                                           {"deleted", EventKind::deleted},
                                                           {"expired", EventKind::expired}};

const std::map<std::string_view, Received::Kind> message_kinds = {
    {"opened", Received::Kind::opened},     {"subscribed", Received::Kind::subscribed},
    {"created", Received::Kind::event},     {"updated", Received::Kind::event},
    {"deleted", Received::Kind::event},     {"value", Received::Kind::value},
    {"progress", Received::Kind::progress}, {"gap", Received::Kind::gap},
    {"closed", Received::Kind::closed}};

const std::map<std::string_view, KeyedCommand::Result> results = {
    {"applied", KeyedCommand::Result::applied},
    {"replayed", KeyedCommand::Result::replayed},
    {"mismatch", KeyedCommand::Result::mismatch}};

template <typename T>
bool whole_number(std::string_view text, T& out) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc{} && end == text.data() + text.size() && !text.empty();
}

bool read_place(const json& value, std::optional<Place>& out) {
    if (!value.is_string()) {
        return false;
    }
    const std::string_view text = value.get_ref<const std::string&>();
    const std::size_t dot = text.find('.');
    Place place;
    if (!whole_number(text.substr(0, dot), place.index) ||
        (dot != std::string_view::npos && !whole_number(text.substr(dot + 1), place.position))) {
        return false;
    }
    out = place;
    return true;
}

// Each reads one member; false: there is none of this name, or it is of another type.

bool read_event_member(const std::string& key, const json& value, CanonicalEvent& event) {
    return (key == "kind" && read_word(value, event_kinds, event.kind)) ||
           (key == "name" && read_text(value, event.name)) ||
           (key == "index" && read_number(value, event.index)) ||
           (key == "position" && read_number(value, event.position)) ||
           (key == "value" && read_text(value, event.value)) ||
           (key == "value_index" && read_number(value, event.value_index)) ||
           (key == "previous_index" && read_number(value, event.previous_index)) ||
           (key == "previous_value" && read_text(value, event.previous_value));
}

bool read_stream_member(const std::string& key, const json& value, RecordedStream& stream) {
    return (key == "stream" && read_number(value, stream.number)) ||
           (key == "name" && read_text(value, stream.selection.name)) ||
           (key == "prefix" && read_flag(value, stream.selection.prefix)) ||
           (key == "watch" && read_flag(value, stream.selection.watch)) ||
           (key == "complete_up_to" && read_place(value, stream.complete_up_to));
}

bool read_keyed_member(const std::string& key, const json& value, KeyedCommand& command) {
    return (key == "index" && read_number(value, command.index)) ||
           (key == "time_ns" && read_time(value, command.time_ns)) ||
           (key == "key" && read_text(value, command.key)) ||
           (key == "fingerprint" && read_number(value, command.fingerprint)) ||
           (key == "result" && read_word(value, results, command.result)) ||
           (key == "first_index" && read_number(value, command.first_index)) ||
           (key == "outcome" && read_number(value, command.outcome));
}

bool read_previous(const json& value, Received& message) {
    return value.is_object() && value.size() == 2 && value.contains("value") &&
           value.contains("index") && read_text(value["value"], message.previous_value) &&
           read_number(value["index"], message.previous_index);
}

bool read_value(const json& value, Received& message) {
    message.is_set = read_text(value, message.value);
    return message.is_set || value.is_null();
}

bool read_type(const json& value, Received& message) {
    return read_word(value, message_kinds, message.kind) &&
           (message.kind != Received::Kind::event || read_word(value, event_kinds, message.event));
}

struct StreamMessage {
    std::uint64_t stream = 0;
    Received message;
};

bool read_message_member(const std::string& key, const json& value, StreamMessage& out) {
    Received& message = out.message;
    return (key == "stream" && read_number(value, out.stream)) ||
           (key == "node" && read_number(value, message.node)) ||
           (key == "type" && read_type(value, message)) ||
           (key == "cursor" && read_place(value, message.cursor)) ||
           (key == "name" && read_text(value, message.name)) ||
           (key == "value" && read_value(value, message)) ||
           (key == "index" && read_number(value, message.index)) ||
           (key == "deleted_index" && read_number(value, message.deleted_index)) ||
           (key == "prev_value" && read_previous(value, message)) ||
           (key == "expired" && read_flag(value, message.is_expired));
}

// All members but "record". Nothing when all is well.
template <typename T>
std::optional<std::string> read_members(const json& object,
                                        bool (*read)(const std::string&, const json&, T&), T& out,
                                        std::initializer_list<const char*> needed) {
    for (const char* member : needed) {
        if (!object.contains(member)) {
            return "no member \"" + std::string(member) + "\"";
        }
    }
    for (const auto& [key, value] : object.items()) {
        if (key != "record" && !read(key, value, out)) {
            return "bad member \"" + key + "\"";
        }
    }
    return std::nullopt;
}

class Reader {
 public:
    std::optional<std::string> take(const json& object);
    Recording recording;

 private:
    std::optional<std::string> take_stream(const json& object);
    std::optional<std::string> take_message(const json& object);
    std::map<std::uint64_t, std::size_t> streams_;  // by number: which of recording.streams
};

std::optional<std::string> Reader::take_stream(const json& object) {
    RecordedStream stream;
    auto wrong = read_members(object, read_stream_member, stream, {"stream", "name"});
    if (!wrong && !streams_.emplace(stream.number, recording.streams.size()).second) {
        wrong = "stream " + std::to_string(stream.number) + " again";
    }
    recording.streams.push_back(std::move(stream));
    return wrong;
}

std::optional<std::string> Reader::take_message(const json& object) {
    StreamMessage read;
    const auto wrong = read_members(object, read_message_member, read, {"stream", "type"});
    if (wrong) {
        return wrong;
    }
    const auto found = streams_.find(read.stream);
    if (found == streams_.end()) {
        return "a message of stream " + std::to_string(read.stream) + ", which is not known";
    }
    // As the interface has it, a value that expired was deleted.
    Received& message = read.message;
    if (message.kind == Received::Kind::event && message.is_expired) {
        message.event = EventKind::expired;
    }
    recording.streams[found->second].messages.push_back(std::move(message));
    return std::nullopt;
}

std::optional<std::string> Reader::take(const json& object) {
    const json& record = object["record"];
    if (record == "event") {
        return read_members(object, read_event_member, recording.events.emplace_back(),
                            {"kind", "name", "index"});
    }
    if (record == "stream") {
        return take_stream(object);
    }
    if (record == "message") {
        return take_message(object);
    }
    if (record == "keyed") {
        return read_members(object, read_keyed_member, recording.keyed.emplace_back(),
                            {"index", "key", "result"});
    }
    return "bad member \"record\"";
}

}  // namespace

std::optional<Recording> parse_recording(std::string_view lines, std::string& error) {
    Reader reader;
    const auto read_line = [&](std::string_view line) {
        const json object = json::parse(line, nullptr, false);
        return object.is_object() && object.contains("record")
                   ? reader.take(object)
                   : read_operation(line, reader.recording.operations.emplace_back());
    };
    return read_lines(lines, read_line, error) ? std::optional(std::move(reader.recording))
                                               : std::nullopt;
}

}  // namespace cairn::checker
