// The transport as the members change: whom it dials, whom it hears, and who is told to go.
#include <array>

#include <doctest/doctest.h>

#include "raft/peers/peer_socket.h"
#include "tests/unit/raft/transport_testing.h"

using namespace cairn::raft;
using namespace cairn::raft::transport_testing;

namespace {

std::string at_port(std::uint16_t port) {
    return "127.0.0.1:" + std::to_string(port);
}

Member member_at(NodeId id, std::uint16_t port, std::uint64_t disk_id = 0) {
    return {id, at_port(port), disk_id, false};
}

const PeerStatus* status_of(const TestNode& node, NodeId id, std::vector<PeerStatus>& kept) {
    kept = node.transport->peers();
    for (const PeerStatus& status : kept) {
        if (status.id == id) {
            return &status;
        }
    }
    return nullptr;
}

bool links_to(const TestNode& node, NodeId id) {
    std::vector<PeerStatus> kept;
    return status_of(node, id, kept) != nullptr;
}

bool is_up(const TestNode& node, NodeId id) {
    std::vector<PeerStatus> kept;
    const PeerStatus* status = status_of(node, id, kept);
    return status != nullptr && status->connected;
}

bool hears(const TestNode& node, NodeId id) {
    std::vector<PeerStatus> kept;
    const PeerStatus* status = status_of(node, id, kept);
    return status != nullptr && status->heard;
}

std::uint64_t disk_of(const TestNode& node, NodeId id) {
    std::vector<PeerStatus> kept;
    const PeerStatus* status = status_of(node, id, kept);
    return status == nullptr ? 0 : status->disk_id;
}

// Node 2 without peers, and whoever speaks to it.
struct Rig {
    explicit Rig(const std::function<void(TcpTransportOptions&)>& adjust = {}) {
        TcpTransportOptions options = make_options(2, free_port(context), {});
        if (adjust) {
            adjust(options);
        }
        port = options.listen_port;
        node = std::make_unique<TestNode>(context, options);
        REQUIRE(node->error.empty());
    }
    // The answer to a Hello of that node's.
    HandshakeReason greet(RawDialer& dialer, NodeId from, const std::string& raft_address,
                          std::uint64_t disk_id = 0, std::uint64_t replaced_disk_id = 0) {
        Hello hello{protocol_version, cluster, from, 2, "raw:80", raft_address};
        hello.disk_id = disk_id;
        hello.replaced_disk_id = replaced_disk_id;
        dialer.send(encode_hello(hello));
        REQUIRE(run_until(context, [&dialer] {
            const bool gone = dialer.closed();
            return gone || dialer.received.size() >= handshake_prefix_bytes;
        }));
        return dialer.reply().reason;
    }
    void set_members(const std::vector<Member>& members, const std::vector<NodeId>& removed = {}) {
        node->transport->set_members(members, removed);
    }
    bool run(const std::function<bool()>& done) { return run_until(context, done); }

    net::io_context context;
    std::uint16_t port = 0;
    std::unique_ptr<TestNode> node;
};

}  // namespace

TEST_CASE("transport members: who comes is dialled, who goes is left, who moves is found again") {
    Rig rig;
    RawListener one(rig.context);
    RawListener three(rig.context);
    RawListener three_moved(rig.context);
    rig.set_members({member_at(1, one.port()), member_at(2, rig.port)});
    tcp::socket to_one = one.accept_and_welcome();
    REQUIRE(rig.run([&] { return is_up(*rig.node, 1); }));
    CHECK_FALSE(links_to(*rig.node, 2));  // ourselves

    rig.set_members({member_at(1, one.port()), member_at(2, rig.port), member_at(3, three.port())});
    tcp::socket to_three = three.accept_and_welcome();
    REQUIRE(rig.run([&] { return is_up(*rig.node, 3); }));
    CHECK(rig.node->transport->send_application(3, "x"));

    rig.set_members({member_at(1, one.port()), member_at(3, three_moved.port())});
    CHECK_FALSE(is_up(*rig.node, 3));
    tcp::socket to_moved = three_moved.accept_and_welcome();
    REQUIRE(rig.run([&] { return is_up(*rig.node, 3); }));
    CHECK(rig.node->recorder.connects[3] == 2);

    rig.set_members({member_at(1, one.port())});
    CHECK_FALSE(links_to(*rig.node, 3));
    CHECK_FALSE(rig.node->transport->send_application(3, "x"));
    std::array<char, 1> byte{};
    error_code error;
    to_moved.non_blocking(true);
    REQUIRE(rig.run([&] {
        to_moved.read_some(net::buffer(byte), error);
        return error == net::error::eof;
    }));
    // All of that was nothing to node 1.
    CHECK(is_up(*rig.node, 1));
    CHECK(rig.node->recorder.connects[1] == 1);
    CHECK(rig.node->recorder.disconnects[1] == 0);
}

