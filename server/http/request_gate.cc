#include "server/http/request_gate.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <string>

#include "server/base/base64.h"
#include "server/base/optional_whitespace.h"

namespace cairn::server {
namespace {

constexpr std::size_t method_bytes_max = 32;
// What a request line has beside its target: method, two spaces, version, CRLF.
constexpr std::size_t line_overhead_bytes = method_bytes_max + 2 + 8 + 2;
constexpr std::size_t content_length_digits_max = 18;  // can't overflow

using MaybeRefusal = std::optional<Refusal>;

Refusal refuse(std::string_view detail, int status = 400) {
    return {status, detail};
}

constexpr std::array<bool, 256> make_token_table() {
    std::array<bool, 256> table{};
    for (int c = 0; c < 256; ++c) {
        table[static_cast<std::size_t>(c)] =
            (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    }
    for (char c : std::string_view("!#$%&'*+-.^_`|~")) {
        table[static_cast<unsigned char>(c)] = true;
    }
    return table;
}

constexpr std::array<bool, 256> token_table = make_token_table();

bool is_token(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
        return token_table[static_cast<unsigned char>(c)];
    });
}

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

bool is_alphanumeric(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Whether the comma-separated list holds the token.
bool list_has(std::string_view list, std::string_view token) {
    while (true) {
        const auto comma = list.find(',');
        if (equal_ignoring_case(trim(list.substr(0, comma)), token)) {
            return true;
        }
        if (comma == std::string_view::npos) {
            return false;
        }
        list.remove_prefix(comma + 1);
    }
}

bool is_valid_port(std::string_view port) {
    return !port.empty() && port.size() <= 5 && std::all_of(port.begin(), port.end(), is_digit);
}

// RFC 9110 §7.2, uri-host [ ":" port ], of which we take names, IPv4 and bracketed IPv6.
bool is_valid_host(std::string_view host) {
    if (host.empty()) {
        return false;
    }
    std::size_t end = 0;
    if (host.front() == '[') {
        end = host.find(']');
        if (end == std::string_view::npos || end < 3) {
            return false;
        }
        const auto address = host.substr(1, end - 1);
        if (address.find_first_not_of("0123456789abcdefABCDEF:.") != std::string_view::npos) {
            return false;
        }
        ++end;
    } else {
        end = std::min(host.find(':'), host.size());
        const auto name = host.substr(0, end);
        const bool known = std::all_of(name.begin(), name.end(), [](char c) {
            return is_alphanumeric(c) || c == '-' || c == '.' || c == '_';
        });
        if (name.empty() || !known) {
            return false;
        }
    }
    return end == host.size() || (host[end] == ':' && is_valid_port(host.substr(end + 1)));
}

// Fields that mean nothing, or two things, when they are there twice.
enum Singleton : std::uint32_t {
    host = 1U << 0,
    content_length = 1U << 1,
    transfer_encoding = 1U << 2,
    expect = 1U << 3,
    content_type = 1U << 4,
    content_encoding = 1U << 5,
    idempotency_key = 1U << 6,
    authorization = 1U << 7,
    origin = 1U << 8,
    websocket_key = 1U << 9,
    websocket_version = 1U << 10,
    last_event_id = 1U << 11,
    connection = 1U << 12,  // a list, may be repeated
    upgrade = 1U << 13,     // a list, may be repeated
};

struct KnownField {
    std::string_view name;
    Singleton field;
    std::string_view duplicate;
};

constexpr KnownField known_fields[] = {
    {"Host", host, "There is more than one Host header."},
    {"Connection", connection, ""},
    {"Content-Length", content_length, "There is more than one Content-Length header."},
    {"Content-Type", content_type, "There is more than one Content-Type header."},
    {"Transfer-Encoding", transfer_encoding, "There is more than one Transfer-Encoding header."},
    {"Expect", expect, "There is more than one Expect header."},
    {"Upgrade", upgrade, ""},
    {"Origin", origin, "There is more than one Origin header."},
    {"Authorization", authorization, "There is more than one Authorization header."},
    {"Last-Event-ID", last_event_id, "There is more than one Last-Event-ID header."},
    {"Idempotency-Key", idempotency_key, "There is more than one Idempotency-Key header."},
    {"Content-Encoding", content_encoding, "There is more than one Content-Encoding header."},
    {"Sec-WebSocket-Key", websocket_key, "There is more than one Sec-WebSocket-Key header."},
    {"Sec-WebSocket-Version", websocket_version,
     "There is more than one Sec-WebSocket-Version header."},
};

// What the fields said, until all of them are known.
struct FieldState {
    std::uint32_t seen = 0;
    bool close = false;
    bool keep_alive = false;
    bool connection_upgrade = false;
    bool upgrade_websocket = false;
};

// Takes "http://host" off a target in absolute form; false when what is there isn't one.
bool take_authority(HttpRequest& request) {
    constexpr std::string_view scheme = "http://";
    std::string_view& target = request.target;
    if (!equal_ignoring_case(target.substr(0, scheme.size()), scheme)) {
        return false;
    }
    target.remove_prefix(scheme.size());
    const auto end = std::min(target.find('/'), target.size());
    request.authority = target.substr(0, end);
    target.remove_prefix(end);
    if (target.empty()) {
        target = request.method == "OPTIONS" ? "*" : "/";
    }
    return is_valid_host(request.authority);
}

MaybeRefusal check_target(HttpRequest& request) {
    const std::string_view target = request.target;
    const bool graphic = std::all_of(target.begin(), target.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte > 0x20 && byte < 0x7f && c != '#';
    });
    if (target.empty() || !graphic) {
        return refuse("The request target holds a character that must be percent-encoded.");
    }
    if (target.front() != '/' && !(target == "*" && request.method == "OPTIONS") &&
        !take_authority(request)) {
        return refuse(
            "The request target must be a path that begins with '/', or http:// with a "
            "host and such a path.");
    }
    return std::nullopt;
}

MaybeRefusal check_version(std::string_view version, RequestHead& head) {
    if (version == "HTTP/1.1" || version == "HTTP/1.0") {
        head.minor_version = version.back() - '0';
        return std::nullopt;
    }
    if (version.size() == 8 && version.substr(0, 5) == "HTTP/" && is_digit(version[5]) &&
        version[6] == '.' && is_digit(version[7])) {
        return refuse("Only HTTP/1.1 and HTTP/1.0 are spoken here.", 505);
    }
    return refuse("The request line must end with HTTP/1.1 or HTTP/1.0.");
}

MaybeRefusal check_request_line(std::string_view line, const GateLimits& limits,
                                RequestHead& head) {
    const auto first = line.find(' ');
    if (first == std::string_view::npos) {
        return refuse("The request line needs a method, a target and a version.");
    }
    const auto method = line.substr(0, first);
    if (method.size() > method_bytes_max || !is_token(method)) {
        return refuse("The request method is not a token.");
    }
    const auto last = line.rfind(' ');
    if (last == first) {
        return refuse("The request line needs a method, a target and a version.");
    }
    const auto target = line.substr(first + 1, last - first - 1);
    if (target.size() > limits.target_bytes_max) {
        return refuse("The request target is longer than this server reads.", 414);
    }
    if (auto refusal = check_version(line.substr(last + 1), head)) {
        return refusal;
    }
    head.request.method = method;
    head.request.target = target;
    return check_target(head.request);
}

MaybeRefusal check_transfer_encoding(std::string_view value, RequestHead& head) {
    if (head.minor_version == 0) {
        return refuse("HTTP/1.0 has no Transfer-Encoding.");
    }
    if (equal_ignoring_case(value, "chunked")) {
        head.chunked = true;
        return std::nullopt;
    }
    if (is_token(value)) {
        return refuse("The only transfer coding understood here is chunked.", 501);
    }
    return refuse("Transfer-Encoding must be chunked and nothing else.");
}

MaybeRefusal check_content_length(std::string_view value, RequestHead& head) {
    if (value.empty() || !std::all_of(value.begin(), value.end(), is_digit)) {
        return refuse("Content-Length must be one decimal number.");
    }
    if (value.size() > content_length_digits_max) {
        return refuse("Content-Length is out of range.");
    }
    std::uint64_t length = 0;
    for (char c : value) {
        length = length * 10 + static_cast<std::uint64_t>(c - '0');
    }
    head.content_length = length;
    return std::nullopt;
}

MaybeRefusal check_expect(std::string_view value, RequestHead& head) {
    if (!equal_ignoring_case(value, "100-continue")) {
        return refuse("The only expectation understood here is 100-continue.", 417);
    }
    // RFC 9110 §10.1.1: from an HTTP/1.0 client it is ignored.
    head.expect_continue = head.minor_version == 1;
    return std::nullopt;
}

MaybeRefusal take_known_field(const KnownField& known, std::string_view value, FieldState& state,
                              RequestHead& head) {
    if ((state.seen & known.field) != 0 && !known.duplicate.empty()) {
        return refuse(known.duplicate);
    }
    state.seen |= known.field;
    switch (known.field) {
        case host:
            return is_valid_host(value) ? std::nullopt
                                        : MaybeRefusal(refuse("The Host header is not valid."));
        case content_length:
            return check_content_length(value, head);
        case transfer_encoding:
            return check_transfer_encoding(value, head);
        case expect:
            return check_expect(value, head);
        case connection:
            state.close |= list_has(value, "close");
            state.keep_alive |= list_has(value, "keep-alive");
            state.connection_upgrade |= list_has(value, "upgrade");
            return std::nullopt;
        case upgrade:
            state.upgrade_websocket |= list_has(value, "websocket");
            return std::nullopt;
        default:
            return std::nullopt;
    }
}

MaybeRefusal take_field(std::string_view line, FieldState& state, RequestHead& head) {
    if (line.front() == ' ' || line.front() == '\t') {
        return refuse("Header lines must not be folded.");
    }
    const auto colon = line.find(':');
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) {
        return refuse(
            "A header line must be a name, a colon without space before it, and a value.");
    }
    const auto name = line.substr(0, colon);
    const auto value = trim(line.substr(colon + 1));
    head.request.headers.emplace_back(name, value);
    for (const auto& known : known_fields) {
        if (equal_ignoring_case(name, known.name)) {
            return take_known_field(known, value, state, head);
        }
    }
    return std::nullopt;
}

