#include "raft/peers/codec.h"

#include <algorithm>
#include <array>
#include <limits>

#include <google/protobuf/arena.h>

#include "cairn/raft/v1/wire.pb.h"
#include "raft/base/crc32c.h"
#include "raft/core/invariant.h"
#include "raft/core/little_endian.h"

namespace cairn::raft {

namespace {

constexpr std::uint8_t frame_version = 1;
// Control fields need less than 100 bytes but for an InstallSnapshot's configuration; the rest is
// room for fields of later versions.
constexpr std::size_t peer_message_bytes_max = 256U << 10;

constexpr std::size_t checksum_offset = 4;
constexpr std::size_t type_offset = 8;
constexpr std::size_t version_offset = 9;
constexpr std::size_t header_check_offset = 10;
constexpr std::size_t group_offset = 12;

std::uint16_t header_check(const char* header) {
    std::uint32_t sum = crc32c({header, checksum_offset});
    sum = crc32c({header + type_offset, header_check_offset - type_offset}, sum);
    sum = crc32c({header + group_offset, frame_header_bytes - group_offset}, sum);
    return static_cast<std::uint16_t>(sum);
}

// The part of the checksum that covers the header.
std::uint32_t header_sum(const char* header) {
    const std::uint32_t sum = crc32c({header, checksum_offset});
    return crc32c({header + type_offset, frame_header_bytes - type_offset}, sum);
}

// Puts one frame of a known length into an outbox and sums it up on the way.
class FrameWriter {
 public:
    FrameWriter(Outbox& outbox, FrameType type, GroupId group, std::uint64_t body_bytes)
        : outbox_(outbox), start_(outbox.arena_position()), body_bytes_left_(body_bytes) {
        char* header = outbox_.extend(frame_header_bytes);
        put_little_endian(header, static_cast<std::uint32_t>(body_bytes));
        put_little_endian(header + type_offset, static_cast<std::uint8_t>(type));
        put_little_endian(header + version_offset, frame_version);
        put_little_endian(header + group_offset, group);
        put_little_endian(header + header_check_offset, header_check(header));
        checksum_ = header_sum(header);
        summed_to_ = outbox_.arena_position();
    }

    char* extend(std::size_t size) {
        body_bytes_left_ -= size;
        return outbox_.extend(size);
    }

    void payload(const Payload& payload) {
        body_bytes_left_ -= payload.size();
        if (payload.size() <= Outbox::copied_payload_bytes_max) {
            outbox_.append(payload.view());
            return;
        }
        sum_arena();
        checksum_ = crc32c(payload.view(), checksum_);
        outbox_.append_reference(payload);
    }

    void finish() {
        RAFT_ASSERT(body_bytes_left_ == 0);
        sum_arena();
        put_little_endian(outbox_.arena_from(start_).data() + checksum_offset, checksum_);
        outbox_.end_frame();
    }

 private:
    void sum_arena() {
        const std::span<char> bytes = outbox_.arena_from(summed_to_);
        checksum_ = crc32c({bytes.data(), bytes.size()}, checksum_);
        summed_to_ = outbox_.arena_position();
    }

