// One rendered message of a stream, immutable and shared by everybody it is sent to, together with
// the header that makes it a WebSocket frame: a server's frames are the same for all.
//
// Plain values and pure functions around stream_json.h and stream_protobuf.h, for any thread. The
// JSON is one object without a line end, the same on every transport. A message carries the cursor
// to resume from after it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "fsm/history.h"
#include "fsm/state_machine.h"
#include "server/http/stream_transport.h"
#include "server/streams/websocket_frame.h"

namespace cairn::server {

class StreamMessage {
 public:
    StreamMessage(Opcode opcode, std::string_view payload);

    // Calls `append(std::string& out)`, which appends the payload: spares a copy.
    template <typename Append>
    static std::shared_ptr<const StreamMessage> make(StreamEncoding encoding, Append append) {
        std::string bytes(frame_header_bytes_max, '\0');
        append(bytes);
        return std::make_shared<const StreamMessage>(Rendered{std::move(bytes)}, encoding);
    }

    struct Rendered {
        std::string bytes;  // room for the header, then the payload
    };
    StreamMessage(Rendered rendered, StreamEncoding encoding);

    std::string_view payload() const {
        return std::string_view(bytes_).substr(frame_header_bytes_max);
    }
    std::size_t size() const { return bytes_.size() - frame_header_bytes_max; }  // of the payload
    // Header and payload.
    std::string_view frame() const { return std::string_view(bytes_).substr(frame_begin_); }

 private:
    void write_header(Opcode opcode);

    std::string bytes_;
    std::size_t frame_begin_ = 0;
};

using SharedMessage = std::shared_ptr<const StreamMessage>;

// What an event means to a watch, and to an events stream.
SharedMessage watch_message(const fsm::Event& event, std::int64_t utc_offset_ns,
                            StreamEncoding encoding);
SharedMessage event_message(const fsm::Event& event, std::int64_t utc_offset_ns,
                            StreamEncoding encoding);

// A value as it is now; an item without bytes: not set.
SharedMessage present_message(const fsm::ListItem& item, std::int64_t utc_offset_ns,
                              const fsm::Cursor& cursor, StreamEncoding encoding);

SharedMessage subscribed_message(const fsm::Cursor& cursor, StreamEncoding encoding);
SharedMessage progress_message(const fsm::Cursor& cursor, StreamEncoding encoding);
SharedMessage gap_message(const fsm::Cursor& cursor, StreamEncoding encoding);

}  // namespace cairn::server
