#include "server/streams/stream_message.h"

#include <algorithm>
#include <utility>

#include "server/streams/stream_json.h"
#include "server/streams/stream_protobuf.h"

namespace cairn::server {
namespace {

// One of the messages that say nothing but how far a stream has come.
template <typename AppendJson, typename AppendProtobuf>
SharedMessage make_bare(const fsm::Cursor& cursor, StreamEncoding encoding, AppendJson append_json,
                        AppendProtobuf append_protobuf) {
    return StreamMessage::make(encoding, [&](std::string& out) {
        if (encoding == StreamEncoding::json) {
            append_json(cursor.format(), out);
        } else {
            append_protobuf(cursor.format(), out);
        }
    });
}

}  // namespace

StreamMessage::StreamMessage(Opcode opcode, std::string_view payload)
    : bytes_(frame_header_bytes_max, '\0') {
    bytes_ += payload;
    write_header(opcode);
}

StreamMessage::StreamMessage(Rendered rendered, StreamEncoding encoding)
    : bytes_(std::move(rendered.bytes)) {
    // It may wait for long in many queues.
    bytes_.shrink_to_fit();
    write_header(encoding == StreamEncoding::json ? Opcode::text : Opcode::binary);
}

// The header ends where the payload begins.
void StreamMessage::write_header(Opcode opcode) {
    std::array<char, frame_header_bytes_max> header{};
    const std::size_t header_bytes = write_frame_header(opcode, size(), header);
    frame_begin_ = frame_header_bytes_max - header_bytes;
    std::copy_n(header.begin(), header_bytes,
                bytes_.begin() + static_cast<std::ptrdiff_t>(frame_begin_));
}

SharedMessage watch_message(const fsm::Event& event, std::int64_t utc_offset_ns,
                            StreamEncoding encoding) {
    return StreamMessage::make(encoding, [&](std::string& out) {
        const std::string cursor = fsm::Cursor::after(event).format();
        if (encoding == StreamEncoding::json) {
            append_watch_event(event, utc_offset_ns, cursor, out);
        } else {
            append_watch_event_protobuf(event, utc_offset_ns, cursor, out);
        }
    });
}

SharedMessage event_message(const fsm::Event& event, std::int64_t utc_offset_ns,
                            StreamEncoding encoding) {
    return StreamMessage::make(encoding, [&](std::string& out) {
        const std::string cursor = fsm::Cursor::after(event).format();
        if (encoding == StreamEncoding::json) {
            append_event(event, utc_offset_ns, cursor, out);
        } else {
            append_event_protobuf(event, utc_offset_ns, cursor, out);
        }
    });
}

SharedMessage present_message(const fsm::ListItem& item, std::int64_t utc_offset_ns,
                              const fsm::Cursor& cursor, StreamEncoding encoding) {
    return StreamMessage::make(encoding, [&](std::string& out) {
        const std::string text = cursor.format();
        const bool is_json = encoding == StreamEncoding::json;
        if (item.value.bytes && is_json) {
            append_watch_value(item.name, item.value, utc_offset_ns, text, out);
        } else if (item.value.bytes) {
            append_watch_value_protobuf(item.name, item.value, utc_offset_ns, text, out);
        } else if (is_json) {
            append_watch_absent(item.name, cursor.index, false, text, out);
        } else {
            append_watch_absent_protobuf(item.name, cursor.index, false, text, out);
        }
    });
}

SharedMessage subscribed_message(const fsm::Cursor& cursor, StreamEncoding encoding) {
    return make_bare(cursor, encoding, append_subscribed, append_subscribed_protobuf);
}

SharedMessage progress_message(const fsm::Cursor& cursor, StreamEncoding encoding) {
    return make_bare(cursor, encoding, append_progress, append_progress_protobuf);
}

SharedMessage gap_message(const fsm::Cursor& cursor, StreamEncoding encoding) {
    return make_bare(cursor, encoding, append_gap, append_gap_protobuf);
}

}  // namespace cairn::server
