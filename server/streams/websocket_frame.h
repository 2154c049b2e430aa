// The frames of RFC 6455 after the handshake, from the side of a server.
//
// Plain functions and one parser, owned by whoever owns the connection; no sockets. Any bytes may
// come in. The parser takes what has been received, in pieces of any size, and says what it means;
// every rule that a client can break ends it with the close code that the rule has: 1002 for the
// framing, 1007 for text that isn't UTF-8 (as soon as that is certain), 1009 for too long a message
// (before its bytes come), 1008 for one in more fragments than anybody needs. It answers nothing:
// that a ping wants a pong and a close wants one back is the session's part. No extensions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace cairn::server {

enum class Opcode : std::uint8_t {
    continuation = 0,
    text = 1,
    binary = 2,
    close = 8,
    ping = 9,
    pong = 10,
};

namespace close_code {
inline constexpr std::uint16_t none = 0;  // a close frame that says nothing
inline constexpr std::uint16_t normal = 1000;
inline constexpr std::uint16_t going_away = 1001;
inline constexpr std::uint16_t protocol_error = 1002;
inline constexpr std::uint16_t unsupported_data = 1003;
inline constexpr std::uint16_t bad_data = 1007;
inline constexpr std::uint16_t policy = 1008;
inline constexpr std::uint16_t too_big = 1009;
inline constexpr std::uint16_t try_again_later = 1013;
}  // namespace close_code

struct CloseReason {
    std::uint16_t code = close_code::none;
    std::string text;
};

inline constexpr std::size_t frame_header_bytes_max = 10;  // of a server's frame: not masked
inline constexpr std::size_t control_payload_bytes_max = 125;

// Writes the header of a whole message's frame to `out`; how many bytes it has.
std::size_t write_frame_header(Opcode opcode, std::uint64_t payload_bytes,
                               std::array<char, frame_header_bytes_max>& out);

// The payload of a close frame; a text that is too long is cut between characters.
std::string close_payload(const CloseReason& reason);

// Whether text that comes in pieces is UTF-8.
class Utf8Check {
 public:
    // False once it can't become UTF-8 any more.
    bool put(std::string_view piece);
    // Whether no character is cut short at the end of what was put in.
    bool is_complete() const { return tail_bytes_ == 0; }
    void reset() { tail_bytes_ = 0; }

 private:
    std::array<char, 4> tail_{};  // the character that isn't complete yet
    std::uint8_t tail_bytes_ = 0;
};

struct FrameLimits {
    std::uint64_t message_bytes_max = 64 * 1024;
    std::uint32_t fragments_max = 1024;  // of one message
    bool keeps_messages = true;          // false: they are checked and thrown away
};

class FrameParser {
 public:
    enum class Outcome : std::uint8_t {
        need_more,  // everything was used
        message,    // payload(), is_text()
        ping,       // payload()
        pong,
        close,   // reason(): the client's
        failed,  // reason(): what to close with
    };

    explicit FrameParser(const FrameLimits& limits) : limits_(limits) {}

    // Goes on with `bytes` (which it unmasks in place) up to the next thing to tell; `used` says
    // how many it took. Not to be called again after close or failed.
    Outcome parse(std::span<char> bytes, std::size_t& used);

    // Valid until the next parse() and as long as the bytes given to the last one.
    std::string_view payload() const { return payload_; }
    bool is_text() const { return is_text_; }
    const CloseReason& reason() const { return reason_; }

    // A message has begun and has not ended, nor has it failed.
    bool is_inside_message() const {
        return fragments_ > 0 || header_bytes_ > 0 || (is_in_frame_ && !is_control());
    }
    // Of the message's payload.
    std::uint64_t received_bytes() const {
        return message_bytes_ - (is_in_frame_ && !is_control() ? frame_bytes_ - taken_bytes_ : 0);
    }
    std::size_t memory() const { return message_.capacity(); }
    // Gives memory back after a message was used.
    void release_memory();

 private:
    bool is_control() const { return static_cast<std::uint8_t>(opcode_) >= 8; }
    std::size_t header_bytes_needed() const;
    bool check_header_start();
    bool begin_frame();
    bool begin_data_frame();
    bool take_payload(std::span<char> piece);
    Outcome end_frame();
    Outcome end_control();
    Outcome end_close();
    bool fail(std::uint16_t code, std::string_view text);

    FrameLimits limits_;
    std::array<unsigned char, 14> header_{};
    std::uint8_t header_bytes_ = 0;
    bool is_in_frame_ = false;
    bool is_final_ = false;
    bool is_text_ = false;
    Opcode opcode_ = Opcode::continuation;
    Utf8Check utf8_;
    std::array<unsigned char, 4> mask_{};
    std::uint32_t fragments_ = 0;  // of the message that has begun
    std::uint64_t frame_bytes_ = 0;
    std::uint64_t taken_bytes_ = 0;  // of the frame's payload
    std::uint64_t message_bytes_ = 0;
    std::string message_;  // what came in pieces
    std::string control_;
    std::string_view payload_;
    CloseReason reason_;
};

}  // namespace cairn::server
