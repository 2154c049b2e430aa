#include "server/streams/stream_hub.h"

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/unit/server/played_node.h"

namespace cairn::server {
namespace {

using json = nlohmann::json;
using Kind = StreamRequest::Kind;

fsm::Event created(const std::string& name, fsm::Index at_index) {
    return created_event(name, at_index, "v" + std::to_string(at_index));
}

fsm::Event updated(const std::string& name, fsm::Index at_index) {
    fsm::Event event = created(name, at_index);
    event.kind = fsm::Event::Kind::updated;
    event.prev_value = value_of("before", at_index - 1);
    return event;
}

fsm::Event deleted(const std::string& name, fsm::Index at_index) {
    fsm::Event event = created(name, at_index);
    event.kind = fsm::Event::Kind::deleted;
    event.value = value_of("old", at_index - 1);
    return event;
}

struct Bench {
    explicit Bench(const StreamLimits& limits = {}) : hub(backend, limits, statistics, [] {}) {}

    std::shared_ptr<Subscription> subscribe(Kind kind, std::string name, bool prefix = false,
                                            std::optional<fsm::Cursor> cursor = std::nullopt) {
        return hub.subscribe(stream_request(kind, std::move(name), prefix, cursor));
    }

    // Answers the newest opening.
    void open(fsm::Index applied_index, std::vector<fsm::ListItem> present = {},
              std::vector<fsm::Event> replay = {}, bool gap = false) {
        const std::shared_ptr<StreamOpen> answer = backend.opens.back();
        answer->applied_index = applied_index;
        answer->present = std::move(present);
        answer->replay = std::move(replay);
        answer->gap = gap;
        answer->on_done();
    }

