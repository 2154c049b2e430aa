// What a session does while it waits: long polls, and room for large bodies.
#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "gateway_fixture.h"

namespace cairn::server {
namespace {

const std::string get_a = "GET /v1/values/a HTTP/1.1\r\nHost: localhost\r\n\r\n";
const std::string poll_a = "GET /v1/values/a?after=42&wait=30s HTTP/1.1\r\nHost: localhost\r\n\r\n";

void answer_unchanged(Operation& operation) {
    operation.unchanged = true;
    operation.output.index = 42;
    operation.on_done();
}

// The node ends what it is told to.
void play_ends(GatewayFixture& fixture) {
    fixture.node.on_submit = [](Operation& operation) {
        if (operation.kind == Operation::Kind::end_wait) {
            operation.ended->failure = operation.failure;
            answer_unchanged(*operation.ended);
        }
    };
}

}  // namespace

TEST_CASE("long poll: waits, and requests behind it wait in order") {
    GatewayFixture fixture;
    TestClient client = fixture.connect();
    client.send(poll_a + get_a);
    fixture.wait_for([&] { return fixture.node.operations.size() == 1; });
    fixture.context.poll();
    CHECK(fixture.node.operations[0]->wait_ms == 30'000);
    CHECK(fixture.node.operations[0]->known_index == 42);
    CHECK(client.answers().empty());
    PlayedNode::answer(*fixture.node.operations[0], "new", 43);
    CHECK(fixture.wait_for_answer(client).status == 200);
    fixture.wait_for([&] { return fixture.node.operations.size() == 2; });
    CHECK(fixture.node.operations[1]->wait_ms == 0);
    PlayedNode::answer(*fixture.node.operations[1], "new", 43);
    fixture.wait_for_answers(client, 2);
    // Again on the same connection, unchanged this time. Nothing is ended that has ended.
    client.send(poll_a);
    fixture.wait_for([&] { return fixture.node.operations.size() == 3; });
    answer_unchanged(*fixture.node.operations[2]);
    const Answer answer = fixture.wait_for_answers(client, 3).back();
    CHECK(answer.status == 304);
    CHECK(answer.headers.at("etag") == "\"42\"");
    client.send(get_a);
    fixture.wait_for([&] { return fixture.node.operations.size() == 4; });
    CHECK(fixture.node.operations[3]->kind == Operation::Kind::get);
}

TEST_CASE("long poll: a client that goes away ends it") {
    GatewayFixture fixture;
    play_ends(fixture);
    TestClient gone = fixture.connect();
    gone.send(poll_a);
    fixture.wait_for([&] { return fixture.node.operations.size() == 1; });
    fixture.context.poll();
    SUBCASE("closed") {
        gone.socket().close();
    }
    SUBCASE("reset") {
        gone.socket().set_option(net::socket_base::linger(true, 0));
        gone.socket().close();
    }
    SUBCASE("sends no more, and gets its answer") {
        gone.socket().shutdown(Socket::shutdown_send);
        CHECK(fixture.wait_for_answer(gone).status == 304);
    }
    fixture.wait_for([&] { return fixture.gateway->connection_count() == 0; });
    REQUIRE(fixture.node.operations.size() == 2);
    CHECK(fixture.node.operations[1]->kind == Operation::Kind::end_wait);
    CHECK(fixture.node.operations[1]->ended == fixture.node.operations[0]);
}

TEST_CASE(
    "long poll: draining ends it, and a later one learns at once whether there is something new") {
    GatewayFixture fixture;
    play_ends(fixture);
    TestClient client = fixture.connect();
    client.send(poll_a);
    fixture.wait_for([&] { return fixture.node.operations.size() == 1; });
    TestClient late = fixture.connect();
    late.send(poll_a.substr(0, 20));
    fixture.wait_for([&] { return fixture.gateway->connection_count() == 2; });
    fixture.context.poll();
    bool is_done = false;
    fixture.gateway->drain([&] { is_done = true; });
    const Answer answer = fixture.wait_for_answer(client);
    CHECK(answer.status == 503);
    CHECK(answer.headers.count("retry-after") == 1);
    CHECK(answer.headers.at("connection") == "close");
    late.send(poll_a.substr(20));
    fixture.wait_for([&] { return fixture.node.operations.size() == 3; });
    CHECK(fixture.node.operations[2]->wait_ms == 1);
    answer_unchanged(*fixture.node.operations[2]);
    CHECK(fixture.wait_for_answer(late).status == 304);
    client.socket().close();
    late.socket().close();
    fixture.wait_for([&] { return is_done; });
}

TEST_CASE("long poll: a client that is gone before the answer before it leaves ends it, too") {
    GatewayFixture fixture;
    TestClient client = fixture.connect(false);
    fixture.node.on_submit = [&](Operation& operation) {
        if (operation.wait_ms != 0) {
            client.socket().set_option(net::socket_base::linger(true, 0));
            client.socket().close();
        } else if (operation.kind == Operation::Kind::get) {
            PlayedNode::answer(operation, "x");
        }
    };
    client.send(get_a + poll_a);
    std::vector<std::shared_ptr<Operation>>& asked = fixture.node.operations;
    fixture.wait_for([&] { return asked.size() >= 2 && fixture.gateway->connection_count() == 0; });
    REQUIRE(asked.size() == 3);
    CHECK(asked[2]->kind == Operation::Kind::end_wait);
    CHECK(asked[2]->ended == asked[1]);
    CHECK_FALSE(asked[1]->on_done);
}

TEST_CASE("long poll: the gateway may end while one waits") {
    GatewayFixture fixture;
    TestClient client = fixture.connect();
    client.send(poll_a);
    fixture.wait_for([&] { return fixture.node.operations.size() == 1; });
    fixture.gateway.reset();
    fixture.wait_for([&] { return client.has_ended(); });
    CHECK(fixture.node.operations.size() == 1);
    CHECK_FALSE(fixture.node.operations[0]->on_done);
}

namespace {

constexpr std::size_t large = 100'000;

std::string put_head(std::size_t bytes, const std::string& more = {}) {
    return "PUT /v1/raw/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + std::to_string(bytes) +
           "\r\n" + more + "\r\n";
}

// With room for one large body, to read it or to give it to the node.
GatewayOptions narrow_options(bool reading) {
    GatewayOptions options = quick_options();
    (reading ? options.large_bodies_read_max : options.large_bodies_in_work_max) =
        large + large / 2;
    options.large_bodies_waiting_max = 2;
    return options;
}

}  // namespace

TEST_CASE("large bodies: the second waits unread until the first is answered") {
    GatewayFixture fixture(narrow_options(true));
    const std::string body(large, 'x');
    TestClient first = fixture.connect();
    first.send_all(put_head(large) + body);
    fixture.wait_for([&] { return fixture.node.operations.size() == 1; });
    TestClient second = fixture.connect();
    TestClient third = fixture.connect();
    second.send_all(put_head(large) + body);
    fixture.context.poll();
    third.send_all(put_head(large, "Expect: 100-continue\r\n"));
    // Small ones pass.
    TestClient small = fixture.connect();
    small.send_all(put_head(10) + "0123456789");
    fixture.wait_for([&] { return fixture.node.operations.size() == 2; });
    for (int i = 0; i < 100; ++i) {
        fixture.context.poll();
    }
    CHECK(fixture.node.operations.size() == 2);
    CHECK(third.received().empty());
    PlayedNode::answer_set(*fixture.node.operations[0]);
    CHECK(fixture.wait_for_answer(first).status == 201);
    fixture.wait_for([&] { return fixture.node.operations.size() == 3; });
    CHECK(fixture.node.operations[2]->command.find(body) != std::string::npos);
    CHECK(third.received().empty());
    PlayedNode::answer_set(*fixture.node.operations[2]);
    CHECK(fixture.wait_for_answer(second).status == 201);
    fixture.wait_for([&] { return !third.received().empty(); });
    CHECK(third.received() == "HTTP/1.1 100 Continue\r\n\r\n");
    third.send_all(body);
    fixture.wait_for([&] { return fixture.node.operations.size() == 4; });
    // Its connection goes away, and its room is free again.
    first.send_all(put_head(large) + body);
    third.socket().close();
    PlayedNode::answer_set(*fixture.node.operations[3]);
    fixture.wait_for([&] { return fixture.node.operations.size() == 5; });
}

TEST_CASE("large bodies: one that is complete waits until the node has room for it") {
    GatewayFixture fixture(narrow_options(false));
    const std::string body(large, 'x');
    // One that never comes whole is in nobody's way.
    TestClient slow = fixture.connect();
    slow.send_all(put_head(large) + "x");
    TestClient first = fixture.connect();
    first.send_all(put_head(large) + body);
    fixture.wait_for([&] { return fixture.node.operations.size() == 1; });
    TestClient second = fixture.connect();
    second.send_all(put_head(large) + body + get_a);
    TestClient small = fixture.connect();
    small.send_all(put_head(10) + "0123456789");
    fixture.wait_for([&] { return fixture.node.operations.size() == 2; });
    for (int i = 0; i < 100; ++i) {
        fixture.context.poll();
    }
    CHECK(fixture.node.operations.size() == 2);
    PlayedNode::answer_set(*fixture.node.operations[0]);
    fixture.wait_for([&] { return fixture.node.operations.size() == 3; });
    CHECK(fixture.node.operations[2]->command.find(body) != std::string::npos);
    CHECK(fixture.node.operations[2]->timeout_ms <= 5000);
    PlayedNode::answer_set(*fixture.node.operations[2]);
    fixture.wait_for([&] { return fixture.node.operations.size() == 4; });
    PlayedNode::answer(*fixture.node.operations[3], "x");
    CHECK(fixture.wait_for_answers(second, 2)[1].status == 200);
}

TEST_CASE("large bodies: those who can't wait, or wait for too long, are told") {
    bool reading = false;
    SUBCASE("to be read") {
        reading = true;
    }
    SUBCASE("to be given to the node") {
        reading = false;
    }
    GatewayOptions options = narrow_options(reading);
    options.large_body_wait_ms = 100;
    options.api.origins.configured = {"https://app.example"};
    const std::string origin = "Origin: https://app.example\r\n";
    GatewayFixture fixture(options);
    const std::string body(large, 'x');
    const std::string chunks = "PUT /v1/raw/a HTTP/1.1\r\nHost: localhost\r\n" + origin +
                               "Transfer-Encoding: chunked\r\n\r\n186a0\r\n" + body +
                               "\r\n0\r\n\r\n";
    TestClient first = fixture.connect();
    first.send_all(put_head(large) + body);
    fixture.wait_for([&] { return fixture.node.operations.size() == 1; });
    for (const std::string& request : {put_head(large, origin) + body, chunks}) {
        TestClient late = fixture.connect();
        late.send_all(request);
        Answer answer = fixture.wait_for_answer(late);
        CHECK(answer.status == 503);
        CHECK(answer.headers.count("retry-after") == 1);
        CHECK(answer.headers.at("connection") == (reading ? "close" : "keep-alive"));
        CHECK(answer.headers["access-control-allow-origin"] == "https://app.example");
        CHECK(answer.body.find("\"not_applied\"") != std::string::npos);
    }
    if (!reading) {
        TestClient head = fixture.connect();
        std::string request = put_head(large, "Connection: close\r\n") + body;
        head.send_all(request.replace(0, 3, "HEAD"));
        fixture.wait_for([&] { return head.has_ended(); });
        CHECK(head.received().find("HTTP/1.1 503 ") == 0);
        CHECK(head.received().find("OVERLOADED") == std::string::npos);
    }
    // The line has an end.
    std::vector<TestClient> waiting;
    for (int i = 0; i < 3; ++i) {
        waiting.push_back(fixture.connect());
        waiting.back().send_all(put_head(large) + body);
    }
    fixture.wait_for([&] {
        return std::any_of(waiting.begin(), waiting.end(),
                           [](TestClient& client) { return !client.answers().empty(); });
    });
    CHECK(fixture.node.operations.size() == 1);
    fixture.node.on_submit = [](Operation& operation) { PlayedNode::answer_set(operation); };
    PlayedNode::answer_set(*fixture.node.operations[0]);
    CHECK(fixture.wait_for_answer(first).status == 201);
    for (TestClient& client : waiting) {
        fixture.wait_for([&] { return !client.answers().empty(); });
    }
    // Once nobody is before it there is room, also for chunks.
    TestClient last = fixture.connect();
    last.send_all(chunks);
    CHECK(fixture.wait_for_answer(last).status == 201);
}

TEST_CASE("large bodies: one that finds no room is answered by its own name") {
    GatewayOptions options = narrow_options(false);
    options.large_bodies_waiting_max = 0;
    GatewayFixture fixture(options);
    const std::string body(large, 'x');
    TestClient first = fixture.connect();
    first.send_all(put_head(large) + body);
    fixture.wait_for([&] { return fixture.node.operations.size() == 1; });
    fixture.node.on_submit = [](Operation& operation) { PlayedNode::answer(operation, "x"); };
    const std::string named = "X-Request-Id: the-one-before\r\n\r\n";
    TestClient client = fixture.connect();
    client.send(get_a.substr(0, get_a.size() - 2) + named);
    Answer answer = fixture.wait_for_answer(client);
    CHECK(answer.headers.at("x-request-id") == "the-one-before");
    // The buffer moves for so large a body.
    client.send_all(put_head(large) + body);
    answer = fixture.wait_for_answers(client, 2).back();
    CHECK(answer.status == 503);
    CHECK(answer.headers.count("x-request-id") == 0);
    client.send_all(put_head(large, "X-Request-Id: this-one\r\n") + body);
    answer = fixture.wait_for_answers(client, 3).back();
    CHECK(answer.status == 503);
    CHECK(answer.headers.at("x-request-id") == "this-one");
}

}  // namespace cairn::server
