// What a client sends over HTTP, from the bytes of a connection to the bytes of the answers: the
// gate, bodies of either framing, the router, the state machine behind it.
//
// However the bytes are cut the answers are the same; what the gate lets through is framed as a
// second, simpler reader understands it; nothing a client sent gets a line of its own into an
// answer.
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fsm/state_machine.h"
#include "server/api/router.h"
#include "server/http/chunked_body.h"
#include "server/http/problem.h"
#include "server/http/request_gate.h"
#include "tests/fuzz/fuzz.h"

namespace cairn::fuzz {
namespace {

using namespace cairn::server;  // NOLINT: the whole file is about it

constexpr std::size_t answers_max = 64;  // of one input

// What framed a request, read back from a head that passed, by other means than the gate's.
struct Framing {
    int hosts = 0;
    int lengths = 0;
    int codings = 0;
    std::string length;
    std::string coding;
};

std::string lower(std::string_view text) {
    std::string result(text);
    std::transform(result.begin(), result.end(), result.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return result;
}

std::string without_blanks(std::string_view text) {
    std::string result;
    for (const char c : text) {
        if (c != ' ' && c != '\t') {
            result += c;
        }
    }
    return result;
}

Framing framing_of(std::string_view head) {
    Framing framing;
    require(head.ends_with("\r\n\r\n"), "a head ends with an empty line");
    head.remove_suffix(2);
    bool is_request_line = true;
    while (!head.empty()) {
        const std::size_t end = head.find("\r\n");
        require(end != std::string_view::npos && end > 0, "every line of a head ends with CRLF");
        const std::string_view line = head.substr(0, end);
        head.remove_prefix(end + 2);
        for (const char c : line) {
            const auto byte = static_cast<unsigned char>(c);
            require((byte >= 0x20 || c == '\t') && byte != 0x7f, "no control byte in a head");
        }
        if (std::exchange(is_request_line, false)) {
            continue;
        }
        require(line.front() != ' ' && line.front() != '\t', "no folded line");
        const std::size_t colon = line.find(':');
        require(colon != std::string_view::npos && colon > 0, "every field has a name");
        require(line[colon - 1] != ' ' && line[colon - 1] != '\t', "no blank before the colon");
        const std::string name = lower(line.substr(0, colon));
        const std::string value = without_blanks(line.substr(colon + 1));
        if (name == "host") {
            ++framing.hosts;
        } else if (name == "content-length") {
            ++framing.lengths;
            framing.length = value;
        } else if (name == "transfer-encoding") {
            ++framing.codings;
            framing.coding = lower(value);
        }
    }
    return framing;
}

void check_framing(std::string_view bytes, const RequestHead& head) {
    const Framing framing = framing_of(bytes);
    require(framing.hosts == 1 || (framing.hosts == 0 && head.minor_version == 0), "one Host");
    require(framing.lengths + framing.codings <= 1, "one framing of the body");
    require(head.chunked == (framing.codings == 1), "chunked only when it says so");
    require(framing.codings == 0 || (framing.coding == "chunked" && head.minor_version == 1),
            "no coding but chunked, and only in HTTP/1.1");
    require(head.content_length.has_value() == (framing.lengths == 1), "a length when it says so");
    if (head.content_length) {
        std::string number = framing.length;
        number.erase(0, std::min(number.find_first_not_of('0'), number.size() - 1));
        require(number == std::to_string(*head.content_length), "the length that it says");
    }
}

// What was parsed and written again is parsed the same.
void check_rewritten(const RequestHead& head) {
    const HttpRequest& request = head.request;
    std::string bytes(request.method);
    bytes.append(" ").append(request.target).append(" HTTP/1.");
    bytes.append(std::to_string(head.minor_version)).append("\r\n");
    for (const auto& [name, value] : request.headers) {
        bytes.append(name).append(":").append(value).append("\r\n");
    }
    bytes += "\r\n";
    RequestHead again;
    require(!check_head(bytes, {}, again), "an accepted head is accepted when it is written again");
    require(again.request.method == request.method && again.request.target == request.target &&
                again.request.headers == request.headers && again.chunked == head.chunked &&
                again.content_length == head.content_length && again.keep_alive == head.keep_alive,
            "and means the same");
}

// The body and where it ends, as the specification has it (RFC 9112 §7.1); nothing when this isn't
// a whole chunked body.
std::optional<std::string> plainly_decoded(std::string_view bytes) {
    std::string body;
    while (true) {
        std::size_t digits = 0;
        std::size_t size = 0;
        while (digits < bytes.size() && digits < 8 &&
               std::string_view("0123456789abcdefABCDEF").find(bytes[digits]) !=
                   std::string_view::npos) {
            size = size * 16 +
                   static_cast<std::size_t>(std::stoi(std::string(1, bytes[digits]), nullptr, 16));
            ++digits;
        }
        std::size_t line = bytes.find("\r\n");
        if (digits == 0 || line == std::string_view::npos) {
            return std::nullopt;
        }
        // Extensions may hold a quoted CRLF by nobody's rules: a line ends where it ends.
        bytes.remove_prefix(line + 2);
        if (size == 0) {
            break;
        }
        if (bytes.size() < size + 2 || bytes.substr(size, 2) != "\r\n") {
            return std::nullopt;
        }
        body += bytes.substr(0, size);
        bytes.remove_prefix(size + 2);
    }
    while (true) {
        const std::size_t line = bytes.find("\r\n");
        if (line == std::string_view::npos) {
            return std::nullopt;
        }
        bytes.remove_prefix(line + 2);
        if (line == 0) {
            return bytes.empty() ? std::optional(body) : std::nullopt;
        }
    }
}

// An answer's head holds what it should and nothing else.
void check_answer(std::string_view answer) {
    const std::size_t end = answer.find("\r\n\r\n");
    require(answer.starts_with("HTTP/1.1 ") && end != std::string_view::npos, "an answer's head");
    std::string_view head = answer.substr(0, end + 2);
    while (!head.empty()) {
        const std::size_t line = head.find("\r\n");
        const std::string_view text = head.substr(0, line);
        for (const char c : text) {
            const auto byte = static_cast<unsigned char>(c);
            require(byte >= 0x20 && byte != 0x7f, "no control byte in an answer's head");
        }
        const std::string name = lower(text.substr(0, text.find(':')));
        require(name != "injected", "no header that a client has made up");
        head.remove_prefix(line + 2);
    }
}

// A connection: what HttpSession does with the same parts, without sockets and time.
class HttpConnection {
 public:
    HttpConnection() {
        options_.max_value_bytes = 4096;
        options_.allowed_hosts = {"cairn.example"};
        options_.origins.configured = {"https://app.example.com"};
        view_.node = 1;
        view_.leader = 2;
    }

    void receive(std::string_view bytes) {
        buffer_ += bytes;
        while (!closed_ && answers_.size() < answers_max && advance()) {
        }
    }

    const std::vector<std::string>& answers() const { return answers_; }

 private:
    // False when it needs more bytes.
    bool advance() { return has_head_ ? take_body() : take_head(); }

    bool take_head() {
        if (scanned_ == 0) {
            if (buffer_ == "\r") {
                return false;
            }
            if (buffer_.starts_with("\r\n") && !std::exchange(skipped_line_, true)) {
                buffer_.erase(0, 2);
                return true;
            }
        }
        const HeadScan scan = scan_head(buffer_, scanned_, limits_);
        if (scan.kind == HeadScan::Kind::need_more) {
            require(buffer_.size() <= 3 * limits_.target_bytes_max, "a head is bounded");
            return false;
        }
        if (scan.kind == HeadScan::Kind::refused) {
            return refuse(refusal_response(scan.refusal.status, scan.refusal.detail));
        }
        head_bytes_ = buffer_.substr(0, scan.head_bytes);
        buffer_.erase(0, scan.head_bytes);
        if (const auto refusal = check_head(head_bytes_, limits_, head_)) {
            return refuse(refusal_response(refusal->status, refusal->detail));
        }
        check_framing(head_bytes_, head_);
        check_rewritten(head_);
        if (head_.content_length.value_or(0) > body_bytes_max(options_)) {
            return refuse(body_too_large_response(head_.request, options_));
        }
        has_head_ = true;
        if (head_.chunked) {
            chunks_ = std::make_unique<ChunkedBody>(head_bytes_, body_bytes_max(options_));
            taken_chunks_.clear();
        }
        return true;
    }

    bool take_body() {
        if (!chunks_) {
            const auto bytes = static_cast<std::size_t>(head_.content_length.value_or(0));
            if (buffer_.size() < bytes) {
                return false;
            }
            body_ = buffer_.substr(0, bytes);
            buffer_.erase(0, bytes);
            return answer();
        }
        std::size_t used = 0;
        const ChunkedBody::Status status = chunks_->put(buffer_, used);
        require(used <= buffer_.size(), "no more is used than there is");
        taken_chunks_ += buffer_.substr(0, used);
        buffer_.erase(0, used);
        switch (status) {
            case ChunkedBody::Status::need_more:
                return false;
            case ChunkedBody::Status::too_large:
                return refuse(body_too_large_response(head_.request, options_));
            case ChunkedBody::Status::malformed:
                return refuse(refusal_response(400, "The chunks are malformed."));
            case ChunkedBody::Status::complete:
                break;
        }
        body_ = chunks_->body();
        require(plainly_decoded(taken_chunks_) == body_, "chunks mean what a plain reader reads");
        return answer();
    }

    bool answer() {
        head_.request.body = body_;
        switch (decide(head_.request, options_, operation_, exchange_)) {
            case Decision::respond:
                break;
            case Decision::operate:
                operate();
                render(operation_, view_, exchange_);
                break;
            default:
                // A stream: whose bytes are no requests any more.
                answers_.push_back("stream of " + exchange_.stream.name);
                closed_ = true;
                return true;
        }
        append_standard_headers(view_, &operation_, exchange_);
        send(exchange_.response, head_.keep_alive);
        head_ = {};
        has_head_ = skipped_line_ = false;
        scanned_ = 0;
        chunks_.reset();
        return true;
    }

    void operate() {
        operation_.failure = Failure::none;
        switch (operation_.kind) {
            case Operation::Kind::write:
                operation_.output = machine_.apply(machine_.applied_index() + 1, 1'000'000'000,
                                                   operation_.command, events_);
                events_.clear();
                break;
            case Operation::Kind::get:
                operation_.output = {};
                operation_.output.kind = fsm::Output::Kind::get;
                operation_.output.status = fsm::Status::not_found;
                if (const fsm::Value* value = machine_.get(operation_.name)) {
                    operation_.output.status = fsm::Status::ok;
                    operation_.output.index = value->index;
                    operation_.output.value = *value;
                }
                break;
            case Operation::Kind::list:
                operation_.items = machine_.list(operation_.name, operation_.after,
                                                 operation_.limit, operation_.more);
                break;
            default:
                operation_.failure = Failure::no_leader;
                break;
        }
        operation_.served_index = machine_.applied_index();
    }

    bool refuse(HttpResponse response) {
        append_standard_headers(view_, response);
        send(response, false);
        closed_ = true;
        return true;
    }

    void send(const HttpResponse& response, bool keep_alive) {
        std::string bytes;
        append_response(response, keep_alive, bytes);
        check_answer(bytes);
        answers_.push_back(std::move(bytes));
        closed_ = !keep_alive || response.close;
    }

    ApiOptions options_;
    GateLimits limits_;
    NodeView view_;
    fsm::StateMachine machine_;
    std::vector<fsm::Event> events_;
    Operation operation_;
    Exchange exchange_;

    std::string buffer_;
    std::size_t scanned_ = 0;
    bool skipped_line_ = false;
    bool has_head_ = false;
    std::string head_bytes_;
    RequestHead head_;
    std::unique_ptr<ChunkedBody> chunks_;
    std::string taken_chunks_;
    std::string body_;
    bool closed_ = false;
    std::vector<std::string> answers_;
};

}  // namespace

void run_input(std::string_view input) {
    HttpConnection whole;
    whole.receive(input);
    HttpConnection cut;
    Cuts cuts(input);
    for (std::string_view rest = input; !rest.empty();) {
        const std::string_view piece = rest.substr(0, cuts.next(rest.size()));
        cut.receive(piece);
        rest.remove_prefix(piece.size());
    }
    require(whole.answers() == cut.answers(), "the answers don't depend on how the bytes are cut");
}

std::vector<std::string> seed_inputs() {
    const std::string host = "Host: localhost:8080\r\n";
    const auto with_body = [&](std::string_view line, std::string_view headers,
                               std::string_view body) {
        return std::string(line) + " HTTP/1.1\r\n" + host + std::string(headers) +
               "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
    };
    const auto bare = [&](std::string_view line, std::string_view headers) {
        return std::string(line) + " HTTP/1.1\r\n" + host + std::string(headers) + "\r\n";
    };
    const std::string put = with_body("PUT /v1/values/a/b?timeout=2s", "Idempotency-Key: k1\r\n",
                                      R"({"value":"x","ttl":"5s","prev_index":0})");
    const std::string raw =
        with_body("PUT /v1/raw/r%C3%A9?ttl=1m", "If-None-Match: *\r\n", "bytes");
    const std::string chunked = bare("PUT /v1/raw/chunked", "Transfer-Encoding: chunked\r\n") +
                                "5;name=value\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: x\r\n\r\n";
    const std::string get = bare("GET /v1/values/a/b?consistency=local&min_index=1",
                                 "If-None-Match: \"1\"\r\nAccept: */*\r\n");
    return {
        put,
        raw,
        chunked,
        get,
        put + get + raw + chunked + bare("DELETE /v1/values/a/b", "If-Match: \"1\"\r\n"),
        bare("GET /v1/values?prefix=a&limit=2&keys_only=true&after=a", ""),
        bare("HEAD /v1/raw/r%C3%A9", "") + bare("OPTIONS /v1/values/x", ""),
        bare("GET /v1/watch/a",
             "Connection: Upgrade\r\nUpgrade: websocket\r\n"
             "Sec-WebSocket-Version: 13\r\nOrigin: https://app.example.com\r\n"
             "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"),
        with_body("POST /v1/values/a", "Content-Type: application/x-protobuf\r\n",
                  "\x0a\x02\x08\x01"),
        with_body("POST /v1/values/a", "Content-Type: application/json\r\n", R"({"get":{}})"),
        bare("GET /v1/cluster", "Connection: close\r\n") + get,
        with_body("POST /v1/cluster/members", "Content-Type: application/json\r\n",
                  R"({"id":4,"raft_address":"127.0.0.1:7084"})"),
        "GET /livez HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        with_body("PUT /v1/raw/e", "Expect: 100-continue\r\n", "later"),
        bare("PUT /v1/raw/bad", "Transfer-Encoding: gzip\r\n") + put,
        bare("GET /v1/values/%0d%0aInjected:%20x", "Origin: https://evil.example\r\n"),
    };
}

}  // namespace cairn::fuzz
