#include "server/client/follow.h"

#include <utility>

#include <nlohmann/json.hpp>

#include "server/client/output.h"
#include "server/client/text.h"

namespace cairn::client {
namespace {

using Json = nlohmann::json;

// More than any node sends: an event has two values, and JSON may need six bytes for one.
constexpr std::size_t line_bytes_max = std::size_t{1} << 30U;
// A stream says something at least every ten seconds.
constexpr std::chrono::milliseconds silence{30'000};

// One stream over all its connections.
class Follower {
 public:
    explicit Follower(Options options) : options_(std::move(options)) {}

    int run(Endpoints& endpoints) {
        endpoints.begin();
        while (true) {
            heard_ = false;
            Lines lines;
            const server::HttpReply reply = server::http_ask(
                endpoints.current(), make_question(options_, {}),
                {.timeout = endpoints.attempt(), .silence = silence}, [&](std::string_view piece) {
                    return lines.feed(piece, [&](std::string_view line) { return hear(line); });
                });
            if (ended_) {
                return exit_status_;
            }
            const Verdict verdict = judge(reply, Repeat::harmless, false);
            // A 200 is a stream that has ended though it wasn't to.
            if (reply.status != 200 && !verdict.again) {
                complain(verdict.reason);
                return verdict.exit_status;
            }
            if (heard_) {
                endpoints.begin();
            }
            if (!endpoints.next()) {
                complain("no node goes on with the stream: " +
                         (verdict.reason.empty() ? "it was ended" : verdict.reason));
                return exit_unavailable;
            }
        }
    }

 private:
    // False: this connection is of no more use.
    bool hear(std::string_view line) {
        if (line.empty()) {
            return true;
        }
        const Json message = Json::parse(line, nullptr, false);
        const auto cursor = message.is_object() ? message.find("cursor") : message.end();
        if (!message.is_object() || cursor == message.end() || !cursor->is_string()) {
            return false;
        }
        const std::string text = message_text(message);
        if (!print(options_.json ? json_line(line) : text)) {
            end(exit_refused);
            return false;
        }
        heard_ = true;
        options_.cursor = cursor->get<std::string>();
        if (!text.empty() && ++told_ == options_.limit) {
            end(exit_done);
        }
        return !ended_;
    }

    void end(int status) {
        ended_ = true;
        exit_status_ = status;
    }

    Options options_;
    std::uint64_t told_ = 0;
    bool heard_ = false;  // a message, from this node
    bool ended_ = false;
    int exit_status_ = exit_done;
};

}  // namespace

bool Lines::feed(std::string_view piece, const Sink& sink) {
    while (true) {
        const std::size_t end = piece.find('\n');
        if (begun_.size() + std::min(end, piece.size()) > line_bytes_max) {
            return false;
        }
        begun_ += piece.substr(0, end);
        if (end == std::string_view::npos) {
            return true;
        }
        piece.remove_prefix(end + 1);
        if (!sink(std::exchange(begun_, {}))) {
            return false;
        }
    }
}

int follow(Options options, Endpoints& endpoints) {
    return Follower(std::move(options)).run(endpoints);
}

}  // namespace cairn::client
