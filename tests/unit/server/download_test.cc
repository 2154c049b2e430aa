// How a gateway sends what comes in pieces.

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "gateway_fixture.h"

namespace cairn::server {
namespace {

const std::string get_a = "GET /v1/values/a HTTP/1.1\r\nHost: localhost\r\n\r\n";

// Answers backups of these pieces; remembers what was asked for.
struct PlayedDownload {
    std::vector<std::string> pieces;
    std::size_t fails_at = SIZE_MAX;
    std::vector<std::uint64_t> asked;
    std::weak_ptr<const Download> download;

    void play(GatewayFixture& fixture) {
        fixture.node.on_submit = [this](Operation& operation) {
            operation.failure = Failure::none;
            if (operation.kind == Operation::Kind::backup) {
                auto made = std::make_shared<Download>();
                made->piece_count = pieces.size();
                for (const std::string& piece : pieces) {
                    made->bytes += piece.size();
                }
                download = made;
                operation.download = std::move(made);
            } else if (operation.kind == Operation::Kind::next_piece) {
                REQUIRE(operation.download == download.lock());
                asked.push_back(operation.piece_number);
                operation.piece = pieces.at(operation.piece_number);
                operation.error = operation.piece_number == fails_at ? "damaged" : "";
            } else {
                PlayedNode::answer(operation, "after");
                return;
            }
            operation.on_done();
        };
    }
};

constexpr std::string_view get_backup =
    "GET /v1/cluster/backup HTTP/1.1\r\nHost: localhost\r\n\r\n";

}  // namespace

TEST_CASE("gateway: a download comes in pieces, and the connection goes on") {
    GatewayFixture fixture;
    PlayedDownload played{.pieces = {"head", std::string(300'000, 'x'), "", "foot"}};
    played.play(fixture);
    TestClient client = fixture.connect();
    // The request behind it is answered after it.
    client.send(std::string(get_backup) + std::string(get_a));
    const auto& answers = fixture.wait_for_answers(client, 2);
    CHECK(answers[0].status == 200);
    CHECK(answers[0].headers.at("content-length") == "300008");
    CHECK(answers[0].body == "head" + std::string(300'000, 'x') + "foot");
    CHECK(played.asked == std::vector<std::uint64_t>{0, 1, 2, 3});
    CHECK(answers[1].body.find("after") != std::string::npos);
    fixture.node.operations.clear();  // the node keeps nothing either
    CHECK(played.download.expired());
}

TEST_CASE("gateway: an idle connection keeps no download") {
    GatewayFixture fixture;
    PlayedDownload played{.pieces = {"head", "foot"}};
    played.play(fixture);
    TestClient client = fixture.connect();
    client.send(get_backup);
    CHECK(fixture.wait_for_answer(client).body == "headfoot");
    fixture.wait_for([&] { return played.download.expired(); });
    CHECK(fixture.gateway->connection_count() == 1);
}

TEST_CASE("gateway: a download that fails half-way ends the connection") {
    GatewayFixture fixture;
    PlayedDownload played{.pieces = {"head", "middle", "foot"}, .fails_at = 1};
    played.play(fixture);
    TestClient client = fixture.connect();
    client.send(get_backup);
    fixture.wait_for([&] { return client.has_ended(); });
    CHECK(client.answers().empty());
    CHECK(client.received().ends_with("\r\n\r\nhead"));
    CHECK(played.asked == std::vector<std::uint64_t>{0, 1});
    fixture.wait_for([&] { return fixture.gateway->connection_count() == 0; });
    fixture.node.operations.clear();
    CHECK(played.download.expired());
}

TEST_CASE("gateway: a client that takes nothing of a download is asked for, and then let go") {
    GatewayOptions options = quick_options();
    options.write_timeout_ms = 300;
    options.bytes_per_second_min = std::size_t{100} << 20;
    GatewayFixture fixture(options);
    PlayedDownload played{.pieces = std::vector<std::string>(400, std::string(256 << 10, 'x'))};
    played.play(fixture);
    TestClient client = fixture.connect(false);
    client.send(get_backup);
    fixture.wait_for([&] { return fixture.gateway->connection_count() == 1; });
    fixture.wait_for([&] { return fixture.gateway->connection_count() == 0; });
    // No further than the socket's buffers.
    CHECK(played.asked.size() < 200);
    fixture.node.operations.clear();
    CHECK(played.download.expired());
}

}  // namespace cairn::server
