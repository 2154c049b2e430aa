#include "server/streams/stream_json.h"

#include "server/api/value_json.h"
#include "server/base/json_text.h"
#include "server/http/http_types.h"

namespace cairn::server {
namespace {

void begin_message(std::string_view type, std::string& out) {
    out += "{\"type\":\"";
    out += type;
    out += '"';
}

void begin_named_message(std::string_view type, std::string_view name, std::string& out) {
    begin_message(type, out);
    out += ",\"name\":";
    append_json_string(name, out);
    out += ',';
}

void append_index(std::string_view member, fsm::Index index, std::string& out) {
    out += ",\"";
    out += member;
    out += "\":";
    append_number(index, out);
}

void end_message(std::string_view cursor, std::string& out) {
    out += ",\"cursor\":";
    append_json_string(cursor, out);
    out += '}';
}

std::string_view type_of(fsm::Event::Kind kind) {
    switch (kind) {
        case fsm::Event::Kind::created:
            return "created";
        case fsm::Event::Kind::updated:
            return "updated";
        case fsm::Event::Kind::deleted:
            break;
    }
    return "deleted";
}

void append_bare_message(std::string_view type, std::string_view cursor, std::string& out) {
    begin_message(type, out);
    end_message(cursor, out);
}

}  // namespace

void append_watch_value(std::string_view name, const fsm::Value& value, std::int64_t utc_offset_ns,
                        std::string_view cursor, std::string& out) {
    begin_named_message("value", name, out);
    append_value_member(*value.bytes, out);
    append_index("index", value.index, out);
    append_expire_member(value, utc_offset_ns, out);
    end_message(cursor, out);
}

void append_watch_absent(std::string_view name, fsm::Index index, bool expired,
                         std::string_view cursor, std::string& out) {
    begin_named_message("value", name, out);
    out += "\"value\":null";
    append_index("index", index, out);
    if (expired) {
        out += ",\"expired\":true";
    }
    end_message(cursor, out);
}

void append_event(const fsm::Event& event, std::int64_t utc_offset_ns, std::string_view cursor,
                  std::string& out) {
    begin_named_message(type_of(event.kind), event.name, out);
    append_value_member(*event.value.bytes, out);
    append_index("index", event.value.index, out);
    if (event.kind == fsm::Event::Kind::deleted) {
        out += event.expired ? ",\"expired\":true" : ",\"expired\":false";
        append_index("deleted_index", event.at_index, out);
    } else {
        append_expire_member(event.value, utc_offset_ns, out);
    }
    if (event.prev_value) {
        out += ",\"prev_value\":";
        append_bare_value_json(*event.prev_value, out);
    }
    end_message(cursor, out);
}

void append_watch_event(const fsm::Event& event, std::int64_t utc_offset_ns,
                        std::string_view cursor, std::string& out) {
    if (event.kind == fsm::Event::Kind::deleted) {
        append_watch_absent(event.name, event.at_index, event.expired, cursor, out);
    } else {
        append_watch_value(event.name, event.value, utc_offset_ns, cursor, out);
    }
}

void append_subscribed(std::string_view cursor, std::string& out) {
    append_bare_message("subscribed", cursor, out);
}

void append_progress(std::string_view cursor, std::string& out) {
    append_bare_message("progress", cursor, out);
}

void append_gap(std::string_view cursor, std::string& out) {
    append_bare_message("gap", cursor, out);
}

}  // namespace cairn::server
