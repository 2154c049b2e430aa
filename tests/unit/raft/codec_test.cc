// Frames: what the encoder writes the decoder reads, and nothing else gets through. Also the outbox
// that frames wait in and the reader that cuts them out of a byte stream.
#include "raft/peers/codec.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "raft/core/random.h"
#include "raft/peers/frame_reader.h"

using namespace cairn::raft;

namespace {

constexpr std::uint64_t frame_bytes_max = 16U << 20;

Entry make_entry(Index index, Term term, std::string_view payload) {
    Entry entry;
    entry.index = index;
    entry.term = term;
    entry.stamp_ns = static_cast<std::int64_t>(index) * 1000 - 5000;
    entry.kind = payload.empty() ? EntryKind::no_op : EntryKind::command;
    entry.payload = Payload::copy_of(payload);
    return entry;
}

AppendEntries make_append(std::vector<Entry> entries) {
    AppendEntries append;
    append.header = {9, 1, 2, 7};
    append.prev_log_index = entries.empty() ? 40 : entries.front().index - 1;
    append.prev_log_term = 3;
    append.leader_commit = 39;
    append.read_id = 12;
    append.leader_clock_ns = -77;
    append.entries = std::move(entries);
    return append;
}

InstallSnapshot make_chunk(std::string_view data) {
    InstallSnapshot chunk;
    chunk.header = {9, 1, 2, 7};
    chunk.last_included = {1000, 6, -12345};
    chunk.configuration = {{1, 2, ~NodeId{0}}, {1, 2, 5}, {8}, {{8, "h:1", 88, true}}, {3}};
    chunk.content_bytes = 5000000000;
    chunk.offset = 4999900000;
    chunk.data = Payload::copy_of(data);
    chunk.leader_clock_ns = 99;
    chunk.content_crc = 0xfedcba98;
    return chunk;
}

std::vector<Message> every_message() {
    const Header header{9, 1, 2, 7};
    return {
        RequestVote{header, 11, 5, true, false},
        RequestVote{header, 11, 5, false, true},
        RequestVote{header, 11, 5, false, false, 0xfedcba9876543210},
        RequestVoteReply{header, true, false},
        RequestVoteReply{header, false, true},
        make_append({}),
        make_append({make_entry(41, 3, ""), make_entry(42, 3, "small"), make_entry(43, 7, "x")}),
        AppendEntriesReply{header, 4, true, 0, 40, 38, 2, 280'000'000, 0, false},
        AppendEntriesReply{header, 4, false, 41, 0, 0, 0, 0, ~std::uint64_t{1}, true},
        ReadIndexRequest{header, 88},
        ReadIndexReply{header, 88, true, 0},
        ReadIndexReply{header, 88, false, ~std::uint64_t{0}},
        TimeoutNow{header},
        make_chunk(""),
        make_chunk("some content"),
        InstallSnapshot{header, {}, {}, 0, 0, {}, 0, 0},
        InstallSnapshotReply{header, 1000, 4999900012},
        InstallSnapshotReply{header, 0, 0},
    };
}

void describe(std::ostream& out, const RequestVote& m) {
    out << "RequestVote " << m.last_log_index << ' ' << m.last_log_term << ' ' << m.pre_vote << ' '
        << m.leadership_transfer << ' ' << m.voter_disk_id;
}
void describe(std::ostream& out, const RequestVoteReply& m) {
    out << "RequestVoteReply " << m.pre_vote << ' ' << m.granted;
}
void describe(std::ostream& out, const AppendEntries& m) {
    out << "AppendEntries " << m.prev_log_index << ' ' << m.prev_log_term << ' ' << m.leader_commit
        << ' ' << m.read_id << ' ' << m.leader_clock_ns;
    for (const Entry& e : m.entries) {
        out << " [" << e.index << ' ' << e.term << ' ' << e.stamp_ns << ' '
            << static_cast<int>(e.kind) << ' ' << e.payload.view() << ']';
    }
}
void describe(std::ostream& out, const AppendEntriesReply& m) {
    out << "AppendEntriesReply " << m.read_id << ' ' << m.rejected << ' ' << m.match_index << ' '
        << m.rejected_prev_log_index << ' ' << m.hint_index << ' ' << m.hint_term << ' '
        << m.vote_promise_ns << ' ' << m.disk_id << ' ' << m.joined;
}
void describe(std::ostream& out, const ReadIndexRequest& m) {
    out << "ReadIndexRequest " << m.read_id;
}
void describe(std::ostream& out, const ReadIndexReply& m) {
    out << "ReadIndexReply " << m.read_id << ' ' << m.refused << ' ' << m.read_index;
}
void describe(std::ostream& out, const TimeoutNow&) {
    out << "TimeoutNow";
}
void describe(std::ostream& out, const InstallSnapshot& m) {
    out << "InstallSnapshot " << m.last_included.index << ' ' << m.last_included.term << ' '
        << m.last_included.stamp_ns << ' ' << m.content_bytes << ' ' << m.content_crc << ' '
        << m.offset << ' ' << m.leader_clock_ns;
    for (const char c : encode_configuration(m.configuration)) {
        out << ' ' << int{c};
    }
    out << ' ' << m.data.view();
}
void describe(std::ostream& out, const InstallSnapshotReply& m) {
    out << "InstallSnapshotReply " << m.last_included_index << ' ' << m.next_offset;
}

std::string describe(const Message& message) {
    std::ostringstream out;
    const Header& header = header_of(message);
    out << header.group << ' ' << header.from << ' ' << header.to << ' ' << header.term << ' ';
    std::visit([&out](const auto& m) { describe(out, m); }, message);
    return out.str();
}

// Takes at most `bytes_max` bytes out of the outbox.
std::string take(Outbox& outbox, std::uint64_t bytes_max = ~std::uint64_t{0}) {
    std::array<iovec, 3> buffers;
    std::string bytes;
    while (!outbox.empty() && bytes_max > 0) {
        const std::size_t count = outbox.gather(buffers, bytes_max);
        std::uint64_t taken = 0;
        for (std::size_t i = 0; i < count; ++i) {
            bytes.append(static_cast<const char*>(buffers[i].iov_base), buffers[i].iov_len);
            taken += buffers[i].iov_len;
        }
        outbox.consume(taken);
        bytes_max -= taken;
    }
    return bytes;
}

std::string encode(const Message& message) {
    Outbox outbox(frame_bytes_max * 2, 100);
    FrameEncoder encoder(frame_bytes_max);
    REQUIRE(encoder.encode(message, outbox) == EncodeOutcome::queued);
    CHECK(outbox.frames() == 1);
    const std::uint64_t bytes = outbox.bytes();
    std::string encoded = take(outbox);
    CHECK(encoded.size() == bytes);
    CHECK(outbox.frames() == 0);
    return encoded;
}

// Feeds `bytes` in pieces of at most `piece` and decodes what comes out as from node 1 to node 2.
struct Reading {
    std::vector<std::string> messages;
    FrameFault fault = FrameFault::none;
};
Reading read_all(std::string_view bytes, std::size_t piece,
                 std::uint64_t largest = frame_bytes_max) {
    FrameReader reader(largest);
    Reading reading;
    while (!bytes.empty()) {
        const std::span<char> space = reader.prepare();
        REQUIRE(!space.empty());
        const std::size_t size = std::min({space.size(), piece, bytes.size()});
        std::memcpy(space.data(), bytes.data(), size);
        bytes.remove_prefix(size);
        reader.commit(size);
        Frame frame;
        while (reader.next(frame)) {
            Message message;
            const FrameFault fault = decode_message(frame, 1, 2, message);
            if (fault != FrameFault::none) {
                reading.fault = fault;
                return reading;
            }
            reading.messages.push_back(describe(message));
        }
        if (reader.fault() != FrameFault::none) {
            reading.fault = reader.fault();
            return reading;
        }
    }
    return reading;
}

// Decodes a body that sits in memory of exactly its size, so that a sanitizer sees a step beyond.
FrameFault decode_body(std::string_view body, Message& message) {
    const std::unique_ptr<char[]> memory(new char[body.size()]);
    std::memcpy(memory.get(), body.data(), body.size());
    Frame frame;
    frame.header.group = 9;
    frame.body = {memory.get(), body.size()};
    return decode_message(frame, 1, 2, message);
}

FrameFault decode_encoded(const Message& message) {
    Message decoded;
    return decode_body(std::string_view(encode(message)).substr(frame_header_bytes), decoded);
}

}  // namespace

