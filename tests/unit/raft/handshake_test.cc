// The handshake as bytes: what is understood, what is turned away and how early.
#include "raft/peers/handshake.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "raft/core/random.h"

using namespace cairn::raft;

namespace {

Hello make_hello() {
    return {protocol_version, 0xfeedfacecafebeefU, 1, 2, "10.0.0.1:8080", "[::1]:7001"};
}

struct Received {
    HandshakeStatus status = HandshakeStatus::incomplete;
    std::size_t consumed = 0;
    std::string body;
};

Received receive(HandshakeKind kind, std::string_view bytes, std::size_t piece) {
    HandshakeBuffer buffer(kind);
    Received received;
    while (!bytes.empty() && received.status == HandshakeStatus::incomplete) {
        const std::span<char> space = buffer.space();
        REQUIRE(!space.empty());
        const std::size_t size = std::min({space.size(), piece, bytes.size()});
        std::memcpy(space.data(), bytes.data(), size);
        bytes.remove_prefix(size);
        received.consumed += size;
        received.status = buffer.commit(size);
    }
    if (received.status == HandshakeStatus::complete) {
        received.body = buffer.body();
    }
    return received;
}

}  // namespace

TEST_CASE("handshake: hello and reply come back as they were, and nothing behind them is taken") {
    for (const std::size_t piece : {1, 7, 16, 5000}) {
        const std::string bytes = encode_hello(make_hello());
        const Received received = receive(HandshakeKind::hello, bytes + "more", piece);
        REQUIRE(received.status == HandshakeStatus::complete);
        CHECK(received.consumed == bytes.size());
        Hello hello;
        REQUIRE(decode_hello(received.body, hello));
        CHECK(hello == make_hello());

        for (const HelloReply& sent : {HelloReply{HandshakeReason::accepted, "", "10.0.0.2:8080"},
                                       HelloReply{HandshakeReason::removed, "who are you?", ""}}) {
            const Received answer =
                receive(HandshakeKind::hello_reply, encode_hello_reply(sent), piece);
            REQUIRE(answer.status == HandshakeStatus::complete);
            HelloReply reply;
            REQUIRE(decode_hello_reply(answer.body, reply));
            CHECK(reply == sent);
        }
    }
}

TEST_CASE("handshake: the longest addresses fit") {
    Hello hello = make_hello();
    hello.http_address = std::string(address_bytes_max, 'h');
    hello.raft_address = std::string(address_bytes_max, 'r');
    const std::string bytes = encode_hello(hello);
    CHECK(bytes.size() <= handshake_bytes_max);
    const Received received = receive(HandshakeKind::hello, bytes, 1000);
    Hello decoded;
    REQUIRE(decode_hello(received.body, decoded));
    CHECK(decoded == hello);
}

TEST_CASE("handshake: whoever else speaks is turned away at the first wrong byte") {
    const auto status = [](std::string_view bytes) {
        const Received received = receive(HandshakeKind::hello, bytes, 1);
        CHECK(received.consumed <= 9);
        return received.status;
    };
    CHECK(status("GET / HTTP/1.1\r\nHost: a\r\n\r\n") == HandshakeStatus::foreign);
    CHECK(status("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03") == HandshakeStatus::foreign);
    CHECK(status("CAIRNHLX") == HandshakeStatus::foreign);
    CHECK(status("\n") == HandshakeStatus::foreign);
    CHECK(status(std::string_view("\0", 1)) == HandshakeStatus::foreign);
    CHECK(receive(HandshakeKind::hello, "G", 1).consumed == 1);
    // An echo of our own hello is no reply.
    CHECK(receive(HandshakeKind::hello_reply, encode_hello(make_hello()), 100).status ==
          HandshakeStatus::foreign);
}

TEST_CASE("handshake: a length beyond the bound is refused before more is read") {
    std::string bytes = encode_hello(make_hello());
    bytes[9] = static_cast<char>(0x0f);  // 0x0ff0 + 16 is the bound
    bytes[8] = static_cast<char>(0xf0);
    CHECK(receive(HandshakeKind::hello, bytes.substr(0, 16), 16).status ==
          HandshakeStatus::incomplete);
    bytes[8] = static_cast<char>(0xf1);
    CHECK(receive(HandshakeKind::hello, bytes, 16).status == HandshakeStatus::too_long);
    CHECK(receive(HandshakeKind::hello, bytes, 16).consumed == 16);
    bytes[11] = static_cast<char>(0xff);
    CHECK(receive(HandshakeKind::hello, bytes, 16).status == HandshakeStatus::too_long);
}

TEST_CASE("handshake: no truncation and no flipped bit gets through") {
    const std::string good = encode_hello(make_hello());
    for (std::size_t size = 0; size < good.size(); ++size) {
        CHECK(receive(HandshakeKind::hello, good.substr(0, size), 1000).status ==
              HandshakeStatus::incomplete);
    }
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
        std::string bad = good;
        bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
        CHECK(receive(HandshakeKind::hello, bad, 1000).status != HandshakeStatus::complete);
    }
}

