#include "server/gateway/http_session.h"

#include <cstdio>
#include <string>

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <unistd.h>

#include "gateway_fixture.h"
#include "server/api/router.h"

namespace cairn::server {
namespace {

const std::string get_a = "GET /v1/values/a HTTP/1.1\r\nHost: localhost\r\n\r\n";

std::string put_raw(const std::string& headers, const std::string& body) {
    return "PUT /v1/raw/a HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n" + body;
}

std::string with_length(const std::string& body) {
    return put_raw("Content-Length: " + std::to_string(body.size()) + "\r\n", body);
}

std::string chunk(const std::string& bytes) {
    char size[20];
    std::snprintf(size, sizeof(size), "%zx\r\n", bytes.size());
    return size + bytes + "\r\n";
}

void answer_at_once(GatewayFixture& fixture) {
    fixture.node.on_submit = [](Operation& operation) {
        if (operation.kind == Operation::Kind::write) {
            PlayedNode::answer_set(operation);
        } else {
            PlayedNode::answer(operation, "x");
        }
    };
}

}  // namespace

TEST_CASE("http session: a get is asked of the node and answered, again and again") {
    GatewayFixture fixture;
    TestClient client = fixture.connect();
    for (std::size_t i = 0; i < 3; ++i) {
        client.send(get_a);
        fixture.wait_for([&] { return fixture.node.operations.size() == i + 1; });
        CHECK(client.answers().size() == i);
        PlayedNode::answer(*fixture.node.operations.back(), "x" + std::to_string(i));
        const Answer answer = fixture.wait_for_answers(client, i + 1).back();
        CHECK(answer.status == 200);
        CHECK(answer.headers.at("cairn-node") == "1");
        CHECK(answer.headers.at("cairn-index") == "42");
        CHECK(answer.body.find("x" + std::to_string(i)) != std::string::npos);
        CHECK(answer.headers.at("connection") != "close");
    }
    CHECK_FALSE(client.has_ended());
    // In a steady state the question is not allocated anew.
    CHECK(fixture.node.operations[0] == fixture.node.operations[2]);
}

TEST_CASE("http session: a request that comes byte by byte is the same request") {
    GatewayFixture fixture;
    answer_at_once(fixture);
    TestClient client = fixture.connect();
    const std::string all = with_length("hello") + get_a;
    for (const char c : all) {
        client.send(std::string_view(&c, 1));
        fixture.context.poll();
    }
    const std::vector<Answer> answers = fixture.wait_for_answers(client, 2);
    CHECK(answers[0].status == 201);
    CHECK(answers[1].status == 200);
    REQUIRE(fixture.node.operations.size() == 2);
}

TEST_CASE("http session: pipelined requests are answered in order") {
    GatewayFixture fixture;
    TestClient client = fixture.connect();
    client.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n" + with_length("v") + get_a +
                "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n");
    // The first answer doesn't wait for the second.
    CHECK(fixture.wait_for_answers(client, 1)[0].status == 200);
    fixture.wait_for([&] { return fixture.node.operations.size() == 1; });
    CHECK(fixture.node.operations[0]->kind == Operation::Kind::write);
    PlayedNode::answer_set(*fixture.node.operations[0]);
    fixture.wait_for([&] { return fixture.node.operations.size() == 2; });
    CHECK(fixture.wait_for_answers(client, 2)[1].status == 201);
    PlayedNode::answer(*fixture.node.operations[1], "x");
    const std::vector<Answer> answers = fixture.wait_for_answers(client, 4);
    CHECK(answers[2].status == 200);
    CHECK(answers[3].status == 404);
}

