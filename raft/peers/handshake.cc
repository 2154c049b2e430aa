#include "raft/peers/handshake.h"

#include <algorithm>

#include "cairn/raft/v1/wire.pb.h"
#include "raft/base/crc32c.h"
#include "raft/core/invariant.h"
#include "raft/core/little_endian.h"

namespace cairn::raft {

namespace {

constexpr std::size_t magic_bytes = 8;
constexpr std::size_t length_offset = 8;
constexpr std::size_t checksum_offset = 12;
constexpr std::size_t text_bytes_max = 512;

// Two of them, so that an echo, or a connection that met itself, is not taken for an answer.
std::string_view magic_of(HandshakeKind kind) {
    return kind == HandshakeKind::hello ? std::string_view("CAIRNHLO", magic_bytes)
                                        : std::string_view("CAIRNRPL", magic_bytes);
}

std::uint32_t checksum_of(const char* prefix, std::string_view body) {
    return crc32c(body, crc32c({prefix, checksum_offset}));
}

bool is_printable(std::string_view text, char first) {
    return std::all_of(text.begin(), text.end(),
                       [first](char c) { return c >= first && c <= '~'; });
}

std::string with_prefix(HandshakeKind kind, const std::string& body) {
    RAFT_ASSERT(body.size() <= handshake_bytes_max - handshake_prefix_bytes);
    std::string bytes(magic_of(kind));
    bytes.resize(handshake_prefix_bytes);
    put_little_endian(bytes.data() + length_offset, static_cast<std::uint32_t>(body.size()));
    put_little_endian(bytes.data() + checksum_offset, checksum_of(bytes.data(), body));
    return bytes + body;
}

}  // namespace

bool is_handshake_address(std::string_view address) {
    return address.size() <= address_bytes_max && is_printable(address, '!');
}

std::string encode_hello(const Hello& hello) {
    v1::Hello wire;
    wire.set_protocol_version(hello.protocol_version);
    wire.set_cluster_id(hello.cluster_id);
    wire.set_from(hello.from);
    wire.set_to(hello.to);
    wire.set_http_address(hello.http_address);
    wire.set_raft_address(hello.raft_address);
    wire.set_disk_id(hello.disk_id);
    wire.set_replaced_disk_id(hello.replaced_disk_id);
    return with_prefix(HandshakeKind::hello, wire.SerializeAsString());
}

std::string encode_hello_reply(const HelloReply& reply) {
    v1::HelloReply wire;
    wire.set_reason(static_cast<v1::HelloReply::Reason>(reply.reason));
    wire.set_text(reply.text);
    wire.set_http_address(reply.http_address);
    return with_prefix(HandshakeKind::hello_reply, wire.SerializeAsString());
}

bool decode_hello(std::string_view body, Hello& hello) {
    v1::Hello wire;
    if (!wire.ParseFromArray(body.data(), static_cast<int>(body.size())) || wire.from() == 0 ||
        !is_handshake_address(wire.http_address()) || !is_handshake_address(wire.raft_address())) {
        return false;
    }
    hello.protocol_version = wire.protocol_version();
    hello.cluster_id = wire.cluster_id();
    hello.from = wire.from();
    hello.to = wire.to();
    hello.http_address = wire.http_address();
    hello.raft_address = wire.raft_address();
    hello.disk_id = wire.disk_id();
    hello.replaced_disk_id = wire.replaced_disk_id();
    return true;
}

bool decode_hello_reply(std::string_view body, HelloReply& reply) {
    v1::HelloReply wire;
    if (!wire.ParseFromArray(body.data(), static_cast<int>(body.size())) || wire.reason() < 1 ||
        wire.reason() > 255 || wire.text().size() > text_bytes_max ||
        !is_printable(wire.text(), ' ') || !is_handshake_address(wire.http_address())) {
        return false;
    }
    reply.reason = static_cast<HandshakeReason>(wire.reason());
    reply.text = wire.text();
    reply.http_address = wire.http_address();
    return true;
}

HandshakeReason validate_hello(const Hello& hello, const HandshakeExpectation& expected) {
    if (hello.protocol_version != protocol_version) {
        return HandshakeReason::protocol_version;
    }
    if (hello.cluster_id != expected.cluster_id) {
        return HandshakeReason::wrong_cluster;
    }
    if (hello.to != expected.node_id) {
        return HandshakeReason::wrong_node;
    }
    if (hello.from == expected.node_id) {
        return HandshakeReason::other_disk;  // two nodes with one id
    }
    if (std::binary_search(expected.removed.begin(), expected.removed.end(), hello.from)) {
        return HandshakeReason::removed;
    }
    const auto known = std::find_if(expected.members.begin(), expected.members.end(),
                                    [&](const Member& member) { return member.id == hello.from; });
    if (known == expected.members.end() || known->disk_id == hello.disk_id ||
        known->disk_id == any_disk_id || hello.disk_id == 0) {
        return HandshakeReason::accepted;
    }
    if (hello.replaced_disk_id != 0) {
        return HandshakeReason::readmission;
    }
    return known->disk_id == 0 ? HandshakeReason::accepted : HandshakeReason::other_disk;
}

std::string refusal_text(HandshakeReason reason, const Hello& hello,
                         const HandshakeExpectation& expected) {
    const std::string here = "node " + std::to_string(expected.node_id);
    const std::string there = "node " + std::to_string(hello.from);
    switch (reason) {
        case HandshakeReason::accepted:
            return {};
        case HandshakeReason::protocol_version:
            return here + " speaks version " + std::to_string(protocol_version) +
                   " of the protocol, " + there + " speaks version " +
                   std::to_string(hello.protocol_version);
        case HandshakeReason::wrong_cluster:
            return here + " belongs to another cluster than " + there + " (" +
                   std::to_string(hello.cluster_id) + ")";
        case HandshakeReason::wrong_node:
            return "this address is " + here + "'s, " + there + " wants node " +
                   std::to_string(hello.to);
        case HandshakeReason::removed:
            return there + " was removed from the cluster";
        case HandshakeReason::other_disk:
            return "the cluster knows " + there +
                   " with another data directory; where that is lost, remove the member and add "
                   "one with a new id";
        case HandshakeReason::readmission:
            return there + " lost its data and waits to be taken in again";
    }
    return "unknown reason";
}

const char* to_string(HandshakeStatus status) {
    switch (status) {
        case HandshakeStatus::incomplete:
            return "incomplete handshake";
        case HandshakeStatus::complete:
            return "complete handshake";
        case HandshakeStatus::foreign:
            return "it does not speak our protocol";
        case HandshakeStatus::too_long:
            return "handshake too long";
        case HandshakeStatus::damaged:
            return "handshake checksum does not match";
    }
    return "unknown status";
}

std::span<char> HandshakeBuffer::space() {
    return std::span<char>(bytes_).subspan(size_, wanted_ - size_);
}

HandshakeStatus HandshakeBuffer::commit(std::size_t bytes) {
    RAFT_ASSERT(bytes <= wanted_ - size_);
    size_ += bytes;
    const std::string_view magic = magic_of(kind_);
    const std::size_t comparable = std::min(size_, magic_bytes);
    if (std::string_view(bytes_.data(), comparable) != magic.substr(0, comparable)) {
        return HandshakeStatus::foreign;
    }
    if (size_ < handshake_prefix_bytes) {
        return HandshakeStatus::incomplete;
    }
    const auto length = get_little_endian<std::uint32_t>(bytes_.data() + length_offset);
    if (length > handshake_bytes_max - handshake_prefix_bytes) {
        return HandshakeStatus::too_long;
    }
    wanted_ = handshake_prefix_bytes + length;
    if (size_ < wanted_) {
        return HandshakeStatus::incomplete;
    }
    const auto checksum = get_little_endian<std::uint32_t>(bytes_.data() + checksum_offset);
    return checksum == checksum_of(bytes_.data(), body()) ? HandshakeStatus::complete
                                                          : HandshakeStatus::damaged;
}

std::string_view HandshakeBuffer::body() const {
    return {bytes_.data() + handshake_prefix_bytes, size_ - handshake_prefix_bytes};
}

}  // namespace cairn::raft
