// The transport over real sockets on the loopback, on an io_context that the test itself runs.
#include "raft/peers/tcp_transport.h"

#include <doctest/doctest.h>

#include "tests/unit/raft/transport_testing.h"

using namespace cairn::raft;
using namespace cairn::raft::transport_testing;

TEST_CASE("transport: every kind of message, both ways, in order, and who is who") {
    Pair pair;
    for (const auto& [sender, receiver, from, to] :
         {std::tuple{pair.a.get(), pair.b.get(), NodeId{1}, NodeId{2}},
          std::tuple{pair.b.get(), pair.a.get(), NodeId{2}, NodeId{1}}}) {
        const Header header{group, from, to, 4};
        const std::vector<Message> sent{
            RequestVote{header, 1, 2, true, false},
            RequestVoteReply{header, false, true},
            make_append(from, to, {"one", "", "three"}),
            AppendEntriesReply{header, 1, true, 2, 3, 4, 5},
            ReadIndexRequest{header, 8},
            ReadIndexReply{header, 8, false, 9},
            TimeoutNow{header},
        };
        for (const Message& message : sent) {
            sender->transport->send(message);
        }
        CHECK(sender->transport->send_application(to, "a command"));
        CHECK(!sender->transport->send_application(55, "to nobody"));
        CHECK(receiver->recorder.messages.empty());
        sender->transport->flush();
        Recorder& recorder = receiver->recorder;
        REQUIRE(run_until(pair.context, [&recorder] {
            return recorder.applications.size() == 1 && recorder.undelivered == 0;
        }));
        REQUIRE(recorder.messages.size() == sent.size());
        for (std::size_t i = 0; i < sent.size(); ++i) {
            CHECK(recorder.messages[i].index() == i);
            CHECK((encode(recorder.messages[i]) == encode(sent[i])));
        }
        CHECK(recorder.applications[0] == std::pair<NodeId, std::string>{from, "a command"});
        CHECK(recorder.deliveries >= 1);
        CHECK(recorder.connects[from] == 1);
        CHECK(recorder.disconnects[from] == 0);
        const std::vector<PeerStatus> status = receiver->transport->peers();
        REQUIRE(status.size() == 1);
        CHECK(status[0].id == from);
        CHECK(status[0].http_address == "node" + std::to_string(from) + ":8080");
        CHECK(status[0].raft_address ==
              "127.0.0.1:" + std::to_string(sender->transport->listen_port()));
        CHECK(status[0].dropped_frames == 0);
    }
}

TEST_CASE("transport: many megabytes of large payloads arrive as they were") {
    Pair pair;
    std::vector<std::string> payloads;
    for (int i = 0; i < 8; ++i) {
        std::string payload(1U << 20, static_cast<char>('a' + i));
        payload[static_cast<std::size_t>(i) * 1000] = '!';
        payloads.push_back(std::move(payload));
    }
    const AppendEntries sent = make_append(1, 2, payloads);
    for (int i = 0; i < 3; ++i) {
        pair.a->transport->send(sent);
        pair.a->transport->send(AppendEntriesReply{{group, 1, 2, 4}, 1, false, 2, 0, 0, 0});
    }
    pair.a->transport->flush();
    Recorder& recorder = pair.b->recorder;
    REQUIRE(run_until(pair.context, [&recorder] { return recorder.messages.size() == 6; }));
    const std::string expected = encode(sent);
    for (const std::size_t i : {0, 2, 4}) {
        CHECK((encode(recorder.messages[i]) == expected));
    }
    pair.b->transport.reset();  // payloads outlive the transport
    CHECK((std::get<AppendEntries>(recorder.messages[0]).entries[7].payload.view() == payloads[7]));
}

