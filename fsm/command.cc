#include "fsm/command.h"

#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>

#include <google/protobuf/duration.pb.h>

#include "cairn/server/v1/command.pb.h"

namespace cairn::fsm {

namespace {

namespace seed = ::atomix::multiraft::atomic::value::v1;

constexpr std::int64_t nanoseconds_per_second = 1'000'000'000;

// Protobuf's wire format, as much of it as the commands need. A field's tag is its number and its
// wire type; fields with their default value aren't written, except submessages and optional ones.
constexpr std::uint64_t varint_tag(int field) {
    return static_cast<std::uint64_t>(field) << 3;
}
constexpr std::uint64_t fixed64_tag(int field) {
    return varint_tag(field) | 1;
}
constexpr std::uint64_t bytes_tag(int field) {
    return varint_tag(field) | 2;
}

constexpr std::size_t varint_size(std::uint64_t number) {
    std::size_t size = 1;
    for (; number >= 0x80; number >>= 7) {
        ++size;
    }
    return size;
}

void append_varint(std::uint64_t number, std::string& out) {
    for (; number >= 0x80; number >>= 7) {
        out += static_cast<char>(number | 0x80);
    }
    out += static_cast<char>(number);
}

constexpr std::size_t number_field_size(int field, std::uint64_t number) {
    return number == 0 ? 0 : varint_size(varint_tag(field)) + varint_size(number);
}

void append_number_field(int field, std::uint64_t number, std::string& out) {
    if (number != 0) {
        append_varint(varint_tag(field), out);
        append_varint(number, out);
    }
}

// A submessage of `size` bytes: its header and them.
constexpr std::size_t message_field_size(int field, std::size_t size) {
    return varint_size(bytes_tag(field)) + varint_size(size) + size;
}

void append_message_header(int field, std::size_t size, std::string& out) {
    append_varint(bytes_tag(field), out);
    append_varint(size, out);
}

constexpr std::size_t bytes_field_size(int field, std::string_view bytes) {
    return bytes.empty() ? 0 : message_field_size(field, bytes.size());
}

void append_bytes_field(int field, std::string_view bytes, std::string& out) {
    if (!bytes.empty()) {
        append_message_header(field, bytes.size(), out);
        out += bytes;
    }
}

// google.protobuf.Duration: both parts have the sign of the whole.
struct DurationParts {
    explicit DurationParts(std::int64_t ttl_ns)
        : seconds(static_cast<std::uint64_t>(ttl_ns / nanoseconds_per_second)),
          nanos(static_cast<std::uint64_t>(ttl_ns % nanoseconds_per_second)) {}

    std::size_t size() const {
        return number_field_size(google::protobuf::Duration::kSecondsFieldNumber, seconds) +
               number_field_size(google::protobuf::Duration::kNanosFieldNumber, nanos);
    }

