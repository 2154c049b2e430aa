#include "server/gateway/websocket_session.h"

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "cairn/server/v1/stream.pb.h"
#include "gateway_fixture.h"

namespace cairn::server {
namespace {

namespace websocket = boost::beast::websocket;
using json = nlohmann::json;

// A WebSocket client by Beast. It reads all the time from receive() on.
struct Reader {
    using Stream = websocket::stream<Socket, false>;

    explicit Reader(Socket socket) : stream(std::move(socket)) {}

    static Task handshake_loop(std::shared_ptr<Reader> self, std::string target,
                               std::string subprotocols) {
        if (!subprotocols.empty()) {
            self->stream.set_option(
                websocket::stream_base::decorator([subprotocols](websocket::request_type& request) {
                    request.set(boost::beast::http::field::sec_websocket_protocol, subprotocols);
                }));
        }
        const auto [error] =
            co_await self->stream.async_handshake(self->response, "localhost", target, token);
        self->handshake_error = error;
    }

    static Task read_loop(std::shared_ptr<Reader> self) {
        boost::beast::flat_buffer buffer;
        while (true) {
            const auto [error, bytes] = co_await self->stream.async_read(buffer, token);
            if (error) {
                self->end = error;
                co_return;
            }
            const auto data = buffer.data();
            std::string message(static_cast<const char*>(data.data()), data.size());
            if (self->stream.got_binary()) {
                self->binary_messages.push_back(std::move(message));
            } else {
                self->messages.push_back(json::parse(message));
            }
            buffer.clear();
        }
    }

    static Task write_loop(std::shared_ptr<Reader> self, std::string text, bool is_text) {
        self->stream.text(is_text);
        co_await self->stream.async_write(net::buffer(text), token);
    }

    static Task close_loop(std::shared_ptr<Reader> self) {
        co_await self->stream.async_close(websocket::close_code::normal, token);
    }

    Stream stream;
    websocket::response_type response;
    std::optional<boost::system::error_code> handshake_error;
    std::optional<boost::system::error_code> end;
    std::vector<json> messages;
    std::vector<std::string> binary_messages;
};

struct StreamFixture : GatewayFixture {
    using GatewayFixture::GatewayFixture;

    // Present: `a` = "x", written at 5; applied: 7.
    void open_at_once() {
        node.on_open = [](StreamOpen& open) {
            open.applied_index = 7;
            open.present = {{"a", {std::make_shared<const std::string>("x"), 5, 0}}};
            open.on_done();
        };
    }

    std::shared_ptr<Reader> connect_reader(const std::string& target,
                                           const std::string& subprotocols = "",
                                           bool receiving = true) {
        Socket socket(context.get_executor());
        socket.connect({net::ip::make_address("127.0.0.1"), gateway->port()});
        auto reader = std::make_shared<Reader>(std::move(socket));
        spawn(context.get_executor(), Reader::handshake_loop(reader, target, subprotocols),
              "test reader");
        wait_for([&] { return reader->handshake_error.has_value(); });
        if (receiving && !*reader->handshake_error) {
            spawn(context.get_executor(), Reader::read_loop(reader), "test reader");
        }
        return reader;
    }

    void wait_for_messages(Reader& reader, std::size_t count) {
        wait_for([&] { return reader.messages.size() >= count; });
        REQUIRE(reader.messages.size() == count);
    }

