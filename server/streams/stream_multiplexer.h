// Many subscriptions and commands on one WebSocket: GET /v1/stream of api.md.
//
// A StreamSource: owned by its session, on the gateway thread; it knows no socket. Messages come in
// whole (ClientMessage of stream.proto, or the same in protobuf's JSON mapping), answers and the
// messages of subscriptions go out, each with the id that the client gave. Whatever is wrong with
// one message is answered with a problem under its id and concerns nothing else. A command goes the
// way of POST /v1/values/{name} (protobuf_api.h). A subscription that can't go on, because its
// reader is too slow or its history is lost, ends with a problem that carries its cursor; the
// others stay. Subscriptions take turns, answers go first; all that waits is bounded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "server/api/exchange.h"
#include "server/streams/stream_source.h"

namespace cairn::server::v1 {
class ClientMessage;
class Subscribe;
}  // namespace cairn::server::v1

namespace cairn::server {

struct MultiplexLimits {
    std::size_t subscriptions_max = 1000;  // on one WebSocket
    std::size_t commands_max = 128;        // in work on one WebSocket
    // Answers that wait to be sent: beyond it nothing is received, and reads are refused.
    std::size_t answer_bytes_max = std::size_t{4} << 20;
};

class StreamMultiplexer : public StreamSource {
 public:
    // The hub and the backend outlive every call but detach().
    StreamMultiplexer(StreamHub& hub, Backend& backend, const ApiOptions& api,
                      const MultiplexLimits& limits, StreamEncoding encoding);
    ~StreamMultiplexer() override;

    std::optional<OutgoingFrame> take() override;
    std::optional<CloseReason> receive(std::string_view message, bool is_text) override;
    FrameLimits frame_limits() const override;
    bool is_full() const override { return answer_bytes_ > limits_.answer_bytes_max; }
    bool is_busy() const override { return !commands_.empty() || !answers_.empty(); }
    std::size_t held_bytes() const override { return *held_bytes_; }
    void detach(StreamHub* hub) override;

 private:
    using Id = std::optional<std::uint64_t>;  // none: it could not be read
    struct Channel {
        std::shared_ptr<Subscription> subscription;
        bool is_ready = false;  // stands in ready_
    };
    struct Command {
        Exchange exchange;
        std::shared_ptr<Operation> operation;
    };

    bool parse(std::string_view bytes, v1::ClientMessage& message);
    void subscribe(std::uint64_t id, const v1::Subscribe& subscribe);
    void unsubscribe(std::uint64_t id);
    void execute(std::uint64_t id, const v1::ClientMessage& message);
    bool refuse_id(std::uint64_t id);
    void finished(std::uint64_t id);
    void mark_ready(std::uint64_t id);
    std::optional<OutgoingFrame> take_from(std::uint64_t id, Channel& channel);
    void end_channel(std::uint64_t id);

    void answer(SharedMessage message);
    void answer_output(std::uint64_t id, const Command& command);
    // With the problem that `exchange` holds.
    void answer_error(Id id, const Exchange& exchange, std::string_view cursor = {});
    void answer_problem(Id id, Code code, std::string_view detail);

    StreamHub& hub_;
    Backend& backend_;
    const ApiOptions& api_;
    MultiplexLimits limits_;
    StreamEncoding encoding_;
    // order-free: iterated only to end them all.
    std::unordered_map<std::uint64_t, Channel> channels_;
    std::unordered_map<std::uint64_t, std::unique_ptr<Command>> commands_;
    std::deque<std::uint64_t> ready_;  // channels that may have a message, each once
    std::deque<SharedMessage> answers_;
    std::size_t answer_bytes_ = 0;
    // Of the answers, also while they are on their way; they count themselves out.
    std::shared_ptr<std::size_t> held_bytes_ = std::make_shared<std::size_t>(0);
};

}  // namespace cairn::server