TEST_CASE("transport: strangers are refused with the reason, which is logged once") {
    LogCapture log;
    Pair pair;
    struct Case {
        Hello hello;
        HandshakeReason reason;
        const char* line;
    };
    const std::vector<Case> cases{
        {{protocol_version, cluster + 1, 1, 2, "", ""}, HandshakeReason::wrong_cluster, "cluster"},
        {{protocol_version, cluster, 1, 3, "", ""}, HandshakeReason::wrong_node, "wants node 3"},
        {{protocol_version, cluster, 2, 2, "", ""}, HandshakeReason::other_disk, "node 2"},
        {{protocol_version + 1, cluster, 1, 2, "", ""},
         HandshakeReason::protocol_version,
         "version"},
    };
    for (const Case& refused : cases) {
        for (int i = 0; i < 3; ++i) {
            RawDialer dialer(pair.context, pair.options_2.listen_port);
            dialer.send(encode_hello(refused.hello));
            REQUIRE(dialer.wait_closed());
            CHECK(dialer.reply().reason == refused.reason);
            CHECK(dialer.reply().text.find(refused.line) != std::string::npos);
            CHECK(dialer.reply().http_address.empty());
            CHECK(log.count(dialer.reply().text) == 1);
        }
    }
    CHECK(pair.both_ways());
    CHECK(pair.b->recorder.disconnects.empty());
}

TEST_CASE("transport: a refused dialler says so once and comes back when the address is right") {
    LogCapture log;
    net::io_context context;
    const std::uint16_t port_2 = free_port(context);
    const std::uint16_t port_1 = free_port(context);
    TcpTransportOptions wrong = make_options(2, port_2, {{1, "127.0.0.1", port_1}});
    wrong.cluster_id = cluster + 1;
    auto b = std::make_unique<TestNode>(context, wrong);
    TestNode a(context, make_options(1, port_1, {{2, "127.0.0.1", port_2}}));
    REQUIRE(run_until(context, [&log] { return log.count("refuses us") >= 2; }));
    const auto later = steady_clock::now() + milliseconds(100);  // several attempts
    CHECK(run_until(context, [later] { return steady_clock::now() > later; }));
    CHECK(log.count("refuses us") == 2);  // each of the other
    CHECK(!a.connected());
    CHECK(a.recorder.connects.empty());
    b.reset();
    wrong.cluster_id = cluster;
    b = std::make_unique<TestNode>(context, wrong);
    REQUIRE(b->error.empty());
    CHECK(run_until(context, [&] { return a.connected() && b->connected(); }));
}