TEST_CASE("http session: HEAD is answered without a body") {
    GatewayFixture fixture;
    answer_at_once(fixture);
    TestClient client = fixture.connect();
    client.send("HEAD /v1/values/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    fixture.wait_for([&] { return client.has_ended(); });
    CHECK(client.received().find("HTTP/1.1 200 ") == 0);
    CHECK(client.received().find("Content-Length: ") != std::string::npos);
    CHECK(client.received().substr(client.received().size() - 4) == "\r\n\r\n");
}

TEST_CASE("http session: many pipelined requests are all answered") {
    GatewayFixture fixture;
    answer_at_once(fixture);
    TestClient client = fixture.connect();
    std::string requests;
    for (int i = 0; i < 5000; ++i) {
        requests += get_a;
    }
    client.send_all(requests);
    fixture.wait_for([&] { return fixture.node.operations.size() == 5000; });
    fixture.wait_for_answers(client, 5000);
}

TEST_CASE("http session: a large body and a large answer pass whole") {
    GatewayFixture fixture;
    const std::string value(1 << 20, 'v');
    std::size_t command_bytes = 0;
    fixture.node.on_submit = [&](Operation& operation) {
        if (operation.kind == Operation::Kind::write) {
            command_bytes = operation.command.size();
            PlayedNode::answer_set(operation);
        } else {
            PlayedNode::answer(operation, value);
        }
    };
    TestClient client = fixture.connect();
    client.send_all(with_length(value) + "GET /v1/raw/a HTTP/1.1\r\nHost: localhost\r\n\r\n");
    const std::vector<Answer> answers = fixture.wait_for_answers(client, 2);
    CHECK(answers[0].status == 201);
    CHECK(command_bytes > value.size());
    CHECK(answers[1].body == value);
}

TEST_CASE("http session: a client that reads slowly gets the whole answer") {
    GatewayFixture fixture;
    const std::string value(1 << 20, 'v');
    fixture.node.on_submit = [&](Operation& operation) { PlayedNode::answer(operation, value); };
    TestClient client = fixture.connect(false);
    const std::string request = "GET /v1/raw/a HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (int i = 0; i < 16; ++i) {
        client.send(request);
    }
    // Until the sockets' buffers are full.
    fixture.wait_for([&] { return !fixture.node.operations.empty(); });
    fixture.context.poll();
    client.receive();
    CHECK(fixture.wait_for_answers(client, 16).back().body == value);
}

TEST_CASE("http session: a chunked body is decoded, whatever its pieces") {
    GatewayFixture fixture;
    std::vector<std::string> commands;
    fixture.node.on_submit = [&](Operation& operation) {
        commands.push_back(operation.command);
        PlayedNode::answer_set(operation);
    };
    TestClient client = fixture.connect();
    client.send(with_length("hello world"));
    const std::string chunked =
        put_raw("Transfer-Encoding: chunked\r\n",
                chunk("hel") + "8;x=y;z=\"\tq\\\"\"\r\nlo world\r\n0;a\r\nTrailer: t\r\n\r\n");
    client.send(chunked + chunked);
    fixture.wait_for_answers(client, 3);
    for (const char c : chunked) {
        client.send(std::string_view(&c, 1));
        fixture.context.poll();
    }
    fixture.wait_for_answers(client, 4);
    REQUIRE(commands.size() == 4);
    CHECK(commands[0].find("hello world") != std::string::npos);
    CHECK(commands[1] == commands[0]);
    CHECK(commands[2] == commands[0]);
    CHECK(commands[3] == commands[0]);
}

TEST_CASE("http session: a malformed chunk ends the connection") {
    using namespace std::string_literals;
    for (const std::string& body :
         {"zz\r\n"s, "5\r\nhelloX\r\n0\r\n\r\n"s, "-1\r\n"s, "5\nhello\n"s,
          // An extension in quotes that another program might see a line's end in.
          "2;a=\"\nx\"\r\nhi\r\n0\r\n\r\n"s, "2;a=\"\0\"\r\nhi\r\n0\r\n\r\n"s,
          "2;a=\"\\\n\"\r\nhi\r\n0\r\n\r\n"s, "2\r\nhi\r\n0;x=\"a\nb\"\r\n\r\n"s,
          "2\r\nhi\r\n0\r\nX: a\nb\r\n\r\n"s}) {
        CAPTURE(body);
        GatewayFixture fixture;
        TestClient client = fixture.connect();
        client.send(put_raw("Transfer-Encoding: chunked\r\n", body) + get_a);
        CHECK(fixture.wait_for_answer(client).status == 400);
        client.socket().shutdown(net::socket_base::shutdown_send);
        fixture.wait_for([&] { return client.has_ended(); });
        CHECK(fixture.node.operations.empty());
    }
}