TEST_CASE("handshake: random bodies are refused or sound") {
    Random random(3);
    const std::string good = encode_hello(make_hello()).substr(handshake_prefix_bytes);
    int accepted = 0;
    for (int round = 0; round < 50000; ++round) {
        std::string body = good;
        const std::uint64_t changes = random.between(1, 5);
        for (std::uint64_t i = 0; i < changes; ++i) {
            body[random.between(0, body.size() - 1)] = static_cast<char>(random.next());
        }
        body.resize(random.between(body.size() / 2, body.size()));
        Hello hello;
        if (decode_hello(body, hello)) {
            ++accepted;
            REQUIRE(hello.from != 0);
            REQUIRE(is_handshake_address(hello.http_address));
            REQUIRE(is_handshake_address(hello.raft_address));
        }
        HelloReply reply;
        if (decode_hello_reply(body, reply)) {
            REQUIRE(reply.text.size() <= handshake_bytes_max);
        }
    }
    CHECK(accepted > 10);
}

TEST_CASE("handshake: addresses and texts that could spoil a log are malformed") {
    CHECK(is_handshake_address(""));
    CHECK(is_handshake_address("host-1.example:80"));
    CHECK(!is_handshake_address("host 1"));
    CHECK(!is_handshake_address("host\n"));
    CHECK(!is_handshake_address("h\x7f"));
    CHECK(!is_handshake_address("h\xc3\xb6st"));
    CHECK(!is_handshake_address(std::string(address_bytes_max + 1, 'h')));

    Hello hello = make_hello();
    hello.raft_address = "a\nb";
    Hello decoded;
    CHECK(!decode_hello(encode_hello(hello).substr(handshake_prefix_bytes), decoded));
    hello = make_hello();
    hello.from = 0;
    CHECK(!decode_hello(encode_hello(hello).substr(handshake_prefix_bytes), decoded));
    HelloReply reply;
    CHECK(!decode_hello_reply(encode_hello_reply({HandshakeReason::wrong_node, "x\x1b[2J", ""})
                                  .substr(handshake_prefix_bytes),
                              reply));
    CHECK(!decode_hello_reply("", reply));  // no reason
}

TEST_CASE("handshake: who is welcome") {
    const std::vector<Member> members{{1, "a:1", 0, false}, {3, "c:1", 33, false}};
    const std::vector<NodeId> removed{6, 7};
    const HandshakeExpectation expected{0xfeedfacecafebeefU, 2, members, removed};
    Hello hello = make_hello();
    CHECK(validate_hello(hello, expected) == HandshakeReason::accepted);
    hello.disk_id = 11;  // not noted yet
    CHECK(validate_hello(hello, expected) == HandshakeReason::accepted);
    hello.replaced_disk_id = 10;  // but lost already
    CHECK(validate_hello(hello, expected) == HandshakeReason::readmission);
    hello = make_hello();
    hello.from = 3;
    hello.disk_id = 33;
    CHECK(validate_hello(hello, expected) == HandshakeReason::accepted);
    hello.replaced_disk_id = 32;  // taken in again
    CHECK(validate_hello(hello, expected) == HandshakeReason::accepted);
    hello.disk_id = 34;
    CHECK(validate_hello(hello, expected) == HandshakeReason::readmission);
    hello.replaced_disk_id = 0;
    CHECK(validate_hello(hello, expected) == HandshakeReason::other_disk);
    {
        // Who doesn't lead may lag behind the change that took it in.
        const std::vector<Member> any{{3, "c:1", any_disk_id, false}};
        CHECK(validate_hello(hello, {0xfeedfacecafebeefU, 2, any, removed}) ==
              HandshakeReason::accepted);
        Hello replaced = hello;
        replaced.replaced_disk_id = 32;
        CHECK(validate_hello(replaced, {0xfeedfacecafebeefU, 2, any, removed}) ==
              HandshakeReason::accepted);
    }
    hello.from = 4;  // a member by a change that hasn't come here yet
    CHECK(validate_hello(hello, expected) == HandshakeReason::accepted);
    hello.from = 7;
    CHECK(validate_hello(hello, expected) == HandshakeReason::removed);
    hello.from = 2;  // our own id
    CHECK(validate_hello(hello, expected) == HandshakeReason::other_disk);
    hello = make_hello();
    hello.to = 3;
    CHECK(validate_hello(hello, expected) == HandshakeReason::wrong_node);
    hello.cluster_id = 1;
    CHECK(validate_hello(hello, expected) == HandshakeReason::wrong_cluster);
    CHECK(refusal_text(HandshakeReason::wrong_cluster, hello, expected)
              .find("18369602397475290863") ==
          std::string::npos);  // ours is no stranger's business
    hello.protocol_version = protocol_version + 1;
    CHECK(validate_hello(hello, expected) == HandshakeReason::protocol_version);
    for (const auto reason : {HandshakeReason::protocol_version, HandshakeReason::wrong_cluster,
                              HandshakeReason::wrong_node, HandshakeReason::removed,
                              HandshakeReason::other_disk, HandshakeReason::readmission}) {
        HelloReply reply;
        const std::string text = refusal_text(reason, hello, expected);
        CHECK(!text.empty());
        REQUIRE(decode_hello_reply(
            encode_hello_reply({reason, text, ""}).substr(handshake_prefix_bytes), reply));
        CHECK(reply.reason == reason);
        CHECK(reply.text == text);
    }
}
