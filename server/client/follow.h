// `cairn watch` and `cairn events`: printing a stream, and going on with it on another node.
//
// For the main thread; blocks until the stream is ended by its count, by time without a node that
// can go on, or by a signal. A node that ends the stream, or is silent for longer than a stream
// ever is, is left for the next, after the last message that was printed: none is lost or printed
// twice.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "server/client/endpoints.h"
#include "server/client/options.h"

namespace cairn::client {

// Lines out of pieces. A line that is never ended is never told.
class Lines {
 public:
    // Hears one line, without its end; false: no more is wanted.
    using Sink = std::function<bool(std::string_view line)>;

    // False when the sink wanted no more, or a line is longer than any message.
    bool feed(std::string_view piece, const Sink& sink);

 private:
    std::string begun_;
};

// Prints what comes, and answers the exit status.
int follow(Options options, Endpoints& endpoints);

}  // namespace cairn::client
