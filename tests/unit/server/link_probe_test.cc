#include "server/node/link_probe.h"

#include <doctest/doctest.h>

#include "tests/unit/server/replica_testing.h"

namespace cairn::server::test {
namespace {

constexpr std::int64_t second = 1000 * ms;

v1::Ping ping(std::uint64_t number, bool hears_you) {
    v1::Ping made;
    made.set_number(number);
    made.set_hears_you(hears_you);
    return made;
}

v1::Pong pong(std::uint64_t number) {
    v1::Pong made;
    made.set_number(number);
    return made;
}

struct Fixture {
    FakeTransport transport;
    LinkProbe probe{transport, 1, second};
    std::int64_t now = second;

    // The numbers of the pings that a round sends to node 2.
    std::uint64_t round() {
        now += LinkProbe::interval_ns;
        transport.notes.clear();
        probe.tick({1, 2, 3}, 40, now);
        std::uint64_t number = 0;
        for (const FakeTransport::Note& note : transport.notes) {
            CHECK(note.to != 1);
            if (note.to == 2) {
                number = note.note.ping().number();
            }
        }
        return number;
    }
};

TEST_CASE_FIXTURE(Fixture, "link probe: every other member is pinged once in an interval") {
    probe.tick({1, 2, 3}, 40, second + LinkProbe::interval_ns - 1);
    CHECK(transport.notes.empty());
    round();
    CHECK(transport.notes.size() == 2);
    probe.tick({1, 2, 3}, 40, now);
    CHECK(transport.notes.size() == 2);
}

TEST_CASE_FIXTURE(Fixture, "link probe: the answer to the newest ping is a round trip") {
    const std::uint64_t old = round();
    const std::uint64_t number = round();
    probe.on_pong(2, pong(old), now + 7 * ms);
    CHECK(!probe.link(2)->rtt_ns);
    probe.on_pong(2, pong(number), now + 9 * ms);
    CHECK(probe.link(2)->rtt_ns == 9 * ms);
    probe.on_pong(2, pong(number), now + 20 * ms);  // twice
    CHECK(probe.link(2)->rtt_ns == 9 * ms);
    CHECK(LinkProbe::hears(*probe.link(2), now));
    CHECK(LinkProbe::reaches(*probe.link(2), now) == true);
    CHECK(!LinkProbe::hears(*probe.link(3), now));
    CHECK(!LinkProbe::reaches(*probe.link(3), now));
}

TEST_CASE_FIXTURE(Fixture, "link probe: an answer with a number of its own is none") {
    round();
    probe.on_pong(2, pong(0), now);
    probe.on_pong(2, pong(77), now);
    CHECK(!probe.link(2)->rtt_ns);
    probe.on_pong(9, pong(1), now);  // nobody's
    CHECK(probe.link(9) == nullptr);
}

TEST_CASE_FIXTURE(Fixture, "link probe: a link that carries one way only") {
    round();
    probe.on_ping(2, ping(5, false), now);
    CHECK(transport.notes.back().to == 2);
    CHECK(transport.notes.back().note.pong().number() == 5);
    CHECK(LinkProbe::hears(*probe.link(2), now));
    CHECK(LinkProbe::reaches(*probe.link(2), now) == false);
    // Our next ping tells it that it is heard.
    round();
    CHECK(transport.notes.front().note.ping().hears_you());
    CHECK(!transport.notes.back().note.ping().hears_you());  // node 3 is not
    probe.on_ping(2, ping(6, true), now);
    CHECK(LinkProbe::reaches(*probe.link(2), now) == true);
}

TEST_CASE_FIXTURE(Fixture, "link probe: a ping tells what its sender has of the log") {
    round();
    CHECK(transport.notes.front().note.ping().stable_index() == 40);
    CHECK(!probe.link(2)->stable_index);
    v1::Ping told = ping(1, true);
    told.set_stable_index(37);
    probe.on_ping(2, told, now);
    CHECK(probe.link(2)->stable_index == 37);
    probe.on_ping(2, ping(2, true), now);  // of an earlier version
    CHECK(probe.link(2)->stable_index == 37);
}

TEST_CASE_FIXTURE(Fixture, "link probe: silence means not heard, and that nobody knows more") {
    const std::uint64_t number = round();
    probe.on_pong(2, pong(number), now);
    probe.on_ping(2, ping(1, true), now);
    CHECK(LinkProbe::reaches(*probe.link(2), now + LinkProbe::silence_ns) == true);
    CHECK(!LinkProbe::reaches(*probe.link(2), now + LinkProbe::silence_ns + 1));
    CHECK(!LinkProbe::hears(*probe.link(2), now + LinkProbe::silence_ns + 1));
}

TEST_CASE_FIXTURE(Fixture, "link probe: who is a member no more is forgotten") {
    round();
    now += LinkProbe::interval_ns;
    probe.tick({1, 3}, 40, now);
    CHECK(probe.link(2) == nullptr);
    CHECK(probe.link(3) != nullptr);
}

}  // namespace
}  // namespace cairn::server::test
