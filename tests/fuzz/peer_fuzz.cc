// What another node, or somebody who passes for one, sends to the Raft port: handshakes, frames,
// messages.
//
// However the bytes are cut the frames are the same; a message that was accepted is the same after
// it was written and read again; entries are consecutive. The first byte of an input says what the
// rest is: a handshake or frames, as they are or with checksums put right, since no mutation finds
// a CRC.
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "raft/base/crc32c.h"
#include "raft/core/little_endian.h"
#include "raft/peers/codec.h"
#include "raft/peers/frame_reader.h"
#include "raft/peers/handshake.h"
#include "raft/peers/outbox.h"
#include "tests/fuzz/fuzz.h"

namespace cairn::fuzz {
namespace {

using namespace cairn::raft;  // NOLINT: the whole file is about it

constexpr std::uint64_t frame_bytes_max = 1U << 20;
constexpr NodeId speaker = 1;
constexpr NodeId listener = 2;

enum Kind : std::uint8_t { frames, sealed_frames, hello, hello_reply, kinds };

// The first bytes of `bytes` in a buffer of their own, so that reading behind them is seen.
struct Received {
    FrameFault fault = FrameFault::none;
    std::vector<std::string> frames;
    std::vector<FrameFault> verdicts;
};

std::string encoded(const Message& message) {
    FrameEncoder encoder(2 * frame_bytes_max);
    Outbox outbox(4 * frame_bytes_max, 10);
    require(encoder.encode(message, outbox) == EncodeOutcome::queued, "what came fits a frame");
    std::string bytes;
    while (!outbox.empty()) {
        std::array<iovec, 16> runs;
        const std::size_t count = outbox.gather(runs, 1U << 20);
        std::size_t taken = 0;
        for (std::size_t i = 0; i < count; ++i) {
            bytes.append(static_cast<const char*>(runs[i].iov_base), runs[i].iov_len);
            taken += runs[i].iov_len;
        }
        outbox.consume(taken);
    }
    return bytes;
}

void check_message(const Message& message) {
    if (const auto* append = std::get_if<AppendEntries>(&message)) {
        Index index = append->prev_log_index;
        Term term = 0;
        for (const Entry& entry : append->entries) {
            require(entry.index == ++index, "entries are consecutive");
            require(entry.term >= term && entry.term > 0 && entry.term <= append->header.term,
                    "terms don't decrease, nor pass the speaker's");
            term = entry.term;
        }
    }
    const std::string bytes = encoded(message);
    FrameReader reader(2 * frame_bytes_max);
    for (std::string_view rest = bytes; !rest.empty();) {
        const std::span<char> room = reader.prepare();
        const std::size_t size = std::min(room.size(), rest.size());
        std::memcpy(room.data(), rest.data(), size);
        reader.commit(size);
        rest.remove_prefix(size);
        Frame frame;
        if (!reader.next(frame)) {
            require(reader.fault() == FrameFault::none, "an encoded frame is sound");
            continue;
        }
        Message again;
        require(decode_message(frame, speaker, listener, again) == FrameFault::none,
                "an encoded message is accepted");
        require(again.index() == message.index() && encoded(again) == bytes, "and is the same");
        return;
    }
    require(false, "an encoded message is a whole frame");
}

Received receive(std::string_view bytes, bool in_pieces) {
    Received received;
    FrameReader reader(frame_bytes_max);
    Cuts cuts(bytes);
    while (!bytes.empty()) {
        const std::span<char> room = reader.prepare();
        require(!room.empty(), "there is always room for more");
        std::size_t size = std::min(room.size(), bytes.size());
        size = in_pieces ? cuts.next(size) : size;
        std::memcpy(room.data(), bytes.data(), size);
        reader.commit(size);
        bytes.remove_prefix(size);
        Frame frame;
        while (reader.next(frame)) {
            received.frames.emplace_back(frame.body);
            Message message;
            const FrameFault verdict = frame.header.type == FrameType::raft
                                           ? decode_message(frame, speaker, listener, message)
                                           : FrameFault::none;
            received.verdicts.push_back(verdict);
            if (verdict == FrameFault::none && frame.header.type == FrameType::raft) {
                check_message(message);
            }
        }
        received.fault = reader.fault();
        if (received.fault != FrameFault::none) {
            break;
        }
    }
    return received;
}

// Puts the checks of header and body right, frame by frame.
std::string sealed(std::string_view input) {
    std::string bytes(input);
    std::size_t at = 0;
    while (bytes.size() - at >= frame_header_bytes) {
        char* header = bytes.data() + at;
        header[9] = 1;
        if (header[8] != 2) {
            header[8] = 1;
        }
        const std::size_t left = bytes.size() - at - frame_header_bytes;
        std::uint32_t body = get_little_endian<std::uint32_t>(header);
        if (body > left && body < frame_bytes_max) {
            body = static_cast<std::uint32_t>(left);
            put_little_endian(header, body);
        }
        std::uint32_t check = crc32c({header, 4});
        check = crc32c({header + 8, 2}, check);
        check = crc32c({header + 12, 8}, check);
        put_little_endian(header + 10, static_cast<std::uint16_t>(check));
        if (body > left) {
            break;
        }
        std::uint32_t sum = crc32c({header, 4});
        sum = crc32c({header + 8, 12}, sum);
        sum = crc32c({header + frame_header_bytes, body}, sum);
        put_little_endian(header + 4, sum);
        at += frame_header_bytes + body;
    }
    return bytes;
}

void run_frames(std::string_view bytes) {
    const Received whole = receive(bytes, false);
    const Received cut = receive(bytes, true);
    require(
        whole.fault == cut.fault && whole.frames == cut.frames && whole.verdicts == cut.verdicts,
        "frames don't depend on how the bytes are cut");
}

void run_handshake(HandshakeKind kind, std::string input) {
    if (input.size() >= handshake_prefix_bytes) {
        // The checksum covers the prefix before it and the body.
        const std::size_t body = input.size() - handshake_prefix_bytes;
        put_little_endian(input.data() + 8, static_cast<std::uint32_t>(body));
        put_little_endian(input.data() + 12,
                          crc32c(std::string_view(input).substr(handshake_prefix_bytes),
                                 crc32c({input.data(), 12})));
    }
    HandshakeBuffer buffer(kind);
    Cuts cuts(input);
    std::string_view rest = input;
    HandshakeStatus status = HandshakeStatus::incomplete;
    while (status == HandshakeStatus::incomplete && !rest.empty()) {
        const std::span<char> room = buffer.space();
        require(!room.empty() && room.size() <= handshake_bytes_max, "room for a handshake");
        const std::size_t size = cuts.next(std::min(room.size(), rest.size()));
        std::memcpy(room.data(), rest.data(), size);
        rest.remove_prefix(size);
        status = buffer.commit(size);
    }
    if (status != HandshakeStatus::complete) {
        return;
    }
    if (kind == HandshakeKind::hello) {
        Hello hello;
        if (!decode_hello(buffer.body(), hello)) {
            return;
        }
        require(
            is_handshake_address(hello.http_address) && is_handshake_address(hello.raft_address),
            "addresses are fit for a log");
        const std::string bytes = encode_hello(hello);
        Hello again;
        require(decode_hello(std::string_view(bytes).substr(handshake_prefix_bytes), again) &&
                    again == hello,
                "a Hello is the same when it is written again");
        const Member members[] = {{speaker, "127.0.0.1:7080", 7, true}};
        const NodeId removed[] = {5};
        const HandshakeExpectation expected{77, listener, members, removed};
        if (validate_hello(hello, expected) != HandshakeReason::accepted) {
            const std::string text = refusal_text(validate_hello(hello, expected), hello, expected);
            require(!text.empty() && text.find('\n') == std::string::npos, "a refusal is one line");
        }
        return;
    }
    HelloReply reply;
    if (decode_hello_reply(buffer.body(), reply)) {
        require(reply.text.find_first_of("\r\n") == std::string::npos,
                "a reply's text is one line");
        const std::string bytes = encode_hello_reply(reply);
        HelloReply again;
        require(decode_hello_reply(std::string_view(bytes).substr(handshake_prefix_bytes), again) &&
                    again == reply,
                "a reply is the same when it is written again");
    }
}

Entry entry_of(Index index, Term term, EntryKind kind, std::string_view payload) {
    return {.index = index,
            .term = term,
            .stamp_ns = 1000,
            .kind = kind,
            .payload = Payload::copy_of(payload)};
}

}  // namespace

void run_input(std::string_view input) {
    if (input.empty()) {
        return;
    }
    const auto kind = static_cast<unsigned char>(input.front()) % kinds;
    input.remove_prefix(1);
    switch (kind) {
        case frames:
            return run_frames(input);
        case sealed_frames:
            return run_frames(sealed(input));
        case hello:
            return run_handshake(HandshakeKind::hello, std::string(input));
        default:
            return run_handshake(HandshakeKind::hello_reply, std::string(input));
    }
}

std::vector<std::string> seed_inputs() {
    const raft::Header header{1, speaker, listener, 7};
    AppendEntries append;
    append.header = header;
    append.prev_log_index = 40;
    append.prev_log_term = 3;
    append.entries = {entry_of(41, 3, EntryKind::no_op, ""),
                      entry_of(42, 7, EntryKind::command, "payload"),
                      entry_of(43, 7, EntryKind::command, std::string(2000, 'x'))};
    InstallSnapshot chunk;
    chunk.header = header;
    chunk.last_included = {1000, 6, -12345};
    chunk.configuration = {{1, 2, 9}, {1, 2, 5}, {8}, {{8, "h:1", 88, true}}, {3}};
    chunk.content_bytes = 5000;
    chunk.data = Payload::copy_of("content");
    const std::vector<Message> messages = {
        RequestVote{header, 11, 5, true, false, 3},
        RequestVoteReply{header, true, true},
        append,
        AppendEntriesReply{header, 4, true, 0, 40, 38, 2, 280'000'000, 9, true},
        ReadIndexRequest{header, 88},
        ReadIndexReply{header, 88, false, 7},
        TimeoutNow{header},
        chunk,
        InstallSnapshotReply{header, 1000, 4999},
    };
    std::vector<std::string> seeds;
    std::string all;
    for (const Message& message : messages) {
        all += encoded(message);
        seeds.push_back(std::string(1, static_cast<char>(sealed_frames)) + encoded(message));
    }
    seeds.push_back(std::string(1, static_cast<char>(frames)) + all);
    const Hello greeting{1, 77, speaker, listener, "127.0.0.1:8080", "127.0.0.1:7080", 7, 0};
    seeds.push_back(std::string(1, static_cast<char>(hello)) + encode_hello(greeting));
    seeds.push_back(std::string(1, static_cast<char>(hello_reply)) +
                    encode_hello_reply({HandshakeReason::wrong_cluster, "not here", "h:1"}));
    return seeds;
}

}  // namespace cairn::fuzz