// RFC 6455 §4.2.1: a nonce of 16 bytes. Beast would take anything.
bool is_websocket_key(std::string_view text) {
    constexpr std::size_t key_bytes = 16;
    std::string bytes;
    return decode_base64(text, bytes) && bytes.size() == key_bytes;
}

MaybeRefusal check_websocket(const FieldState& state, RequestHead& head) {
    head.request.upgrade_websocket = state.connection_upgrade && state.upgrade_websocket &&
                                     head.minor_version == 1 && head.request.method == "GET";
    if (head.request.upgrade_websocket && (head.chunked || head.content_length.value_or(0) > 0)) {
        return refuse("A request to become a WebSocket has no body.");
    }
    if (head.request.upgrade_websocket &&
        !is_websocket_key(head.request.header("Sec-WebSocket-Key"))) {
        return refuse("Sec-WebSocket-Key is not 16 bytes in base64.");
    }
    return std::nullopt;
}

// What only all fields together can tell.
MaybeRefusal check_together(const FieldState& state, RequestHead& head) {
    if ((state.seen & content_length) != 0 && (state.seen & transfer_encoding) != 0) {
        return refuse("Content-Length and Transfer-Encoding exclude each other.");
    }
    if (head.minor_version == 1 && (state.seen & host) == 0) {
        return refuse("The Host header is missing.");
    }
    head.expect_continue = head.expect_continue && head.has_body();
    head.keep_alive = !state.close && (head.minor_version == 1 || state.keep_alive);
    return check_websocket(state, head);
}