    PlayedNode backend;
    StreamStatistics statistics;
    StreamHub hub;
};

std::vector<json> take_all(Subscription& subscription) {
    std::vector<json> messages;
    while (const SharedMessage message = subscription.next()) {
        messages.push_back(json::parse(message->payload()));
    }
    return messages;
}

json take_one(Subscription& subscription) {
    const std::vector<json> messages = take_all(subscription);
    REQUIRE(messages.size() == 1);
    return messages.front();
}

std::vector<std::string> cursors(const std::vector<json>& messages) {
    std::vector<std::string> all;
    for (const json& message : messages) {
        all.push_back(message.at("cursor"));
    }
    return all;
}

using Strings = std::vector<std::string>;

}  // namespace

TEST_CASE("stream hub: a watch begins with the present value, then each new one") {
    Bench bench;
    const auto watch = bench.subscribe(Kind::watch, "a");
    CHECK(watch->state() == Subscription::State::opening);
    CHECK_FALSE(watch->next());
    bench.open(7, {{"a", value_of("x", 5)}});
    CHECK(watch->state() == Subscription::State::open);
    json message = take_one(*watch);
    CHECK(message.at("type") == "value");
    CHECK(message.at("value") == "x");
    CHECK(message.at("index") == 5);
    CHECK(message.at("cursor") == "7");

    bench.backend.publish({updated("a", 8), created("b", 9)}, 9);
    message = take_one(*watch);
    CHECK(message.at("value") == "v8");
    CHECK(message.at("cursor") == "8");

    bench.backend.publish({deleted("a", 10)}, 10);
    message = take_one(*watch);
    CHECK(message.at("value").is_null());
    CHECK(message.at("index") == 10);
    CHECK(message.at("cursor") == "10");
}

TEST_CASE("stream hub: a watch of a value that is not set says so first") {
    Bench bench;
    const auto watch = bench.subscribe(Kind::watch, "a");
    bench.open(7);
    const json message = take_one(*watch);
    CHECK(message.at("name") == "a");
    CHECK(message.at("value").is_null());
    CHECK(message.at("cursor") == "7");
}

TEST_CASE("stream hub: events are acknowledged, then told in order, each once") {
    Bench bench;
    const auto events = bench.subscribe(Kind::events, "a");
    bench.open(6, {{"a", value_of("x", 5)}});
    bench.backend.publish({updated("a", 7), deleted("a", 8), created("a", 9)}, 9);
    const std::vector<json> messages = take_all(*events);
    REQUIRE(messages.size() == 4);
    CHECK(messages[0].at("type") == "subscribed");
    CHECK(messages[1].at("type") == "updated");
    CHECK(messages[2].at("type") == "deleted");
    CHECK(messages[3].at("type") == "created");
    CHECK(cursors(messages) == Strings{"6", "7", "8", "9"});
}

TEST_CASE("stream hub: an event is rendered once for all who want it") {
    Bench bench;
    const auto first = bench.subscribe(Kind::events, "a/b");
    bench.open(1);
    const auto second = bench.subscribe(Kind::events, "a/", true);
    bench.open(1);
    const auto third = bench.subscribe(Kind::events, "", true);
    bench.open(1);
    const auto other = bench.subscribe(Kind::events, "a/bc", true);
    bench.open(1);
    for (const auto& each : {first, second, third, other}) {
        take_all(*each);
    }
    bench.backend.publish({created("a/b", 2)}, 2);
    const SharedMessage text = first->next();
    REQUIRE(text);
    CHECK(second->next() == text);
    CHECK(third->next() == text);
    CHECK_FALSE(other->next());
}

TEST_CASE("stream hub: several events of one entry have cursors of their own") {
    Bench bench;
    const auto events = bench.subscribe(Kind::events, "", true);
    bench.open(1);
    take_all(*events);
    fsm::Event first = deleted("a", 5);
    first.last_of_index = false;
    fsm::Event second = created("b", 5);
    second.at_position = 1;
    bench.backend.publish({first, second}, 5);
    CHECK(cursors(take_all(*events)) == Strings{"5.1", "5"});
}

TEST_CASE("stream hub: events resume after a cursor, without the present state") {
    Bench bench;
    const auto events = bench.subscribe(Kind::events, "a", false, fsm::Cursor{3, 1});
    CHECK(bench.backend.opens.back()->after_index == 3);
    CHECK(bench.backend.opens.back()->after_position == 1);
    bench.open(8, {{"a", value_of("x", 6)}}, {updated("a", 4), updated("a", 6)});
    bench.backend.publish({updated("a", 9)}, 9);
    const std::vector<json> messages = take_all(*events);
    CHECK(cursors(messages) == Strings{"3.1", "4", "6", "9"});
    CHECK(messages[0].at("type") == "subscribed");
}

TEST_CASE("stream hub: a watch resumes with the newest state of each name that changed") {
    Bench bench;
    const auto watch = bench.subscribe(Kind::watch, "", true, fsm::Cursor{3});
    bench.open(
        9, {{"a", value_of("x", 2)}, {"b", value_of("v8", 8)}},
        {created("b", 4), updated("b", 5), created("c", 6), deleted("c", 7), updated("b", 8)});
    const std::vector<json> messages = take_all(*watch);
    REQUIRE(messages.size() == 2);
    CHECK(messages[0].at("name") == "c");
    CHECK(messages[0].at("value").is_null());
    CHECK(messages[1].at("name") == "b");
    CHECK(messages[1].at("value") == "v8");
    CHECK(cursors(messages) == Strings{"7", "8"});
}

TEST_CASE("stream hub: a watch with nothing to tell says that it stands, and how far it has come") {
    Bench bench;
    const auto watch = bench.subscribe(Kind::watch, "a", false, fsm::Cursor{9});
    bench.open(12);
    json message = take_one(*watch);
    CHECK(message.at("type") == "progress");
    CHECK(message.at("cursor") == "12");
    const auto ahead = bench.subscribe(Kind::watch, "a", false, fsm::Cursor{90});
    bench.open(12);
    CHECK(take_one(*ahead).at("cursor") == "90");
    const auto prefix = bench.subscribe(Kind::watch, "p/", true);
    bench.open(12);
    message = take_one(*prefix);
    CHECK(message.at("type") == "progress");
    CHECK(message.at("cursor") == "12");
}

TEST_CASE("stream hub: a replay in parts ends after each, and goes on where it ended") {
    StreamLimits limits;
    limits.replay_part_max = 2;
    Bench bench(limits);
    StreamRequest request = stream_request(Kind::events, "a", false, fsm::Cursor{3});
    request.in_parts = true;
    const auto first = bench.hub.subscribe(request);
    CHECK(bench.backend.opens.back()->replay_max == 2);
    bench.open(20, {}, {updated("a", 4), updated("a", 5)});
    CHECK(first->state() == Subscription::State::overflowed);
    bench.backend.publish({updated("a", 21)}, 21);
    CHECK(cursors(take_all(*first)) == Strings{"3", "4", "5"});
    request.cursor = first->cursor();
    request.is_continued = true;
    const auto second = bench.hub.subscribe(request);
    CHECK(bench.backend.opens.back()->after_index == 5);
    bench.open(21, {}, {updated("a", 21)});
    CHECK(second->state() == Subscription::State::open);
    CHECK(cursors(take_all(*second)) == Strings{"21"});
    request.cursor = second->cursor();
    const auto nothing_new = bench.hub.subscribe(request);
    bench.open(21);
    CHECK_FALSE(nothing_new->has_next());
    // Who doesn't go on by itself gets all of it at once.
    bench.subscribe(Kind::events, "a", false, fsm::Cursor{3});
    CHECK(bench.backend.opens.back()->replay_max == SIZE_MAX);
}

TEST_CASE("stream hub: what was owed is given also after an overflow") {
    StreamLimits limits;
    limits.events_queue_messages_max = 1;
    Bench bench(limits);
    const auto events = bench.subscribe(Kind::events, "a", false, fsm::Cursor{3});
    bench.open(5, {}, {updated("a", 4), updated("a", 5)});
    bench.backend.publish({updated("a", 6), updated("a", 7)}, 7);
    CHECK(events->state() == Subscription::State::overflowed);
    CHECK(cursors(take_all(*events)) == Strings{"3", "4", "5"});
    CHECK(events->cursor() == fsm::Cursor{5});
}

TEST_CASE("stream hub: after a gap comes the present state, and only its end is a new cursor") {
    for (const Kind kind : {Kind::watch, Kind::events}) {
        Bench bench;
        const auto stream = bench.subscribe(kind, "", true, fsm::Cursor{3});
        bench.open(90, {{"a", value_of("x", 80)}, {"b", value_of("y", 2)}}, {}, true);
        std::vector<json> messages = take_all(*stream);
        if (kind == Kind::events) {
            CHECK(messages.front().at("type") == "subscribed");
            CHECK(messages.front().at("cursor") == "3");
            messages.erase(messages.begin());
        }
        REQUIRE(messages.size() == 3);
        CHECK(messages[0].at("type") == "gap");
        CHECK(messages[1].at("type") == "value");
        CHECK(messages[2].at("type") == "value");
        CHECK(cursors(messages) == Strings{"3", "3", "90"});
    }
}

TEST_CASE("stream hub: after a gap a name that is not set is told, an empty prefix is not") {
    Bench bench;
    const auto exact = bench.subscribe(Kind::events, "a", false, fsm::Cursor{3});
    bench.open(90, {}, {}, true);
    const std::vector<json> messages = take_all(*exact);
    REQUIRE(messages.size() == 3);
    CHECK(messages[2].at("value").is_null());
    CHECK(cursors(messages) == Strings{"3", "3", "90"});
    const auto prefix = bench.subscribe(Kind::watch, "p/", true, fsm::Cursor{3});
    bench.open(90, {}, {}, true);
    CHECK(cursors(take_all(*prefix)) == Strings{"90"});
}

TEST_CASE("stream hub: present values of a prefix come in an order that can be resumed") {
    Bench bench;
    const auto watch = bench.subscribe(Kind::watch, "", true);
    bench.open(20, {{"a", value_of("x", 9)}, {"b", value_of("y", 4)}, {"c", value_of("z", 12)}});
    const std::vector<json> messages = take_all(*watch);
    REQUIRE(messages.size() == 3);
    CHECK(messages[0].at("name") == "b");
    CHECK(cursors(messages) == Strings{"4", "9", "20"});
}

TEST_CASE("stream hub: a cursor from the future waits for its place") {
    Bench bench;
    const auto events = bench.subscribe(Kind::events, "a", false, fsm::Cursor{10});
    bench.open(6, {}, {});
    CHECK(take_one(*events).at("cursor") == "10");
    bench.backend.publish({updated("a", 9), updated("a", 10)}, 10);
    CHECK_FALSE(events->has_next());
    bench.backend.publish({updated("a", 11)}, 11);
    CHECK(take_one(*events).at("cursor") == "11");
}

TEST_CASE("stream hub: a watch of a name keeps only the newest value") {
    Bench bench;
    const auto watch = bench.subscribe(Kind::watch, "a");
    bench.open(1);
    take_all(*watch);
    for (fsm::Index index = 2; index < 10'000; ++index) {
        bench.backend.publish({updated("a", index)}, index);
    }
    CHECK(take_one(*watch).at("cursor") == "9999");
}

TEST_CASE("stream hub: a watch of a prefix keeps the newest value per name, cursors in order") {
    Bench bench;
    const auto watch = bench.subscribe(Kind::watch, "", true);
    bench.open(1);
    take_all(*watch);
    bench.backend.publish({created("a", 2), created("b", 3), updated("a", 4), created("c", 5)}, 5);
    bench.backend.publish({updated("b", 6)}, 6);
    const std::vector<json> messages = take_all(*watch);
    CHECK(cursors(messages) == Strings{"4", "5", "6"});
    CHECK(messages[0].at("name") == "a");
    CHECK(messages[2].at("name") == "b");
    bench.backend.publish({updated("a", 7)}, 7);
    CHECK(take_one(*watch).at("cursor") == "7");
}

TEST_CASE("stream hub: events of a prefix are kept each, also those of one name") {
    Bench bench;
    const auto reader = bench.subscribe(Kind::events, "a", true);
    bench.open(3);
    take_all(*reader);
    bench.backend.publish({created("ab", 4)}, 4);
    bench.backend.publish({updated("ab", 5), created("ac", 6)}, 6);
    bench.backend.publish({deleted("ab", 7)}, 7);
    CHECK(cursors(take_all(*reader)) == Strings{"4", "5", "6", "7"});
}

TEST_CASE("stream hub: a name begins with itself, and not with a longer one") {
    Bench bench;
    const auto whole = bench.subscribe(Kind::events, "ab", true);
    bench.open(3);
    const auto longer = bench.subscribe(Kind::events, "abc", true);
    bench.open(3);
    take_all(*whole);
    take_all(*longer);
    bench.backend.publish({created("ab", 4), created("abc", 5), created("a", 6)}, 6);
    CHECK(cursors(take_all(*whole)) == Strings{"4", "5"});
    CHECK(cursors(take_all(*longer)) == Strings{"5"});
}

TEST_CASE("stream hub: a queue of events that overflows ends with the last cursor taken") {
    StreamLimits limits;
    limits.events_queue_messages_max = 3;
    Bench bench(limits);
    const auto slow = bench.subscribe(Kind::events, "a");
    bench.open(1);
    const auto quick = bench.subscribe(Kind::events, "a");
    bench.open(1);
    take_all(*slow);
    bench.backend.publish({updated("a", 2)}, 2);
    take_all(*slow);
    for (fsm::Index index = 3; index <= 6; ++index) {
        bench.backend.publish({updated("a", index)}, index);
        CHECK_FALSE(take_all(*quick).empty());
    }
    CHECK(slow->state() == Subscription::State::overflowed);
    CHECK_FALSE(slow->next());
    CHECK(slow->cursor() == fsm::Cursor{2});
    CHECK(quick->state() == Subscription::State::open);
    // Nothing is added to what has ended.
    bench.backend.publish({updated("a", 7)}, 7);
    CHECK_FALSE(slow->has_next());
}

TEST_CASE("stream hub: a queue is bounded in bytes, but one message always fits") {
    StreamLimits limits;
    limits.events_queue_bytes_max = 10;
    Bench bench(limits);
    const auto events = bench.subscribe(Kind::events, "a");
    bench.open(1);
    take_all(*events);
    bench.backend.publish({updated("a", 2)}, 2);
    CHECK(take_one(*events).at("cursor") == "2");
    bench.backend.publish({updated("a", 3), updated("a", 4)}, 4);
    CHECK(events->state() == Subscription::State::overflowed);
}

TEST_CASE("stream hub: a watch of too many changing names overflows") {
    StreamLimits limits;
    limits.watch_queue_names_max = 2;
    Bench bench(limits);
    const auto watch = bench.subscribe(Kind::watch, "", true);
    bench.open(1);
    bench.backend.publish({created("a", 2), created("b", 3), updated("a", 4)}, 4);
    CHECK(watch->state() == Subscription::State::open);
    bench.backend.publish({created("c", 5)}, 5);
    CHECK(watch->state() == Subscription::State::overflowed);
    CHECK_FALSE(watch->cursor());
}

TEST_CASE("stream hub: a quiet stream says how far it has come") {
    using std::chrono::milliseconds;
    StreamLimits limits;
    limits.progress_interval_ms = 9000;
    Bench bench(limits);
    const auto watch = bench.subscribe(Kind::watch, "a");
    bench.open(1);
    const auto ahead = bench.subscribe(Kind::events, "a", false, fsm::Cursor{50});
    bench.open(1);
    const auto stuck = bench.subscribe(Kind::events, "a");
    bench.open(1);
    take_all(*watch);
    take_all(*ahead);
    std::chrono::steady_clock::time_point now{};
    bench.hub.tick(now);
    bench.backend.publish({created("b", 40)}, 42);
    bench.hub.tick(now + milliseconds(8999));
    CHECK_FALSE(watch->has_next());
    bench.hub.tick(now + milliseconds(9000));
    const json message = take_one(*watch);
    CHECK(message.at("type") == "progress");
    CHECK(message.at("cursor") == "42");
    CHECK(take_one(*ahead).at("cursor") == "50");
    // What waits to be sent says more than a progress message.
    CHECK(take_one(*stuck).at("type") == "subscribed");
    // A progress message counts as one.
    now += milliseconds(9000);
    bench.hub.tick(now + milliseconds(250));
    bench.hub.tick(now + milliseconds(8999));
    CHECK_FALSE(watch->has_next());
    bench.hub.tick(now + milliseconds(9250));
    CHECK(watch->has_next());
}

TEST_CASE("stream hub: only a watch that begins wants the present values") {
    Bench bench;
    const auto wants_present = [&](Kind kind, std::optional<fsm::Cursor> cursor) {
        bench.subscribe(kind, "a/", true, cursor);
        return bench.backend.opens.back()->wants_present;
    };
    CHECK(wants_present(Kind::watch, std::nullopt));
    CHECK_FALSE(wants_present(Kind::events, std::nullopt));
}

TEST_CASE("stream hub: a failed opening is told, and costs nothing later") {
    Bench bench;
    const auto watch = bench.subscribe(Kind::watch, "a");
    int calls = 0;
    watch->on_ready = [&calls] { ++calls; };
    bench.backend.opens.back()->failure = Failure::draining;
    bench.open(1);
    CHECK(calls == 1);
    CHECK(watch->state() == Subscription::State::failed);
    CHECK(watch->failure() == Failure::draining);
    bench.backend.publish({created("a", 2)}, 2);
    CHECK_FALSE(watch->has_next());
    bench.hub.unsubscribe(*watch);
    CHECK(bench.hub.size() == 0);
}

TEST_CASE("stream hub: who unsubscribes hears nothing more, others do") {
    Bench bench;
    std::vector<std::shared_ptr<Subscription>> streams;
    for (int i = 0; i < 3; ++i) {
        streams.push_back(bench.subscribe(Kind::events, i == 2 ? "a" : "a/", i != 2));
        bench.open(1);
        take_all(*streams.back());
    }
    const auto opening = bench.subscribe(Kind::watch, "a");
    bench.hub.unsubscribe(*opening);
    CHECK_FALSE(bench.backend.opens.back()->on_done);
    bench.hub.unsubscribe(*streams[0]);
    bench.hub.unsubscribe(*streams[0]);
    CHECK(bench.hub.size() == 2);
    bench.backend.publish({created("a/b", 2), created("a", 3)}, 3);
    CHECK_FALSE(streams[0]->has_next());
    CHECK(take_one(*streams[1]).at("cursor") == "2");
    CHECK(take_one(*streams[2]).at("cursor") == "3");
    bench.hub.unsubscribe(*streams[1]);
    bench.hub.unsubscribe(*streams[2]);
    bench.backend.publish({created("a/b", 4), created("a", 5)}, 5);
    CHECK_FALSE(streams[1]->has_next());
    CHECK(bench.hub.size() == 0);
}

TEST_CASE("stream hub: what became of streams is counted") {
    StreamLimits limits;
    limits.events_queue_messages_max = 2;
    Bench bench(limits);
    const StreamStatistics& counted = bench.statistics;
    const auto watch = bench.subscribe(Kind::watch, "a");
    CHECK(counted.open[0][0].value() == 0);  // not open yet
    bench.open(1);
    const auto all = bench.subscribe(Kind::watch, "", true);
    bench.open(1);
    const auto slow = bench.subscribe(Kind::events, "a");
    bench.open(1);
    CHECK(counted.open[0][0].value() == 2);
    CHECK(counted.open[1][0].value() == 1);
    take_all(*watch);
    take_all(*slow);
    take_all(*all);  // that it has begun
    const std::uint64_t taken = counted.messages.value();
    CHECK(taken == 3);
    CHECK(counted.lag.figures().count() == 0);  // those are no events
    for (fsm::Index index = 2; index <= 4; ++index) {
        bench.backend.publish({updated("a", index)}, index);
    }
    CHECK(counted.conflated.value() == 4);  // two of each watch
    CHECK(counted.overflowed.value() == 1);
    take_all(*watch);
    take_all(*all);
    CHECK(counted.messages.value() == taken + 2);
    CHECK(counted.lag.figures().count() == 2);
    CHECK(counted.lag.figures().sum_ns < 60'000'000'000U);
    bench.subscribe(Kind::events, "a", false, fsm::Cursor{1});
    bench.open(9, {}, {}, true);
    CHECK(counted.gaps.value() == 1);
    bench.hub.unsubscribe(*slow);
    bench.hub.unsubscribe(*watch);
    bench.hub.unsubscribe(*watch);
    CHECK(counted.open[0][0].value() == 1);
    CHECK(counted.open[1][0].value() == 1);
    // One that never opened was never counted.
    const auto failed = bench.subscribe(Kind::watch, "a");
    bench.backend.opens.back()->failure = Failure::timeout;
    bench.backend.opens.back()->on_done();
    bench.hub.unsubscribe(*failed);
    CHECK(counted.open[0][0].value() == 1);
}

TEST_CASE("stream hub: there are only so many subscriptions") {
    StreamLimits limits;
    limits.subscriptions_max = 2;
    Bench bench(limits);
    const auto first = bench.subscribe(Kind::watch, "a");
    const auto second = bench.subscribe(Kind::watch, "a");
    CHECK(second);
    CHECK_FALSE(bench.subscribe(Kind::watch, "a"));
    bench.hub.unsubscribe(*first);
    CHECK(bench.subscribe(Kind::watch, "a"));
}

TEST_CASE("stream hub: a hub that ends leaves nobody pointing at it") {
    PlayedNode backend;
    StreamStatistics statistics;
    std::shared_ptr<Subscription> watch;
    {
        StreamHub hub(backend, {}, statistics, [] {});
        CHECK(backend.listener == &hub);
        watch = hub.subscribe(stream_request(Kind::watch, "a"));
    }
    CHECK(backend.listener == nullptr);
    CHECK_FALSE(backend.opens.back()->on_done);
}

}  // namespace cairn::server
