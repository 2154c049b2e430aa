// The body of a stream over plain HTTP, on its way to the socket: messages with what stands around
// them in server-sent events or lines, in chunks or not, ready for one gathered write.
//
// Owned by one HttpStreamSession on its gateway thread. Pure: it writes to no socket. The messages'
// bytes are those that all readers share; only what stands between them is made for this reader. It
// is filled, sealed, sent and then empty again; between, it keeps next to no memory.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/buffer.hpp>

#include "fsm/history.h"
#include "server/http/stream_transport.h"
#include "server/streams/stream_message.h"

namespace cairn::server {

class StreamBody {
 public:
    // `transport` is not a WebSocket.
    StreamBody(StreamTransport transport, bool chunked)
        : is_event_stream_(transport == StreamTransport::event_stream), is_chunked_(chunked) {}

    // While it is open: these append. The head comes first, when there is one.
    void add_head(std::string_view head) { between_ += head; }
    void add_retry(std::uint64_t ms);  // event stream: how long a client waits to connect again
    void add(SharedMessage message, const fsm::Cursor& cursor);
    void add_end();
    // Enough for one write.
    bool is_full() const;
    bool empty() const { return between_.empty(); }

    // Nothing is appended any more.
    void seal();
    // What is still to be sent of it.
    std::span<const boost::asio::const_buffer> unsent() const;
    // That many bytes of it are sent. After the last one it's open again.
    void consume(std::size_t bytes);
    std::size_t bytes() const { return bytes_; }

 private:
    struct Piece {
        std::size_t end;  // of what stands before it, in between_
        SharedMessage message;
    };

    void begin_chunk(std::size_t bytes);
    void end_chunk();

    bool is_event_stream_;
    bool is_chunked_;
    std::string between_;
    std::vector<Piece> pieces_;
    std::size_t message_bytes_ = 0;
    std::size_t bytes_ = 0;  // sealed: all of it
    std::vector<boost::asio::const_buffer> buffers_;
    std::size_t first_unsent_ = 0;  // of buffers_
};

}  // namespace cairn::server
