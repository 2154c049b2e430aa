#include "server/streams/stream_body.h"

#include <cstddef>
#include <memory>
#include <string>

#include <doctest/doctest.h>

namespace cairn::server {
namespace {

SharedMessage text(const std::string& json) {
    return StreamMessage::make(StreamEncoding::json, [&](std::string& out) { out += json; });
}

// Sends all of it, `step` bytes at a time.
std::string send_all(StreamBody& body, std::size_t step = SIZE_MAX) {
    std::string sent;
    body.seal();
    const std::size_t bytes = body.bytes();
    while (!body.empty()) {
        std::string rest;
        for (const auto& buffer : body.unsent()) {
            rest.append(static_cast<const char*>(buffer.data()), buffer.size());
        }
        rest.resize(std::min(rest.size(), step));
        body.consume(rest.size());
        sent += rest;
    }
    CHECK(sent.size() == bytes);
    return sent;
}

}  // namespace

TEST_CASE("stream body: lines, one chunk each") {
    StreamBody body(StreamTransport::lines, true);
    body.add_head("HEAD\r\n\r\n");
    body.add_retry(1000);
    body.add(text("{\"a\":1}"), fsm::Cursor{7});
    body.add(text("{\"b\":\"0123456789\"}"), fsm::Cursor{8});
    const std::string expected =
        "HEAD\r\n\r\n8\r\n{\"a\":1}\n\r\n13\r\n{\"b\":\"0123456789\"}\n\r\n";
    SUBCASE("at once") {
        CHECK(send_all(body) == expected);
    }
    SUBCASE("byte by byte") {
        CHECK(send_all(body, 1) == expected);
    }
    SUBCASE("in parts") {
        CHECK(send_all(body, 7) == expected);
    }
    body.add_end();
    CHECK(send_all(body) == "0\r\n\r\n");
}

TEST_CASE("stream body: server-sent events carry the cursor as their id") {
    StreamBody body(StreamTransport::event_stream, true);
    body.add_retry(1234);
    body.add(text("{}"), fsm::Cursor{7, 2});
    CHECK(send_all(body) == "d\r\nretry: 1234\n\n\r\n12\r\nid: 7.2\ndata: {}\n\n\r\n");
}

TEST_CASE("stream body: without chunks only the messages") {
    StreamBody lines(StreamTransport::lines, false);
    lines.add(text("{}"), fsm::Cursor{7});
    lines.add_end();
    CHECK(send_all(lines) == "{}\n");
    StreamBody events(StreamTransport::event_stream, false);
    events.add_retry(5);
    events.add(text("{}"), fsm::Cursor{7});
    CHECK(send_all(events) == "retry: 5\n\nid: 7\ndata: {}\n\n");
    events.add_end();
    CHECK(events.empty());
}

TEST_CASE("stream body: shares a message's bytes, and lets go of it once it is sent") {
    StreamBody body(StreamTransport::lines, true);
    const SharedMessage message = text(std::string(1000, 'x'));
    body.add(message, fsm::Cursor{7});
    body.seal();
    REQUIRE(body.unsent().size() == 3);
    CHECK(body.unsent()[1].data() == message->payload().data());
    body.consume(body.bytes() - 1);
    CHECK(message.use_count() == 2);
    body.consume(1);
    CHECK(message.use_count() == 1);
    CHECK(body.empty());
    CHECK(body.unsent().empty());
}

TEST_CASE("stream body: is full when one write is enough") {
    StreamBody many(StreamTransport::lines, true);
    int count = 0;
    for (; !many.is_full(); ++count) {
        many.add(text("{}"), fsm::Cursor{7});
    }
    many.seal();
    CHECK(many.unsent().size() <= 64);
    CHECK(count > 20);
    StreamBody large(StreamTransport::lines, true);
    for (count = 0; !large.is_full(); ++count) {
        large.add(text(std::string(100'000, 'x')), fsm::Cursor{7});
    }
    CHECK(count == 3);
}

}  // namespace cairn::server
