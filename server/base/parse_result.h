// What a parser of human input answers: a value, or one sentence saying what is wrong with the
// text.
//
// Plain values, any thread. The sentence is printable and fits one line (server/base/printable.h);
// it doesn't say where the text came from: the caller knows that and puts it in front.
#pragma once

#include <string>
#include <utility>

#include <boost/system/result.hpp>

namespace cairn::server {

// Not made from a bare string, or a ParseResult<std::string> could not tell the two apart.
struct ParseError {
    ParseError() = default;
    std::string text;
};

inline ParseError parse_error(std::string text) {
    ParseError error;
    error.text = std::move(text);
    return error;
}

template <class T>
using ParseResult = boost::system::result<T, ParseError>;

}  // namespace cairn::server