TEST_CASE("codec: every message comes back as it was, however the bytes arrive") {
    std::string stream;
    std::vector<std::string> sent;
    for (const Message& message : every_message()) {
        stream += encode(message);
        sent.push_back(describe(message));
    }
    for (const std::size_t piece : {1, 2, 19, 20, 21, 64, 1000, 100000}) {
        CAPTURE(piece);
        const Reading reading = read_all(stream, piece);
        CHECK(reading.fault == FrameFault::none);
        CHECK(reading.messages == sent);
    }
}

TEST_CASE("codec: a reused encoder leaves nothing of the last message in the next") {
    Outbox outbox(frame_bytes_max, 100);
    FrameEncoder encoder(frame_bytes_max);
    const Header header{9, 1, 2, 7};
    REQUIRE(encoder.encode(RequestVote{header, 11, 5, true, true}, outbox) ==
            EncodeOutcome::queued);
    REQUIRE(encoder.encode(TimeoutNow{header}, outbox) == EncodeOutcome::queued);
    const RequestVote empty{{9, 1, 2, 0}, 0, 0, false, false};
    REQUIRE(encoder.encode(empty, outbox) == EncodeOutcome::queued);
    const Reading reading = read_all(take(outbox), 1000);
    REQUIRE(reading.messages.size() == 3);
    CHECK(reading.messages[2] == describe(empty));
}

