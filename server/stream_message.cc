#include "server/stream_message.h"

#include <utility>

#include "server/stream_json.h"

namespace cairn::server {
namespace {

template <typename Append>
MessageText make(Append append) {
    std::string text;
    append(text);
    return std::make_shared<const std::string>(std::move(text));
}

}  // namespace

MessageText watch_message(const fsm::Event& event, std::int64_t utc_offset_ns) {
    return make([&](std::string& out) {
        append_watch_event(event, utc_offset_ns, fsm::Cursor::after(event).format(), out);
    });
}

MessageText event_message(const fsm::Event& event, std::int64_t utc_offset_ns) {
    return make([&](std::string& out) {
        append_event(event, utc_offset_ns, fsm::Cursor::after(event).format(), out);
    });
}

MessageText present_message(const fsm::ListItem& item, std::int64_t utc_offset_ns,
                            const fsm::Cursor& cursor) {
    return make([&](std::string& out) {
        if (item.value.bytes) {
            append_watch_value(item.name, item.value, utc_offset_ns, cursor.format(), out);
        } else {
            append_watch_absent(item.name, cursor.index, false, cursor.format(), out);
        }
    });
}

MessageText subscribed_message(const fsm::Cursor& cursor) {
    return make([&](std::string& out) { append_subscribed(cursor.format(), out); });
}

MessageText progress_message(const fsm::Cursor& cursor) {
    return make([&](std::string& out) { append_progress(cursor.format(), out); });
}

MessageText gap_message(const fsm::Cursor& cursor) {
    return make([&](std::string& out) { append_gap(cursor.format(), out); });
}

}  // namespace cairn::server
