#include "server/streams/websocket_frame.h"

#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>

#include "websocket_testing.h"

namespace cairn::server {
namespace {

using Outcome = FrameParser::Outcome;

struct Told {
    Outcome outcome = Outcome::need_more;
    std::string payload;
    bool is_text = false;
    std::uint16_t code = 0;

    bool operator==(const Told&) const = default;
};

// Everything the parser tells when the bytes arrive in pieces of this size.
std::vector<Told> parse(std::string bytes, std::size_t piece_bytes,
                        const FrameLimits& limits = {}) {
    FrameParser parser(limits);
    std::vector<Told> all;
    for (std::size_t begin = 0; begin < bytes.size(); begin += piece_bytes) {
        std::span<char> piece(bytes.data() + begin, std::min(piece_bytes, bytes.size() - begin));
        while (!piece.empty()) {
            std::size_t used = 0;
            const Outcome outcome = parser.parse(piece, used);
            REQUIRE(used <= piece.size());
            piece = piece.subspan(used);
            if (outcome == Outcome::need_more) {
                REQUIRE(piece.empty());
                break;
            }
            const bool is_message = outcome == Outcome::message;
            const bool is_end = outcome == Outcome::close || outcome == Outcome::failed;
            all.push_back({outcome, is_end ? "" : std::string(parser.payload()),
                           is_message && parser.is_text(),
                           is_end ? parser.reason().code : std::uint16_t{0}});
            if (is_end) {
                return all;
            }
        }
    }
    return all;
}

// The same for pieces of many sizes.
std::vector<Told> parse_any(const std::string& bytes, const FrameLimits& limits = {}) {
    const std::vector<Told> whole = parse(bytes, bytes.size() + 1, limits);
    for (const std::size_t piece_bytes : {1, 2, 3, 5, 7, 16, 1000}) {
        CHECK(parse(bytes, piece_bytes, limits) == whole);
    }
    return whole;
}

int failure(const std::string& bytes, const FrameLimits& limits = {}) {
    const std::vector<Told> all = parse_any(bytes, limits);
    return !all.empty() && all.back().outcome == Outcome::failed ? all.back().code : 0;
}

std::string header_of(Opcode opcode, std::uint64_t payload_bytes) {
    std::array<char, frame_header_bytes_max> out{};
    return {out.data(), write_frame_header(opcode, payload_bytes, out)};
}

}  // namespace

TEST_CASE("websocket frame: messages of all sizes come out as they went in") {
    for (const std::size_t size : {0, 1, 7, 8, 9, 125, 126, 127, 1000, 65'535, 65'536, 70'000}) {
        std::string payload;
        for (std::size_t i = 0; i < size; ++i) {
            payload += static_cast<char>('a' + i % 23);
        }
        FrameLimits limits;
        limits.message_bytes_max = 100'000;
        const std::vector<Told> all = parse_any(
            client_frame(Opcode::text, payload) + client_frame(Opcode::binary, payload), limits);
        REQUIRE(all.size() == 2);
        CHECK(all[0] == Told{Outcome::message, payload, true, 0});
        CHECK(all[1] == Told{Outcome::message, payload, false, 0});
    }
}

TEST_CASE("websocket frame: fragments make one message, control frames may come between") {
    const std::vector<Told> all = parse_any(
        client_frame(Opcode::text, "on", false) + client_frame(Opcode::ping, "p") +
        client_frame(Opcode::continuation, "", false) +
        client_frame(Opcode::continuation, "e \xe2", false) + client_frame(Opcode::pong, "q") +
        client_frame(Opcode::continuation, "\x82\xac") + client_frame(Opcode::text, "two"));
    REQUIRE(all.size() == 4);
    CHECK(all[0] == Told{Outcome::ping, "p", false, 0});
    CHECK(all[1] == Told{Outcome::pong, "q", false, 0});
    CHECK(all[2] == Told{Outcome::message, "one \xe2\x82\xac", true, 0});
    CHECK(all[3] == Told{Outcome::message, "two", true, 0});
}

TEST_CASE("websocket frame: every rule of the framing is 1002") {
    const std::string big_ping(126, 'x');
    const struct {
        const char* what;
        std::string bytes;
    } cases[] = {
        {"not masked", std::string("\x81\x01x", 3)},
        {"RSV1", with_first_byte(client_frame(Opcode::text, "x"), 0xc1)},
        {"RSV2", with_first_byte(client_frame(Opcode::text, "x"), 0xa1)},
        {"RSV3", with_first_byte(client_frame(Opcode::text, "x"), 0x91)},
        {"opcode 3", with_first_byte(client_frame(Opcode::text, "x"), 0x83)},
        {"opcode 7", with_first_byte(client_frame(Opcode::text, "x"), 0x87)},
        {"opcode 11", with_first_byte(client_frame(Opcode::text, "x"), 0x8b)},
        {"opcode 15", with_first_byte(client_frame(Opcode::text, "x"), 0x8f)},
        {"a continuation of nothing", client_frame(Opcode::continuation, "x")},
        {"a continuation after the end", client_frame(Opcode::text, "x", false) +
                                             client_frame(Opcode::continuation, "y") +
                                             client_frame(Opcode::continuation, "z")},
        {"a message inside of a message",
         client_frame(Opcode::text, "x", false) + client_frame(Opcode::text, "y")},
        {"a ping in parts", client_frame(Opcode::ping, "x", false)},
        {"a close in parts", client_frame(Opcode::close, "\x03\xe8", false)},
        {"too long a ping", client_frame(Opcode::ping, big_ping)},
        {"too long a close", client_frame(Opcode::close, "\x03\xe8" + big_ping)},
        {"16 bits for a small length", std::string("\x81\xfe\x00\x01MASKx", 9)},
        {"64 bits for a small length",
         std::string("\x82\xff\x00\x00\x00\x00\x00\x00\xff\xff", 10) + "MASK"},
        {"a length with its highest bit",
         std::string("\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00", 10) + "MASK"},
        {"a close with one byte", client_frame(Opcode::close, "x")},
    };
    for (const auto& one : cases) {
        CAPTURE(one.what);
        CHECK(failure(one.bytes) == close_code::protocol_error);
    }
}

TEST_CASE("websocket frame: what is wrong is told as soon as it is there") {
    FrameParser parser{FrameLimits{}};
    std::string start("\x81\x01", 2);
    std::size_t used = 0;
    CHECK(parser.parse(start, used) == Outcome::failed);
    FrameLimits limits;
    limits.message_bytes_max = 10;
    FrameParser small(limits);
    std::string header = client_frame(Opcode::text, "more than ten").substr(0, 6);
    CHECK(small.parse(header, used) == Outcome::failed);
    CHECK(small.reason().code == close_code::too_big);
    CHECK_FALSE(small.is_inside_message());
    CHECK(small.received_bytes() == 0);
    FrameParser text{FrameLimits{}};
    std::string begun = client_frame(Opcode::text, "ab\xc0 and so on").substr(0, 9);
    CHECK(text.parse(begun, used) == Outcome::failed);
    CHECK(text.reason().code == close_code::bad_data);
    CHECK_FALSE(text.is_inside_message());
    CHECK(text.received_bytes() == 0);
}

TEST_CASE("websocket frame: close codes that may be sent come through, others are 1002") {
    for (unsigned code = 0; code < 5100; ++code) {
        const std::string payload{static_cast<char>(code >> 8U), static_cast<char>(code & 0xffU)};
        const std::vector<Told> all = parse(client_frame(Opcode::close, payload + "bye"), 100);
        REQUIRE(all.size() == 1);
        const bool defined = code >= 1000 && code <= 1014 && (code < 1004 || code > 1006);
        if (defined || (code >= 3000 && code < 5000)) {
            CHECK(all[0] == Told{Outcome::close, "", false, static_cast<std::uint16_t>(code)});
        } else {
            CHECK(all[0] == Told{Outcome::failed, "", false, close_code::protocol_error});
        }
    }
    CHECK(parse_any(client_frame(Opcode::close, ""))[0] == Told{Outcome::close, "", false, 0});
    CHECK(failure(client_frame(Opcode::close, "\x03\xe8\xff")) == close_code::bad_data);
}

TEST_CASE("websocket frame: text that is not UTF-8 is 1007, bytes may be any") {
    const std::string bad[] = {
        "\xff",         "a\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",    "\xe2\x82",
        "\xf0\x9f\x98", "\x80",      "\xc3",         "12345678\xe2\x28\xa1"};
    for (const std::string& text : bad) {
        CHECK(failure(client_frame(Opcode::text, text)) == close_code::bad_data);
        CHECK(failure(client_frame(Opcode::text, text, false) +
                      client_frame(Opcode::continuation, "")) == close_code::bad_data);
        CHECK(failure(client_frame(Opcode::binary, text)) == 0);
    }
    // The next text begins anew.
    CHECK(failure(client_frame(Opcode::text, "\xe2\x82\xac") + client_frame(Opcode::text, "x")) ==
          0);
}

TEST_CASE("websocket frame: UTF-8 in pieces is what it is in one") {
    const std::string texts[] = {"a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z",
                                 "\xee\x80\x80\xef\xbf\xbf", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf",
                                 "\xe0\xa0\x80\xf0\x90\x80\x80"};
    for (const std::string& text : texts) {
        for (std::size_t cut = 0; cut <= text.size(); ++cut) {
            Utf8Check check;
            CHECK(check.put(std::string_view(text).substr(0, cut)));
            CHECK(check.put(std::string_view(text).substr(cut)));
            CHECK(check.is_complete());
        }
    }
    // All pairs of bytes, one by one and in one: the first two decide most.
    for (unsigned first = 0x80; first < 0x100; ++first) {
        for (unsigned second = 0; second < 0x100; ++second) {
            const std::string text{static_cast<char>(first), static_cast<char>(second)};
            Utf8Check one;
            Utf8Check other;
            const bool in_one = one.put(text);
            const bool in_two = other.put(text.substr(0, 1)) && other.put(text.substr(1));
            CHECK(in_one == in_two);
        }
    }
}

TEST_CASE("websocket frame: a message has a size, and a number of fragments") {
    FrameLimits limits;
    limits.message_bytes_max = 200;
    limits.fragments_max = 3;
    const std::string half(100, 'x');
    CHECK(failure(client_frame(Opcode::text, half + half), limits) == 0);
    CHECK(failure(client_frame(Opcode::text, half + half + "x"), limits) == close_code::too_big);
    const std::string two =
        client_frame(Opcode::binary, half, false) + client_frame(Opcode::continuation, half, false);
    CHECK(failure(two + client_frame(Opcode::continuation, ""), limits) == 0);
    CHECK(failure(two + client_frame(Opcode::continuation, "x"), limits) == close_code::too_big);
    CHECK(failure(two + client_frame(Opcode::continuation, "", false) +
                      client_frame(Opcode::continuation, ""),
                  limits) == close_code::policy);
    // Each message anew.
    CHECK(failure(two + client_frame(Opcode::continuation, "") + two +
                      client_frame(Opcode::continuation, ""),
                  limits) == 0);
}

TEST_CASE("websocket frame: a message that isn't kept is checked all the same") {
    FrameLimits limits;
    limits.keeps_messages = false;
    FrameParser parser(limits);
    std::string bytes = client_frame(Opcode::text, std::string(1000, 'x'), false);
    std::size_t used = 0;
    CHECK(parser.parse(std::span(bytes).subspan(0, 500), used) == Outcome::need_more);
    CHECK(parser.is_inside_message());
    CHECK(parser.received_bytes() == 500 - 8);
    CHECK(parser.memory() < 100);
    CHECK(
        failure(client_frame(Opcode::text, "a", false) + client_frame(Opcode::continuation, "\xff"),
                limits) == close_code::bad_data);
}

TEST_CASE("websocket frame: memory is given back between messages, and only there") {
    FrameParser parser{FrameLimits{}};
    const std::string payload(1000, 'x');
    std::string first = client_frame(Opcode::text, payload, false);
    std::string last = client_frame(Opcode::continuation, "y");
    std::size_t used = 0;
    CHECK(parser.parse(first, used) == Outcome::need_more);
    parser.release_memory();
    CHECK(parser.parse(last, used) == Outcome::message);
    CHECK(parser.payload() == payload + "y");
    CHECK_FALSE(parser.is_inside_message());
    parser.release_memory();
    CHECK(parser.memory() < 100);
}

TEST_CASE("websocket frame: a server's header has the shortest length and no mask") {
    CHECK(header_of(Opcode::text, 0) == std::string("\x81\x00", 2));
    CHECK(header_of(Opcode::binary, 125) == "\x82\x7d");
    CHECK(header_of(Opcode::text, 126) == std::string("\x81\x7e\x00\x7e", 4));
    CHECK(header_of(Opcode::text, 65'535) == "\x81\x7e\xff\xff");
    CHECK(header_of(Opcode::text, 65'536) ==
          std::string("\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10));
    CHECK(header_of(Opcode::ping, 0) == std::string("\x89\x00", 2));
}

TEST_CASE("websocket frame: a reason to close fits a control frame, and stays UTF-8") {
    CHECK(close_payload({}).empty());
    CHECK(close_payload({1001, "bye"}) ==
          "\x03\xe9"
          "bye");
    const std::string cut = close_payload({1000, std::string(122, 'x') + "\xe2\x82\xac"});
    CHECK(cut == "\x03\xe8" + std::string(122, 'x'));
    CHECK(close_payload({1000, std::string(300, 'x')}).size() == control_payload_bytes_max);
}

}  // namespace cairn::server