TEST_CASE("transport: garbage on the port is closed and harms nothing") {
    LogCapture log;
    // What is closed at once is not closed by the deadline.
    Pair pair([](TcpTransportOptions& options) { options.handshake_timeout_ms = 60'000; });
    const std::string hello =
        encode_hello({protocol_version, cluster, 1, 2, "127.0.0.1:1", "127.0.0.1:2"});
    std::string oversized = hello;
    oversized[11] = static_cast<char>(0x7f);
    std::string damaged = hello;
    damaged.back() = static_cast<char>(damaged.back() ^ 1);
    const std::vector<std::string> garbage{
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        std::string("\x16\x03\x01\x00\xa5\x01\x00\x00", 8),
        std::string(100000, '\0'),
        std::string(100000, '\xff'),
        oversized,
        damaged,
    };
    for (const std::string& bytes : garbage) {
        CAPTURE(bytes.size());
        RawDialer dialer(pair.context, pair.options_2.listen_port);
        dialer.send(bytes);
        REQUIRE(dialer.wait_closed());
        CHECK(dialer.received.empty());
    }
    // Those who hang up themselves.
    for (const std::string& bytes : {std::string(), hello.substr(0, 9)}) {
        RawDialer dialer(pair.context, pair.options_2.listen_port);
        dialer.send(bytes);
    }
    REQUIRE(
        run_until(pair.context, [&log] { return log.count("ended within the handshake") == 1; }));
    pair.a->transport->send(TimeoutNow{{group, 1, 2, 4}});
    pair.a->transport->flush();
    CHECK(run_until(pair.context, [&pair] { return pair.b->recorder.messages.size() == 1; }));
    CHECK(pair.both_ways());
    CHECK(pair.b->recorder.disconnects.empty());
    CHECK(log.count("does not speak our protocol") == 1);
    CHECK(log.count("handshake too long") == 1);
    CHECK(log.count("checksum") == 1);
}

TEST_CASE("transport: who says nothing, or half a hello, is closed at the deadline") {
    LogCapture log;
    net::io_context context;
    const std::uint16_t port = free_port(context);
    TcpTransportOptions options = make_options(2, port, {{1, "127.0.0.1", free_port(context)}});
    options.handshake_timeout_ms = 50;
    TestNode node(context, options);
    const std::string hello = encode_hello({protocol_version, cluster, 1, 2, "", ""});
    RawDialer silent(context, port);
    RawDialer start(context, port);
    RawDialer nearly(context, port);
    start.send(hello.substr(0, 5));
    nearly.send(hello.substr(0, hello.size() - 1));
    CHECK(silent.wait_closed());
    CHECK(start.wait_closed());
    CHECK(nearly.wait_closed());
    RawDialer later(context, port);
    CHECK(later.wait_closed());
    CHECK(log.count("deadline") == 1);
    CHECK(node.recorder.calls == 0);
}

TEST_CASE("transport: bad frames of a peer end its connection") {
    net::io_context context;
    const std::uint16_t port = free_port(context);
    // Nobody listens where node 1 should be, so that only the raw diallers below speak for it.
    TcpTransportOptions options = make_options(2, port, {{1, "127.0.0.1", free_port(context)}});
    options.frame_bytes_max = 10000;
    TestNode node(context, options);
    const std::string good = encode(make_append(1, 2, {"payload"}));
    std::vector<std::string> bad;
    for (std::size_t byte = 0; byte < good.size(); byte += 3) {
        std::string flipped = good;
        flipped[byte] = static_cast<char>(flipped[byte] ^ 0x10);
        bad.push_back(flipped);
    }
    bad.push_back(encode(make_append(1, 2, {std::string(20000, 'x')})));
    bad.push_back(encode(TimeoutNow{{group, 3, 2, 4}}));  // in another's name
    bad.push_back(encode(TimeoutNow{{group, 1, 3, 4}}));  // to another
    bad.push_back(std::string(50000, 'z'));
    int times = 0;
    for (const std::string& bytes : bad) {
        ++times;
        CAPTURE(times);
        node.recorder.messages.clear();
        RawDialer dialer(context, port);
        dialer.shake_hands(1, 2);
        CHECK(dialer.reply().reason == HandshakeReason::accepted);
        CHECK(dialer.reply().http_address == "node2:8080");
        REQUIRE(run_until(context, [&node] { return node.heard(); }));
        CHECK(node.transport->peers()[0].http_address == "raw:80");
        dialer.send(good + bytes);
        REQUIRE(dialer.wait_closed());
        CHECK(node.recorder.messages.size() == 1);  // the good one before it
        CHECK(node.recorder.undelivered == 0);
        REQUIRE(run_until(context, [&] { return node.recorder.disconnects[1] == times; }));
        CHECK(!node.heard());
    }
}

TEST_CASE("transport: that some of a message has come is told") {
    net::io_context context;
    const std::uint16_t port = free_port(context);
    TestNode node(context, make_options(2, port, {{1, "127.0.0.1", free_port(context)}}));
    RawDialer dialer(context, port);
    dialer.shake_hands(1, 2);
    const std::string message = encode(make_append(1, 2, {std::string(1U << 20, 'x')}));
    for (int piece = 0; piece < 3; ++piece) {
        const int told = node.recorder.parts[1];
        dialer.send(message.substr(static_cast<std::size_t>(piece) * 1000, 1000));
        REQUIRE(run_until(context, [&] { return node.recorder.parts[1] > told; }));
    }
    CHECK(node.recorder.messages.empty());
    dialer.send(message.substr(3000));
    REQUIRE(run_until(context, [&] { return node.recorder.messages.size() == 1; }));
}

TEST_CASE("transport: a peer that never answers is dialled again") {
    LogCapture log;
    net::io_context context;
    RawListener listener(context);
    TcpTransportOptions options =
        make_options(1, free_port(context), {{2, "127.0.0.1", listener.port()}});
    options.handshake_timeout_ms = 50;
    TestNode node(context, options);
    for (int i = 0; i < 3; ++i) {
        tcp::socket silent = listener.accept_hello();
        REQUIRE(run_until(context, [&silent] {
            char byte = 0;
            error_code error;
            silent.read_some(net::buffer(&byte, 1), error);
            return error == net::error::eof;
        }));
    }
    CHECK(log.count("handshake: timed out") == 1);
    CHECK(node.recorder.calls == 0);
}

TEST_CASE("transport: a broken connection is dialled again") {
    LogCapture log;
    net::io_context context;
    RawListener listener(context);
    TestNode node(context,
                  make_options(1, free_port(context), {{2, "127.0.0.1", listener.port()}}));
    {
        tcp::socket next = listener.accept_hello();
        net::write(next, net::buffer(std::string("HTTP/1.1 400 Bad Request\r\n\r\n")));
        REQUIRE(run_until(context, [&log] { return log.count("speak our protocol") == 1; }));
    }
    for (int i = 1; i <= 3; ++i) {
        tcp::socket socket = listener.accept_and_welcome();
        REQUIRE(run_until(context, [&] { return node.recorder.connects[2] == i; }));
        CHECK(node.connected());
        CHECK(node.transport->peers()[0].http_address == "raw:80");
        if (i == 2) {
            net::write(socket, net::buffer(std::string("out of turn")));
        } else {
            socket.close();
        }
        REQUIRE(run_until(context, [&] { return node.recorder.disconnects[2] == i; }));
        CHECK(!node.connected());
        node.transport->send(TimeoutNow{{group, 1, 2, 4}});
        CHECK(node.transport->peers()[0].dropped_frames == static_cast<std::uint64_t>(i));
    }
}

TEST_CASE("transport: a peer that restarts is connected again") {
    Pair pair;
    pair.b.reset();
    REQUIRE(run_until(pair.context, [&pair] {
        return !pair.a->connected() && !pair.a->heard() && pair.a->recorder.disconnects[2] == 2;
    }));
    pair.b = std::make_unique<TestNode>(pair.context, pair.options_2);
    REQUIRE(pair.b->error.empty());
    REQUIRE(run_until(pair.context, [&pair] { return pair.both_ways(); }));
    CHECK(pair.a->recorder.connects[2] == 2);
    pair.a->transport->send(TimeoutNow{{group, 1, 2, 4}});
    pair.a->transport->flush();
    CHECK(run_until(pair.context, [&pair] { return pair.b->recorder.messages.size() == 1; }));
}

TEST_CASE("transport: a newer connection of a peer replaces the older one") {
    net::io_context context;
    const std::uint16_t port = free_port(context);
    TestNode node(context, make_options(2, port, {{1, "127.0.0.1", free_port(context)}}));
    RawDialer older(context, port);
    older.shake_hands(1, 2);
    REQUIRE(run_until(context, [&node] { return node.heard(); }));
    RawDialer newer(context, port);
    newer.shake_hands(1, 2);
    CHECK(older.wait_closed());
    CHECK(node.heard());
    CHECK(node.recorder.disconnects[1] == 1);
    newer.send(encode(TimeoutNow{{group, 1, 2, 4}}));
    CHECK(run_until(context, [&node] { return node.recorder.messages.size() == 1; }));
    CHECK(!newer.closed());
}

TEST_CASE("transport: connections beyond the bound are closed at once, later ones not") {
    net::io_context context;
    const std::uint16_t port = free_port(context);
    TcpTransportOptions options = make_options(2, port, {{1, "127.0.0.1", free_port(context)}});
    options.incoming_connections_max = 3;
    options.handshake_timeout_ms = 60'000;  // so that it isn't the deadline that closes
    TestNode node(context, options);
    RawDialer peer(context, port);
    peer.shake_hands(1, 2);
    RawDialer idle_1(context, port);
    RawDialer idle_2(context, port);
    RawDialer over(context, port);
    REQUIRE(over.wait_closed());
    CHECK(over.received.empty());
    CHECK(node.heard());
    idle_1.close();
    CHECK(run_until(context, [&] {
        RawDialer again(context, port);
        again.shake_hands(1, 2);
        return !again.received.empty();
    }));
}

TEST_CASE("transport: what a peer doesn't read is dropped at the bound, and counted") {
    net::io_context context;
    RawListener listener(context);
    TcpTransportOptions options =
        make_options(1, free_port(context), {{2, "127.0.0.1", listener.port()}});
    options.outbox_bytes_max = 1U << 20;
    TestNode node(context, options);
    tcp::socket socket = listener.accept_and_welcome();
    REQUIRE(run_until(context, [&node] { return node.connected(); }));
    const std::string bytes(100000, 'x');
    int taken = 0;
    int dropped = 0;
    for (int i = 0; i < 1000 && dropped < 10; ++i) {  // the kernel takes some megabytes
        (node.transport->send_application(2, bytes) ? taken : dropped) += 1;
        node.transport->flush();
        context.restart();
        context.poll();
    }
    REQUIRE(dropped == 10);
    CHECK(node.transport->peers()[0].dropped_frames == 10);
    CHECK(node.connected());
    // Once the peer reads, all that was taken arrives, whole and in order.
    FrameReader reader(options.frame_bytes_max);
    socket.non_blocking(true);
    int received = 0;
    CHECK(run_until(context, [&] {
        error_code error;
        while (!error) {
            const std::span<char> space = reader.prepare();
            reader.commit(socket.read_some(net::buffer(space.data(), space.size()), error));
            Frame frame;
            while (reader.next(frame)) {
                REQUIRE((frame.body == bytes));
                ++received;
            }
            REQUIRE(reader.fault() == FrameFault::none);
        }
        return received == taken;
    }));
    CHECK(node.transport->send_application(2, bytes));
    // What waits when the connection breaks is dropped too.
    for (int i = 0; i < 1000 && node.transport->send_application(2, bytes); ++i) {
        node.transport->flush();
    }
    const std::uint64_t before = node.transport->peers()[0].dropped_frames;
    socket.close();
    REQUIRE(run_until(context, [&node] { return !node.connected(); }));
    CHECK(node.transport->peers()[0].dropped_frames >= before + 5);
}

TEST_CASE("transport: a message that no frame may hold is dropped and said") {
    LogCapture log;
    Pair pair([](TcpTransportOptions& options) { options.frame_bytes_max = 5000; });
    pair.a->transport->send(make_append(1, 2, {std::string(6000, 'x')}));
    pair.a->transport->send(make_append(1, 2, {std::string(4000, 'x')}));
    pair.a->transport->flush();
    REQUIRE(run_until(pair.context, [&pair] { return pair.b->recorder.messages.size() == 1; }));
    CHECK(pair.a->transport->peers()[0].dropped_frames == 1);
    CHECK(log.count("larger than a frame may be") == 1);
    CHECK(pair.both_ways());
}

TEST_CASE("transport: after stop() nothing is called, whatever was going on") {
    for (int when = 0; when < 40; ++when) {
        CAPTURE(when);
        auto pair = std::make_unique<Pair>();
        Recorder& recorder = pair->b->recorder;
        TcpTransport& transport = *pair->b->transport;
        int calls_at_stop = -1;
        recorder.on_call = [&recorder, &transport, &calls_at_stop, when] {
            if (recorder.calls >= when && calls_at_stop < 0) {
                transport.stop();
                calls_at_stop = recorder.calls;
            }
        };
        const AppendEntries append = make_append(1, 2, {std::string(30000, 'x'), "small"});
        for (int round = 0; round < 30 && calls_at_stop < 0; ++round) {
            pair->a->transport->send(append);
            pair->a->transport->flush();
            transport.send(AppendEntriesReply{{group, 2, 1, 4}, 1, false, 2, 0, 0, 0});
            transport.flush();
            REQUIRE(run_until(pair->context, [&] {
                return calls_at_stop >= 0 ||
                       recorder.messages.size() > static_cast<std::size_t>(round);
            }));
        }
        REQUIRE(calls_at_stop >= 0);
        REQUIRE(run_until(pair->context, [&pair] { return !pair->a->heard(); }));
        CHECK(recorder.calls == calls_at_stop);
        CHECK(!pair->b->connected());
        transport.send(TimeoutNow{{group, 2, 1, 4}});
        transport.flush();
        if (when % 2 == 0) {  // destroyed with the loop's work unfinished, or finished
            pair->a->transport.reset();
            pair->b->transport.reset();
            pair->context.restart();
            pair->context.run();  // ends: nothing is left behind
        }
    }
}

TEST_CASE("transport: who doesn't know the members hears one that lost its data once") {
    net::io_context context;
    const std::uint16_t port_1 = free_port(context);
    const std::uint16_t port_2 = free_port(context);
    TcpTransportOptions repaired = make_options(1, port_1, {{2, "127.0.0.1", port_2}});
    repaired.disk_id = 12;
    repaired.replaced_disk_id = 11;
    // It begins empty: all it has is where to find the others.
    TestNode empty(context, make_options(2, port_2, {{1, "127.0.0.1", port_1}}));
    TestNode node(context, repaired);
    REQUIRE(run_until(context, [&] { return empty.heard() && node.connected(); }));
    CHECK(empty.recorder.replaced_disks.empty());
    // Once it knows the members, what their disks are counts: with none noted, it must be.
    empty.transport->set_members(
        std::vector<Member>{{1, "127.0.0.1:" + std::to_string(port_1), 0, false}}, {});
    REQUIRE(run_until(context, [&] { return !empty.recorder.replaced_disks.empty(); }));
    CHECK(empty.recorder.replaced_disks == std::map<NodeId, std::uint64_t>{{1, 12}});
}

TEST_CASE("transport: listening and names") {
    net::io_context context;
    TestNode first(context, make_options(1, 0, {}));
    CHECK(first.error.empty());
    const std::uint16_t port = first.transport->listen_port();
    CHECK(port != 0);
    TestNode second(context, make_options(2, port, {}));
    CHECK(second.error ==
          "can't listen on 127.0.0.1:" + std::to_string(port) + ": Address already in use");
    TcpTransportOptions nowhere = make_options(2, port, {});
    nowhere.listen_host = "no-such-host.invalid";
    CHECK(TestNode(context, nowhere).error.rfind("can't listen on no-such-host.invalid:", 0) == 0);
    TcpTransportOptions unprintable = make_options(2, 0, {});
    unprintable.http_address = "a\nb";
    CHECK(!TestNode(context, unprintable).error.empty());

    // A name is resolved, for listening and for dialling.
    TcpTransportOptions named = make_options(3, 0, {{4, "localhost", free_port(context)}});
    named.listen_host = "localhost";
    TestNode by_name(context, named);
    CHECK(by_name.error.empty());
    TcpTransportOptions other =
        make_options(4, named.peers[0].port, {{3, "localhost", by_name.transport->listen_port()}});
    other.listen_host = "localhost";
    TestNode dialler(context, other);
    CHECK(dialler.error.empty());
    CHECK(run_until(context, [&] { return dialler.connected() && by_name.connected(); }));
}
