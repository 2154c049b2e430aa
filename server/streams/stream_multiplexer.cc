#include "server/streams/stream_multiplexer.h"

#include <algorithm>
#include <utility>

#include <google/protobuf/util/json_util.h>

#include "cairn/server/v1/stream.pb.h"
#include "server/api/idempotency_key.h"
#include "server/api/json_body.h"
#include "server/api/protobuf_api.h"
#include "server/api/router.h"
#include "server/base/duration.h"
#include "server/base/json_text.h"
#include "server/base/name_check.h"
#include "server/http/http_types.h"

namespace cairn::server {
namespace {

namespace protobuf_json = google::protobuf::util;

// What stands before the members of a message, or before its fields.
std::string id_prefix(std::uint64_t id, StreamEncoding encoding) {
    std::string prefix;
    if (encoding == StreamEncoding::json) {
        prefix = "{\"id\":";
        append_number(id, prefix);
        prefix += ',';
        return prefix;
    }
    constexpr unsigned tag_of_id = 1U << 3U;  // field 1, a varint
    prefix += static_cast<char>(tag_of_id);
    while (id >= 0x80) {
        prefix += static_cast<char>((id & 0x7fU) | 0x80U);
        id >>= 7U;
    }
    prefix += static_cast<char>(id);
    return prefix;
}

// Sets the timeout that a command asks for; true when it was refused.
bool refuse_timeout(const std::string& text, Exchange& exchange) {
    constexpr std::int64_t ns_per_ms = 1'000'000;
    exchange.parameters = {};
    if (text.empty()) {
        return false;
    }
    const auto timeout_ns = parse_duration(text);
    if (!timeout_ns || *timeout_ns > timeout_ms_max * ns_per_ms) {
        respond_invalid(exchange,
                        "timeout must be a duration of more than zero and at most 60s, not " +
                            shown(text) + ".");
        return true;
    }
    exchange.parameters.timeout_ms = static_cast<int>((*timeout_ns + ns_per_ms - 1) / ns_per_ms);
    return false;
}

}  // namespace

StreamMultiplexer::StreamMultiplexer(StreamHub& hub, Backend& backend, const ApiOptions& api,
                                     const MultiplexLimits& limits, StreamEncoding encoding)
    : hub_(hub), backend_(backend), api_(api), limits_(limits), encoding_(encoding) {}

StreamMultiplexer::~StreamMultiplexer() = default;

FrameLimits StreamMultiplexer::frame_limits() const {
    FrameLimits limits;
    // Room for the largest value in base64.
    limits.message_bytes_max = 2 * api_.max_value_bytes + (std::size_t{64} << 10);
    // Clients cut messages into pieces of some KiB.
    limits.fragments_max =
        std::max(limits.fragments_max, static_cast<std::uint32_t>(limits.message_bytes_max / 2048));
    return limits;
}

void StreamMultiplexer::detach(StreamHub* hub) {
    on_ready = nullptr;
    for (auto& [id, channel] : channels_) {
        channel.subscription->on_ready = nullptr;
        if (hub != nullptr) {
            hub->unsubscribe(*channel.subscription);
        }
    }
    channels_.clear();
    for (auto& [id, command] : commands_) {
        command->operation->on_done = nullptr;
    }
    commands_.clear();
    ready_.clear();
    answers_.clear();
    answer_bytes_ = 0;
}

std::optional<CloseReason> StreamMultiplexer::receive(std::string_view bytes, bool is_text) {
    if (is_text != (encoding_ == StreamEncoding::json)) {
        return CloseReason{
            close_code::unsupported_data,
            is_text ? "cairn.v1.proto takes binary messages" : "cairn.v1.json takes text messages"};
    }
    v1::ClientMessage message;
    if (!parse(bytes, message)) {
        return std::nullopt;
    }
    if (!message.has_id()) {
        answer_problem(std::nullopt, Code::invalid,
                       "A message has an id, which its answers carry.");
        return std::nullopt;
    }
    switch (message.request_case()) {
        case v1::ClientMessage::kSubscribe:
            subscribe(message.id(), message.subscribe());
            break;
        case v1::ClientMessage::kUnsubscribe:
            unsubscribe(message.id());
            break;
        case v1::ClientMessage::kInput:
            execute(message.id(), message);
            break;
        case v1::ClientMessage::REQUEST_NOT_SET:
            answer_problem(message.id(), Code::invalid,
                           "A message holds one of subscribe, unsubscribe and input.");
            break;
    }
    return std::nullopt;
}

// False when it was answered.
bool StreamMultiplexer::parse(std::string_view bytes, v1::ClientMessage& message) {
    if (encoding_ == StreamEncoding::protobuf) {
        if (message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
            message.DiscardUnknownFields();
            return true;
        }
        answer_problem(std::nullopt, Code::invalid, "The message is not a ClientMessage.");
        return false;
    }
    const CheckedJson checked = check_json(bytes);
    if (!checked.fault.empty()) {
        answer_problem(checked.id, Code::invalid, "The message " + checked.fault + ".");
        return false;
    }
    const auto status = protobuf_json::JsonStringToMessage({bytes.data(), bytes.size()}, &message);
    if (status.ok()) {
        return true;
    }
    constexpr std::size_t reason_bytes_max = 200;
    const std::string reason(status.message().data(), status.message().size());
    answer_problem(checked.id, Code::invalid,
                   "The message is not understood: " + reason.substr(0, reason_bytes_max));
    return false;
}

bool StreamMultiplexer::refuse_id(std::uint64_t id) {
    if (channels_.count(id) == 0 && commands_.count(id) == 0) {
        return false;
    }
    answer_problem(id, Code::invalid,
                   "This id is in use on this WebSocket; what it stands for goes on.");
    return true;
}

void StreamMultiplexer::subscribe(std::uint64_t id, const v1::Subscribe& subscribe) {
    if (refuse_id(id)) {
        return;
    }
    StreamRequest request;
    request.encoding = encoding_;
    request.name = subscribe.name();
    request.prefix = subscribe.prefix();
    if (subscribe.kind() == v1::Subscribe::watch) {
        request.kind = StreamRequest::Kind::watch;
    } else if (subscribe.kind() == v1::Subscribe::events) {
        request.kind = StreamRequest::Kind::events;
    } else {
        return answer_problem(id, Code::invalid, "The kind of a subscription is watch or events.");
    }
    if (!is_name(request.name, request.prefix)) {
        return answer_problem(id, Code::invalid, name_rule);
    }
    if (!subscribe.cursor().empty()) {
        request.cursor = fsm::Cursor::parse(subscribe.cursor());
        if (!request.cursor) {
            return answer_problem(id, Code::invalid, "cursor must be one that a stream gave.");
        }
    }
    if (channels_.size() >= limits_.subscriptions_max) {
        return answer_problem(id, Code::overloaded,
                              "There are as many subscriptions as one WebSocket may have "
                              "(--max-socket-subscriptions).");
    }
    auto subscription = hub_.subscribe(std::move(request));
    if (!subscription) {
        return answer_problem(id, Code::overloaded,
                              "There are as many streams as this node takes.");
    }
    subscription->on_ready = [this, id] { mark_ready(id); };
    const bool is_opening = subscription->state() == Subscription::State::opening;
    channels_.emplace(id, Channel{std::move(subscription)});
    if (!is_opening) {
        mark_ready(id);
    }
}

void StreamMultiplexer::unsubscribe(std::uint64_t id) {
    const auto found = channels_.find(id);
    if (found == channels_.end()) {
        return answer_problem(id, Code::not_found, "There is no subscription with this id.");
    }
    const auto cursor = found->second.subscription->cursor();
    end_channel(id);
    answer(StreamMessage::make(encoding_, [&](std::string& out) {
        if (encoding_ == StreamEncoding::protobuf) {
            v1::ServerMessage message;
            message.set_id(id);
            message.mutable_unsubscribed();
            message.set_cursor(cursor ? cursor->format() : "");
            message.AppendToString(&out);
            return;
        }
        out += id_prefix(id, encoding_);
        out += "\"type\":\"unsubscribed\"";
        if (cursor) {
            out += ",\"cursor\":";
            append_json_string(cursor->format(), out);
        }
        out += '}';
    }));
}

void StreamMultiplexer::execute(std::uint64_t id, const v1::ClientMessage& message) {
    if (refuse_id(id)) {
        return;
    }
    auto command = std::make_unique<Command>();
    command->operation = std::make_shared<Operation>();
    Exchange& exchange = command->exchange;
    exchange.reset();
    exchange.is_write = true;  // until the input says otherwise
    exchange.is_binary = encoding_ == StreamEncoding::protobuf;
    exchange.name = message.name();
    if (commands_.size() >= limits_.commands_max) {
        respond_problem(exchange, Code::overloaded,
                        "There are as many commands in work as one WebSocket may have "
                        "(--max-socket-commands).");
        return answer_error(id, exchange);
    }
    if (!is_name(exchange.name, false)) {
        respond_invalid(exchange, name_rule);
        return answer_error(id, exchange);
    }
    const std::string& key = message.idempotency_key();
    if (refuse_timeout(message.timeout(), exchange) ||
        (!key.empty() && refuse_idempotency_key(key, exchange)) ||
        decide_input(message.input(), api_, *command->operation, exchange) == Decision::respond) {
        return answer_error(id, exchange);
    }
    const std::shared_ptr<Operation> operation = command->operation;
    operation->on_done = [this, id] { finished(id); };
    commands_.emplace(id, std::move(command));
    backend_.submit(operation);
}

void StreamMultiplexer::finished(std::uint64_t id) {
    const auto found = commands_.find(id);
    const std::unique_ptr<Command> command = std::move(found->second);
    commands_.erase(found);
    Exchange& exchange = command->exchange;
    render(*command->operation, backend_.view(), exchange);
    if (exchange.is_read && is_full()) {
        exchange.response.reset();
        respond_problem(exchange, Code::overloaded,
                        "This client doesn't take its answers as fast as it asks.");
    }
    if (exchange.response.status == 200) {
        answer_output(id, *command);
    } else {
        answer_error(id, exchange);
    }
}

void StreamMultiplexer::mark_ready(std::uint64_t id) {
    Channel& channel = channels_.at(id);
    if (!std::exchange(channel.is_ready, true)) {
        ready_.push_back(id);
    }
    if (on_ready) {
        on_ready();
    }
}

void StreamMultiplexer::end_channel(std::uint64_t id) {
    const auto found = channels_.find(id);
    hub_.unsubscribe(*found->second.subscription);
    channels_.erase(found);  // ready_ may still name it
}

std::optional<OutgoingFrame> StreamMultiplexer::take() {
    while (true) {
        if (!answers_.empty()) {
            SharedMessage message = std::move(answers_.front());
            answers_.pop_front();
            answer_bytes_ -= message->size();
            return OutgoingFrame(std::move(message));
        }
        if (ready_.empty()) {
            return std::nullopt;
        }
        const std::uint64_t id = ready_.front();
        ready_.pop_front();
        const auto found = channels_.find(id);
        // A channel that took the id of one that is gone stands there itself.
        if (found == channels_.end() || !std::exchange(found->second.is_ready, false)) {
            continue;
        }
        if (auto frame = take_from(id, found->second)) {
            return frame;
        }
    }
}

std::optional<OutgoingFrame> StreamMultiplexer::take_from(std::uint64_t id, Channel& channel) {
    Subscription& subscription = *channel.subscription;
    SharedMessage message = subscription.next();
    if (message) {
        // One that ended while it owed this message doesn't say so again.
        if (subscription.has_next() || subscription.state() != Subscription::State::open) {
            channel.is_ready = true;
            ready_.push_back(id);
        }
        const std::size_t skipped_bytes = encoding_ == StreamEncoding::json ? 1 : 0;  // its {
        return OutgoingFrame(std::move(message), id_prefix(id, encoding_), skipped_bytes,
                             encoding_);
    }
    Exchange exchange;
    std::string cursor;
    if (subscription.state() == Subscription::State::failed) {
        render_failure(subscription.failure(), backend_.view().leader.load(), exchange);
    } else if (subscription.state() == Subscription::State::overflowed) {
        cursor = subscription.cursor() ? subscription.cursor()->format() : "";
        respond_problem(exchange, Code::overloaded,
                        subscription.history_lost()
                            ? "Events before the present were lost here: subscribe again."
                            : "This subscription's reader is too slow: subscribe again.");
    } else {
        return std::nullopt;
    }
    end_channel(id);
    answer_error(id, exchange, cursor);
    return std::nullopt;
}

void StreamMultiplexer::answer(SharedMessage message) {
    const std::size_t bytes = message->size();
    const StreamMessage* const plain = message.get();
    answer_bytes_ += bytes;
    *held_bytes_ += bytes;
    answers_.emplace_back(plain, [held = held_bytes_, bytes, message = std::move(message)](
                                     const StreamMessage* /*gone*/) { *held -= bytes; });
    if (on_ready) {
        on_ready();
    }
}

void StreamMultiplexer::answer_output(std::uint64_t id, const Command& command) {
    const bool is_replayed = command.operation->output.replayed;
    const std::string& body = command.exchange.response.body;
    answer(StreamMessage::make(encoding_, [&](std::string& out) {
        out += id_prefix(id, encoding_);
        if (encoding_ == StreamEncoding::json) {
            out += is_replayed ? "\"replayed\":true,\"output\":" : "\"output\":";
            out += body;
            out += '}';
            return;
        }
        v1::ServerMessage message;
        message.set_replayed(is_replayed);
        message.mutable_output()->ParseFromString(body);
        message.AppendToString(&out);
    }));
}

void StreamMultiplexer::answer_error(Id id, const Exchange& exchange, std::string_view cursor) {
    const std::string& body = exchange.response.body;
    answer(StreamMessage::make(encoding_, [&](std::string& out) {
        if (encoding_ == StreamEncoding::json) {
            out += id ? id_prefix(*id, encoding_) : "{\"id\":null,";
            if (!cursor.empty()) {
                out += "\"cursor\":";
                append_json_string(cursor, out);
                out += ',';
            }
            out += "\"error\":";
            out += body;
            out += '}';
            return;
        }
        v1::ServerMessage message;
        if (id) {
            message.set_id(*id);
        }
        message.set_cursor(cursor.data(), cursor.size());
        // The one place that words problems writes JSON.
        protobuf_json::JsonParseOptions options;
        options.ignore_unknown_fields = true;
        if (!protobuf_json::JsonStringToMessage(body, message.mutable_error(), options).ok()) {
            message.mutable_error()->set_status(exchange.response.status);
        }
        message.AppendToString(&out);
    }));
}

void StreamMultiplexer::answer_problem(Id id, Code code, std::string_view detail) {
    Exchange exchange;
    respond_problem(exchange, code, detail);
    answer_error(id, exchange);
}

}  // namespace cairn::server
