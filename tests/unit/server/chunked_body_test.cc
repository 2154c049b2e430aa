// Chunked bodies, cut anywhere. What is refused is tested with the session (http_session_test.cc).
#include "server/http/chunked_body.h"

#include <string>
#include <string_view>

#include <doctest/doctest.h>

using namespace cairn::server;

// Beast's parser would end the program where the last chunk's line is all of an empty body that has
// come when it looks first.
TEST_CASE("chunked body: an empty one is complete, whatever its pieces") {
    constexpr std::string_view head =
        "PUT /v1/raw/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (const std::string_view body : {"0\r\n\r\n", "00\r\n\r\n", "0\r\nTrailer: t\r\n\r\n"}) {
        for (std::size_t first = 1; first < body.size(); ++first) {
            CAPTURE(body);
            CAPTURE(first);
            ChunkedBody chunked(head, 1000);
            std::size_t begin = 0;
            ChunkedBody::Status status = ChunkedBody::Status::need_more;
            for (std::size_t end = first; end <= body.size(); ++end) {
                REQUIRE(status == ChunkedBody::Status::need_more);
                std::size_t used = 0;
                status = chunked.put(body.substr(begin, end - begin), used);
                begin += used;
            }
            CHECK(status == ChunkedBody::Status::complete);
            CHECK(begin == body.size());
            CHECK(chunked.body().empty());
        }
    }
}
