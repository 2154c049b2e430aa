#include "server/streams/websocket_frame.h"

#include <algorithm>
#include <cstring>

#include "fsm/utf8.h"

namespace cairn::server {
namespace {

constexpr unsigned final_bit = 0x80;
constexpr unsigned reserved_bits = 0x70;
constexpr unsigned mask_bit = 0x80;
constexpr unsigned length_of_16_bits = 126;
constexpr unsigned length_of_64_bits = 127;

// `first` is the place of bytes[0] in the frame's payload.
void unmask(std::span<char> bytes, const std::array<unsigned char, 4>& mask, std::uint64_t first) {
    std::array<unsigned char, 8> turned{};
    for (std::size_t i = 0; i < turned.size(); ++i) {
        turned[i] = mask[(first + i) % mask.size()];
    }
    std::uint64_t key = 0;
    std::memcpy(&key, turned.data(), sizeof key);
    std::size_t i = 0;
    for (; i + sizeof key <= bytes.size(); i += sizeof key) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes.data() + i, sizeof word);
        word ^= key;
        std::memcpy(bytes.data() + i, &word, sizeof word);
    }
    for (; i < bytes.size(); ++i) {
        const unsigned byte = static_cast<unsigned char>(bytes[i]);
        bytes[i] = static_cast<char>(byte ^ turned[i % turned.size()]);
    }
}

// What a client may put into a close frame (RFC 6455 §7.4 and the codes registered since).
bool may_be_sent(unsigned code) {
    const bool defined =
        code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006;
    return defined || (code >= 3000 && code <= 4999);
}

// How many bytes the character has that begins with `lead`; 0: none does.
std::size_t character_bytes(unsigned lead) {
    if (lead < 0x80) {
        return 1;
    }
    if (lead < 0xc2 || lead > 0xf4) {
        return 0;
    }
    return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

// Whether more bytes can make a character of `tail`.
bool may_become_character(std::string_view tail) {
    const std::size_t bytes = character_bytes(static_cast<unsigned char>(tail.front()));
    if (tail.size() >= bytes) {
        return false;
    }
    // Only the second byte's range depends on the first one's.
    std::string whole(tail);
    whole.resize(bytes, '\x80');
    return tail.size() == 1 || fsm::is_valid_utf8(whole);
}

}  // namespace

std::size_t write_frame_header(Opcode opcode, std::uint64_t payload_bytes,
                               std::array<char, frame_header_bytes_max>& out) {
    out[0] = static_cast<char>(final_bit | static_cast<unsigned>(opcode));
    std::size_t length_bytes = 0;
    if (payload_bytes < length_of_16_bits) {
        out[1] = static_cast<char>(payload_bytes);
    } else if (payload_bytes <= 0xffff) {
        out[1] = static_cast<char>(length_of_16_bits);
        length_bytes = 2;
    } else {
        out[1] = static_cast<char>(length_of_64_bits);
        length_bytes = 8;
    }
    for (std::size_t i = 0; i < length_bytes; ++i) {
        out[2 + i] = static_cast<char>(payload_bytes >> (8 * (length_bytes - 1 - i)));
    }
    return 2 + length_bytes;
}

std::string close_payload(const CloseReason& reason) {
    std::string payload;
    if (reason.code == close_code::none) {
        return payload;
    }
    payload += static_cast<char>(reason.code >> 8U);
    payload += static_cast<char>(reason.code & 0xffU);
    const std::string_view text =
        std::string_view(reason.text).substr(0, control_payload_bytes_max - payload.size());
    payload += text.substr(0, fsm::valid_utf8_prefix(text));
    return payload;
}

bool Utf8Check::put(std::string_view piece) {
    while (tail_bytes_ > 0 && !piece.empty()) {
        tail_[tail_bytes_++] = piece.front();
        piece.remove_prefix(1);
        const std::string_view tail(tail_.data(), tail_bytes_);
        if (fsm::is_valid_utf8(tail)) {
            tail_bytes_ = 0;
        } else if (!may_become_character(tail)) {
            return false;
        }
    }
    const std::string_view rest = piece.substr(fsm::valid_utf8_prefix(piece));
    if (rest.empty()) {
        return true;
    }
    if (!may_become_character(rest)) {
        return false;
    }
    std::copy(rest.begin(), rest.end(), tail_.begin());
    tail_bytes_ = static_cast<std::uint8_t>(rest.size());
    return true;
}

FrameParser::Outcome FrameParser::parse(std::span<char> bytes, std::size_t& used) {
    used = 0;
    payload_ = {};
    while (true) {
        while (!is_in_frame_) {
            if (used == bytes.size()) {
                return Outcome::need_more;
            }
            header_[header_bytes_++] = static_cast<unsigned char>(bytes[used++]);
            // What is wrong with the first two bytes is said before more are waited for.
            if ((header_bytes_ == 2 && !check_header_start()) ||
                (header_bytes_ == header_bytes_needed() && !begin_frame())) {
                return Outcome::failed;
            }
        }
        const std::uint64_t missing = frame_bytes_ - taken_bytes_;
        const std::size_t available = bytes.size() - used;
        const std::size_t taken =
            missing < available ? static_cast<std::size_t>(missing) : available;
        if (!take_payload(bytes.subspan(used, taken))) {
            return Outcome::failed;
        }
        used += taken;
        if (taken_bytes_ < frame_bytes_) {
            return Outcome::need_more;
        }
        const Outcome outcome = end_frame();
        if (outcome != Outcome::need_more) {
            return outcome;
        }
    }
}

// Two bytes say how many there are: the length's own and the mask's.
std::size_t FrameParser::header_bytes_needed() const {
    if (header_bytes_ < 2) {
        return 2;
    }
    const unsigned length = header_[1] & ~mask_bit;
    const std::size_t length_bytes = length == length_of_16_bits   ? 2
                                     : length == length_of_64_bits ? 8
                                                                   : 0;
    return 2 + length_bytes + mask_.size();
}