TEST_CASE("codec: frames of all sizes in one stream, larger than a chunk too") {
    Random random(1);
    Outbox outbox(1U << 30, 10000);
    FrameEncoder encoder(frame_bytes_max);
    std::vector<std::string> sent;
    Index index = 1;
    for (int i = 0; i < 120; ++i) {
        std::vector<Entry> entries;
        const std::uint64_t count = random.between(0, 6);
        for (std::uint64_t n = 0; n < count; ++n) {
            const std::uint64_t scale = random.between(0, 17);
            const std::size_t size = random.between(0, std::uint64_t{1} << scale);
            entries.push_back(make_entry(
                ++index, 4, std::string(size, static_cast<char>('a' + random.between(0, 25)))));
        }
        const Message message = make_append(std::move(entries));
        REQUIRE(encoder.encode(message, outbox) == EncodeOutcome::queued);
        sent.push_back(describe(message));
    }
    std::string stream;
    while (!outbox.empty()) {
        stream += take(outbox, random.between(1, 100000));
    }
    CHECK(outbox.frames() == 0);
    for (const std::size_t piece : {997, 30000, 1000000}) {
        const Reading reading = read_all(stream, piece);
        CHECK(reading.fault == FrameFault::none);
        CHECK((reading.messages == sent));
    }
}

TEST_CASE("codec: no truncation of a frame or of its body is taken for a message") {
    for (const Message& message : every_message()) {
        const std::string whole = encode(message);
        CAPTURE(describe(message));
        for (std::size_t size = 0; size < whole.size(); ++size) {
            const Reading reading = read_all(std::string_view(whole).substr(0, size), 1000);
            CHECK(reading.messages.empty());
            CHECK(reading.fault == FrameFault::none);
        }
        const std::string body = whole.substr(frame_header_bytes);
        Message decoded;
        CHECK(decode_body(body, decoded) == FrameFault::none);
        // A chunk is all that follows in the frame; how much that is says the frame, checked above.
        const auto* chunk = std::get_if<InstallSnapshot>(&message);
        const std::size_t needed = body.size() - (chunk == nullptr ? 0 : chunk->data.size());
        for (std::size_t size = 0; size < needed; ++size) {
            CAPTURE(size);
            CHECK(decode_body(std::string_view(body).substr(0, size), decoded) != FrameFault::none);
        }
        CHECK((decode_body(body + '\0', decoded) != FrameFault::none) == (chunk == nullptr));
    }
}

TEST_CASE("codec: every flipped bit is found out, one in the header at once") {
    const Message message =
        make_append({make_entry(41, 3, "some payload"), make_entry(42, 3, std::string(2000, 'x'))});
    const std::string good = encode(message);
    REQUIRE(read_all(good, 100000).messages.size() == 1);
    for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
        std::string bad = good;
        bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
        const Reading reading = read_all(bad, 100000);
        CAPTURE(bit);
        CHECK(reading.messages.empty());
        CHECK(reading.fault != FrameFault::none);
        const bool in_checksum = bit / 8 >= 4 && bit / 8 < 8;
        if (bit / 8 < frame_header_bytes && !in_checksum) {
            const std::string_view header = std::string_view(bad).substr(0, frame_header_bytes);
            CHECK(read_all(header, 100).fault == FrameFault::bad_header);
        }
    }
}