// Everything but CR, LF and HTAB below space, and DEL, has no place in a head.
bool is_forbidden_byte(unsigned char byte) {
    return (byte < 0x20 && byte != '\r' && byte != '\n' && byte != '\t') || byte == 0x7f;
}

// Takes the line that begins at `rest` off it, without its CRLF.
MaybeRefusal take_line(std::string_view& rest, std::string_view& line) {
    const auto end = rest.find('\n');
    if (end == std::string_view::npos || end == 0 || rest[end - 1] != '\r') {
        return refuse("Every line of a request's head must end with CR LF.");
    }
    line = rest.substr(0, end - 1);
    rest.remove_prefix(end + 1);
    if (std::any_of(line.begin(), line.end(), [](char c) {
            return c == '\r' || is_forbidden_byte(static_cast<unsigned char>(c));
        })) {
        return refuse("A request's head must not hold control characters.");
    }
    return std::nullopt;
}

HeadScan refused(Refusal refusal) {
    return {HeadScan::Kind::refused, 0, refusal};
}

// The first refusal that the bytes from `scanned` on are reason for, or the end of the head.
HeadScan scan_bytes(std::string_view buffered, std::size_t& scanned) {
    for (std::size_t i = scanned; i < buffered.size(); ++i) {
        const char c = buffered[i];
        if (is_forbidden_byte(static_cast<unsigned char>(c))) {
            return refused(refuse("A request's head must not hold control characters."));
        }
        const bool after_cr = i > 0 && buffered[i - 1] == '\r';
        if (after_cr != (c == '\n')) {
            return refused(refuse("Every line of a request's head must end with CR LF."));
        }
        if (c != '\n') {
            continue;
        }
        if (i == 1) {
            return refused(refuse("A request must begin with its request line."));
        }
        if (buffered[i - 2] == '\n') {
            return {HeadScan::Kind::complete, i + 1, {}};
        }
    }
    scanned = buffered.size();
    return {};
}

}  // namespace

