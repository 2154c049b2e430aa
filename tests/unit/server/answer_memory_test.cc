// The memory of answers that clients are slow to take.

#include <string>

#include <doctest/doctest.h>

#include "tests/unit/server/gateway_fixture.h"
#include "tests/unit/server/websocket_testing.h"

namespace {

using namespace cairn;
using namespace cairn::server;

TEST_CASE("http session: answers that clients don't take share the bound, too") {
    GatewayOptions options = quick_options();
    options.buffered_bytes_max = 40 << 20;
    GatewayFixture fixture(options);
    const std::string large(30 << 20, 'x');
    fixture.node.on_submit = [&](Operation& operation) {
        operation.name == "small" ? PlayedNode::answer(operation, "x")
                                  : PlayedNode::answer(operation, large);
    };
    const std::string get_raw = "GET /v1/raw/large HTTP/1.1\r\nHost: localhost\r\n\r\n";
    TestClient slow = fixture.connect(false);
    slow.send(get_raw);
    fixture.wait_for([&] { return fixture.node.operations.size() == 1; });
    fixture.context.poll();
    TestClient other = fixture.connect();
    other.send(get_raw);
    const Answer refused = fixture.wait_for_answer(other);
    CHECK(refused.status == 503);
    CHECK(refused.headers.at("retry-after") == "1");
    CHECK(refused.body.find("OVERLOADED") != std::string::npos);
    CHECK(refused.headers.count("etag") == 0);
    // Of HEAD without a body, too: what follows is the next answer.
    TestClient head = fixture.connect();
    head.send(
        "HEAD /v1/raw/large HTTP/1.1\r\nHost: localhost\r\n\r\n"
        "GET /v1/raw/small HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    fixture.wait_for([&] { return head.has_ended(); });
    CHECK(head.received().find("HTTP/1.1 503 ") == 0);
    CHECK(head.received().find("OVERLOADED") == std::string::npos);
    CHECK(head.received().find("\r\n\r\nHTTP/1.1 200 ") != std::string::npos);
    // What is small passes meanwhile.
    other.send("GET /v1/raw/small HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CHECK(fixture.wait_for_answers(other, 2)[1].status == 200);
    // What was taken is given back, though the connection stays.
    slow.receive();
    CHECK(fixture.wait_for_answer(slow).body.size() == large.size());
    fixture.context.poll();
    other.send(get_raw);
    CHECK(fixture.wait_for_answers(other, 3)[2].status == 200);
}

// A write was done, and its answer can't be refused: but who doesn't take such answers goes.
TEST_CASE("websocket: answers that a client doesn't take share the bound, too") {
    GatewayOptions options = quick_options();
    options.buffered_bytes_max = 24 << 20;  // more than sockets take
    GatewayFixture fixture(options);
    TestClient slow = fixture.connect(false);
    slow.send(
        "GET /v1/stream HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
        "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    fixture.wait_for([&] { return slow.socket().available() > 0; });
    constexpr std::size_t count = 40;
    for (std::size_t id = 0; id < count; ++id) {
        slow.send(client_frame(Opcode::text, R"({"id":)" + std::to_string(id) +
                                                 R"(,"name":"a","input":{"delete":{}}})"));
    }
    fixture.wait_for([&] { return fixture.node.operations.size() == count; });
    const auto deletes = fixture.node.operations;
    const std::string large(1 << 20, 'x');
    std::size_t answered = 0;
    const auto answer_one = [&] {
        Operation& operation = *deletes[answered++];
        operation.output.kind = fsm::Output::Kind::remove;
        operation.output.status = fsm::Status::ok;
        operation.output.value = value_of(large, 42);
        operation.on_done();
        fixture.context.poll();
    };
    while (answered < 20) {
        answer_one();
    }
    fixture.node.on_submit = [](Operation& operation) {
        PlayedNode::answer(operation, std::string(12 << 20, 'x'));
    };
    TestClient other = fixture.connect();
    const std::string get_raw = "GET /v1/raw/large HTTP/1.1\r\nHost: localhost\r\n\r\n";
    other.send(get_raw);
    CHECK(fixture.wait_for_answer(other).status == 503);
    while (answered < count && deletes[answered]->on_done) {
        answer_one();
    }
    CHECK(answered < count);
    CHECK_FALSE(deletes.back()->on_done);
    other.send(get_raw);
    CHECK(fixture.wait_for_answers(other, 2)[1].status == 200);
    slow.receive();
    fixture.wait_for([&] { return slow.has_ended(); });
    CHECK_FALSE(slow.was_reset());
    CHECK(slow.received().find("\x03\xf5") != std::string::npos);  // 1013
}

// Or it could never be written or read: a part of the bound is all that one gateway of many has.
TEST_CASE("http session: a request or answer larger than the whole bound passes alone") {
    GatewayOptions options = quick_options();
    options.api.max_value_bytes = 4 << 20;
    options.buffered_bytes_max = 1 << 20;
    GatewayFixture fixture(options);
    const std::string large(4 << 20, 'x');
    fixture.node.on_submit = [&](Operation& operation) {
        operation.kind == Operation::Kind::write ? PlayedNode::answer_set(operation)
                                                 : PlayedNode::answer(operation, large);
    };
    const std::string get_raw = "GET /v1/raw/large HTTP/1.1\r\nHost: localhost\r\n\r\n";
    const std::string put_raw =
        "PUT /v1/raw/large HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4194304\r\n\r\n";
    TestClient client = fixture.connect();
    client.send_all(put_raw + large);
    CHECK(fixture.wait_for_answer(client).status == 201);
    client.send(get_raw);
    CHECK(fixture.wait_for_answers(client, 2)[1].body.size() == large.size());
    // Others wait for that.
    TestClient slow = fixture.connect(false);
    slow.send(get_raw);
    fixture.wait_for([&] { return fixture.node.operations.size() == 3; });
    fixture.context.poll();
    client.send(get_raw);
    CHECK(fixture.wait_for_answers(client, 3)[2].status == 503);
    slow.receive();
    CHECK(fixture.wait_for_answer(slow).status == 200);
    fixture.context.poll();
    client.send(get_raw);
    CHECK(fixture.wait_for_answers(client, 4)[3].status == 200);
}

}  // namespace
