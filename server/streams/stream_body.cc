#include "server/streams/stream_body.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace cairn::server {
namespace {

// Asio hands at most 64 buffers to one write, and each message makes two.
constexpr std::size_t messages_max = 31;
constexpr std::size_t message_bytes_max = 256 * 1024;
constexpr std::size_t buffer_bytes_kept = 512;
constexpr std::size_t pieces_kept = 4;

constexpr std::string_view id_field = "id: ";
constexpr std::string_view data_field = "\ndata: ";
constexpr std::string_view event_end = "\n\n";
constexpr std::string_view line_end = "\n";
constexpr std::string_view chunk_end = "\r\n";
constexpr std::string_view last_chunk = "0\r\n\r\n";

// The one place that knows what a message looks like on these transports.
std::string_view json_of(const SharedMessage& message) {
    return message->payload();
}

}  // namespace

void StreamBody::begin_chunk(std::size_t bytes) {
    if (is_chunked_) {
        char digits[2 * sizeof bytes];
        const auto end = std::to_chars(digits, digits + sizeof digits, bytes, 16).ptr;
        between_.append(digits, end);
        between_ += chunk_end;
    }
}

void StreamBody::end_chunk() {
    if (is_chunked_) {
        between_ += chunk_end;
    }
}

void StreamBody::add_retry(std::uint64_t ms) {
    if (is_event_stream_) {
        const std::string field = "retry: " + std::to_string(ms) + std::string(event_end);
        begin_chunk(field.size());
        between_ += field;
        end_chunk();
    }
}

void StreamBody::add(SharedMessage message, const fsm::Cursor& cursor) {
    const std::size_t json_bytes = json_of(message).size();
    if (is_event_stream_) {
        const std::string id = cursor.format();
        begin_chunk(id_field.size() + id.size() + data_field.size() + json_bytes +
                    event_end.size());
        between_ += id_field;
        between_ += id;
        between_ += data_field;
    } else {
        begin_chunk(json_bytes + line_end.size());
    }
    pieces_.push_back({between_.size(), std::move(message)});
    message_bytes_ += json_bytes;
    between_ += is_event_stream_ ? event_end : line_end;
    end_chunk();
}

void StreamBody::add_end() {
    if (is_chunked_) {
        between_ += last_chunk;
    }
}

bool StreamBody::is_full() const {
    return pieces_.size() >= messages_max || message_bytes_ >= message_bytes_max;
}

void StreamBody::seal() {
    std::size_t begin = 0;
    const auto put = [this](std::string_view bytes) {
        if (!bytes.empty()) {
            buffers_.emplace_back(bytes.data(), bytes.size());
        }
    };
    const std::string_view between = between_;
    for (const Piece& piece : pieces_) {
        put(between.substr(begin, piece.end - begin));
        put(json_of(piece.message));
        begin = piece.end;
    }
    put(between.substr(begin));
    bytes_ = between_.size() + message_bytes_;
}

std::span<const boost::asio::const_buffer> StreamBody::unsent() const {
    return std::span(buffers_).subspan(first_unsent_);
}

void StreamBody::consume(std::size_t bytes) {
    while (bytes > 0) {
        boost::asio::const_buffer& first = buffers_[first_unsent_];
        const std::size_t taken = std::min(bytes, first.size());
        first += taken;
        bytes -= taken;
        first_unsent_ += first.size() == 0 ? 1 : 0;
    }
    if (first_unsent_ < buffers_.size()) {
        return;
    }
    between_.clear();
    pieces_.clear();
    buffers_.clear();
    first_unsent_ = message_bytes_ = bytes_ = 0;
    if (between_.capacity() > buffer_bytes_kept) {
        between_.shrink_to_fit();
    }
    if (pieces_.capacity() > pieces_kept) {
        pieces_.shrink_to_fit();
        buffers_.shrink_to_fit();
    }
}

}  // namespace cairn::server
