#include "server/api/value_json.h"

#include <limits>

#include "server/base/json_text.h"
#include "server/base/rfc3339.h"
#include "server/http/http_types.h"

namespace cairn::server {
namespace {

// The offset comes out of the log: whatever it is, it must not overflow here.
std::int64_t saturating_add(std::int64_t a, std::int64_t b) {
    std::int64_t sum = 0;
    if (__builtin_add_overflow(a, b, &sum)) {
        return b < 0 ? std::numeric_limits<std::int64_t>::min()
                     : std::numeric_limits<std::int64_t>::max();
    }
    return sum;
}

void append_index_member(fsm::Index index, std::string& out) {
    out += "\"index\":";
    append_number(index, out);
}

void append_name_member(std::string_view name, std::string& out) {
    out += "\"name\":";
    append_json_string(name, out);
}

}  // namespace

void append_expire_member(const fsm::Value& value, std::int64_t utc_offset_ns, std::string& out) {
    if (value.deadline_ns == 0) {
        return;
    }
    out += ",\"expire\":\"";
    append_rfc3339(saturating_add(value.deadline_ns, utc_offset_ns), out);
    out += '"';
}

void append_value_json(std::string_view name, const fsm::Value& value, std::int64_t utc_offset_ns,
                       std::string& out) {
    out += '{';
    append_name_member(name, out);
    out += ',';
    append_value_member(*value.bytes, out);
    out += ',';
    append_index_member(value.index, out);
    append_expire_member(value, utc_offset_ns, out);
    out += '}';
}

void append_deleted_json(std::string_view name, const fsm::Value& value, std::string& out) {
    out += '{';
    append_name_member(name, out);
    out += ',';
    append_value_member(*value.bytes, out);
    out += ',';
    append_index_member(value.index, out);
    out += '}';
}

void append_written_json(std::string_view name, fsm::Index index, const fsm::Value* prev_value,
                         std::string& out) {
    out += '{';
    append_name_member(name, out);
    out += ',';
    append_index_member(index, out);
    if (prev_value != nullptr) {
        out += ",\"prev_value\":";
        append_bare_value_json(*prev_value, out);
    }
    out += '}';
}

void append_bare_value_json(const fsm::Value& value, std::string& out) {
    out += '{';
    append_value_member(*value.bytes, out);
    out += ',';
    append_index_member(value.index, out);
    out += '}';
}

void append_list_json(const std::vector<fsm::ListItem>& items, bool more, bool keys_only,
                      fsm::Index index, std::int64_t utc_offset_ns, std::size_t bytes_max,
                      std::string& out) {
    const std::size_t begin = out.size();
    const fsm::ListItem* last = nullptr;
    out += "{\"values\":[";
    for (const auto& item : items) {
        if (last != nullptr && out.size() - begin >= bytes_max) {
            more = true;
            break;
        }
        if (last != nullptr) {
            out += ',';
        }
        last = &item;
        if (!keys_only) {
            append_value_json(item.name, item.value, utc_offset_ns, out);
            continue;
        }
        out += '{';
        append_name_member(item.name, out);
        out += ',';
        append_index_member(item.value.index, out);
        append_expire_member(item.value, utc_offset_ns, out);
        out += '}';
    }
    out += ']';
    if (more && last != nullptr) {
        out += ",\"next\":";
        append_json_string(last->name, out);
        out += ',';
        append_index_member(index, out);
    }
    out += '}';
}

}  // namespace cairn::server