TEST_CASE("transport members: members without an address that can be dialled are passed over") {
    Rig rig;
    rig.set_members({{4, "", 0, false}, {5, "nonsense", 0, false}, {6, "a:0", 0, false}});
    CHECK(rig.node->transport->peers().empty());
    RawDialer dialer(rig.context, rig.port);
    CHECK(rig.greet(dialer, 4, "raw:7000") == HandshakeReason::accepted);
}

TEST_CASE("transport members: who was removed is told so, now and whenever it comes again") {
    Pair pair;
    pair.a->transport->set_members({}, std::array<NodeId, 1>{2});
    CHECK(pair.a->transport->peers().empty());
    CHECK(pair.a->recorder.disconnects[2] == 1);
    REQUIRE(run_until(pair.context, [&] { return pair.b->recorder.removals[1] >= 2; }));
    CHECK(pair.a->recorder.removals.empty());
    CHECK_FALSE(pair.b->connected());
    RawDialer again(pair.context, pair.options_1.listen_port);
    again.shake_hands(2, 1);
    CHECK(again.reply().reason == HandshakeReason::removed);
    CHECK(again.wait_closed());
}

TEST_CASE("transport members: a lost data directory is told, and what it said is heard no more") {
    Rig rig;
    rig.set_members({member_at(1, free_port(rig.context), 11)});
    RawDialer older(rig.context, rig.port);
    REQUIRE(rig.greet(older, 1, "raw:7000", 11) == HandshakeReason::accepted);
    REQUIRE(rig.run([&] { return hears(*rig.node, 1); }));
    CHECK(disk_of(*rig.node, 1) == 11);

    RawDialer other(rig.context, rig.port);
    CHECK(rig.greet(other, 1, "raw:7000", 12) == HandshakeReason::other_disk);
    CHECK(other.wait_closed());
    CHECK(rig.node->recorder.replaced_disks.empty());
    CHECK(hears(*rig.node, 1));  // nobody's word ends another's connection

    RawDialer anew(rig.context, rig.port);
    CHECK(rig.greet(anew, 1, "raw:7000", 12, 11) == HandshakeReason::readmission);
    CHECK(anew.wait_closed());
    CHECK(rig.node->recorder.replaced_disks == std::map<NodeId, std::uint64_t>{{1, 12}});
    CHECK(older.wait_closed());
    CHECK(rig.node->recorder.disconnects[1] == 1);
    CHECK_FALSE(hears(*rig.node, 1));

    rig.set_members({member_at(1, free_port(rig.context), 12)});
    RawDialer taken_in(rig.context, rig.port);
    CHECK(rig.greet(taken_in, 1, "raw:7000", 12, 11) == HandshakeReason::accepted);
    REQUIRE(rig.run([&] { return hears(*rig.node, 1); }));
    CHECK(disk_of(*rig.node, 1) == 12);
    // The group agrees on another directory than the one that speaks.
    rig.set_members({member_at(1, free_port(rig.context), 13)});
    CHECK(taken_in.wait_closed());
    CHECK_FALSE(hears(*rig.node, 1));
}

