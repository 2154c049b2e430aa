// The bytes of commands and outputs: what a gateway proposes, what nodes send each other about it,
// and the seed's outputs. Plain functions without state, for any thread.
//
// The encode_* functions append a serialized cairn.server.v1.Command to `out`, byte for byte what
// protobuf writes, without building the message first. They don't judge: a bad name or ttl is
// encoded as it is and refused when it is applied. decode_output reads a peer's bytes: it judges
// everything.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "fsm/types.h"

namespace google::protobuf {
class Duration;
}
namespace atomix::multiraft::atomic::value::v1 {
class AtomicValueOutput;
}
namespace cairn::server::v1 {
class CommandOutput;
}

namespace cairn::fsm {

// Under which key the outcome is kept, and what tells another request with the same key. No key:
// it isn't kept.
struct Idempotency {
    std::string_view key;
    std::uint64_t fingerprint = 0;
};

// Without a ttl the value becomes permanent.
void encode_set(std::string_view name, std::string_view value, std::optional<std::int64_t> ttl_ns,
                bool create_only, std::string& out, const Idempotency& idempotency = {});
// prev_index 0: any value, but there must be one.
void encode_update(std::string_view name, std::string_view value,
                   std::optional<std::int64_t> ttl_ns, Index prev_index, std::string& out,
                   const Idempotency& idempotency = {});
void encode_delete(std::string_view name, Index prev_index, std::string& out,
                   const Idempotency& idempotency = {});
// `input` is a serialized AtomicValueInput, passed on as it is.
void encode_input(std::string_view name, std::string_view input, std::string& out,
                  const Idempotency& idempotency = {});
// Whether a disk that is nearly full is no place for the command: it stores something, or is no
// command that this version understands. Not so reads, clock commands and deletes, as long as they
// are not padded.
bool needs_room(std::string_view command);

void encode_clock(std::optional<std::int64_t> utc_offset_ns, std::string& out);

// The ttl in nanoseconds, exactly; none when it isn't a well-formed duration (nanos out of range,
// mixed signs), not positive, or longer than ttl_ns_max.
std::optional<std::int64_t> ttl_ns_of(const google::protobuf::Duration& ttl);

// Whether the parts of an output fit together as in those that apply() makes, so that who reads it
// needn't doubt.
bool is_coherent(const Output& output);

// Output on the wire between nodes. `message` must be empty before.
void encode_output(const Output& output, server::v1::CommandOutput& message);
// None when it isn't an output that apply() could have made. Takes the bytes out of `message`.
std::optional<Output> decode_output(server::v1::CommandOutput&& message);

// The seed's output; false, and nothing written, where it has none: a status other than ok, or a
// command that isn't an input.
bool encode_value_output(const Output& output,
                         ::atomix::multiraft::atomic::value::v1::AtomicValueOutput& message);

}  // namespace cairn::fsm