TEST_CASE("codec: a frame larger than allowed is refused from its header alone") {
    const std::string frame = encode(make_append({make_entry(41, 3, std::string(5000, 'x'))}));
    const std::string_view header = std::string_view(frame).substr(0, frame_header_bytes);
    CHECK(read_all(header, 100, frame.size()).fault == FrameFault::none);
    CHECK(read_all(header, 100, frame.size() - 1).fault == FrameFault::too_large);
}

TEST_CASE("codec: what a peer may not say") {
    const auto append = [](Index first, Term first_term, Index second, Term second_term) {
        AppendEntries m =
            make_append({make_entry(first, first_term, "a"), make_entry(second, second_term, "b")});
        m.prev_log_index = 40;
        return m;
    };
    CHECK(decode_encoded(append(41, 3, 42, 3)) == FrameFault::none);
    CHECK(decode_encoded(append(41, 3, 42, 7)) == FrameFault::none);
    CHECK(decode_encoded(append(42, 3, 43, 3)) == FrameFault::bad_entries);  // a gap at the front
    CHECK(decode_encoded(append(41, 3, 43, 3)) == FrameFault::bad_entries);  // and within
    CHECK(decode_encoded(append(41, 3, 41, 3)) == FrameFault::bad_entries);
    CHECK(decode_encoded(append(41, 5, 42, 4)) == FrameFault::bad_entries);  // terms go back
    CHECK(decode_encoded(append(41, 2, 42, 3)) == FrameFault::bad_entries);  // behind prev_log_term
    CHECK(decode_encoded(append(41, 3, 42, 8)) == FrameFault::bad_entries);  // beyond the speaker's
    AppendEntries no_term = append(41, 0, 42, 3);
    no_term.prev_log_term = 0;
    CHECK(decode_encoded(no_term) == FrameFault::bad_entries);
    AppendEntries unknown_kind = append(41, 3, 42, 3);
    unknown_kind.entries[1].kind = static_cast<EntryKind>(3);
    CHECK(decode_encoded(unknown_kind) == FrameFault::bad_entries);
    AppendEntries overflow = append(41, 3, 42, 3);
    overflow.prev_log_index = ~Index{0} - 1;
    overflow.entries[0].index = ~Index{0};
    overflow.entries[1].index = 0;
    CHECK(decode_encoded(overflow) == FrameFault::bad_entries);

    CHECK(decode_encoded(TimeoutNow{{9, 1, 2, 7}}) == FrameFault::none);
    CHECK(decode_encoded(TimeoutNow{{8, 1, 2, 7}}) == FrameFault::wrong_group);
    CHECK(decode_encoded(TimeoutNow{{9, 3, 2, 7}}) == FrameFault::wrong_sender);
    CHECK(decode_encoded(TimeoutNow{{9, 1, 3, 7}}) == FrameFault::wrong_receiver);
}

TEST_CASE("codec: mutated bodies are refused or mean something sound") {
    Random random(42);
    const std::vector<Message> messages = every_message();
    std::vector<std::string> bodies;
    for (const Message& message : messages) {
        bodies.push_back(encode(message).substr(frame_header_bytes));
    }
    int accepted = 0;
    for (int round = 0; round < 60000; ++round) {
        std::string body = bodies[random.between(0, bodies.size() - 1)];
        const std::uint64_t changes = random.between(1, 4);
        for (std::uint64_t i = 0; i < changes && !body.empty(); ++i) {
            const std::size_t at = random.between(0, body.size() - 1);
            switch (random.between(0, 3)) {
                case 0:
                    body[at] = static_cast<char>(random.next());
                    break;
                case 1:
                    body[at] = static_cast<char>(body[at] ^ (1 << random.between(0, 7)));
                    break;
                case 2:
                    body.erase(at, random.between(1, 8));
                    break;
                default:
                    body.insert(at, std::string(random.between(1, 8), static_cast<char>(0xff)));
                    break;
            }
        }
        Message message;
        if (decode_body(body, message) != FrameFault::none) {
            continue;
        }
        ++accepted;
        REQUIRE(header_of(message).from == 1);
        REQUIRE(header_of(message).to == 2);
        REQUIRE(header_of(message).group == 9);
        if (const auto* chunk = std::get_if<InstallSnapshot>(&message)) {
            REQUIRE((chunk->configuration == Configuration{} ||
                     validate(chunk->configuration).empty()));
            REQUIRE(chunk->data.size() <= body.size());
        }
        if (const auto* append = std::get_if<AppendEntries>(&message)) {
            Index index = append->prev_log_index;
            Term term = append->prev_log_term;
            for (const Entry& entry : append->entries) {
                REQUIRE(entry.index == ++index);
                REQUIRE(entry.term >= term);
                REQUIRE(entry.term <= append->header.term);
                REQUIRE(entry.payload.size() <= body.size());
                term = entry.term;
            }
        }
    }
    CHECK(accepted > 100);  // else the mutations prove nothing
}

