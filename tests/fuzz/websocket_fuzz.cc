// What a client sends on a WebSocket: the request to upgrade goes through the same gate as every
// other (http_fuzz), the frames behind it through the parser.
//
// However the bytes are cut they mean the same; messages are within their bounds, text is UTF-8;
// what was understood and is sent again is understood the same. The first byte of an input chooses
// the limits; bit 1 of it says that the rest is payloads to be framed rightly, so that there is
// more than the first wrong header.
#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "fsm/utf8.h"
#include "server/streams/websocket_frame.h"
#include "tests/fuzz/fuzz.h"

namespace cairn::fuzz {
namespace {

using namespace cairn::server;  // NOLINT: the whole file is about it

using Outcome = FrameParser::Outcome;

struct Told {
    Outcome outcome = Outcome::need_more;
    bool is_text = false;
    std::string payload;
    std::uint16_t code = 0;
    friend bool operator==(const Told&, const Told&) = default;
};

FrameLimits limits_of(std::uint8_t choice) {
    FrameLimits limits;
    limits.message_bytes_max = (choice & 4U) != 0 ? 300 : 64 * 1024;
    limits.fragments_max = (choice & 8U) != 0 ? 4 : 1024;
    limits.keeps_messages = (choice & 16U) == 0;
    return limits;
}

void check(const Told& told, const FrameLimits& limits) {
    switch (told.outcome) {
        case Outcome::message:
            require(told.payload.size() <= limits.message_bytes_max, "a message is bounded");
            require(!told.is_text || fsm::is_valid_utf8(told.payload), "text is UTF-8");
            return;
        case Outcome::ping:
        case Outcome::pong:
            require(told.payload.size() <= control_payload_bytes_max, "control frames are short");
            return;
        case Outcome::close:
            require(told.code == 0 || (told.code >= 1000 && told.code < 5000 && told.code != 1005 &&
                                       told.code != 1006),
                    "a close has a code that may be sent");
            require(fsm::is_valid_utf8(told.payload), "a close's text is UTF-8");
            return;
        case Outcome::failed:
            require(told.code == close_code::protocol_error || told.code == close_code::bad_data ||
                        told.code == close_code::too_big || told.code == close_code::policy,
                    "a fault has one of its codes");
            return;
        case Outcome::need_more:
            return;
    }
}

std::vector<Told> parse(std::string bytes, const FrameLimits& limits, bool in_pieces) {
    FrameParser parser(limits);
    Cuts cuts(bytes);
    std::vector<Told> all;
    std::span<char> rest(bytes);
    while (!rest.empty()) {
        std::span<char> piece = rest.first(in_pieces ? cuts.next(rest.size()) : rest.size());
        rest = rest.subspan(piece.size());
        while (true) {
            std::size_t used = 0;
            const Outcome outcome = parser.parse(piece, used);
            require(used <= piece.size(), "no more is used than there is");
            require(parser.memory() <= 2 * limits.message_bytes_max + 4096, "memory is bounded");
            piece = piece.subspan(used);
            if (outcome == Outcome::need_more) {
                require(piece.empty(), "everything is used before more is wanted");
                break;
            }
            Told told{outcome, false, {}, 0};
            if (outcome == Outcome::close || outcome == Outcome::failed) {
                told.code = parser.reason().code;
                told.payload = parser.reason().text;
            } else {
                // Where messages are thrown away what is left of one is nothing.
                const bool is_message = outcome == Outcome::message;
                told.payload = is_message && !limits.keeps_messages ? "" : parser.payload();
                told.is_text = outcome == Outcome::message && parser.is_text();
            }
            check(told, limits);
            all.push_back(std::move(told));
            if (outcome == Outcome::close || outcome == Outcome::failed) {
                return all;
            }
        }
    }
    return all;
}

// A client's frame.
std::string frame(unsigned first, std::string_view payload, std::uint32_t mask) {
    std::string bytes(1, static_cast<char>(first));
    if (payload.size() < 126) {
        bytes += static_cast<char>(0x80U | payload.size());
    } else if (payload.size() <= 0xffff) {
        bytes += static_cast<char>(0x80U | 126U);
        bytes += static_cast<char>(payload.size() >> 8U);
        bytes += static_cast<char>(payload.size());
    } else {
        bytes += static_cast<char>(0x80U | 127U);
        for (int shift = 56; shift >= 0; shift -= 8) {
            bytes +=
                static_cast<char>(std::uint64_t{payload.size()} >> static_cast<unsigned>(shift));
        }
    }
    std::array<char, 4> key;
    for (std::size_t i = 0; i < key.size(); ++i) {
        key[i] = static_cast<char>(mask >> (8 * i));
    }
    bytes.append(key.data(), key.size());
    for (std::size_t i = 0; i < payload.size(); ++i) {
        bytes += static_cast<char>(payload[i] ^ key[i % key.size()]);
    }
    return bytes;
}

std::string framed(std::string_view input) {
    Fields fields(input);
    std::string bytes;
    while (!fields.empty()) {
        const std::uint8_t first = fields.byte();
        const std::uint8_t size = fields.byte();
        const auto mask = static_cast<std::uint32_t>(fields.byte()) * 0x01020408U;
        bytes += frame(first & 0x8fU, fields.bytes(size), mask);
    }
    return bytes;
}

// What was told, each in one frame of its own.
std::string written_again(const std::vector<Told>& all) {
    std::string bytes;
    for (const Told& told : all) {
        switch (told.outcome) {
            case Outcome::message:
                bytes += frame(told.is_text ? 0x81 : 0x82, told.payload, 0x12345678);
                break;
            case Outcome::ping:
                bytes += frame(0x89, told.payload, 1);
                break;
            case Outcome::pong:
                bytes += frame(0x8a, told.payload, 2);
                break;
            case Outcome::close:
                bytes += frame(0x88, close_payload({told.code, told.payload}), 3);
                break;
            default:
                break;
        }
    }
    return bytes;
}

}  // namespace

void run_input(std::string_view input) {
    if (input.empty()) {
        return;
    }
    const auto choice = static_cast<std::uint8_t>(input.front());
    const FrameLimits limits = limits_of(choice);
    const std::string bytes =
        (choice & 2U) != 0 ? framed(input.substr(1)) : std::string(input.substr(1));
    std::vector<Told> whole = parse(bytes, limits, false);
    require(whole == parse(bytes, limits, true), "it means the same however it is cut");
    if (!whole.empty() && whole.back().outcome == Outcome::failed) {
        whole.pop_back();
    }
    if (limits.keeps_messages) {
        require(parse(written_again(whole), limits, false) == whole, "and when it is sent again");
    }
}

std::vector<std::string> seed_inputs() {
    const std::string long_text(70'000, 'a');
    const std::string all =
        frame(0x81, R"({"subscribe":{"name":"a"}})", 7) + frame(0x89, "ping", 8) +
        frame(0x01, "gr\xc3", 9) + frame(0x8a, "", 9) + frame(0x80, "\xbc\xc3\x9f", 10) +
        frame(0x82, std::string(300, '\0'), 11) + frame(0x88, "\x03\xe8 bye", 12);
    return {
        std::string(1, '\0') + all,
        std::string(1, '\x04') + all,
        std::string(1, '\x18') + all,
        std::string(1, '\0') + frame(0x81, long_text, 5),
        std::string(1, '\0') + std::string("\x81\xff\x40\0\0\0\0\0\0\0\0\0\0\0", 14),
        std::string("\x02\x81\x03\x01"
                    "abc\x89\x02\x05"
                    "hi\x01\x02\x01"
                    "ab\x80\x01\x01"
                    "c\x88\x02\x00\x03\xe8",
                    26),
    };
}

}  // namespace cairn::fuzz
