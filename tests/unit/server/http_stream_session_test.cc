#include "server/gateway/http_stream_session.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "gateway_fixture.h"

namespace cairn::server {
namespace {

using json = nlohmann::json;

// What a client has made of the bytes so far. Independent of the code that wrote them.
struct Stream {
    std::string head;
    std::string body;  // without the chunks
    bool has_last_chunk = false;
    std::vector<json> messages;
    std::vector<std::string> ids;
    std::string retry;
};

std::string take_line(std::string_view& rest) {
    const std::size_t end = rest.find('\n');
    const std::string line(rest.substr(0, end));
    rest.remove_prefix(end + 1);
    return line;
}

void take_chunks(std::string_view rest, Stream& stream) {
    while (!rest.empty()) {
        const std::size_t line = rest.find("\r\n");
        if (line == std::string_view::npos) {
            return;
        }
        const std::size_t bytes = std::stoul(std::string(rest.substr(0, line)), nullptr, 16);
        if (rest.size() < line + 2 + bytes + 2) {
            return;
        }
        REQUIRE(rest.substr(line + 2 + bytes, 2) == "\r\n");
        stream.has_last_chunk = bytes == 0;
        stream.body += rest.substr(line + 2, bytes);
        rest.remove_prefix(line + 2 + bytes + 2);
        REQUIRE((bytes > 0 || rest.empty()));
    }
}

Stream parse(const std::string& received) {
    Stream stream;
    const std::size_t end = received.find("\r\n\r\n");
    if (end == std::string::npos) {
        return stream;
    }
    stream.head = received.substr(0, end + 2);
    const std::string_view rest = std::string_view(received).substr(end + 4);
    if (stream.head.find("Transfer-Encoding: chunked\r\n") != std::string::npos) {
        take_chunks(rest, stream);
    } else {
        stream.body = rest;
    }
    std::string_view lines = stream.body;
    lines = lines.substr(0, lines.rfind('\n') + 1);
    const bool is_event_stream = stream.head.find("text/event-stream") != std::string::npos;
    while (!lines.empty()) {
        const std::string line = take_line(lines);
        if (!is_event_stream || line.rfind("data: ", 0) == 0) {
            stream.messages.push_back(json::parse(line.substr(is_event_stream ? 6 : 0)));
        } else if (line.rfind("id: ", 0) == 0) {
            stream.ids.push_back(line.substr(4));
        } else if (line.rfind("retry: ", 0) == 0) {
            stream.retry = line.substr(7);
        } else {
            REQUIRE(line.empty());
        }
    }
    return stream;
}

std::string get(const std::string& target, const std::string& headers = "") {
    return "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n";
}

const std::string event_stream = "Accept: text/event-stream\r\n";

struct StreamFixture : GatewayFixture {
    using GatewayFixture::GatewayFixture;

    // Present: `a` = "x", written at 5; applied: 7. A stream that resumes gets what was published
    // after its place.
    void open_at_once() {
        node.on_open = [this](StreamOpen& open) {
            open.applied_index = std::max<fsm::Index>(7, published);
            if (!open.after_index) {
                open.present = {{"a", {std::make_shared<const std::string>("x"), 5, 0}}};
            } else {
                replay(open);
            }
            open.on_done();
        };
    }

    void replay(StreamOpen& open) const {
        for (fsm::Index index = std::max<fsm::Index>(8, *open.after_index + 1);
             index <= published && open.replay.size() < open.replay_max; ++index) {
            fsm::Event event;
            event.kind = fsm::Event::Kind::created;
            event.at_index = index;
            event.last_of_index = true;
            event.name = "a";
            event.value = {std::make_shared<const std::string>(bytes), index, 0};
            open.replay.push_back(std::move(event));
        }
    }

    void publish_up_to(fsm::Index last) {
        while (published < last) {
            node.publish("a", bytes, ++published);
            context.poll();
        }
    }

    TestClient open(const std::string& request, bool receiving = true) {
        TestClient client = connect(receiving);
        const std::size_t before = gateway->stream_count();
        client.send(request);
        wait_for([&] { return gateway->stream_count() > before; });
        return client;
    }