TEST_CASE("codec: payloads of a large frame stay where they were received, small ones are copied") {
    const std::string large(100000, 'x');
    const std::string bytes =
        encode(make_append({make_entry(41, 3, large), make_entry(42, 3, "s")})) +
        encode(make_append({make_entry(41, 3, "small")}));
    FrameReader reader(frame_bytes_max);
    std::string_view rest = bytes;
    std::vector<Message> messages;
    std::vector<bool> aliased;
    while (!rest.empty()) {
        const std::span<char> space = reader.prepare();
        const std::size_t size = std::min(space.size(), rest.size());
        std::memcpy(space.data(), rest.data(), size);
        rest.remove_prefix(size);
        reader.commit(size);
        Frame frame;
        while (reader.next(frame)) {
            Message& message = messages.emplace_back();
            REQUIRE(decode_message(frame, 1, 2, message) == FrameFault::none);
            const char* payload = std::get<AppendEntries>(message).entries[0].payload.view().data();
            aliased.push_back(payload >= frame.body.data() &&
                              payload < frame.body.data() + frame.body.size());
        }
    }
    REQUIRE(messages.size() == 2);
    CHECK(aliased == std::vector<bool>{true, false});
    reader = FrameReader(frame_bytes_max);  // the payloads outlive it
    CHECK((std::get<AppendEntries>(messages[0]).entries[0].payload.view() == large));
    CHECK(std::get<AppendEntries>(messages[0]).entries[1].payload.view() == "s");
    CHECK(std::get<AppendEntries>(messages[1]).entries[0].payload.view() == "small");
}

TEST_CASE("codec: a configuration that isn't one comes back empty") {
    InstallSnapshot chunk = make_chunk("x");
    chunk.configuration = configuration_of({1, 2});
    chunk.configuration.voters = {2, 1};
    Message decoded;
    REQUIRE(decode_body(std::string_view(encode(chunk)).substr(frame_header_bytes), decoded) ==
            FrameFault::none);
    CHECK(std::get<InstallSnapshot>(decoded).configuration == Configuration{});
}

TEST_CASE("codec: a reused encoder leaves no voters of the last chunk in the next") {
    Outbox outbox(frame_bytes_max, 100);
    FrameEncoder encoder(frame_bytes_max);
    InstallSnapshot small = make_chunk("y");
    small.configuration = configuration_of({2});
    REQUIRE(encoder.encode(make_chunk("x"), outbox) == EncodeOutcome::queued);
    REQUIRE(encoder.encode(small, outbox) == EncodeOutcome::queued);
    const Reading reading = read_all(take(outbox), 1000);
    REQUIRE(reading.messages.size() == 2);
    CHECK(reading.messages[1] == describe(small));
}

TEST_CASE("codec: the largest configuration fits") {
    InstallSnapshot chunk = make_chunk(std::string(100, 'x'));
    Configuration& configuration = chunk.configuration;
    configuration = {};
    for (NodeId id = 1; id <= voters_max; ++id) {
        configuration.voters.push_back(id);
        configuration.outgoing_voters.push_back(100 + id);
        configuration.learners.push_back(200 + id);
    }
    for (const NodeId id : configuration.members()) {
        configuration.details.push_back(
            {id, std::string(member_address_bytes_max, 'a'), ~id, true});
    }
    for (NodeId id = 1; id <= removed_max; ++id) {
        configuration.removed.push_back(1000 + id);
    }
    REQUIRE(validate(configuration) == "");
    Message decoded;
    REQUIRE(decode_body(std::string_view(encode(chunk)).substr(frame_header_bytes), decoded) ==
            FrameFault::none);
    CHECK(std::get<InstallSnapshot>(decoded).configuration == configuration);
}