    std::uint64_t seconds;
    std::uint64_t nanos;
};

std::size_t ttl_field_size(int field, std::optional<std::int64_t> ttl_ns) {
    return ttl_ns ? message_field_size(field, DurationParts(*ttl_ns).size()) : 0;
}

void append_ttl_field(int field, std::optional<std::int64_t> ttl_ns, std::string& out) {
    if (ttl_ns) {
        const DurationParts parts(*ttl_ns);
        append_message_header(field, parts.size(), out);
        append_number_field(google::protobuf::Duration::kSecondsFieldNumber, parts.seconds, out);
        append_number_field(google::protobuf::Duration::kNanosFieldNumber, parts.nanos, out);
    }
}

void append_fixed64_field(int field, std::uint64_t number, std::string& out) {
    append_varint(fixed64_tag(field), out);
    for (int shift = 0; shift < 64; shift += 8) {
        out += static_cast<char>(number >> shift);
    }
}

constexpr std::size_t fixed64_field_size(int field) {
    return varint_size(fixed64_tag(field)) + sizeof(std::uint64_t);
}

// Everything of a Command around an AtomicValueInput of `input_size` bytes that `append_input`
// writes.
template <typename AppendInput>
void append_value_command(std::string_view name, std::size_t input_size, bool create_only,
                          const Idempotency& idempotency, std::string& out,
                          const AppendInput& append_input) {
    using server::v1::Command;
    using server::v1::ValueCommand;
    constexpr int fingerprint_field = ValueCommand::kIdempotencyFingerprintFieldNumber;
    const std::size_t size =
        bytes_field_size(ValueCommand::kNameFieldNumber, name) +
        message_field_size(ValueCommand::kInputFieldNumber, input_size) +
        number_field_size(ValueCommand::kCreateOnlyFieldNumber, create_only ? 1 : 0) +
        bytes_field_size(ValueCommand::kIdempotencyKeyFieldNumber, idempotency.key) +
        (idempotency.fingerprint != 0 ? fixed64_field_size(fingerprint_field) : 0);
    const std::size_t end = out.size() + message_field_size(Command::kValueFieldNumber, size);
    if (out.capacity() < end) {
        // At least twice, so that many commands appended to one string don't copy it each time.
        out.reserve(std::max(end, out.capacity() * 2));
    }
    append_message_header(Command::kValueFieldNumber, size, out);
    append_bytes_field(ValueCommand::kNameFieldNumber, name, out);
    append_message_header(ValueCommand::kInputFieldNumber, input_size, out);
    append_input();
    append_number_field(ValueCommand::kCreateOnlyFieldNumber, create_only ? 1 : 0, out);
    append_bytes_field(ValueCommand::kIdempotencyKeyFieldNumber, idempotency.key, out);
    if (idempotency.fingerprint != 0) {
        append_fixed64_field(fingerprint_field, idempotency.fingerprint, out);
    }
}

void encode_value(const Value& value, server::v1::StoredValue& message) {
    message.set_bytes(*value.bytes);
    message.set_index(value.index);
    message.set_deadline_ns(value.deadline_ns);
}

std::optional<Value> decode_value(server::v1::StoredValue& message) {
    if (message.index() == 0 || message.deadline_ns() < 0) {
        return std::nullopt;
    }
    Value value;
    value.bytes = std::make_shared<const std::string>(std::move(*message.mutable_bytes()));
    value.index = message.index();
    value.deadline_ns = message.deadline_ns();
    return value;
}

void encode_seed_value(const Value& value, seed::Value& message) {
    message.set_value(*value.bytes);
    message.set_index(value.index);
}

}  // namespace

void encode_set(std::string_view name, std::string_view value, std::optional<std::int64_t> ttl_ns,
                bool create_only, std::string& out, const Idempotency& idempotency) {
    using seed::SetInput;
    const std::size_t size = bytes_field_size(SetInput::kValueFieldNumber, value) +
                             ttl_field_size(SetInput::kTtlFieldNumber, ttl_ns);
    constexpr int field = seed::AtomicValueInput::kSetFieldNumber;
    append_value_command(name, message_field_size(field, size), create_only, idempotency, out, [&] {
        append_message_header(field, size, out);
        append_bytes_field(SetInput::kValueFieldNumber, value, out);
        append_ttl_field(SetInput::kTtlFieldNumber, ttl_ns, out);
    });
}

void encode_update(std::string_view name, std::string_view value,
                   std::optional<std::int64_t> ttl_ns, Index prev_index, std::string& out,
                   const Idempotency& idempotency) {
    using seed::UpdateInput;
    const std::size_t size = bytes_field_size(UpdateInput::kValueFieldNumber, value) +
                             number_field_size(UpdateInput::kPrevIndexFieldNumber, prev_index) +
                             ttl_field_size(UpdateInput::kTtlFieldNumber, ttl_ns);
    constexpr int field = seed::AtomicValueInput::kUpdateFieldNumber;
    append_value_command(name, message_field_size(field, size), false, idempotency, out, [&] {
        append_message_header(field, size, out);
        append_bytes_field(UpdateInput::kValueFieldNumber, value, out);
        append_number_field(UpdateInput::kPrevIndexFieldNumber, prev_index, out);
        append_ttl_field(UpdateInput::kTtlFieldNumber, ttl_ns, out);
    });
}

void encode_delete(std::string_view name, Index prev_index, std::string& out,
                   const Idempotency& idempotency) {
    using seed::DeleteInput;
    const std::size_t size = number_field_size(DeleteInput::kPrevIndexFieldNumber, prev_index);
    constexpr int field = seed::AtomicValueInput::kDeleteFieldNumber;
    append_value_command(name, message_field_size(field, size), false, idempotency, out, [&] {
        append_message_header(field, size, out);
        append_number_field(DeleteInput::kPrevIndexFieldNumber, prev_index, out);
    });
}

void encode_input(std::string_view name, std::string_view input, std::string& out,
                  const Idempotency& idempotency) {
    append_value_command(name, input.size(), false, idempotency, out, [&] { out += input; });
}

void encode_clock(std::optional<std::int64_t> utc_offset_ns, std::string& out) {
    using server::v1::ClockCommand;
    constexpr int field = ClockCommand::kUtcOffsetNsFieldNumber;
    const std::size_t size = utc_offset_ns ? fixed64_field_size(field) : 0;
    append_message_header(server::v1::Command::kClockFieldNumber, size, out);
    if (utc_offset_ns) {
        append_fixed64_field(field, static_cast<std::uint64_t>(*utc_offset_ns), out);
    }
}

bool needs_room(std::string_view command) {
    // The largest name and idempotency key with room to spare: what is longer is no plain delete.
    constexpr std::size_t plain_bytes_max = 1024;
    server::v1::Command parsed;
    if (command.size() > plain_bytes_max ||
        !parsed.ParseFromArray(command.data(), static_cast<int>(command.size()))) {
        return true;
    }
    switch (parsed.command_case()) {
        case server::v1::Command::kClock:
            return false;
        case server::v1::Command::kValue:
            return parsed.value().input().input_case() != seed::AtomicValueInput::kDelete &&
                   parsed.value().input().input_case() != seed::AtomicValueInput::kGet;
        case server::v1::Command::COMMAND_NOT_SET:
            break;
    }
    return true;
}

std::optional<std::int64_t> ttl_ns_of(const google::protobuf::Duration& ttl) {
    constexpr std::int64_t seconds_max = ttl_ns_max / nanoseconds_per_second;
    // A negative part is either a ttl that isn't positive or one whose signs differ.
    if (ttl.seconds() < 0 || ttl.seconds() > seconds_max || ttl.nanos() < 0 ||
        ttl.nanos() >= nanoseconds_per_second) {
        return std::nullopt;
    }
    const std::int64_t ttl_ns = ttl.seconds() * nanoseconds_per_second + ttl.nanos();
    if (ttl_ns == 0 || ttl_ns > ttl_ns_max) {
        return std::nullopt;
    }
    return ttl_ns;
}

bool is_coherent(const Output& output) {
    using Kind = Output::Kind;
    const bool ok = output.status == Status::ok;
    const bool has_value = ok && (output.kind == Kind::get || output.kind == Kind::remove);
    const bool has_prev_value = ok && output.kind == Kind::update;
    const bool has_index = (ok && output.kind != Kind::none) || output.status == Status::conflict ||
                           output.status == Status::already_exists;
    const bool is_kept = output.kind != Kind::none && output.status != Status::invalid &&
                         output.status != Status::idempotency_mismatch;
    return output.value.has_value() == has_value &&
           output.prev_value.has_value() == has_prev_value && (output.index != 0) == has_index &&
           (!output.created || (ok && output.kind == Kind::set)) && (!output.replayed || is_kept) &&
           (output.first_applied_index != 0) == output.replayed;
}

void encode_output(const Output& output, server::v1::CommandOutput& message) {
    message.set_status(static_cast<std::uint32_t>(output.status));
    message.set_kind(static_cast<std::uint32_t>(output.kind));
    message.set_created(output.created);
    message.set_index(output.index);
    message.set_replayed(output.replayed);
    message.set_first_applied_index(output.first_applied_index);
    if (output.value) {
        encode_value(*output.value, *message.mutable_value());
    }
    if (output.prev_value) {
        encode_value(*output.prev_value, *message.mutable_prev_value());
    }
}

std::optional<Output> decode_output(server::v1::CommandOutput&& message) {
    if (message.status() > static_cast<std::uint32_t>(Status::idempotency_mismatch) ||
        message.kind() > static_cast<std::uint32_t>(Output::Kind::remove)) {
        return std::nullopt;
    }
    Output output;
    output.status = static_cast<Status>(message.status());
    output.kind = static_cast<Output::Kind>(message.kind());
    output.created = message.created();
    output.index = message.index();
    output.replayed = message.replayed();
    output.first_applied_index = message.first_applied_index();
    if (message.has_value()) {
        output.value = decode_value(*message.mutable_value());
    }
    if (message.has_prev_value()) {
        output.prev_value = decode_value(*message.mutable_prev_value());
    }
    const bool values_decoded = output.value.has_value() == message.has_value() &&
                                output.prev_value.has_value() == message.has_prev_value();
    if (!values_decoded || !is_coherent(output)) {
        return std::nullopt;
    }
    return output;
}

bool encode_value_output(const Output& output, seed::AtomicValueOutput& message) {
    if (output.status != Status::ok) {
        return false;
    }
    switch (output.kind) {
        case Output::Kind::none:
            return false;
        case Output::Kind::get:
            encode_seed_value(*output.value, *message.mutable_get()->mutable_value());
            return true;
        case Output::Kind::set:
            message.mutable_set()->set_index(output.index);
            return true;
        case Output::Kind::update:
            message.mutable_update()->set_index(output.index);
            encode_seed_value(*output.prev_value, *message.mutable_update()->mutable_prev_value());
            return true;
        case Output::Kind::remove:
            encode_seed_value(*output.value, *message.mutable_delete_()->mutable_value());
            return true;
    }
    return false;
}

}  // namespace cairn::fsm
