#include "server/http/stream_transport.h"

#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace cairn::server {
namespace {

StreamTransport with_accept(const std::vector<std::string_view>& values) {
    HttpRequest request;
    for (const std::string_view value : values) {
        request.headers.emplace_back("accept", value);
    }
    return transport_of(request);
}

}  // namespace

TEST_CASE("stream transport: server-sent events where Accept names them") {
    for (const std::vector<std::string_view>& accept : std::vector<std::vector<std::string_view>>{
             {"text/event-stream"},
             {"Text/Event-Stream"},
             {" text/event-stream ; q=0.5 ,*/*"},
             {"*/*, text/event-stream;charset=utf-8;q=0.001"},
             {"application/x-ndjson", "text/event-stream"},
             {"application/json;q=0.4, text/event-stream;q=0.5"},
             {"text/event-stream;q=high"},
             {"text/event-stream;q=0.5, application/json;q=0.5"}}) {
        CAPTURE(accept[0]);
        CHECK(with_accept(accept) == StreamTransport::event_stream);
    }
}

TEST_CASE("stream transport: lines for everybody else") {
    CHECK(with_accept({}) == StreamTransport::lines);
    for (const std::vector<std::string_view>& accept : std::vector<std::vector<std::string_view>>{
             {""},
             {"*/*"},
             {"text/*"},
             {"text/event-streams"},
             {"text/html;x=text/event-stream"},
             {"text/event-stream;q=0"},
             {"text/event-stream;q=0.000, */*"},
             {"text/event-stream;q=0.5,application/x-ndjson"},
             {",;,=;q"}}) {
        CAPTURE(accept[0]);
        CHECK(with_accept(accept) == StreamTransport::lines);
    }
    HttpRequest upgrade;
    upgrade.headers = {{"Accept", "text/event-stream"}};
    upgrade.upgrade_websocket = true;
    CHECK(transport_of(upgrade) == StreamTransport::websocket);
}

}  // namespace cairn::server