TEST_CASE("transport members: a guest is heard, answered where it says, and gone when it goes") {
    Rig rig;
    RawListener at_home(rig.context);
    auto guest = std::make_unique<RawDialer>(rig.context, rig.port);
    REQUIRE(rig.greet(*guest, 9, at_port(at_home.port()), 19) == HandshakeReason::accepted);
    guest->send(encode(TimeoutNow{{group, 9, 2, 4}}));
    REQUIRE(rig.run([&] { return rig.node->recorder.messages.size() == 1; }));
    tcp::socket answer = at_home.accept_and_welcome();
    REQUIRE(rig.run([&] { return is_up(*rig.node, 9); }));
    CHECK(hears(*rig.node, 9));
    CHECK(disk_of(*rig.node, 9) == 19);
    CHECK(rig.node->transport->send_application(9, "welcome"));
    rig.node->transport->flush();
    std::array<char, 256> bytes{};
    CHECK(answer.read_some(net::buffer(bytes)) > 7);

    rig.set_members({member_at(1, free_port(rig.context))});  // still unknown
    CHECK(is_up(*rig.node, 9));
    guest.reset();
    REQUIRE(rig.run([&] { return !links_to(*rig.node, 9); }));
    CHECK(rig.node->recorder.disconnects[9] == 1);
    error_code error;
    answer.read_some(net::buffer(bytes), error);
    CHECK(error == net::error::eof);
}

TEST_CASE("transport members: a guest can't say that this node was removed, a member can") {
    LogCapture log;
    Rig rig;
    RawListener at_home(rig.context);
    RawDialer guest(rig.context, rig.port);
    REQUIRE(rig.greet(guest, 9, at_port(at_home.port())) == HandshakeReason::accepted);
    const auto refuse = [&] {
        tcp::socket socket = at_home.accept_hello();
        net::write(socket,
                   net::buffer(encode_hello_reply({HandshakeReason::removed, "you are gone", ""})));
    };
    refuse();
    refuse();  // it came again, so the first has been heard
    CHECK(log.count("you are gone") == 1);
    CHECK(rig.node->recorder.removals.empty());
    rig.set_members({member_at(9, at_home.port())});
    refuse();
    CHECK(rig.run([&] { return rig.node->recorder.removals[9] == 1; }));
}

TEST_CASE("transport members: a guest that becomes a member keeps its connections") {
    Rig rig;
    RawListener at_home(rig.context);
    RawDialer guest(rig.context, rig.port);
    REQUIRE(rig.greet(guest, 9, at_port(at_home.port()), 19) == HandshakeReason::accepted);
    tcp::socket answer = at_home.accept_and_welcome();
    REQUIRE(rig.run([&] { return is_up(*rig.node, 9); }));
    rig.set_members({member_at(9, at_home.port())});
    CHECK(is_up(*rig.node, 9));
    CHECK(rig.node->recorder.connects[9] == 1);
    guest.close();  // a member's link doesn't end with its connection to us
    REQUIRE(rig.run([&] { return !hears(*rig.node, 9); }));
    CHECK(is_up(*rig.node, 9));

    // One that is taken back is a guest again, as long as it is there.
    RawDialer back(rig.context, rig.port);
    REQUIRE(rig.greet(back, 9, at_port(at_home.port()), 19) == HandshakeReason::accepted);
    REQUIRE(rig.run([&] { return hears(*rig.node, 9); }));
    rig.set_members({});
    CHECK(is_up(*rig.node, 9));
    CHECK(rig.node->recorder.connects[9] == 1);
    back.close();
    REQUIRE(rig.run([&] { return !links_to(*rig.node, 9); }));
}

