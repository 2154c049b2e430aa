#include "server/streams/stream_protobuf.h"

#include "cairn/server/v1/stream.pb.h"

namespace cairn::server {
namespace {

constexpr std::int64_t ns_per_second = 1'000'000'000;

v1::ServerMessage begin_message(std::string_view cursor) {
    v1::ServerMessage message;
    message.set_cursor(cursor.data(), cursor.size());
    return message;
}

// A permanent value gets none.
template <typename Message>
void set_expire(const fsm::Value& value, std::int64_t utc_offset_ns, Message& message) {
    if (value.deadline_ns == 0) {
        return;
    }
    const std::int64_t at_ns = value.deadline_ns + utc_offset_ns;
    std::int64_t seconds = at_ns / ns_per_second;
    std::int64_t nanoseconds = at_ns % ns_per_second;
    if (nanoseconds < 0) {
        nanoseconds += ns_per_second;
        --seconds;
    }
    message.mutable_expire()->set_seconds(seconds);
    message.mutable_expire()->set_nanos(static_cast<std::int32_t>(nanoseconds));
}

template <typename Message>
void set_value(std::string_view name, const fsm::Value& value, Message& message) {
    message.set_name(name.data(), name.size());
    message.set_value(*value.bytes);
    message.set_index(value.index);
}

}  // namespace

void append_watch_value_protobuf(std::string_view name, const fsm::Value& value,
                                 std::int64_t utc_offset_ns, std::string_view cursor,
                                 std::string& out) {
    v1::ServerMessage message = begin_message(cursor);
    set_value(name, value, *message.mutable_value());
    set_expire(value, utc_offset_ns, *message.mutable_value());
    message.AppendToString(&out);
}

void append_watch_absent_protobuf(std::string_view name, fsm::Index index, bool expired,
                                  std::string_view cursor, std::string& out) {
    v1::ServerMessage message = begin_message(cursor);
    v1::WatchedValue& absent = *message.mutable_value();
    absent.set_name(name.data(), name.size());
    absent.set_index(index);
    absent.set_expired(expired);
    message.AppendToString(&out);
}

void append_event_protobuf(const fsm::Event& event, std::int64_t utc_offset_ns,
                           std::string_view cursor, std::string& out) {
    v1::ServerMessage message = begin_message(cursor);
    switch (event.kind) {
        case fsm::Event::Kind::created:
            set_value(event.name, event.value, *message.mutable_created());
            set_expire(event.value, utc_offset_ns, *message.mutable_created());
            break;
        case fsm::Event::Kind::updated:
            set_value(event.name, event.value, *message.mutable_updated());
            set_expire(event.value, utc_offset_ns, *message.mutable_updated());
            if (event.prev_value) {
                auto& before = *message.mutable_updated()->mutable_prev_value();
                before.set_value(*event.prev_value->bytes);
                before.set_index(event.prev_value->index);
            }
            break;
        case fsm::Event::Kind::deleted:
            set_value(event.name, event.value, *message.mutable_deleted());
            message.mutable_deleted()->set_expired(event.expired);
            message.mutable_deleted()->set_deleted_index(event.at_index);
            break;
    }
    message.AppendToString(&out);
}

void append_watch_event_protobuf(const fsm::Event& event, std::int64_t utc_offset_ns,
                                 std::string_view cursor, std::string& out) {
    if (event.kind == fsm::Event::Kind::deleted) {
        append_watch_absent_protobuf(event.name, event.at_index, event.expired, cursor, out);
    } else {
        append_watch_value_protobuf(event.name, event.value, utc_offset_ns, cursor, out);
    }
}

void append_subscribed_protobuf(std::string_view cursor, std::string& out) {
    v1::ServerMessage message = begin_message(cursor);
    message.mutable_subscribed();
    message.AppendToString(&out);
}

void append_progress_protobuf(std::string_view cursor, std::string& out) {
    v1::ServerMessage message = begin_message(cursor);
    message.mutable_progress();
    message.AppendToString(&out);
}

void append_gap_protobuf(std::string_view cursor, std::string& out) {
    v1::ServerMessage message = begin_message(cursor);
    message.mutable_gap();
    message.AppendToString(&out);
}

}  // namespace cairn::server