HeadScan scan_head(std::string_view buffered, std::size_t& scanned, const GateLimits& limits) {
    HeadScan scan = scan_bytes(buffered, scanned);
    if (scan.kind == HeadScan::Kind::refused) {
        return scan;
    }
    const std::size_t line_bytes_max = limits.target_bytes_max + line_overhead_bytes;
    const std::size_t end =
        scan.kind == HeadScan::Kind::complete ? scan.head_bytes : buffered.size();
    if (end <= std::min(line_bytes_max, limits.fields_bytes_max)) {
        return scan;
    }
    const auto line_end = buffered.substr(0, line_bytes_max).find('\n');
    if (line_end == std::string_view::npos) {
        return end < line_bytes_max
                   ? scan
                   : refused(refuse("The request target is longer than this server reads.", 414));
    }
    // The empty line is not a field's.
    if (end - line_end - 1 > limits.fields_bytes_max + 2) {
        return refused(refuse("The headers are longer than this server reads.", 431));
    }
    return scan;
}

std::optional<Refusal> check_head(std::string_view bytes, const GateLimits& limits,
                                  RequestHead& head) {
    head.request.headers.clear();
    head.request.body = {};
    head.request.authority = {};
    head.request.upgrade_websocket = false;
    head.keep_alive = false;
    head.chunked = false;
    head.expect_continue = false;
    head.content_length.reset();
    std::string_view line;
    if (auto refusal = take_line(bytes, line)) {
        return refusal;
    }
    if (auto refusal = check_request_line(line, limits, head)) {
        return refusal;
    }
    if (bytes.size() > limits.fields_bytes_max + 2) {
        return refuse("The headers are longer than this server reads.", 431);
    }
    FieldState state;
    while (true) {
        if (auto refusal = take_line(bytes, line)) {
            return refusal;
        }
        if (line.empty()) {
            break;
        }
        if (head.request.headers.size() == limits.fields_max) {
            return refuse("There are more headers than this server reads.", 431);
        }
        if (auto refusal = take_field(line, state, head)) {
            return refusal;
        }
    }
    if (!bytes.empty()) {
        return refuse("There is something behind the empty line that ends the head.");
    }
    return check_together(state, head);
}

}  // namespace cairn::server