bool FrameParser::check_header_start() {
    if ((header_[0] & reserved_bits) != 0) {
        return fail(close_code::protocol_error, "no extension was agreed on");
    }
    if ((header_[1] & mask_bit) == 0) {
        return fail(close_code::protocol_error, "a client's frames are masked");
    }
    return true;
}

bool FrameParser::begin_frame() {
    opcode_ = static_cast<Opcode>(header_[0] & 0x0fU);
    is_final_ = (header_[0] & final_bit) != 0;
    const unsigned short_length = header_[1] & ~mask_bit;
    const std::size_t length_bytes = header_bytes_ - 2 - mask_.size();
    frame_bytes_ = length_bytes == 0 ? short_length : 0;
    for (std::size_t i = 0; i < length_bytes; ++i) {
        frame_bytes_ = frame_bytes_ << 8U | header_[2 + i];
    }
    std::copy_n(header_.begin() + header_bytes_ - 4, mask_.size(), mask_.begin());
    const bool is_longer_than_needed = (length_bytes == 2 && frame_bytes_ < length_of_16_bits) ||
                                       (length_bytes == 8 && frame_bytes_ <= 0xffff);
    if (is_longer_than_needed || frame_bytes_ >> 63U != 0) {
        return fail(close_code::protocol_error, "a frame's length in the wrong form");
    }
    header_bytes_ = 0;
    taken_bytes_ = 0;
    is_in_frame_ = true;
    if (!is_control()) {
        return begin_data_frame();
    }
    if (opcode_ != Opcode::close && opcode_ != Opcode::ping && opcode_ != Opcode::pong) {
        return fail(close_code::protocol_error, "an unknown kind of frame");
    }
    if (!is_final_ || frame_bytes_ > control_payload_bytes_max) {
        return fail(close_code::protocol_error, "a control frame in parts, or too long");
    }
    control_.clear();
    return true;
}

bool FrameParser::begin_data_frame() {
    if (opcode_ == Opcode::continuation) {
        if (fragments_ == 0) {
            return fail(close_code::protocol_error, "a continuation of nothing");
        }
    } else if (opcode_ == Opcode::text || opcode_ == Opcode::binary) {
        if (fragments_ > 0) {
            return fail(close_code::protocol_error, "a message inside of a message");
        }
        is_text_ = opcode_ == Opcode::text;
        message_bytes_ = 0;
        message_.clear();
        utf8_.reset();
    } else {
        return fail(close_code::protocol_error, "an unknown kind of frame");
    }
    if (frame_bytes_ > limits_.message_bytes_max - message_bytes_) {
        return fail(
            close_code::too_big,
            "a message has at most " + std::to_string(limits_.message_bytes_max) + " bytes here");
    }
    if (++fragments_ > limits_.fragments_max) {
        return fail(close_code::policy, "a message in too many fragments");
    }
    message_bytes_ += frame_bytes_;
    return true;
}

bool FrameParser::take_payload(std::span<char> piece) {
    unmask(piece, mask_, taken_bytes_);
    taken_bytes_ += piece.size();
    const std::string_view bytes(piece.data(), piece.size());
    if (is_control()) {
        control_ += bytes;
        return true;
    }
    if (is_text_ && !utf8_.put(bytes)) {
        return fail(close_code::bad_data, "this text is not UTF-8");
    }
    const bool is_whole_message = is_final_ && fragments_ == 1 && piece.size() == frame_bytes_;
    if (is_whole_message) {
        payload_ = bytes;
    } else if (limits_.keeps_messages) {
        message_ += bytes;
        payload_ = message_;
    }
    return true;
}

FrameParser::Outcome FrameParser::end_frame() {
    is_in_frame_ = false;
    if (is_control()) {
        return end_control();
    }
    if (!is_final_) {
        return Outcome::need_more;
    }
    if (is_text_ && !utf8_.is_complete()) {
        fail(close_code::bad_data, "this text ends within a character");
        return Outcome::failed;
    }
    fragments_ = 0;
    return Outcome::message;
}

FrameParser::Outcome FrameParser::end_control() {
    payload_ = control_;
    if (opcode_ == Opcode::close) {
        return end_close();
    }
    return opcode_ == Opcode::ping ? Outcome::ping : Outcome::pong;
}

FrameParser::Outcome FrameParser::end_close() {
    if (control_.empty()) {
        reason_ = {};
        return Outcome::close;
    }
    const unsigned code =
        control_.size() < 2 ? 0
                            : static_cast<unsigned>(static_cast<unsigned char>(control_[0])) << 8U |
                                  static_cast<unsigned char>(control_[1]);
    if (!may_be_sent(code)) {
        fail(close_code::protocol_error, "a close code that may not be sent");
        return Outcome::failed;
    }
    reason_ = {static_cast<std::uint16_t>(code), control_.substr(2)};
    if (!fsm::is_valid_utf8(reason_.text)) {
        fail(close_code::bad_data, "the reason to close is not UTF-8");
        return Outcome::failed;
    }
    return Outcome::close;
}

void FrameParser::release_memory() {
    if (fragments_ == 0 && !is_in_frame_) {
        std::string().swap(message_);
        std::string().swap(control_);
    }
    payload_ = {};
}

// Returns false.
bool FrameParser::fail(std::uint16_t code, std::string_view text) {
    reason_ = {code, std::string(text)};
    // What was begun won't end.
    is_in_frame_ = false;
    header_bytes_ = 0;
    fragments_ = 0;
    message_bytes_ = 0;
    return false;
}

}  // namespace cairn::server