TEST_CASE("transport members: what a guest said of itself is known when it becomes a member") {
    Rig rig;
    RawListener at_home(rig.context);
    RawDialer nowhere(rig.context, rig.port);
    // It can't be answered at such an address, but it is heard.
    REQUIRE(rig.greet(nowhere, 9, "nowhere", 19) == HandshakeReason::accepted);
    RawDialer elsewhere(rig.context, rig.port);
    REQUIRE(rig.greet(elsewhere, 10, at_port(free_port(rig.context)), 20) ==
            HandshakeReason::accepted);
    REQUIRE(rig.run([&] { return hears(*rig.node, 10); }));
    CHECK_FALSE(links_to(*rig.node, 9));
    nowhere.send(encode(TimeoutNow{{group, 9, 2, 4}}));
    REQUIRE(rig.run([&] { return rig.node->recorder.messages.size() == 1; }));
    rig.set_members({member_at(9, at_home.port()), member_at(10, at_home.port())});
    CHECK(disk_of(*rig.node, 9) == 19);
    CHECK(disk_of(*rig.node, 10) == 20);
    CHECK(hears(*rig.node, 9));
    CHECK(hears(*rig.node, 10));
}

TEST_CASE("transport members: guests are answered up to a bound") {
    Rig rig;
    std::vector<std::unique_ptr<RawDialer>> guests;
    for (NodeId id = 100; id < 120; ++id) {
        guests.push_back(std::make_unique<RawDialer>(rig.context, rig.port));
        REQUIRE(rig.greet(*guests.back(), id, at_port(free_port(rig.context))) ==
                HandshakeReason::accepted);
    }
    guests.back()->send(encode(TimeoutNow{{group, 119, 2, 4}}));
    REQUIRE(rig.run([&] { return rig.node->recorder.messages.size() == 1; }));
    CHECK(rig.node->transport->peers().size() == 16);
    // Members have their own places; those that are taken back take no more than there are.
    std::vector<Member> members;
    for (NodeId id = 100; id < 120; ++id) {
        members.push_back(member_at(id, rig.port));
    }
    rig.set_members(members);
    CHECK(rig.node->transport->peers().size() == 20);
    rig.set_members({});
    CHECK(rig.node->transport->peers().size() == 16);
    guests.clear();
    CHECK(rig.run([&] { return rig.node->transport->peers().empty(); }));
}

TEST_CASE("transport members: who goes while it shakes hands is not heard afterwards") {
    // set_members() comes after each of the event loop's steps once.
    for (int steps = 0; steps < 12; ++steps) {
        CAPTURE(steps);
        Rig rig;
        RawDialer dialer(rig.context, rig.port);
        const std::string hello =
            encode_hello({protocol_version, cluster, 9, 2, "raw:80", "127.0.0.1:9"});
        dialer.send(hello);
        for (int i = 0; i < steps; ++i) {
            rig.context.restart();
            rig.context.run_one_for(milliseconds(2));
        }
        rig.set_members({}, {9});
        CHECK(dialer.wait_closed());
        CHECK_FALSE(links_to(*rig.node, 9));
        CHECK(rig.node->recorder.messages.empty());
    }
}

TEST_CASE("transport members: after stop() nobody is dialled, whoever becomes a member") {
    Rig rig;
    RawListener listener(rig.context);
    rig.node->transport->stop();
    rig.set_members({member_at(1, listener.port())});
    REQUIRE(rig.node->transport->peers().empty());
    rig.context.restart();
    rig.context.run();  // ends: nothing was begun
}

