// Decodes a request with `Transfer-Encoding: chunked`, by Beast's parser.
//
// Owned by one session, for one request whose head the gate has accepted. The decoded body is
// bounded, and so is what its framing may add. Trailers are read and dropped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace cairn::server {

class ChunkedBody {
 public:
    enum class Status : std::uint8_t { need_more, complete, too_large, malformed };

    // `head` is the request's head with its empty line.
    ChunkedBody(std::string_view head, std::size_t body_bytes_max);
    ~ChunkedBody();
    ChunkedBody(const ChunkedBody&) = delete;
    ChunkedBody& operator=(const ChunkedBody&) = delete;

    // Takes the next bytes off the connection; `used` says how many. Those left over are to be
    // given again with more behind them, or belong to the next request when the body is complete.
    Status put(std::string_view bytes, std::size_t& used);

    const std::string& body() const;

 private:
    struct Parser;
    std::unique_ptr<Parser> parser_;
    std::size_t raw_bytes_left_;
};

}  // namespace cairn::server
