#include "server/http/chunked_body.h"

#include <algorithm>
#include <functional>

#include <boost/asio/buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

namespace cairn::server {
namespace {

namespace http = boost::beast::http;

// A chunk header or trailer line that is longer than this is nothing that a client needs.
constexpr std::size_t line_bytes_max = 4096;
// `0\r\n\r\n`. Beast 1.81 ends the program (by an assertion) when it is given less of it a second
// time. Whatever is not complete has as many bytes still to come, so waiting for them is no harm.
constexpr std::size_t last_chunk_bytes_min = 5;
// Bytes on the wire per byte of body: `1\r\nx\r\n` is 6.
constexpr std::size_t overhead_factor = 8;
constexpr std::size_t head_bytes_max = 64 * 1024;  // the gate's limits are stricter

// Between quotes Beast takes anything but CR. Another program on the way may see a line's end in
// what this one would read over, and so read another request.
void refuse_control_bytes(std::uint64_t, boost::beast::string_view extensions,
                          boost::system::error_code& error) {
    const bool is_text = std::none_of(extensions.begin(), extensions.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return (byte < 0x20 && byte != '\t') || byte == 0x7f;
    });
    if (!is_text) {
        error = http::error::bad_chunk_extension;
    }
}

}  // namespace

struct ChunkedBody::Parser {
    http::request_parser<http::string_body> request;
    std::function<void(std::uint64_t, boost::beast::string_view, boost::system::error_code&)>
        on_chunk_header = refuse_control_bytes;
    bool malformed_head = false;
};

ChunkedBody::ChunkedBody(std::string_view head, std::size_t body_bytes_max)
    : parser_(std::make_unique<Parser>()),
      raw_bytes_left_(body_bytes_max * overhead_factor + head_bytes_max) {
    parser_->request.eager(true);
    parser_->request.header_limit(head_bytes_max);
    parser_->request.body_limit(body_bytes_max);
    parser_->request.on_chunk_header(parser_->on_chunk_header);
    boost::system::error_code error;
    parser_->request.put(boost::asio::buffer(head), error);
    parser_->malformed_head = (error && error != http::error::need_more) ||
                              !parser_->request.is_header_done() || !parser_->request.chunked();
}

ChunkedBody::~ChunkedBody() = default;

ChunkedBody::Status ChunkedBody::put(std::string_view bytes, std::size_t& used) {
    used = 0;
    if (parser_->malformed_head) {
        return Status::malformed;
    }
    while (!parser_->request.is_done()) {
        const std::string_view rest = bytes.substr(used);
        if (rest.empty() || (rest.front() == '0' && rest.size() < last_chunk_bytes_min)) {
            return Status::need_more;
        }
        boost::system::error_code error;
        const std::size_t taken = parser_->request.put(boost::asio::buffer(rest), error);
        used += taken;
        if (error == http::error::body_limit) {
            return Status::too_large;
        }
        if ((error && error != http::error::need_more) || taken > raw_bytes_left_) {
            return Status::malformed;
        }
        raw_bytes_left_ -= taken;
        if (taken == 0) {
            return rest.size() > line_bytes_max ? Status::malformed : Status::need_more;
        }
    }
    return Status::complete;
}

const std::string& ChunkedBody::body() const {
    return parser_->request.get().body();
}

}  // namespace cairn::server
