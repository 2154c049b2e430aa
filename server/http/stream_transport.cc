#include "server/http/stream_transport.h"

#include <algorithm>
#include <string_view>

#include "server/base/optional_whitespace.h"
#include "server/http/problem.h"

namespace cairn::server {
namespace {

// Takes the part up to `separator` from the front of `text`.
std::string_view take_part(std::string_view& text, char separator) {
    const std::size_t end = std::min(text.find(separator), text.size());
    const std::string_view part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return trim(part);
}

// RFC 9110 §12.4.2 in thousandths: "0.5" is 500. What is none counts as not said, 1000.
int parse_weight(std::string_view text) {
    if (text.empty() || text.size() > 5 || (text[0] != '0' && text[0] != '1') ||
        (text.size() > 1 && text[1] != '.')) {
        return 1000;
    }
    int weight = (text[0] - '0') * 1000;
    int unit = 100;
    for (const char digit : text.substr(std::min<std::size_t>(2, text.size()))) {
        if (digit < '0' || digit > '9') {
            return 1000;
        }
        weight += (digit - '0') * unit;
        unit /= 10;
    }
    return std::min(weight, 1000);
}

// The weight of one media range of an Accept header, and its type.
int weight_of(std::string_view range, std::string_view& type) {
    type = take_part(range, ';');
    while (!range.empty()) {
        const std::string_view parameter = take_part(range, ';');
        if (parameter.size() >= 2 && (parameter[0] == 'q' || parameter[0] == 'Q') &&
            parameter[1] == '=') {
            return parse_weight(parameter.substr(2));
        }
    }
    return 1000;
}

}  // namespace

StreamTransport transport_of(const HttpRequest& request) {
    if (request.upgrade_websocket) {
        return StreamTransport::websocket;
    }
    int event_stream = 0;
    int lines = 0;
    for (const auto& [name, value] : request.headers) {
        if (!equal_ignoring_case(name, "Accept")) {
            continue;
        }
        std::string_view rest = value;
        while (!rest.empty()) {
            std::string_view type;
            const int weight = weight_of(take_part(rest, ','), type);
            if (equal_ignoring_case(type, "text/event-stream")) {
                event_stream = std::max(event_stream, weight);
            } else if (equal_ignoring_case(type, "application/x-ndjson") ||
                       equal_ignoring_case(type, "application/json")) {
                lines = std::max(lines, weight);
            }
        }
    }
    return event_stream > 0 && event_stream >= lines ? StreamTransport::event_stream
                                                     : StreamTransport::lines;
}

std::optional<std::string> take_last_event_id(const HttpRequest& request,
                                              std::optional<fsm::Cursor>& cursor) {
    const std::size_t count = request.count("Last-Event-ID");
    if (count == 0) {
        return std::nullopt;
    }
    const std::string_view text = request.header("Last-Event-ID");
    const std::optional<fsm::Cursor> parsed = fsm::Cursor::parse(text);
    if (count > 1 || !parsed) {
        return "Last-Event-ID must be a cursor that a stream gave, and one of them, not " +
               shown(text) + ".";
    }
    cursor = parsed;
    return std::nullopt;
}

}  // namespace cairn::server
