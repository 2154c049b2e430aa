// What a session does about frames that no well-behaved client sends: raw bytes over a socket.
#include <memory>
#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "gateway_fixture.h"
#include "server/gateway/websocket_session.h"
#include "websocket_testing.h"

namespace cairn::server {
namespace {

struct RawFixture : GatewayFixture {
    explicit RawFixture(const GatewayOptions& options = quick_options()) : GatewayFixture(options) {
        node.on_open = [](StreamOpen& open) {
            open.applied_index = 7;
            open.on_done();
        };
    }

    static std::string upgrade_to(const std::string& target) {
        return "GET " + target +
               " HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
               "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    }

    // Upgraded, and the first message received and forgotten.
    TestClient open(const std::string& target = "/v1/events/a") {
        TestClient client = connect();
        client.send(upgrade_to(target));
        wait_for([&] { return client.received().find("\"cursor\":\"7\"}") != std::string::npos; });
        client.received().clear();
        return client;
    }

    // The close frame's code, once the server has ended its side.
    int close_code_of(TestClient& client) {
        wait_for([&] { return client.has_ended(); });
        CHECK_FALSE(client.was_reset());
        const std::string& bytes = client.received();
        const std::size_t at = bytes.rfind('\x88');
        REQUIRE(at != std::string::npos);
        REQUIRE(bytes.size() >= at + 4);
        CHECK(bytes.size() == at + 2 + static_cast<unsigned char>(bytes[at + 1]));
        return static_cast<unsigned char>(bytes[at + 2]) << 8 |
               static_cast<unsigned char>(bytes[at + 3]);
    }

    void wait_for_nobody() {
        wait_for([&] { return gateway->connection_count() == 0; });
        CHECK(gateway->stream_count() == 0);
    }
};

}  // namespace

TEST_CASE("websocket rules: another version is told which one is spoken, as any problem is") {
    RawFixture fixture;
    for (const std::string target : {"/v1/events/a", "/v1/stream"}) {
        for (const std::string version : {"Sec-WebSocket-Version: 12\r\n", ""}) {
            CAPTURE(version);
            TestClient client = fixture.connect();
            std::string request = RawFixture::upgrade_to(target);
            const std::string spoken = "Sec-WebSocket-Version: 13\r\n";
            client.send(request.replace(request.find(spoken), spoken.size(), version));
            Answer answer = fixture.wait_for_answer(client);
            CHECK(answer.status == 426);
            CHECK(answer.headers["sec-websocket-version"] == "13");
            CHECK(answer.headers["upgrade"] == "websocket");
            CHECK(answer.headers["content-type"] == "application/problem+json");
            client.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
            CHECK(fixture.wait_for_answers(client, 2)[1].status == 200);
        }
    }
}

TEST_CASE("websocket rules: Connection and Upgrade are lists, also in several lines") {
    RawFixture fixture;
    TestClient client = fixture.connect();
    std::string request = RawFixture::upgrade_to("/v1/events/a");
    request.insert(request.find("Connection:"), "Connection: keep-alive\r\nUpgrade: h2c\r\n");
    client.send(request);
    fixture.wait_for([&] { return client.received().find("\r\n\r\n") != std::string::npos; });
    CHECK(client.received().find("HTTP/1.1 101 ") == 0);
    CHECK(client.received().find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n") !=
          std::string::npos);
}

TEST_CASE("websocket rules: one that opens while the gateway drains closes with 1001") {
    RawFixture fixture;
    fixture.node.on_open = nullptr;
    TestClient client = fixture.connect();
    client.send(RawFixture::upgrade_to("/v1/events/a"));
    fixture.wait_for([&] { return fixture.node.opens.size() == 1; });
    bool is_done = false;
    fixture.gateway->drain([&] { is_done = true; });
    fixture.node.opens[0]->applied_index = 7;
    fixture.node.opens[0]->on_done();
    fixture.wait_for([&] { return client.received().find("\r\n\r\n\x88") != std::string::npos; });
    client.send(client_frame(Opcode::close, "\x03\xe9"));
    CHECK(fixture.close_code_of(client) == 1001);
    client.socket().close();
    fixture.wait_for([&] { return is_done; });
}

TEST_CASE("websocket rules: a broken frame is told, and the connection ends in order") {
    RawFixture fixture;
    const struct {
        std::string bytes;
        int code;
    } cases[] = {
        {std::string("\x81\x01x", 3), 1002},
        {with_first_byte(client_frame(Opcode::text, "x"), 0xf1), 1002},
        {client_frame(Opcode::ping, "x", false), 1002},
        {client_frame(Opcode::close, "x"), 1002},
        {client_frame(Opcode::text, "\xff"), 1007},
        {client_frame(Opcode::text, std::string(70'000, 'x')).substr(0, 14), 1009},
        {client_frame(Opcode::binary, "x"), 1003},
    };
    for (const auto& one : cases) {
        TestClient client = fixture.open();
        // What comes behind it is read and ignored, so that nothing is reset.
        client.send(one.bytes + client_frame(Opcode::text, "and more"));
        if (one.code == 1003) {
            client.send(client_frame(Opcode::close, "\x03\xe8"));
        }
        CHECK(fixture.close_code_of(client) == one.code);
        client.socket().close();
        fixture.wait_for_nobody();
    }
}

TEST_CASE("websocket rules: a close is answered with its code, and with nothing else") {
    RawFixture fixture;
    TestClient client = fixture.open();
    client.send(client_frame(Opcode::close,
                             "\x0b\xb8"
                             "done") +
                client_frame(Opcode::ping, "x"));
    CHECK(fixture.close_code_of(client) == 3000);
    CHECK(client.received().size() == 4);
    client.socket().close();
    fixture.wait_for_nobody();

    TestClient silent = fixture.open();
    silent.send(client_frame(Opcode::close, ""));
    fixture.wait_for([&] { return silent.has_ended(); });
    CHECK(silent.received() == std::string("\x88\x00", 2));
}

TEST_CASE("websocket rules: a client that doesn't go is cut off") {
    GatewayOptions options = quick_options();
    options.linger_timeout_ms = 50;
    RawFixture fixture(options);
    TestClient client = fixture.open();
    client.send(client_frame(Opcode::close, "\x03\xe8"));
    fixture.wait_for_nobody();
}

TEST_CASE("websocket rules: pings are answered with what they hold, the newest at least") {
    RawFixture fixture;
    TestClient client = fixture.open();
    client.send(client_frame(Opcode::ping, "hello"));
    fixture.wait_for([&] { return !client.received().empty(); });
    CHECK(client.received() == "\x8a\x05hello");
    client.received().clear();
    client.send(client_frame(Opcode::ping, "1") + client_frame(Opcode::ping, "2"));
    fixture.wait_for([&] { return client.received().find('2') != std::string::npos; });
    CHECK(client.received().substr(client.received().size() - 3) ==
          "\x8a\x01"
          "2");
}

TEST_CASE("websocket rules: a flood of pings or pongs ends with 1008") {
    Opcode opcode = Opcode::ping;
    SUBCASE("pings") {}
    SUBCASE("pongs") {
        opcode = Opcode::pong;
    }
    GatewayOptions options = quick_options();
    options.websocket_control_frames_max = 10;
    RawFixture fixture(options);
    TestClient client = fixture.open();
    std::string flood;
    for (int i = 0; i < 100; ++i) {
        flood += client_frame(opcode, "x");
    }
    client.send(flood);
    CHECK(fixture.close_code_of(client) == 1008);
}

TEST_CASE("websocket rules: a few pings a second are no flood") {
    GatewayOptions options = quick_options();
    options.websocket_control_frames_max = 1;
    RawFixture fixture(options);
    TestClient client = fixture.open();
    for (int i = 0; i < 2; ++i) {
        client.send(client_frame(Opcode::ping, "x"));
        fixture.wait_for([&] { return !client.received().empty(); });
        client.received().clear();
        const auto later = std::chrono::steady_clock::now() + std::chrono::milliseconds(1100);
        fixture.context.run_until(later);
    }
    CHECK_FALSE(client.has_ended());
}

TEST_CASE("websocket rules: a message in drips ends with 1008, by count and by time") {
    GatewayOptions options = quick_options();
    options.body_timeout_ms = 50;
    RawFixture fixture(options);
    TestClient client = fixture.open();
    SUBCASE("many fragments") {
        std::string drips = client_frame(Opcode::text, "x", false);
        for (int i = 0; i < 2000; ++i) {
            drips += client_frame(Opcode::continuation, "", false);
        }
        client.send(drips);
    }
    SUBCASE("one that doesn't end") {
        client.send(client_frame(Opcode::text, "x", false));
    }
    SUBCASE("half a header") {
        client.send(client_frame(Opcode::text, "x").substr(0, 3));
    }
    CHECK(fixture.close_code_of(client) == 1008);
}

TEST_CASE("websocket rules: nothing follows a close frame, and what was taken precedes it") {
    GatewayOptions options = quick_options();
    options.streams.events_queue_messages_max = 4;
    RawFixture fixture(options);
    TestClient client = fixture.open();
    client.send(client_frame(Opcode::ping, "x") + client_frame(Opcode::text, "hello"));
    fixture.node.publish("a", "y", 8);
    client.send(client_frame(Opcode::close, "\x03\xeb"));
    CHECK(fixture.close_code_of(client) == 1003);
}

TEST_CASE("websocket rules: a broadcast is cut into turns") {
    RawFixture fixture;
    std::vector<TestClient> clients;
    constexpr std::size_t count = 3 * SendTurns::sends_per_turn;
    for (std::size_t i = 0; i < count; ++i) {
        clients.push_back(fixture.open());
    }
    fixture.node.publish("a", "y", 8);
    // One handler of the event loop at a time: none may serve more than its share.
    std::size_t served_most = 0;
    const auto served = [&] {
        std::size_t sum = 0;
        for (TestClient& client : clients) {
            sum += client.socket().available() > 0 || !client.received().empty() ? 1U : 0U;
        }
        return sum;
    };
    std::size_t before = served();
    while (before < count && fixture.context.run_one_for(std::chrono::seconds(10)) > 0) {
        const std::size_t now = served();
        served_most = std::max(served_most, now - before);
        before = now;
    }
    CHECK(before == count);
    CHECK(served_most <= SendTurns::sends_per_turn);
}

TEST_CASE("websocket rules: many messages in one piece are heard a few at a time, in order") {
    RawFixture fixture;
    fixture.node.on_submit = [](Operation& operation) { PlayedNode::answer(operation, "x"); };
    TestClient client = fixture.connect();
    client.send(
        "GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    fixture.wait_for([&] { return client.received().find("\r\n\r\n") != std::string::npos; });
    constexpr std::size_t count = 20 * WebSocketSession::messages_per_turn;
    std::string commands;
    for (std::size_t i = 0; i < count; ++i) {
        commands += client_frame(
            Opcode::text, R"({"id":1,"name":"n)" + std::to_string(i) + R"(","input":{"get":{}}})");
    }
    client.send(commands);
    // One handler of the event loop at a time: none may take on more than its share.
    const auto& heard = fixture.node.operations;
    std::size_t heard_most = 0;
    for (std::size_t before = 0; heard.size() < count; before = heard.size()) {
        REQUIRE(fixture.context.run_one_for(std::chrono::seconds(10)) > 0);
        heard_most = std::max(heard_most, heard.size() - before);
    }
    CHECK(heard_most <= WebSocketSession::messages_per_turn);
    for (std::size_t i = 0; i < count; ++i) {
        REQUIRE(heard[i]->name == "n" + std::to_string(i));
    }
    client.send(client_frame(Opcode::close, "\x03\xe8"));
    CHECK(fixture.close_code_of(client) == 1000);
}

TEST_CASE("websocket rules: commands on /v1/stream, and those in work are answered before 1001") {
    RawFixture fixture;
    TestClient client = fixture.connect();
    client.send(
        "GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    fixture.wait_for([&] { return client.received().find("\r\n\r\n") != std::string::npos; });
    client.received().clear();
    client.send(client_frame(Opcode::text, R"({"id":1,"name":"a","input":{"set":{}}})"));
    fixture.wait_for([&] { return fixture.node.operations.size() == 1; });
    bool is_done = false;
    fixture.gateway->drain([&] { is_done = true; });
    client.send(client_frame(Opcode::text, R"({"id":2,"name":"a","input":{"set":{}}})"));
    client.send(client_frame(Opcode::ping, "x"));
    fixture.wait_for([&] { return client.received().find('\x8a') != std::string::npos; });
    CHECK(client.received().find('\x88') == std::string::npos);
    PlayedNode::answer_set(*fixture.node.operations[0]);
    CHECK(fixture.close_code_of(client) == 1001);
    CHECK(client.received().find(R"({"id":1,"output":)") != std::string::npos);
    CHECK(fixture.node.operations.size() == 1);
    client.socket().close();
    fixture.wait_for([&] { return is_done; });
}

TEST_CASE("websocket rules: who sends commands and takes no answers is not heard any more") {
    GatewayOptions options = quick_options();
    options.multiplex.answer_bytes_max = 1000;
    RawFixture fixture(options);
    fixture.node.on_submit = [](Operation& operation) {
        PlayedNode::answer(operation, std::string(100'000, 'x'));
    };
    TestClient client = fixture.connect(false);
    client.send(
        "GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    fixture.wait_for([&] { return client.socket().available() > 0; });
    std::string commands;
    for (int i = 0; i < 300'000; ++i) {
        commands += client_frame(Opcode::text, R"({"id":1,"name":"a","input":{"get":{}}})");
    }
    client.socket().non_blocking(true);
    std::size_t sent = 0;
    const auto has_stalled = [&] {
        boost::system::error_code error;
        sent += client.socket().write_some(net::buffer(commands) + sent, error);
        return error == net::error::would_block;
    };
    fixture.wait_for([&] {
        fixture.context.poll();
        return has_stalled() && fixture.context.poll() == 0;
    });
    const std::size_t asked = fixture.node.operations.size();
    fixture.context.run_for(std::chrono::milliseconds(200));
    CHECK(fixture.node.operations.size() == asked);
    // All of them are answered once they are taken.
    client.receive();
    fixture.wait_for([&] { return fixture.node.operations.size() > asked; });
}

}  // namespace cairn::server