    Outbox& outbox_;
    std::uint64_t start_;
    std::uint64_t body_bytes_left_;
    std::uint64_t summed_to_ = 0;
    std::uint32_t checksum_ = 0;
};

void to_wire(const RequestVote& message, v1::PeerMessage& wire) {
    v1::RequestVote& fields = *wire.mutable_request_vote();
    fields.set_last_log_index(message.last_log_index);
    fields.set_last_log_term(message.last_log_term);
    fields.set_pre_vote(message.pre_vote);
    fields.set_leadership_transfer(message.leadership_transfer);
    fields.set_voter_disk_id(message.voter_disk_id);
}

void to_wire(const RequestVoteReply& message, v1::PeerMessage& wire) {
    v1::RequestVoteReply& fields = *wire.mutable_request_vote_reply();
    fields.set_pre_vote(message.pre_vote);
    fields.set_granted(message.granted);
}

void to_wire(const AppendEntries& message, v1::PeerMessage& wire) {
    v1::AppendEntries& fields = *wire.mutable_append_entries();
    fields.set_prev_log_index(message.prev_log_index);
    fields.set_prev_log_term(message.prev_log_term);
    fields.set_leader_commit(message.leader_commit);
    fields.set_read_id(message.read_id);
    fields.set_leader_clock_ns(message.leader_clock_ns);
    fields.set_entry_count(message.entries.size());
}

void to_wire(const AppendEntriesReply& message, v1::PeerMessage& wire) {
    v1::AppendEntriesReply& fields = *wire.mutable_append_entries_reply();
    fields.set_read_id(message.read_id);
    fields.set_rejected(message.rejected);
    fields.set_match_index(message.match_index);
    fields.set_rejected_prev_log_index(message.rejected_prev_log_index);
    fields.set_hint_index(message.hint_index);
    fields.set_hint_term(message.hint_term);
    fields.set_vote_promise_ns(message.vote_promise_ns);
    fields.set_disk_id(message.disk_id);
    fields.set_joined(message.joined);
}

void to_wire(const ReadIndexRequest& message, v1::PeerMessage& wire) {
    wire.mutable_read_index_request()->set_read_id(message.read_id);
}

void to_wire(const ReadIndexReply& message, v1::PeerMessage& wire) {
    v1::ReadIndexReply& fields = *wire.mutable_read_index_reply();
    fields.set_read_id(message.read_id);
    fields.set_refused(message.refused);
    fields.set_read_index(message.read_index);
}

void to_wire(const TimeoutNow&, v1::PeerMessage& wire) {
    wire.mutable_timeout_now();
}

void to_wire(const InstallSnapshot& message, v1::PeerMessage& wire) {
    v1::InstallSnapshot& fields = *wire.mutable_install_snapshot();
    fields.set_last_included_index(message.last_included.index);
    fields.set_last_included_term(message.last_included.term);
    fields.set_last_included_stamp_ns(message.last_included.stamp_ns);
    fields.set_configuration(encode_configuration(message.configuration));
    fields.set_content_bytes(message.content_bytes);
    fields.set_offset(message.offset);
    fields.set_leader_clock_ns(message.leader_clock_ns);
    fields.set_content_crc(message.content_crc);
}

void to_wire(const InstallSnapshotReply& message, v1::PeerMessage& wire) {
    v1::InstallSnapshotReply& fields = *wire.mutable_install_snapshot_reply();
    fields.set_last_included_index(message.last_included_index);
    fields.set_next_offset(message.next_offset);
}

RequestVote from_wire(const v1::RequestVote& fields) {
    return {.header = {},
            .last_log_index = fields.last_log_index(),
            .last_log_term = fields.last_log_term(),
            .pre_vote = fields.pre_vote(),
            .leadership_transfer = fields.leadership_transfer(),
            .voter_disk_id = fields.voter_disk_id()};
}

RequestVoteReply from_wire(const v1::RequestVoteReply& fields) {
    return {.header = {}, .pre_vote = fields.pre_vote(), .granted = fields.granted()};
}

AppendEntries from_wire(const v1::AppendEntries& fields) {
    return {.header = {},
            .prev_log_index = fields.prev_log_index(),
            .prev_log_term = fields.prev_log_term(),
            .leader_commit = fields.leader_commit(),
            .read_id = fields.read_id(),
            .leader_clock_ns = fields.leader_clock_ns(),
            .entries = {}};
}

AppendEntriesReply from_wire(const v1::AppendEntriesReply& fields) {
    return {.header = {},
            .read_id = fields.read_id(),
            .rejected = fields.rejected(),
            .match_index = fields.match_index(),
            .rejected_prev_log_index = fields.rejected_prev_log_index(),
            .hint_index = fields.hint_index(),
            .hint_term = fields.hint_term(),
            .vote_promise_ns = fields.vote_promise_ns(),
            .disk_id = fields.disk_id(),
            .joined = fields.joined()};
}

ReadIndexRequest from_wire(const v1::ReadIndexRequest& fields) {
    return {.header = {}, .read_id = fields.read_id()};
}

ReadIndexReply from_wire(const v1::ReadIndexReply& fields) {
    return {.header = {},
            .read_id = fields.read_id(),
            .refused = fields.refused(),
            .read_index = fields.read_index()};
}

// A configuration that can't be read stays empty, which no snapshot's is: the core ignores it.
InstallSnapshot from_wire(const v1::InstallSnapshot& fields) {
    InstallSnapshot message{.header = {},
                            .last_included = {.index = fields.last_included_index(),
                                              .term = fields.last_included_term(),
                                              .stamp_ns = fields.last_included_stamp_ns()},
                            .configuration = {},
                            .content_bytes = fields.content_bytes(),
                            .offset = fields.offset(),
                            .data = {},
                            .leader_clock_ns = fields.leader_clock_ns(),
                            .content_crc = fields.content_crc()};
    (void)decode_configuration(fields.configuration(), message.configuration);
    return message;
}

InstallSnapshotReply from_wire(const v1::InstallSnapshotReply& fields) {
    return {.header = {},
            .last_included_index = fields.last_included_index(),
            .next_offset = fields.next_offset()};
}

// False when the message is of no kind known here.
bool from_wire(const v1::PeerMessage& wire, Message& message) {
    switch (wire.message_case()) {
        case v1::PeerMessage::kRequestVote:
            message = from_wire(wire.request_vote());
            break;
        case v1::PeerMessage::kRequestVoteReply:
            message = from_wire(wire.request_vote_reply());
            break;
        case v1::PeerMessage::kAppendEntries:
            message = from_wire(wire.append_entries());
            break;
        case v1::PeerMessage::kAppendEntriesReply:
            message = from_wire(wire.append_entries_reply());
            break;
        case v1::PeerMessage::kReadIndexRequest:
            message = from_wire(wire.read_index_request());
            break;
        case v1::PeerMessage::kReadIndexReply:
            message = from_wire(wire.read_index_reply());
            break;
        case v1::PeerMessage::kTimeoutNow:
            message = TimeoutNow{};
            break;
        case v1::PeerMessage::kInstallSnapshot:
            message = from_wire(wire.install_snapshot());
            break;
        case v1::PeerMessage::kInstallSnapshotReply:
            message = from_wire(wire.install_snapshot_reply());
            break;
        case v1::PeerMessage::MESSAGE_NOT_SET:
            return false;
    }
    const Header header{wire.group(), wire.from(), wire.to(), wire.term()};
    std::visit([&header](auto& m) { m.header = header; }, message);
    return true;
}

void encode_entry_header(const Entry& entry, char* to) {
    put_little_endian(to, static_cast<std::uint32_t>(entry.payload.size()));
    put_little_endian(to + 4, std::uint32_t{static_cast<std::uint8_t>(entry.kind)});
    put_little_endian(to + 8, static_cast<std::uint64_t>(entry.stamp_ns));
    put_little_endian(to + 16, entry.index);
    put_little_endian(to + 24, entry.term);
}

bool is_known(std::uint32_t kind) {
    return kind <= static_cast<std::uint32_t>(EntryKind::configuration);
}

// `bytes` are `count` entries and nothing else.
bool decode_entries(std::string_view bytes, std::uint64_t count,
                    const std::shared_ptr<const char>& owner, AppendEntries& message) {
    if (count > bytes.size() / entry_header_bytes ||
        count > std::numeric_limits<Index>::max() - message.prev_log_index) {
        return false;
    }
    std::shared_ptr<const char> memory = owner;
    if (memory == nullptr && !bytes.empty()) {
        std::shared_ptr<char[]> copy = std::make_shared_for_overwrite<char[]>(bytes.size());
        std::memcpy(copy.get(), bytes.data(), bytes.size());
        bytes = {copy.get(), bytes.size()};
        memory = std::shared_ptr<const char>(std::move(copy), bytes.data());
    }
    message.entries.reserve(count);
    Term last_term = message.prev_log_term;
    for (Index index = message.prev_log_index + 1; count > 0; ++index, --count) {
        if (bytes.size() < entry_header_bytes) {
            return false;
        }
        const auto payload_bytes = get_little_endian<std::uint32_t>(bytes.data());
        const auto kind = get_little_endian<std::uint32_t>(bytes.data() + 4);
        Entry& entry = message.entries.emplace_back();
        entry.index = get_little_endian<std::uint64_t>(bytes.data() + 16);
        entry.term = get_little_endian<std::uint64_t>(bytes.data() + 24);
        entry.stamp_ns =
            static_cast<std::int64_t>(get_little_endian<std::uint64_t>(bytes.data() + 8));
        bytes.remove_prefix(entry_header_bytes);
        if (payload_bytes > bytes.size() || !is_known(kind) || entry.index != index ||
            entry.term == 0 || entry.term < last_term || entry.term > message.header.term) {
            return false;
        }
        entry.kind = static_cast<EntryKind>(kind);
        if (payload_bytes > 0) {
            entry.payload = {std::shared_ptr<const char>(memory, bytes.data()), payload_bytes};
        }
        bytes.remove_prefix(payload_bytes);
        last_term = entry.term;
    }
    return bytes.empty();
}

}  // namespace

const char* to_string(FrameFault fault) {
    switch (fault) {
        case FrameFault::none:
            return "no fault";
        case FrameFault::bad_header:
            return "damaged frame header";
        case FrameFault::unknown_version:
            return "unknown frame version";
        case FrameFault::unknown_type:
            return "unknown frame type";
        case FrameFault::too_large:
            return "frame too large";
        case FrameFault::bad_checksum:
            return "frame checksum does not match";
        case FrameFault::malformed_message:
            return "malformed message";
        case FrameFault::wrong_group:
            return "message of another group than its frame";
        case FrameFault::wrong_sender:
            return "message in another node's name";
        case FrameFault::wrong_receiver:
            return "message for another node";
        case FrameFault::bad_entries:
            return "malformed entries";
    }
    return "unknown fault";
}

FrameFault decode_frame_header(std::string_view bytes, std::uint64_t frame_bytes_max,
                               FrameHeader& header) {
    RAFT_ASSERT(bytes.size() >= frame_header_bytes);
    const char* data = bytes.data();
    if (get_little_endian<std::uint16_t>(data + header_check_offset) != header_check(data)) {
        return FrameFault::bad_header;
    }
    if (get_little_endian<std::uint8_t>(data + version_offset) != frame_version) {
        return FrameFault::unknown_version;
    }
    const auto type = get_little_endian<std::uint8_t>(data + type_offset);
    if (type != static_cast<std::uint8_t>(FrameType::raft) &&
        type != static_cast<std::uint8_t>(FrameType::application)) {
        return FrameFault::unknown_type;
    }
    header.body_bytes = get_little_endian<std::uint32_t>(data);
    header.checksum = get_little_endian<std::uint32_t>(data + checksum_offset);
    header.type = static_cast<FrameType>(type);
    header.group = get_little_endian<std::uint64_t>(data + group_offset);
    if (header.body_bytes + std::uint64_t{frame_header_bytes} > frame_bytes_max) {
        return FrameFault::too_large;
    }
    return FrameFault::none;
}

bool checksum_matches(std::string_view frame, const FrameHeader& header) {
    RAFT_ASSERT(frame.size() == frame_header_bytes + header.body_bytes);
    const std::uint32_t sum = header_sum(frame.data());
    return crc32c(frame.substr(frame_header_bytes), sum) == header.checksum;
}

FrameFault decode_message(const Frame& frame, NodeId from, NodeId to, Message& message) {
    std::string_view body = frame.body;
    if (body.size() < sizeof(std::uint32_t)) {
        return FrameFault::malformed_message;
    }
    const auto message_bytes = get_little_endian<std::uint32_t>(body.data());
    body.remove_prefix(sizeof(std::uint32_t));
    if (message_bytes > body.size() || message_bytes > peer_message_bytes_max) {
        return FrameFault::malformed_message;
    }
    // Room for every message as it is today, so that parsing makes no allocation.
    alignas(8) std::array<char, 1024> first_block;
    google::protobuf::ArenaOptions arena_options;
    arena_options.initial_block = first_block.data();
    arena_options.initial_block_size = first_block.size();
    google::protobuf::Arena arena(arena_options);
    auto& wire = *google::protobuf::Arena::CreateMessage<v1::PeerMessage>(&arena);
    if (!wire.ParseFromArray(body.data(), static_cast<int>(message_bytes)) ||
        !from_wire(wire, message)) {
        return FrameFault::malformed_message;
    }
    body.remove_prefix(message_bytes);
    const Header& header = header_of(message);
    if (header.group != frame.header.group) {
        return FrameFault::wrong_group;
    }
    if (header.from != from) {
        return FrameFault::wrong_sender;
    }
    if (header.to != to) {
        return FrameFault::wrong_receiver;
    }
    if (auto* append = std::get_if<AppendEntries>(&message)) {
        const bool good =
            decode_entries(body, wire.append_entries().entry_count(), frame.owner, *append);
        return good ? FrameFault::none : FrameFault::bad_entries;
    }
    if (auto* chunk = std::get_if<InstallSnapshot>(&message)) {
        chunk->data = frame.owner == nullptr ? Payload::copy_of(body)
                                             : Payload({frame.owner, body.data()}, body.size());
        return FrameFault::none;
    }
    return body.empty() ? FrameFault::none : FrameFault::malformed_message;
}

// One object per kind of message: a oneof that changes its member frees the old one.
struct FrameEncoder::Messages {
    std::array<v1::PeerMessage, std::variant_size_v<Message>> of_kind;
};

FrameEncoder::FrameEncoder(std::uint64_t frame_bytes_max)
    : frame_bytes_max_(frame_bytes_max), messages_(std::make_unique<Messages>()) {}

FrameEncoder::~FrameEncoder() = default;

EncodeOutcome FrameEncoder::room_for(std::uint64_t body_bytes, const Outbox& outbox) const {
    const std::uint64_t frame_bytes = frame_header_bytes + body_bytes;
    if (frame_bytes > frame_bytes_max_ || body_bytes > std::numeric_limits<std::uint32_t>::max()) {
        return EncodeOutcome::too_large;
    }
    return outbox.fits(frame_bytes) ? EncodeOutcome::queued : EncodeOutcome::full;
}

EncodeOutcome FrameEncoder::encode(const Message& message, Outbox& outbox) {
    v1::PeerMessage& wire = messages_->of_kind[message.index()];
    const Header& header = header_of(message);
    wire.set_group(header.group);
    wire.set_from(header.from);
    wire.set_to(header.to);
    wire.set_term(header.term);
    std::visit([&wire](const auto& m) { to_wire(m, wire); }, message);
    const std::size_t message_bytes = wire.ByteSizeLong();
    std::uint64_t body_bytes = sizeof(std::uint32_t) + message_bytes;
    const auto* append = std::get_if<AppendEntries>(&message);
    if (append != nullptr) {
        for (const Entry& entry : append->entries) {
            body_bytes += entry_header_bytes + entry.payload.size();
        }
    }
    const auto* chunk = std::get_if<InstallSnapshot>(&message);
    if (chunk != nullptr) {
        body_bytes += chunk->data.size();
    }
    const EncodeOutcome outcome = room_for(body_bytes, outbox);
    if (outcome != EncodeOutcome::queued) {
        return outcome;
    }
    FrameWriter writer(outbox, FrameType::raft, header.group, body_bytes);
    put_little_endian(writer.extend(sizeof(std::uint32_t)),
                      static_cast<std::uint32_t>(message_bytes));
    wire.SerializeWithCachedSizesToArray(
        reinterpret_cast<std::uint8_t*>(writer.extend(message_bytes)));
    if (append != nullptr) {
        for (const Entry& entry : append->entries) {
            encode_entry_header(entry, writer.extend(entry_header_bytes));
            writer.payload(entry.payload);
        }
    }
    if (chunk != nullptr) {
        writer.payload(chunk->data);
    }
    writer.finish();
    return EncodeOutcome::queued;
}

EncodeOutcome FrameEncoder::encode_application(std::string_view bytes, Outbox& outbox) {
    const EncodeOutcome outcome = room_for(bytes.size(), outbox);
    if (outcome != EncodeOutcome::queued) {
        return outcome;
    }
    FrameWriter writer(outbox, FrameType::application, 0, bytes.size());
    bytes.copy(writer.extend(bytes.size()), bytes.size());
    writer.finish();
    return EncodeOutcome::queued;
}

}  // namespace cairn::raft
