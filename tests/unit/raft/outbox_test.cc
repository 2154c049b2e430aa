// The bounds of what waits for a connection. What is in it, and how it goes out, is tested with the
// frames (codec_test.cc).
#include "raft/peers/outbox.h"

#include <doctest/doctest.h>

#include "raft/peers/codec.h"

using namespace cairn::raft;

// Or it could never be sent: a leader that sends the same entries again and again would get
// nowhere.
TEST_CASE("outbox: an empty one takes a frame that is larger than its bound") {
    constexpr std::uint64_t outbox_bytes_max = 1000;
    const std::string large(outbox_bytes_max, 'x');
    FrameEncoder encoder(outbox_bytes_max * 2);
    Outbox outbox(outbox_bytes_max, 10);
    REQUIRE(encoder.encode_application(large, outbox) == EncodeOutcome::queued);
    CHECK(outbox.bytes() > outbox_bytes_max);
    CHECK(encoder.encode_application(large, outbox) == EncodeOutcome::full);
    CHECK(encoder.encode_application("small", outbox) == EncodeOutcome::full);
    CHECK(outbox.frames() == 1);

    // A part of it still waits.
    outbox.consume(outbox.bytes() - 1);
    CHECK(encoder.encode_application("small", outbox) == EncodeOutcome::queued);
    CHECK(encoder.encode_application(large, outbox) == EncodeOutcome::full);
    outbox.consume(outbox.bytes());
    CHECK(outbox.frames() == 0);
    CHECK(encoder.encode_application(large, outbox) == EncodeOutcome::queued);
}