TEST_CASE("codec: a large payload goes out from where it is") {
    const AppendEntries append = make_append({make_entry(41, 3, std::string(5000, 'x'))});
    Outbox outbox(frame_bytes_max, 10);
    FrameEncoder encoder(frame_bytes_max);
    REQUIRE(encoder.encode(append, outbox) == EncodeOutcome::queued);
    std::array<iovec, 8> buffers;
    REQUIRE(outbox.gather(buffers, frame_bytes_max) == 2);
    CHECK(buffers[1].iov_base == append.entries[0].payload.view().data());
    CHECK(buffers[1].iov_len == 5000);
    Outbox of_chunk(frame_bytes_max, 10);
    const InstallSnapshot chunk = make_chunk(std::string(5000, 'x'));
    REQUIRE(encoder.encode(chunk, of_chunk) == EncodeOutcome::queued);
    REQUIRE(of_chunk.gather(buffers, frame_bytes_max) == 2);
    CHECK(buffers[1].iov_base == chunk.data.view().data());
}

TEST_CASE("codec: application bytes") {
    Outbox outbox(frame_bytes_max, 10);
    FrameEncoder encoder(frame_bytes_max);
    REQUIRE(encoder.encode_application("", outbox) == EncodeOutcome::queued);
    REQUIRE(encoder.encode_application("hello", outbox) == EncodeOutcome::queued);
    const std::string bytes = take(outbox);
    FrameReader reader(frame_bytes_max);
    std::memcpy(reader.prepare().data(), bytes.data(), bytes.size());
    reader.commit(bytes.size());
    Frame frame;
    REQUIRE(reader.next(frame));
    CHECK(frame.header.type == FrameType::application);
    CHECK(frame.body.empty());
    REQUIRE(reader.next(frame));
    CHECK(frame.body == "hello");
    CHECK(!reader.next(frame));
}

TEST_CASE("codec: an outbox takes no more than its bounds, and never part of a frame") {
    const Message message = make_append({make_entry(41, 3, std::string(900, 'x'))});
    const std::size_t size = encode(message).size();
    FrameEncoder encoder(size);
    CHECK(FrameEncoder(size - 1).encode(message, *std::make_unique<Outbox>(size, 10)) ==
          EncodeOutcome::too_large);

    Outbox by_bytes(size * 2 + 1, 100);
    CHECK(encoder.encode(message, by_bytes) == EncodeOutcome::queued);
    CHECK(encoder.encode(message, by_bytes) == EncodeOutcome::queued);
    CHECK(encoder.encode(message, by_bytes) == EncodeOutcome::full);
    CHECK(by_bytes.bytes() == size * 2);
    CHECK(read_all(take(by_bytes), 1000).messages.size() == 2);
    CHECK(encoder.encode(message, by_bytes) == EncodeOutcome::queued);

    Outbox by_frames(size * 100, 2);
    CHECK(encoder.encode(message, by_frames) == EncodeOutcome::queued);
    CHECK(encoder.encode(message, by_frames) == EncodeOutcome::queued);
    CHECK(encoder.encode(message, by_frames) == EncodeOutcome::full);
    CHECK(by_frames.clear() == 2);
    CHECK(by_frames.empty());
    CHECK(encoder.encode(message, by_frames) == EncodeOutcome::queued);
}

TEST_CASE("codec: an outbox that never runs empty neither grows nor loses count") {
    Outbox outbox(1U << 20, 4096);
    FrameEncoder encoder(frame_bytes_max);
    Random random(7);
    FrameReader reader(frame_bytes_max);
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    const auto receive = [&](std::string_view bytes) {
        while (!bytes.empty()) {
            const std::span<char> space = reader.prepare();
            const std::size_t size = std::min(space.size(), bytes.size());
            std::memcpy(space.data(), bytes.data(), size);
            bytes.remove_prefix(size);
            reader.commit(size);
            Frame frame;
            while (reader.next(frame)) {
                Message message;
                REQUIRE(decode_message(frame, 1, 2, message) == FrameFault::none);
                REQUIRE(std::get<AppendEntries>(message).read_id == ++received);
            }
            REQUIRE(reader.fault() == FrameFault::none);
        }
    };
    for (int round = 0; round < 20000; ++round) {
        AppendEntries append = make_append({});
        if (random.between(0, 3) == 0) {
            append = make_append({make_entry(41, 3, std::string(random.between(0, 3000), 'x'))});
        }
        append.read_id = ++sent;
        REQUIRE(encoder.encode(append, outbox) == EncodeOutcome::queued);
        if (outbox.bytes() > 60000) {
            receive(take(outbox, outbox.bytes() - random.between(1, 20000)));
        }
        REQUIRE(outbox.frames() >= sent - received);
        REQUIRE(outbox.frames() <= sent - received + 1000);
    }
    receive(take(outbox));
    CHECK(received == sent);
    CHECK(outbox.frames() == 0);
}