    void wait_for_nobody() {
        wait_for([&] { return gateway->connection_count() == 0; });
        CHECK(gateway->stream_count() == 0);
    }
};

std::string upgrade(const std::string& headers) {
    return "GET /v1/watch/a HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
           "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
           headers + "\r\n";
}

}  // namespace

TEST_CASE("websocket: a watch tells the present value and each new one") {
    StreamFixture fixture;
    fixture.open_at_once();
    const auto reader = fixture.connect_reader("/v1/watch/a");
    REQUIRE_FALSE(*reader->handshake_error);
    CHECK(reader->response.count("Sec-WebSocket-Protocol") == 0);
    CHECK(reader->response.count("Cairn-Node") == 1);
    fixture.wait_for_messages(*reader, 1);
    CHECK(reader->messages[0].at("value") == "x");
    fixture.node.publish("a", "y", 8);
    fixture.wait_for_messages(*reader, 2);
    CHECK(reader->messages[1].at("value") == "y");
    CHECK(reader->messages[1].at("cursor") == "8");
    CHECK(fixture.gateway->stream_count() == 1);
    spawn(fixture.context.get_executor(), Reader::close_loop(reader), "test reader");
    fixture.wait_for_nobody();
    CHECK(reader->stream.reason().code == websocket::close_code::normal);
}

TEST_CASE("websocket: a long burst of events arrives whole and in order") {
    StreamFixture fixture;
    fixture.open_at_once();
    const auto reader = fixture.connect_reader("/v1/events/?prefix=true");
    fixture.wait_for_messages(*reader, 1);
    for (fsm::Index index = 8; index < 1008; ++index) {
        fixture.node.publish("b", std::string(10'000, 'x'), index);
        fixture.context.poll();
    }
    fixture.wait_for_messages(*reader, 1001);
    for (std::size_t i = 1; i < reader->messages.size(); ++i) {
        CHECK(reader->messages[i].at("index") == i + 7);
    }
}

TEST_CASE("websocket: the upgrade waits for the stream, and messages behind it are not lost") {
    StreamFixture fixture;
    TestClient client = fixture.connect();
    client.send(upgrade(""));
    fixture.wait_for([&] { return fixture.node.opens.size() == 1; });
    fixture.context.poll();
    CHECK(client.received().empty());
    fixture.node.opens[0]->applied_index = 7;
    fixture.node.opens[0]->on_done();
    fixture.node.publish("a", "y", 8);
    fixture.wait_for(
        [&] { return client.received().find("\"cursor\":\"8\"") != std::string::npos; });
    CHECK(client.received().find("HTTP/1.1 101 ") == 0);
    CHECK(client.received().find("\"cursor\":\"7\"") < client.received().find("\"cursor\":\"8\""));
}

TEST_CASE("websocket: a stream that can't be opened is an ordinary answer, and one can go on") {
    StreamFixture fixture;
    fixture.node.on_open = [](StreamOpen& open) {
        open.failure = Failure::draining;
        open.on_done();
    };
    TestClient client = fixture.connect();
    client.send(upgrade(""));
    CHECK(fixture.wait_for_answer(client).status == 503);
    CHECK(fixture.gateway->stream_count() == 0);
    client.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CHECK(fixture.wait_for_answers(client, 2)[1].status == 200);
}

TEST_CASE("websocket: there are only so many streams") {
    GatewayOptions options = quick_options();
    options.streams.subscriptions_max = 1;
    StreamFixture fixture(options);
    fixture.open_at_once();
    const auto reader = fixture.connect_reader("/v1/watch/a");
    TestClient client = fixture.connect();
    client.send(upgrade(""));
    const Answer answer = fixture.wait_for_answer(client);
    CHECK(answer.status == 503);
    CHECK(answer.headers.count("retry-after") == 1);
}

TEST_CASE("websocket: pages of other origins may not open one, our own may") {
    StreamFixture fixture;
    fixture.open_at_once();
    TestClient other = fixture.connect();
    other.send(upgrade("Origin: http://evil.example\r\n"));
    CHECK(fixture.wait_for_answer(other).status == 403);
    TestClient own = fixture.connect();
    own.send(upgrade("Origin: http://localhost\r\n"));
    fixture.wait_for([&] { return own.received().find("101") != std::string::npos; });
}

TEST_CASE("websocket: the subprotocol is agreed on when the client knows ours") {
    StreamFixture fixture;
    fixture.open_at_once();
    const auto ours = fixture.connect_reader("/v1/watch/a", "chat,cairn.v1.json, cairn.v1.proto");
    CHECK(ours->response["Sec-WebSocket-Protocol"] == "cairn.v1.json");
    fixture.wait_for_messages(*ours, 1);
    const auto binary = fixture.connect_reader("/v1/watch/a", "cairn.v1.proto , cairn.v1.json");
    CHECK(binary->response["Sec-WebSocket-Protocol"] == "cairn.v1.proto");
    fixture.wait_for([&] { return binary->binary_messages.size() == 1; });
    v1::ServerMessage message;
    REQUIRE(message.ParseFromString(binary->binary_messages[0]));
    CHECK(message.value().value() == "x");
    CHECK(message.value().index() == 5);
    CHECK(message.cursor() == "7");
    CHECK(message.id() == 0);
    const auto others = fixture.connect_reader("/v1/watch/a", "chat");
    CHECK(others->response.count("Sec-WebSocket-Protocol") == 0);
    fixture.wait_for_messages(*others, 1);
}

TEST_CASE("websocket: bytes sent before the handshake is done end the connection") {
    StreamFixture fixture;
    fixture.open_at_once();
    TestClient client = fixture.connect();
    client.send(upgrade("") + "x");
    CHECK(fixture.wait_for_answer(client).status == 400);
    fixture.wait_for([&] { return client.has_ended(); });
    CHECK(fixture.gateway->stream_count() == 0);
}

TEST_CASE("websocket: a request before the upgrade is answered first") {
    StreamFixture fixture;
    fixture.open_at_once();
    TestClient client = fixture.connect();
    client.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" + upgrade(""));
    fixture.wait_for(
        [&] { return client.received().find("\"cursor\":\"7\"") != std::string::npos; });
    CHECK(client.received().find("HTTP/1.1 200 ") == 0);
    CHECK(client.received().find("HTTP/1.1 101 ") != std::string::npos);
}

TEST_CASE("websocket: a message on a stream that takes none closes it with 1003") {
    StreamFixture fixture;
    fixture.open_at_once();
    const auto reader = fixture.connect_reader("/v1/watch/a");
    spawn(fixture.context.get_executor(), Reader::write_loop(reader, "hello", true), "test reader");
    fixture.wait_for([&] { return reader->end.has_value(); });
    CHECK(reader->stream.reason().code == 1003);
    fixture.wait_for_nobody();
}

TEST_CASE("websocket: bad UTF-8 closes with 1007, too long a message with 1009") {
    std::string text = "\xff";
    int code = 1007;
    SUBCASE("bad UTF-8") {}
    SUBCASE("too long") {
        text = std::string(100'000, 'x');
        code = 1009;
    }
    StreamFixture fixture;
    fixture.open_at_once();
    const auto reader = fixture.connect_reader("/v1/watch/a");
    spawn(fixture.context.get_executor(), Reader::write_loop(reader, text, true), "test reader");
    fixture.wait_for([&] { return reader->end.has_value(); });
    CHECK(reader->stream.reason().code == code);
    fixture.wait_for_nobody();
}

TEST_CASE("websocket: a reader of events that is too slow is closed with 1013 and its cursor") {
    GatewayOptions options = quick_options();
    options.streams.events_queue_messages_max = 4;
    StreamFixture fixture(options);
    fixture.open_at_once();
    const auto reader = fixture.connect_reader("/v1/events/a", "", false);
    // Until the sockets' buffers and the queue are full.
    for (fsm::Index index = 8; index <= 200; ++index) {
        fixture.node.publish("a", std::string(200'000, 'x'), index);
        fixture.context.poll();
    }
    spawn(fixture.context.get_executor(), Reader::read_loop(reader), "test reader");
    fixture.wait_for([&] { return reader->end.has_value(); });
    CHECK(reader->stream.reason().code == websocket::close_code::try_again_later);
    const std::string reason(reader->stream.reason().reason.c_str());
    REQUIRE(reader->messages.size() > 1);
    CHECK(reader->messages.size() < 190);
    const std::string last = reader->messages.back().at("cursor");
    CHECK(reason.substr(reason.find("cursor=") + 7) == last);
    fixture.wait_for_nobody();
}

TEST_CASE("websocket: a slow reader of a watch misses values, but not the last one") {
    std::size_t value_bytes = 200'000;
    fsm::Index last = 200;
    SUBCASE("large ones") {}
    SUBCASE("such as leave together") {
        value_bytes = 10'000;
        last = 4000;
    }
    StreamFixture fixture;
    fixture.open_at_once();
    const auto reader = fixture.connect_reader("/v1/watch/a", "", false);
    for (fsm::Index index = 8; index <= last; ++index) {
        fixture.node.publish("a", std::string(value_bytes, 'x'), index);
        fixture.context.poll();
    }
    spawn(fixture.context.get_executor(), Reader::read_loop(reader), "test reader");
    fixture.wait_for(
        [&] { return !reader->messages.empty() && reader->messages.back().at("index") == last; });
    CHECK(reader->messages.size() < last - 10);
    CHECK_FALSE(reader->end);
}

TEST_CASE("websocket: a reader that takes nothing at all is cut off") {
    GatewayOptions options = quick_options();
    options.websocket_idle_timeout_ms = 50;
    options.bytes_per_second_min = std::size_t{1} << 40;
    StreamFixture fixture(options);
    fixture.open_at_once();
    const auto reader = fixture.connect_reader("/v1/watch/a", "", false);
    for (fsm::Index index = 8; index <= 200; ++index) {
        fixture.node.publish("a", std::string(200'000, 'x'), index);
        fixture.context.poll();
    }
    fixture.wait_for_nobody();
}

TEST_CASE("websocket: a silent client is pinged, and stays while it answers") {
    GatewayOptions options = quick_options();
    options.websocket_idle_timeout_ms = 100;
    options.streams.progress_interval_ms = 60'000;
    StreamFixture fixture(options);
    fixture.open_at_once();
    const auto reader = fixture.connect_reader("/v1/watch/a");
    int pings = 0;
    reader->stream.control_callback([&](websocket::frame_type type, boost::beast::string_view) {
        pings += type == websocket::frame_type::ping ? 1 : 0;
    });
    fixture.wait_for([&] { return pings >= 4; });
    CHECK_FALSE(reader->end);
    const auto mute = fixture.connect_reader("/v1/watch/a", "", false);
    fixture.wait_for([&] { return fixture.gateway->connection_count() == 1; });
    CHECK_FALSE(reader->end);
}

TEST_CASE("websocket: progress is told to a quiet stream") {
    GatewayOptions options = quick_options();
    options.streams.progress_interval_ms = 20;
    StreamFixture fixture(options);
    fixture.open_at_once();
    const auto reader = fixture.connect_reader("/v1/watch/a");
    fixture.node.publish("b", "y", 9);
    fixture.wait_for([&] { return reader->messages.size() >= 3; });
    CHECK(reader->messages[1].at("type") == "progress");
    CHECK(reader->messages[1].at("cursor") == "9");
}

TEST_CASE("websocket: draining closes with 1001") {
    StreamFixture fixture;
    fixture.open_at_once();
    const auto reader = fixture.connect_reader("/v1/watch/a");
    fixture.wait_for_messages(*reader, 1);
    bool is_done = false;
    fixture.gateway->drain([&] { is_done = true; });
    fixture.wait_for([&] { return is_done; });
    fixture.wait_for([&] { return reader->end.has_value(); });
    CHECK(reader->stream.reason().code == websocket::close_code::going_away);
    CHECK(fixture.gateway->stream_count() == 0);
}

TEST_CASE("websocket: draining doesn't wait for a client that doesn't listen") {
    GatewayOptions options = quick_options();
    options.drain_timeout_ms = 50;
    StreamFixture fixture(options);
    fixture.open_at_once();
    const auto reader = fixture.connect_reader("/v1/watch/a", "", false);
    TestClient opening = fixture.connect();
    fixture.node.on_open = nullptr;
    opening.send(upgrade(""));
    fixture.wait_for([&] { return fixture.node.opens.size() == 2; });
    bool is_done = false;
    fixture.gateway->drain([&] { is_done = true; });
    fixture.wait_for([&] { return is_done; });
    CHECK(fixture.gateway->stream_count() == 0);
    CHECK_FALSE(fixture.node.opens[1]->on_done);
}

TEST_CASE("websocket: a gateway that ends early leaves nothing behind") {
    StreamFixture fixture;
    fixture.open_at_once();
    const auto reader = fixture.connect_reader("/v1/watch/a");
    const auto deaf = fixture.connect_reader("/v1/watch/a", "", false);
    SUBCASE("the context runs on") {
        fixture.gateway.reset();
        fixture.wait_for([&] { return reader->end.has_value(); });
    }
    SUBCASE("nothing runs any more") {
        fixture.gateway.reset();
    }
    CHECK(fixture.node.listener == nullptr);
}

TEST_CASE("websocket: a client that vanishes frees its stream") {
    StreamFixture fixture;
    fixture.open_at_once();
    const auto reader = fixture.connect_reader("/v1/watch/a");
    fixture.wait_for_messages(*reader, 1);
    reader->stream.next_layer().close();
    fixture.wait_for_nobody();
}

}  // namespace cairn::server
