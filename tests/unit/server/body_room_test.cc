#include "server/gateway/body_room.h"

#include <memory>
#include <vector>

#include <doctest/doctest.h>

namespace cairn::server {
namespace {

using State = BodyRoom::Place::State;

}  // namespace

TEST_CASE("body room: first come, first in, and nobody is passed") {
    BodyRoom room(100, 2);
    std::vector<int> let_in;
    const auto place = [&](int number) {
        return std::make_unique<BodyRoom::Place>(room,
                                                 [&let_in, number] { let_in.push_back(number); });
    };
    const auto a = place(0);
    const auto b = place(1);
    auto c = place(2);
    const auto d = place(3);
    CHECK(a->enter(60) == State::inside);
    CHECK(b->enter(50) == State::waiting);
    CHECK(c->enter(10) == State::waiting);  // would fit, but b was first
    CHECK(d->enter(10) == State::none);     // too many wait
    CHECK(room.bytes() == 60);
    a->leave();
    CHECK(let_in == std::vector<int>{1, 2});
    CHECK(b->state() == State::inside);
    CHECK(room.bytes() == 60);
    CHECK(room.waiting() == 0);
    a->leave();  // has left
    CHECK(room.bytes() == 60);
    c.reset();
    CHECK(room.bytes() == 50);
}

TEST_CASE("body room: one that leaves the line makes way; one alone always fits") {
    BodyRoom room(100, 10);
    const auto nothing = [] {};
    BodyRoom::Place a(room, nothing);
    BodyRoom::Place b(room, nothing);
    BodyRoom::Place c(room, nothing);
    CHECK(a.enter(60) == State::inside);
    CHECK(b.enter(1000) == State::waiting);
    CHECK(c.enter(40) == State::waiting);
    b.leave();
    CHECK(c.state() == State::inside);
    CHECK(b.enter(1000) == State::waiting);
    a.leave();
    CHECK(b.state() == State::waiting);
    c.leave();
    CHECK(b.state() == State::inside);
    CHECK(a.enter(1) == State::waiting);
    b.leave();
    CHECK(a.state() == State::inside);
    CHECK(room.bytes() == 1);
}

}  // namespace cairn::server