    Stream wait_for_messages(TestClient& client, std::size_t count) {
        wait_for([&] { return parse(client.received()).messages.size() >= count; });
        Stream stream = parse(client.received());
        REQUIRE(stream.messages.size() == count);
        return stream;
    }

    // Until that is the last message's. Doesn't look at all that has come, again and again.
    Stream wait_for_cursor(TestClient& client, fsm::Index index) {
        const std::string wanted = "\"cursor\":\"" + std::to_string(index) + "\"";
        wait_for([&] {
            const std::string& received = client.received();
            const std::size_t tail = received.size() - std::min<std::size_t>(received.size(), 64);
            return received.find(wanted, tail) != std::string::npos;
        });
        return parse(client.received());
    }

    void wait_for_nobody() {
        wait_for([&] { return gateway->connection_count() == 0; });
        CHECK(gateway->stream_count() == 0);
    }

    std::string bytes = "y";
    fsm::Index published = 7;
};

// Each index after 7 once, in order, up to the last.
void check_complete(const Stream& stream, fsm::Index last) {
    std::vector<fsm::Index> indexes;
    for (const json& message : stream.messages) {
        if (message.at("type") == "created") {
            indexes.push_back(message.at("index"));
        }
    }
    REQUIRE(indexes.size() == last - 7);
    for (std::size_t i = 0; i < indexes.size(); ++i) {
        REQUIRE(indexes[i] == i + 8);
    }
}

}  // namespace

TEST_CASE("http stream: lines, the present value and each new one") {
    StreamFixture fixture;
    fixture.open_at_once();
    TestClient client = fixture.open(get("/v1/watch/a"));
    Stream stream = fixture.wait_for_messages(client, 1);
    CHECK(stream.head.find("HTTP/1.1 200 OK\r\n") == 0);
    for (const char* header :
         {"\r\nContent-Type: application/x-ndjson\r\n", "\r\nCache-Control: no-store\r\n",
          "\r\nX-Accel-Buffering: no\r\n", "\r\nX-Content-Type-Options: nosniff\r\n",
          "\r\nCairn-Node: 1\r\n", "\r\nCairn-Index: ", "\r\nCairn-Leader: 1\r\n"}) {
        CAPTURE(header);
        CHECK(stream.head.find(header) != std::string::npos);
    }
    CHECK(stream.messages[0].at("value") == "x");
    CHECK(stream.messages[0].at("cursor") == "7");
    fixture.publish_up_to(9);
    stream = fixture.wait_for_messages(client, 3);
    CHECK(stream.messages[1].at("value") == "y");
    CHECK(stream.messages[2].at("cursor") == "9");
    CHECK_FALSE(stream.has_last_chunk);
}

TEST_CASE("http stream: server-sent events, each with its cursor as id") {
    StreamFixture fixture;
    fixture.open_at_once();
    TestClient client = fixture.open(get("/v1/events/a", event_stream));
    fixture.publish_up_to(8);
    const Stream stream = fixture.wait_for_messages(client, 2);
    CHECK(stream.head.find("\r\nContent-Type: text/event-stream\r\n") != std::string::npos);
    CHECK(stream.messages[0].at("type") == "subscribed");
    CHECK(stream.messages[1].at("type") == "created");
    CHECK(stream.ids == std::vector<std::string>{"7", "8"});
    const int retry_ms = std::stoi(stream.retry);
    CHECK(retry_ms >= 500);
    CHECK(retry_ms < 3000);
}

TEST_CASE("http stream: clients are told to come back at different times") {
    StreamFixture fixture;
    fixture.open_at_once();
    std::vector<std::string> waits;
    for (int i = 0; i < 8; ++i) {
        TestClient client = fixture.open(get("/v1/events/a", event_stream));
        waits.push_back(fixture.wait_for_messages(client, 1).retry);
    }
    std::sort(waits.begin(), waits.end());
    CHECK(std::unique(waits.begin(), waits.end()) - waits.begin() > 4);
}

TEST_CASE("http stream: a client that comes back resumes where it was") {
    StreamFixture fixture;
    fixture.open_at_once();
    fixture.published = 9;
    TestClient client =
        fixture.open(get("/v1/events/a?cursor=5", event_stream + "Last-Event-ID: 8\r\n"));
    const Stream stream = fixture.wait_for_messages(client, 2);
    CHECK(fixture.node.opens.back()->after_index == 8);
    CHECK(stream.messages[0].at("cursor") == "8");
    CHECK(stream.messages[1].at("cursor") == "9");
}

TEST_CASE("http stream: HTTP/1.0 has no chunks, the connection's end is the body's") {
    StreamFixture fixture;
    fixture.open_at_once();
    TestClient client = fixture.open("GET /v1/watch/a HTTP/1.0\r\nHost: localhost\r\n\r\n");
    const Stream stream = fixture.wait_for_messages(client, 1);
    CHECK(stream.head.find("Transfer-Encoding") == std::string::npos);
    fixture.gateway->drain([] {});
    fixture.wait_for([&] { return client.has_ended(); });
    CHECK_FALSE(client.was_reset());
    CHECK(parse(client.received()).messages.size() == 1);
}

TEST_CASE("http stream: one that can't be opened is an ordinary answer, and one can go on") {
    GatewayOptions options = quick_options();
    Failure failure = Failure::none;
    SUBCASE("too many") {
        options.streams.subscriptions_max = 0;
    }
    SUBCASE("no leader") {
        failure = Failure::no_leader;
    }
    StreamFixture fixture(options);
    fixture.node.on_open = [failure](StreamOpen& open) {
        open.failure = failure;
        open.on_done();
    };
    TestClient client = fixture.connect();
    client.send(get("/v1/watch/a", event_stream));
    const Answer answer = fixture.wait_for_answer(client);
    CHECK(answer.status == 503);
    CHECK(answer.headers.at("content-type") == "application/problem+json");
    CHECK(answer.headers.count("retry-after") == 1);
    CHECK(fixture.gateway->stream_count() == 0);
    client.send(get("/livez"));
    CHECK(fixture.wait_for_answers(client, 2)[1].status == 200);
}

TEST_CASE("http stream: requests before it are answered, what is behind it is thrown away") {
    StreamFixture fixture;
    fixture.open_at_once();
    TestClient client = fixture.connect();
    client.send(get("/livez") + get("/v1/watch/a") + get("/livez"));
    fixture.wait_for(
        [&] { return client.received().find("\"cursor\":\"7\"") != std::string::npos; });
    CHECK(client.received().find("HTTP/1.1 200 ") == 0);
    client.send(get("/livez"));
    fixture.publish_up_to(8);
    fixture.wait_for(
        [&] { return client.received().find("\"cursor\":\"8\"") != std::string::npos; });
    std::size_t answers = 0;
    for (std::size_t at = 0; (at = client.received().find("HTTP/1.1", at)) != std::string::npos;
         ++at) {
        ++answers;
    }
    CHECK(answers == 2);
    // But not without end.
    client.send_all(std::string(200'000, 'x'));
    fixture.wait_for_nobody();
}

TEST_CASE("http stream: a burst of events arrives whole and in order") {
    for (const std::string& headers : {std::string(), event_stream}) {
        StreamFixture fixture;
        fixture.open_at_once();
        fixture.bytes = std::string(10'000, 'z');
        TestClient client = fixture.open(get("/v1/events/a", headers));
        fixture.publish_up_to(1007);
        check_complete(fixture.wait_for_cursor(client, 1007), 1007);
    }
}

TEST_CASE("http stream: a reader of events that was too slow gets what it missed from history") {
    GatewayOptions options = quick_options();
    options.streams.events_queue_messages_max = 4;
    options.streams.replay_part_max = 7;
    StreamFixture fixture(options);
    fixture.open_at_once();
    fixture.bytes = std::string(200'000, 'z');
    TestClient client = fixture.open(get("/v1/events/a", event_stream), false);
    // Until the sockets' buffers and the queue are full.
    fixture.publish_up_to(200);
    CHECK(fixture.node.opens.size() == 1);
    client.receive();
    const Stream stream = fixture.wait_for_cursor(client, 200);
    CHECK(stream.messages[0].at("type") == "subscribed");
    check_complete(stream, 200);
    CHECK(fixture.node.opens.size() > 10);
    CHECK(fixture.gateway->stream_count() == 1);
    // And it is live again.
    fixture.publish_up_to(201);
    check_complete(fixture.wait_for_cursor(client, 201), 201);
}

TEST_CASE("http stream: history that was lost on the way is a gap, not the end") {
    StreamFixture fixture;
    fixture.open_at_once();
    TestClient client = fixture.open(get("/v1/events/a"));
    fixture.wait_for_messages(client, 1);
    fixture.node.on_open = [](StreamOpen& open) {
        open.gap = true;
        open.applied_index = 90;
        open.present = {{"a", {std::make_shared<const std::string>("z"), 80, 0}}};
        open.on_done();
    };
    auto batch = std::make_shared<EventBatch>();
    batch->history_lost = true;
    batch->applied_index = 90;
    fixture.node.listener->on_events(batch);
    const Stream stream = fixture.wait_for_messages(client, 3);
    CHECK(fixture.node.opens.back()->after_index == 7);
    CHECK(stream.messages[1].at("type") == "gap");
    CHECK(stream.messages[2].at("value") == "z");
    CHECK(stream.messages[2].at("cursor") == "90");
}

TEST_CASE("http stream: a body that can't go on ends cleanly") {
    StreamFixture fixture;
    fixture.open_at_once();
    TestClient client = fixture.open(get("/v1/events/a"));
    fixture.wait_for_messages(client, 1);
    fixture.node.on_open = [](StreamOpen& open) {
        open.failure = Failure::overloaded;
        open.on_done();
    };
    auto batch = std::make_shared<EventBatch>();
    batch->history_lost = true;
    fixture.node.listener->on_events(batch);
    fixture.wait_for([&] { return client.has_ended(); });
    CHECK_FALSE(client.was_reset());
    CHECK(parse(client.received()).has_last_chunk);
    client.socket().close();
    fixture.wait_for_nobody();
}

TEST_CASE("http stream: more present values than are kept are refused, and end a stream in a gap") {
    GatewayOptions options = quick_options();
    options.streams.queued_bytes_max = 100'000;
    StreamFixture fixture(options);
    fixture.open_at_once();
    TestClient client = fixture.open(get("/v1/events/a?prefix=true"));
    fixture.wait_for_messages(client, 1);
    fixture.node.on_open = [](StreamOpen& open) {
        open.gap = open.after_index.has_value();
        open.applied_index = 9000;
        for (fsm::Index index = 1; index <= 2000; ++index) {
            open.present.push_back({"a" + std::to_string(index), value_of("z", index)});
        }
        open.on_done();
    };
    auto batch = std::make_shared<EventBatch>();
    batch->history_lost = true;
    batch->applied_index = 9000;
    fixture.node.listener->on_events(batch);
    fixture.wait_for([&] { return client.has_ended(); });
    CHECK(parse(client.received()).has_last_chunk);
    CHECK(fixture.node.opens.size() == 2);
    client.socket().close();
    TestClient next = fixture.connect();
    next.send(get("/v1/watch/a?prefix=true"));
    CHECK(fixture.wait_for_answer(next).status == 503);
    next.socket().close();
    fixture.wait_for_nobody();
}

TEST_CASE("http stream: a slow reader of a watch misses values, but not the last one") {
    StreamFixture fixture;
    fixture.open_at_once();
    fixture.bytes = std::string(200'000, 'z');
    TestClient client = fixture.open(get("/v1/watch/a"), false);
    fixture.publish_up_to(200);
    client.receive();
    fixture.wait_for_cursor(client, 200);
    CHECK(parse(client.received()).messages.size() < 190);
    CHECK(fixture.node.opens.size() == 1);
}

TEST_CASE("http stream: a reader that takes nothing at all is cut off") {
    GatewayOptions options = quick_options();
    options.write_timeout_ms = 50;
    options.bytes_per_second_min = std::size_t{1} << 40;
    StreamFixture fixture(options);
    fixture.open_at_once();
    fixture.bytes = std::string(200'000, 'z');
    TestClient client = fixture.open(get("/v1/watch/a"), false);
    fixture.publish_up_to(200);
    fixture.wait_for_nobody();
}

TEST_CASE("http stream: one that is quiet stays, and is told of progress") {
    GatewayOptions options = quick_options();
    options.write_timeout_ms = options.idle_timeout_ms = options.head_timeout_ms = 20;
    options.streams.progress_interval_ms = 60;
    StreamFixture fixture(options);
    fixture.open_at_once();
    TestClient client = fixture.open(get("/v1/watch/a", event_stream));
    fixture.wait_for([&] { return parse(client.received()).messages.size() >= 4; });
    CHECK(parse(client.received()).messages[3].at("type") == "progress");
    CHECK_FALSE(client.has_ended());
}

TEST_CASE("http stream: draining ends the body with its last chunk") {
    StreamFixture fixture;
    fixture.open_at_once();
    TestClient client = fixture.open(get("/v1/watch/a", event_stream));
    fixture.wait_for_messages(client, 1);
    bool is_done = false;
    fixture.gateway->drain([&] { is_done = true; });
    fixture.wait_for([&] { return client.has_ended(); });
    CHECK_FALSE(client.was_reset());
    CHECK(parse(client.received()).has_last_chunk);
    CHECK(fixture.gateway->stream_count() == 0);
    SUBCASE("the client closes") {
        client.socket().close();
    }
    SUBCASE("the client doesn't") {}
    fixture.wait_for([&] { return is_done; });
}

TEST_CASE("http stream: one that opens while the gateway drains ends at once, in order") {
    StreamFixture fixture;
    TestClient client = fixture.connect();
    client.send(get("/v1/watch/a", event_stream));
    fixture.wait_for([&] { return fixture.node.opens.size() == 1; });
    bool is_done = false;
    fixture.gateway->drain([&] { is_done = true; });
    fixture.node.opens[0]->applied_index = 7;
    fixture.node.opens[0]->on_done();
    fixture.wait_for([&] { return client.has_ended(); });
    CHECK_FALSE(client.was_reset());
    CHECK(client.received().find("HTTP/1.1 200 ") == 0);
    CHECK(parse(client.received()).has_last_chunk);
    CHECK(fixture.gateway->stream_count() == 0);
    client.socket().close();
    fixture.wait_for([&] { return is_done; });
}

TEST_CASE("http stream: draining doesn't wait for a client that doesn't listen") {
    GatewayOptions options = quick_options();
    options.drain_timeout_ms = 50;
    StreamFixture fixture(options);
    fixture.open_at_once();
    fixture.bytes = std::string(200'000, 'z');
    TestClient client = fixture.open(get("/v1/watch/a"), false);
    fixture.publish_up_to(200);
    bool is_done = false;
    fixture.gateway->drain([&] { is_done = true; });
    fixture.wait_for([&] { return is_done; });
    CHECK(fixture.gateway->stream_count() == 0);
}

TEST_CASE("http stream: a gateway that ends early leaves nothing behind") {
    StreamFixture fixture;
    fixture.open_at_once();
    TestClient client = fixture.open(get("/v1/watch/a"));
    fixture.wait_for_messages(client, 1);
    SUBCASE("the context runs on") {
        fixture.gateway.reset();
        fixture.wait_for([&] { return client.has_ended(); });
    }
    SUBCASE("nothing runs any more") {
        fixture.gateway.reset();
    }
    CHECK(fixture.node.listener == nullptr);
}

TEST_CASE("http stream: a client that vanishes, or ends its side, frees its stream") {
    StreamFixture fixture;
    fixture.open_at_once();
    TestClient client = fixture.open(get("/v1/watch/a"));
    fixture.wait_for_messages(client, 1);
    SUBCASE("closes") {
        client.socket().close();
    }
    SUBCASE("resets") {
        client.socket().set_option(net::socket_base::linger(true, 0));
        client.socket().close();
    }
    SUBCASE("ends its side") {
        client.socket().shutdown(net::socket_base::shutdown_send);
    }
    fixture.wait_for_nobody();
}

}  // namespace cairn::server
