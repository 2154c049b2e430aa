// What a WebSocket carries: where its session takes messages from and brings messages to.
//
// Owned by the session, on the gateway thread. A source knows no socket: tests call it as it is.
// SingleStream is one subscription; StreamMultiplexer (stream_multiplexer.h) is many, and commands.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "server/streams/stream_hub.h"
#include "server/streams/stream_message.h"
#include "server/streams/subscription.h"

namespace cairn::server {

// One frame to send: a few bytes of its own, perhaps, then the shared ones.
class OutgoingFrame {
 public:
    explicit OutgoingFrame(SharedMessage message)
        : message_(std::move(message)), shared_(message_->frame()) {}

    // A frame whose payload is `prefix` and the message's payload from `skipped_bytes` on.
    OutgoingFrame(SharedMessage message, std::string_view prefix, std::size_t skipped_bytes,
                  StreamEncoding encoding);

    std::string_view own() const { return {own_.data(), own_bytes_}; }
    std::string_view shared() const { return shared_; }
    bool is(const SharedMessage& message) const { return message_ == message; }
    std::size_t size() const { return own_bytes_ + shared_.size(); }

    static constexpr std::size_t prefix_bytes_max = 30;

 private:
    SharedMessage message_;
    std::string_view shared_;
    std::uint8_t own_bytes_ = 0;
    std::array<char, frame_header_bytes_max + prefix_bytes_max> own_;
};

class StreamSource {
 public:
    virtual ~StreamSource() = default;

    // The next frame to send; none now.
    virtual std::optional<OutgoingFrame> take() = 0;
    // Why the connection must end, once take() has none. Asked again after every on_ready.
    virtual std::optional<CloseReason> end_reason() const { return std::nullopt; }
    // A whole message from the client; why the connection must end, if it must.
    virtual std::optional<CloseReason> receive(std::string_view message, bool is_text) = 0;
    // What a client may send.
    virtual FrameLimits frame_limits() const = 0;
    // Whether the client is owed answers.
    virtual bool is_busy() const { return false; }
    // Whether so much waits to be sent that nothing more should be received.
    virtual bool is_full() const { return false; }
    // What it keeps for this client alone, and what it gave to be sent and isn't sent yet.
    virtual std::size_t held_bytes() const { return 0; }
    // The end: nothing calls on_ready after it, and it keeps nothing that isn't on its way. `hub`
    // is null when it has gone already. Ends it once, however often it is called.
    virtual void detach(StreamHub* hub) = 0;

    // Called when there may be something to take, or a reason to end.
    std::function<void()> on_ready;
};

// One subscription that is open. Takes no messages.
class SingleStream : public StreamSource {
 public:
    SingleStream(std::shared_ptr<Subscription> subscription, std::size_t message_bytes_max);

    std::optional<OutgoingFrame> take() override;
    std::optional<CloseReason> end_reason() const override;
    std::optional<CloseReason> receive(std::string_view message, bool is_text) override;
    FrameLimits frame_limits() const override;
    void detach(StreamHub* hub) override;

 private:
    std::shared_ptr<Subscription> subscription_;
    std::size_t message_bytes_max_;
};

}  // namespace cairn::server
