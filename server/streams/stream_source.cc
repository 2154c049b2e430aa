#include "server/streams/stream_source.h"

#include <algorithm>

namespace cairn::server {

OutgoingFrame::OutgoingFrame(SharedMessage message, std::string_view prefix,
                             std::size_t skipped_bytes, StreamEncoding encoding)
    : message_(std::move(message)), shared_(message_->payload().substr(skipped_bytes)) {
    std::array<char, frame_header_bytes_max> header{};
    const Opcode opcode = encoding == StreamEncoding::json ? Opcode::text : Opcode::binary;
    const std::size_t header_bytes =
        write_frame_header(opcode, prefix.size() + shared_.size(), header);
    prefix = prefix.substr(0, prefix_bytes_max);
    std::copy_n(header.begin(), header_bytes, own_.begin());
    std::copy(prefix.begin(), prefix.end(), own_.begin() + header_bytes);
    own_bytes_ = static_cast<std::uint8_t>(header_bytes + prefix.size());
}

SingleStream::SingleStream(std::shared_ptr<Subscription> subscription,
                           std::size_t message_bytes_max)
    : subscription_(std::move(subscription)), message_bytes_max_(message_bytes_max) {
    subscription_->on_ready = [this] {
        if (on_ready) {
            on_ready();
        }
    };
}

std::optional<OutgoingFrame> SingleStream::take() {
    SharedMessage message = subscription_->next();
    if (!message) {
        return std::nullopt;
    }
    return OutgoingFrame(std::move(message));
}

std::optional<CloseReason> SingleStream::end_reason() const {
    if (subscription_->state() == Subscription::State::open) {
        return std::nullopt;
    }
    std::string text = subscription_->history_lost() ? "history lost" : "too slow";
    if (subscription_->cursor()) {
        text += "; cursor=" + subscription_->cursor()->format();
    }
    return CloseReason{close_code::try_again_later, std::move(text)};
}

std::optional<CloseReason> SingleStream::receive(std::string_view message, bool is_text) {
    (void)message;
    (void)is_text;
    return CloseReason{close_code::unsupported_data, "this stream takes no messages"};
}

FrameLimits SingleStream::frame_limits() const {
    FrameLimits limits;
    limits.message_bytes_max = message_bytes_max_;
    limits.keeps_messages = false;
    return limits;
}

void SingleStream::detach(StreamHub* hub) {
    subscription_->on_ready = nullptr;
    if (hub != nullptr) {
        hub->unsubscribe(*subscription_);
    }
}

}  // namespace cairn::server