TEST_CASE("transport members: callbacks may change the members, or stop") {
    // What happens in the n-th callback, of whatever kind.
    for (const bool stops : {false, true}) {
        for (int when = 1; when <= 14; ++when) {
            CAPTURE(stops);
            CAPTURE(when);
            Rig rig;
            RawListener one(rig.context);
            Recorder& recorder = rig.node->recorder;
            TcpTransport& transport = *rig.node->transport;
            bool done = false;
            bool busy = false;
            int calls_at_stop = -1;
            recorder.on_call = [&] {
                if (recorder.calls < when || done || busy) {
                    return;
                }
                busy = true;
                if (stops) {
                    calls_at_stop = recorder.calls;
                    transport.stop();
                } else {
                    // Everybody goes, everybody comes back: each drops what may be in use.
                    const std::vector<NodeId> removed{1, 3, 9};
                    transport.set_members({}, removed);
                    const std::vector<Member> members{member_at(1, one.port(), 12),
                                                      member_at(3, rig.port)};
                    transport.set_members(members, {});
                }
                busy = false;
                done = true;
            };
            const std::vector<Member> members{member_at(1, one.port(), 11), member_at(3, rig.port)};
            transport.set_members(members, {});
            const auto hello = [](NodeId from, std::uint64_t disk, std::uint64_t replaced) {
                Hello text{protocol_version, cluster, from, 2, "raw:80", "127.0.0.1:9"};
                text.disk_id = disk;
                text.replaced_disk_id = replaced;
                return encode_hello(text);
            };
            std::vector<std::unique_ptr<RawDialer>> dialers;
            const auto dial = [&](NodeId from, std::uint64_t disk, std::uint64_t replaced) {
                if (calls_at_stop >= 0) {
                    return;
                }
                const int before = recorder.calls;
                dialers.push_back(std::make_unique<RawDialer>(rig.context, rig.port));
                dialers.back()->send(hello(from, disk, replaced) +
                                     encode(TimeoutNow{{group, from, 2, 4}}));
                run_until(rig.context, [&] {
                    const bool gone = dialers.back()->closed();
                    return gone || recorder.calls >= before + 2 || calls_at_stop >= 0;
                });
            };
            tcp::socket up = one.accept_hello();
            net::write(up,
                       net::buffer(encode_hello_reply({HandshakeReason::accepted, "", "raw:80"})));
            dial(9, 0, 0);    // a guest
            dial(9, 0, 0);    // again, in place of the first
            dial(1, 11, 0);   // a member
            dial(1, 12, 11);  // that lost its data
            dial(3, 31, 0);
            if (calls_at_stop < 0) {
                transport.set_members({}, std::array<NodeId, 2>{3, 9});
            }
            up.close();
            rig.context.restart();
            rig.context.run_for(milliseconds(2));
            // Refused as removed by whom it dials.
            if (calls_at_stop < 0) {
                transport.set_members(members, {});
                std::vector<tcp::socket> refused;
                REQUIRE(run_until(rig.context, [&] {
                    if (std::optional<tcp::socket> next = one.try_accept()) {
                        refused.push_back(std::move(*next));
                        error_code ignored;  // of a link that has gone since
                        net::write(refused.back(),
                                   net::buffer(encode_hello_reply(
                                       {HandshakeReason::removed, "you are gone", ""})),
                                   ignored);
                    }
                    return recorder.removals[1] > 0 || calls_at_stop >= 0;
                }));
            }
            if (calls_at_stop >= 0) {
                rig.context.restart();
                rig.context.run_for(milliseconds(2));
                CHECK(recorder.calls == calls_at_stop);
            }
            CHECK(done);
        }
    }
}

TEST_CASE("transport members: addresses as they are written, and nothing else") {
    const auto read = [](const std::string& text) {
        const std::optional<PeerAddress> address = parse_peer_address(7, text);
        if (!address) {
            return std::string("none");
        }
        CHECK(address->id == 7);
        CHECK(address_text(address->host, address->port) == text);
        return address->host + " " + std::to_string(address->port);
    };
    CHECK(read("10.0.0.1:7000") == "10.0.0.1 7000");
    CHECK(read("node-1.example:1") == "node-1.example 1");
    CHECK(read("[::1]:65535") == "::1 65535");
    for (const char* text : {"",       ":",         "a",       "a:",
                             ":1",     "a:0",       "a:65536", "a:99999999999999999999",
                             "a:-1",   "a:+1",      "a:01",    "a: 1",
                             "a:1 ",   "a:1x",      "::1:1",   "[::1]",
                             "[::1]:", "[::1:1",    "::1]:1",  "[]:1",
                             "[a]:1",  "[[::1]]:1", "a]:1",    "[a:1"}) {
        CAPTURE(text);
        CHECK(read(text) == "none");
    }
}