TEST_CASE("http session: endless chunk extensions and chunks are refused") {
    GatewayFixture fixture;
    TestClient client = fixture.connect();
    client.send_all(put_raw("Transfer-Encoding: chunked\r\n", "5;" + std::string(100'000, 'x')));
    CHECK(fixture.wait_for_answer(client).status == 400);
    TestClient other = fixture.connect();
    const std::string piece = chunk(std::string(100'000, 'x'));
    std::string body;
    for (int i = 0; i < 70; ++i) {
        body += piece;
    }
    other.send_all(put_raw("Transfer-Encoding: chunked\r\n", body));
    const Answer answer = fixture.wait_for_answer(other);
    CHECK(answer.status == 413);
    CHECK(answer.headers.at("connection") == "close");
    CHECK(fixture.node.operations.empty());
}

TEST_CASE("http session: a body that is announced too large is refused before it is read") {
    GatewayFixture fixture;
    TestClient client = fixture.connect();
    const std::size_t too_much = body_bytes_max(ApiOptions()) + 1;
    // The client sends it all the same, and still gets the answer instead of a reset.
    client.send_all(put_raw("Content-Length: " + std::to_string(too_much) + "\r\n",
                            std::string(too_much, 'x')));
    const Answer answer = fixture.wait_for_answer(client);
    CHECK(answer.status == 413);
    CHECK(answer.headers.at("connection") == "close");
    CHECK(answer.body.find("TOO_LARGE") != std::string::npos);
}

TEST_CASE("http session: a page sees also what is answered before its request is complete") {
    GatewayOptions options = quick_options();
    options.api.origins.configured = {"https://a.example"};
    options.body_timeout_ms = 100;
    for (const std::string rest : {"Content-Length: 99999999\r\n\r\n", "Content-Length: 5\r\n\r\nx",
                                   "Transfer-Encoding: chunked\r\n\r\nx\r\n"}) {
        GatewayFixture fixture(options);
        TestClient client = fixture.connect();
        const std::string head = "PUT /v1/raw/a HTTP/1.1\r\nHost: localhost\r\nOrigin: https://";
        client.send(head + "a.example\r\n" + rest);
        CHECK(fixture.wait_for_answer(client).headers["access-control-allow-origin"] ==
              "https://a.example");
        TestClient other = fixture.connect();
        other.send(head + "b.example\r\n" + rest);
        CHECK(fixture.wait_for_answer(other).headers.count("access-control-allow-origin") == 0);
    }
}

TEST_CASE("http session: 100 Continue is sent when the client waits for it, a refusal otherwise") {
    GatewayFixture fixture;
    answer_at_once(fixture);
    TestClient client = fixture.connect();
    client.send(put_raw("Content-Length: 5\r\nExpect: 100-continue\r\n", ""));
    fixture.wait_for([&] { return !client.received().empty(); });
    CHECK(client.received() == "HTTP/1.1 100 Continue\r\n\r\n");
    client.received().clear();
    client.send("hello");
    CHECK(fixture.wait_for_answer(client).status == 201);

    TestClient greedy = fixture.connect();
    greedy.send(put_raw("Content-Length: 99999999999\r\nExpect: 100-continue\r\n", ""));
    CHECK(fixture.wait_for_answer(greedy).status == 413);
    TestClient eager = fixture.connect();
    eager.send(put_raw("Content-Length: 5\r\nExpect: 100-continue\r\n", "hello"));
    CHECK(fixture.wait_for_answer(eager).status == 201);
    TestClient chunked = fixture.connect();
    chunked.send(put_raw("Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n", ""));
    fixture.wait_for([&] { return !chunked.received().empty(); });
    chunked.received().clear();
    chunked.send(chunk("hello") + "0\r\n\r\n");
    CHECK(fixture.wait_for_answer(chunked).status == 201);
}

TEST_CASE("http session: doubtful framing is answered 400 and nothing behind it is served") {
    for (const std::string headers :
         {"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: gzip\r\n",
          "Content-Length: 5\r\nContent-Length: 6\r\n", "Host: other\r\n", "X : y\r\n"}) {
        CAPTURE(headers);
        GatewayFixture fixture;
        TestClient client = fixture.connect();
        client.send(put_raw(headers, "") + get_a);
        const Answer answer = fixture.wait_for_answer(client);
        CHECK(answer.status / 100 >= 4);
        CHECK(answer.headers.at("connection") == "close");
        fixture.wait_for([&] { return client.has_ended(); });
        CHECK_FALSE(client.was_reset());
        CHECK(fixture.node.operations.empty());
    }
}

TEST_CASE("http session: a head that is too long is refused, also when it never ends") {
    GatewayFixture fixture;
    TestClient client = fixture.connect();
    client.send_all("GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(100'000, 'x'));
    CHECK(fixture.wait_for_answer(client).status == 431);
    TestClient other = fixture.connect();
    other.send_all("GET /" + std::string(100'000, 'x'));
    CHECK(fixture.wait_for_answer(other).status == 414);
}

TEST_CASE("http session: Connection: close and HTTP/1.0 end the connection after the answer") {
    for (const std::string request :
         {"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
          "GET /livez HTTP/1.0\r\nHost: localhost\r\n\r\n"}) {
        GatewayFixture fixture;
        TestClient client = fixture.connect();
        client.send(request + get_a);
        const Answer answer = fixture.wait_for_answer(client);
        CHECK(answer.headers.at("connection") == "close");
        fixture.wait_for([&] { return client.has_ended(); });
        CHECK_FALSE(client.was_reset());
        CHECK(fixture.node.operations.empty());
        client.socket().close();
        fixture.wait_for([&] { return fixture.gateway->connection_count() == 0; });
    }
}

TEST_CASE("http session: a client that has sent all it wants still gets its answers") {
    GatewayFixture fixture;
    TestClient client = fixture.connect();
    client.send(get_a);
    client.socket().shutdown(net::socket_base::shutdown_send);
    fixture.wait_for([&] { return fixture.node.operations.size() == 1; });
    PlayedNode::answer(*fixture.node.operations[0], "x");
    CHECK(fixture.wait_for_answer(client).status == 200);
    fixture.wait_for([&] { return client.has_ended(); });
    CHECK(fixture.gateway->connection_count() == 0);
}

TEST_CASE("http session: one empty line before a request is forgiven, two are not") {
    GatewayFixture fixture;
    answer_at_once(fixture);
    TestClient client = fixture.connect();
    client.send("\r");
    fixture.context.poll();
    client.send("\n" + get_a + "\r\n" + get_a);
    fixture.wait_for_answers(client, 2);
    client.send("\r\n\r\n" + get_a);
    CHECK(fixture.wait_for_answers(client, 3)[2].status == 400);
}

TEST_CASE("http session: a client that goes away during an operation costs nothing") {
    GatewayFixture fixture;
    {
        TestClient client = fixture.connect();
        client.send(get_a);
        fixture.wait_for([&] { return fixture.node.operations.size() == 1; });
        client.socket().close();
        fixture.context.poll();
    }
    PlayedNode::answer(*fixture.node.operations[0], "x");
    fixture.wait_for([&] { return fixture.gateway->connection_count() == 0; });
}

TEST_CASE("http session: heads, bodies, idle connections and slow readers have deadlines") {
    GatewayOptions options = quick_options();
    std::string sent;
    SUBCASE("nothing at all") {
        options.head_timeout_ms = 30;
    }
    SUBCASE("half a head") {
        options.head_timeout_ms = 30;
        sent = "GET /livez HTT";
    }
    SUBCASE("half a head behind a request") {
        options.head_timeout_ms = 30;
        sent = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\nGET /li";
    }
    SUBCASE("idle after a request") {
        options.idle_timeout_ms = 30;
        sent = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    }
    SUBCASE("half a body") {
        options.body_timeout_ms = 30;
        sent = put_raw("Content-Length: 5\r\n", "he");
    }
    SUBCASE("half a chunk") {
        options.body_timeout_ms = 30;
        sent = put_raw("Transfer-Encoding: chunked\r\n", "5\r\nhe");
    }
    GatewayFixture fixture(options);
    TestClient client = fixture.connect();
    client.send(sent);
    fixture.wait_for([&] { return client.has_ended(); });
    CHECK(fixture.gateway->connection_count() == 0);
    CHECK(fixture.node.operations.empty());
}

TEST_CASE("http session: a client that doesn't take its answer is cut off") {
    GatewayOptions options = quick_options();
    options.write_timeout_ms = 30;
    options.bytes_per_second_min = std::size_t{1} << 40;
    GatewayFixture fixture(options);
    const std::string value(1 << 20, 'v');
    fixture.node.on_submit = [&](Operation& operation) { PlayedNode::answer(operation, value); };
    TestClient client = fixture.connect(false);
    for (int i = 0; i < 64; ++i) {
        client.send("GET /v1/raw/a HTTP/1.1\r\nHost: localhost\r\n\r\n");
    }
    fixture.wait_for([&] { return !fixture.node.operations.empty(); });
    fixture.wait_for([&] { return fixture.gateway->connection_count() == 0; });
}

TEST_CASE("http session: unfinished requests of all connections share one bound") {
    GatewayOptions options = quick_options();
    options.buffered_bytes_max = 700'000;
    GatewayFixture fixture(options);
    answer_at_once(fixture);
    const std::string half(300'000, 'x');
    const std::string request = put_raw("Content-Length: 600000\r\n", half);
    TestClient first = fixture.connect();
    first.send_all(request);
    fixture.context.poll();
    TestClient second = fixture.connect();
    second.send_all(request);
    fixture.wait_for([&] { return first.answers().size() + second.answers().size() == 1; });
    TestClient& refused = first.answers().empty() ? second : first;
    TestClient& lucky = first.answers().empty() ? first : second;
    CHECK(refused.answers()[0].status == 503);
    CHECK(refused.answers()[0].headers.count("retry-after") == 1);
    CHECK(refused.answers()[0].body.find("not_applied") != std::string::npos);
    refused.socket().close();
    fixture.wait_for([&] { return fixture.gateway->connection_count() == 1; });
    // What was counted is given back.
    lucky.send_all(half);
    CHECK(fixture.wait_for_answer(lucky).status == 201);
    TestClient third = fixture.connect();
    third.send_all(with_length(half));
    CHECK(fixture.wait_for_answer(third).status == 201);
}

TEST_CASE("gateway: connections over the cap are closed at once") {
    GatewayOptions options = quick_options();
    options.connections_max = 2;
    GatewayFixture fixture(options);
    answer_at_once(fixture);
    TestClient first = fixture.connect();
    TestClient second = fixture.connect();
    fixture.wait_for([&] { return fixture.gateway->connection_count() == 2; });
    TestClient third = fixture.connect();
    fixture.wait_for([&] { return third.has_ended(); });
    first.socket().close();
    fixture.wait_for([&] { return fixture.gateway->connection_count() == 1; });
    TestClient fourth = fixture.connect();
    fourth.send(get_a);
    CHECK(fixture.wait_for_answer(fourth).status == 200);
}

TEST_CASE("gateway: draining finishes what is in work and closes what is idle") {
    GatewayFixture fixture;
    TestClient idle = fixture.connect();
    TestClient busy = fixture.connect();
    busy.send(get_a);
    fixture.wait_for([&] {
        return fixture.gateway->connection_count() == 2 && fixture.node.operations.size() == 1;
    });
    fixture.context.poll();
    bool is_done = false;
    fixture.gateway->drain([&] { is_done = true; });
    fixture.wait_for([&] { return idle.has_ended(); });
    CHECK_FALSE(busy.has_ended());
    CHECK_FALSE(is_done);
    boost::system::error_code error;
    Socket late(fixture.context.get_executor());
    late.connect({net::ip::make_address("127.0.0.1"), fixture.gateway->port()}, error);
    CHECK(error);
    PlayedNode::answer(*fixture.node.operations[0], "x");
    const Answer answer = fixture.wait_for_answer(busy);
    CHECK(answer.status == 200);
    CHECK(answer.headers.at("connection") == "close");
    fixture.wait_for([&] { return busy.has_ended(); });
    busy.socket().close();
    fixture.wait_for([&] { return is_done; });
    CHECK(fixture.gateway->connection_count() == 0);
    // Nothing is left to run.
    fixture.gateway.reset();
    fixture.wait_for([&] { return fixture.context.stopped(); });
}

TEST_CASE("gateway: draining ends after its grace, whatever still runs") {
    GatewayOptions options = quick_options();
    options.drain_timeout_ms = 30;
    GatewayFixture fixture(options);
    TestClient client = fixture.connect();
    client.send(get_a);
    fixture.wait_for([&] { return fixture.node.operations.size() == 1; });
    bool is_done = false;
    fixture.gateway->drain([&] { is_done = true; });
    fixture.wait_for([&] { return is_done; });
    CHECK_FALSE(fixture.node.operations[0]->on_done);
    CHECK(fixture.gateway->connection_count() == 0);
}

TEST_CASE("gateway: draining with nobody there is done soon, once") {
    GatewayFixture fixture;
    int done = 0;
    fixture.gateway->drain([&] { ++done; });
    CHECK(done == 0);
    fixture.wait_for([&] { return done == 1; });
}

TEST_CASE("gateway: a node that drains ends connections after their answer") {
    GatewayFixture fixture;
    fixture.node.node_view.draining = true;
    TestClient client = fixture.connect();
    client.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n");
    CHECK(fixture.wait_for_answer(client).headers.at("connection") == "close");
    fixture.wait_for([&] { return client.has_ended(); });
}

TEST_CASE("gateway: it may end before its connections and its context") {
    GatewayFixture fixture;
    TestClient idle = fixture.connect();
    TestClient busy = fixture.connect();
    busy.send(get_a);
    fixture.wait_for([&] {
        return fixture.gateway->connection_count() == 2 && fixture.node.operations.size() == 1;
    });
    SUBCASE("and the context runs on") {
        fixture.gateway.reset();
        fixture.wait_for([&] { return idle.has_ended() && busy.has_ended(); });
        CHECK_FALSE(fixture.node.operations[0]->on_done);
    }
    SUBCASE("and nothing runs any more") {
        fixture.gateway.reset();
    }
    CHECK(fixture.node.listener == nullptr);
}

TEST_CASE("gateway: an address it can't listen on is told") {
    GatewayFixture fixture;
    Gateway second(fixture.context, fixture.node, quick_options());
    const std::string error = second.listen("127.0.0.1", fixture.gateway->port());
    CHECK(error.find("can't listen on 127.0.0.1:") == 0);
}

TEST_CASE("gateway: a host name will do to listen on") {
    GatewayFixture fixture;
    Gateway second(fixture.context, fixture.node, quick_options());
    CHECK(second.listen("localhost", 0) == "");
    CHECK(second.port() != 0);
    Gateway third(fixture.context, fixture.node, quick_options());
    CHECK(third.listen("nowhere.invalid", 0).find("can't listen on nowhere.invalid:0: ") == 0);
}

// UBSan checks objects through a pipe, and takes a lack of descriptors for a bad object.
#if defined(__has_feature)
constexpr bool is_sanitized = __has_feature(undefined_behavior_sanitizer);
#else
constexpr bool is_sanitized = false;
#endif

TEST_CASE("gateway: a lack of file descriptors is waited out" * doctest::skip(is_sanitized)) {
    GatewayFixture fixture;
    answer_at_once(fixture);
    fixture.context.poll();
    TestClient client = fixture.connect();
    client.send(get_a);
    rlimit limit{};
    REQUIRE(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    const int lowest_free = dup(0);
    REQUIRE(lowest_free >= 0);
    close(lowest_free);
    const rlimit none_left{static_cast<rlim_t>(lowest_free), limit.rlim_max};
    REQUIRE(setrlimit(RLIMIT_NOFILE, &none_left) == 0);
    for (int i = 0; i < 10; ++i) {
        fixture.context.poll();
    }
    const std::size_t accepted = fixture.gateway->connection_count();
    REQUIRE(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK(accepted == 0);
    CHECK(fixture.wait_for_answer(client).status == 200);
}

TEST_CASE("gateway: connections are dealt in turn") {
    GatewayFixture fixture;
    PlayedNode node;
    Gateway other(fixture.context, node, quick_options());
    other.start();
    Gateway first(fixture.context, fixture.node, quick_options());
    REQUIRE(first.listen("127.0.0.1", 0) == "");
    first.start({&other});
    std::vector<TestClient> clients;
    for (int i = 0; i < 4; ++i) {
        clients.emplace_back(fixture.context, first.port());
        fixture.wait_for(
            [&] { return first.connection_count() + other.connection_count() == clients.size(); });
    }
    CHECK(first.connection_count() == 2);
    CHECK(other.connection_count() == 2);
}

}  // namespace cairn::server
