// What waits for readers of streams, all together: what counts, and what becomes of it when it is
// too much.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "server/streams/subscription.h"
#include "tests/unit/server/stream_bench.h"

namespace cairn::server {
namespace {

using Kind = StreamRequest::Kind;

// Values that an opening of "p" owes, of one byte each.
std::vector<fsm::ListItem> many_present(fsm::Index count) {
    std::vector<fsm::ListItem> present;
    for (fsm::Index index = 1; index <= count; ++index) {
        present.push_back({"p" + std::to_string(index), value_of("x", index)});
    }
    return present;
}

}  // namespace

TEST_CASE("stream queues: a message counts once for all who wait, and until the last has it") {
    StreamBench bench;
    const raft::Counter& queued = bench.statistics.queued_bytes;
    CHECK(bench.statistics.queued_bytes_max.value() == StreamLimits().queued_bytes_max);
    {
        const auto readers = bench.subscribe_many(10, Kind::events, "a");
        const auto watches = bench.subscribe_many(10, Kind::watch, "", true);
        CHECK(queued.value() == 0);
        bench.publish({"a"}, 10'000);
        bench.run();
        CHECK(queued.value() > 20'000);  // an event and a value
        CHECK(queued.value() < 30'000);
        bench.publish({"a"}, 10'000);
        bench.run();
        CHECK(queued.value() > 30'000);  // the older value was left out
        CHECK(queued.value() < 40'000);
        for (const auto& watch : watches) {
            take(*watch);
        }
        CHECK(queued.value() < 25'000);
        SharedMessage on_its_way;
        for (const auto& reader : readers) {
            on_its_way = reader->next();
        }
        CHECK(queued.value() > 20'000);
        on_its_way.reset();
        CHECK(queued.value() < 15'000);
        for (const auto& reader : readers) {
            take(*reader);
        }
        CHECK(queued.value() == 0);
        bench.publish({"a"}, 10'000);
    }
    // The hub still knows its subscriptions, with what waits for them.
    CHECK(queued.value() > 10'000);
}

TEST_CASE("stream queues: those who keep the most give up first, the others keep all") {
    StreamLimits limits;
    limits.queued_bytes_max = 100'000;
    StreamBench bench(limits);
    const raft::Counter& queued = bench.statistics.queued_bytes;
    const auto large = bench.subscribe(Kind::events, "a");
    const auto quick = bench.subscribe(Kind::events, "a");
    const auto small = bench.subscribe(Kind::events, "b");
    bench.publish({"b", "b"}, 5'000);
    std::size_t heard = 0;
    for (int i = 0; i < 12; ++i) {
        CHECK(large->state() ==
              (i < 9 ? Subscription::State::open : Subscription::State::overflowed));
        bench.publish({"a"}, 10'000);
        heard += take(*quick).size();
        CHECK(queued.value() <= limits.queued_bytes_max);
    }
    CHECK(heard == 12);
    CHECK(large->cursor() == fsm::Cursor{1});
    CHECK_FALSE(large->has_next());
    CHECK(take(*small) == Indexes{2, 3});
    CHECK(bench.statistics.overflowed.value() == 1);
}

TEST_CASE("stream queues: many who wait for the same all go, when that is what it takes") {
    StreamLimits limits;
    limits.queued_bytes_max = 100'000;
    StreamBench bench(limits);
    const auto readers = bench.subscribe_many(200, Kind::events, "a");
    for (int i = 0; i < 30; ++i) {
        bench.publish({"a"}, 10'000);
        bench.run();
        CHECK(bench.statistics.queued_bytes.value() <= limits.queued_bytes_max);
    }
    for (const auto& reader : readers) {
        CHECK(reader->state() == Subscription::State::overflowed);
    }
}

TEST_CASE("stream queues: values that only streams keep count once, until they are told") {
    StreamLimits limits;
    StreamBench bench(limits);
    const raft::Counter& queued = bench.statistics.queued_bytes;
    bench.index = 10;
    for (const char* name : {"p/c", "p/a", "p/b"}) {
        bench.present.push_back(
            {name, value_of(std::string(100'000, 'x'), bench.present.size() + 1)});
    }
    const StreamRequest request = stream_request(Kind::watch, "p/", true);
    const std::vector<std::shared_ptr<Subscription>> readers = {bench.hub.subscribe(request),
                                                                bench.hub.subscribe(request)};
    CHECK(queued.value() < 10'000);  // they are the node's
    const auto replace = [&](std::size_t i, fsm::Event::Kind kind) {
        fsm::Event event = created_event(bench.present[i].name, ++bench.index, "y");
        event.kind = kind;
        (kind == fsm::Event::Kind::deleted ? event.value : event.prev_value.emplace()) =
            bench.present[i].value;
        bench.node.publish({std::move(event)}, bench.index);
        bench.run();
    };
    replace(1, fsm::Event::Kind::updated);
    CHECK(queued.value() > 100'000);
    CHECK(queued.value() < 110'000);
    replace(2, fsm::Event::Kind::deleted);
    CHECK(queued.value() > 200'000);
    CHECK(queued.value() < 210'000);
    CHECK(readers[0]->queued_bytes() > 200'000);
    for (const auto& reader : readers) {
        CHECK(queued.value() > 200'000);
        reader->next();
        reader->next();
    }
    CHECK(queued.value() > 100'000);
    CHECK(queued.value() < 110'000);
    CHECK(readers[0]->queued_bytes() < 110'000);
    readers[0]->next();
    readers[1]->give_up();
    readers[1]->next();
    CHECK(queued.value() < 10'000);
}

TEST_CASE("stream queues: a replay that the history has dropped counts, and so does a lost state") {
    StreamLimits limits;
    limits.queued_bytes_max = 150'000;
    StreamBench bench(limits);
    const raft::Counter& queued = bench.statistics.queued_bytes;
    bench.index = 10;
    for (const fsm::Index index : {8, 9, 10}) {
        bench.replay.push_back(created_event("a", index, std::string(50'000, 'x')));
    }
    const auto slow = bench.hub.subscribe(stream_request(Kind::events, "a", false, fsm::Cursor{7}));
    const auto advance = [&](fsm::Index oldest) {
        auto batch = std::make_shared<EventBatch>();
        batch->applied_index = bench.index;
        batch->history_oldest = fsm::Cursor{oldest};
        batch->history_lost = oldest == 0;
        bench.hub.on_events(batch);
        bench.hub.tick({});
    };
    advance(7);
    CHECK(queued.value() < 10'000);
    advance(9);
    CHECK(queued.value() > 100'000);
    CHECK(queued.value() < 110'000);
    SUBCASE("what is too much is given up") {
        advance(10);
        bench.hub.tick({});
        CHECK(queued.value() < 10'000);
        CHECK(slow->state() == Subscription::State::overflowed);
        CHECK(take(*slow).size() == 1);
    }
    SUBCASE("the state is another one") {
        advance(0);
        CHECK(queued.value() < 10'000);
        CHECK(slow->history_lost());
    }
    SUBCASE("what was told counts no more") {
        CHECK(take(*slow) == Indexes{7, 8, 9, 10});
        CHECK(queued.value() == 0);
    }
}

TEST_CASE("stream queues: a stream that would owe more than is kept can't be opened") {
    StreamLimits limits;
    limits.queued_bytes_max = 100'000;
    StreamBench bench(limits);
    const raft::Counter& queued = bench.statistics.queued_bytes;
    bench.index = 5000;
    bench.present = many_present(2000);
    for (const auto& cursor : {std::optional<fsm::Cursor>(), std::optional(fsm::Cursor{3})}) {
        bench.gap = cursor.has_value();
        const auto watch = bench.hub.subscribe(stream_request(Kind::watch, "p", true, cursor));
        CHECK(watch->state() == Subscription::State::failed);
        CHECK(watch->failure() == Failure::overloaded);
        CHECK_FALSE(watch->next());
        CHECK(watch->cursor() == cursor);
        CHECK(queued.value() == 0);
    }
    // Where there is room it gets all.
    bench.present.resize(100);
    const StreamRequest request = stream_request(Kind::watch, "p", true);
    const auto next = bench.hub.subscribe(request);
    CHECK(queued.value() > 100 * sizeof(fsm::ListItem));
    CHECK(take(*next).size() == 100);
    CHECK(queued.value() == 0);
}

TEST_CASE("stream queues: of openings that owe too much the largest goes, whole, or the newest") {
    StreamLimits limits;
    limits.queued_bytes_max = 100'000;
    StreamBench bench(limits);
    bench.index = 5000;
    bench.gap = true;
    const auto subscribe = [&](fsm::Index count) {
        bench.present = many_present(count);
        return bench.hub.subscribe(stream_request(Kind::events, "p", true, fsm::Cursor{3}));
    };
    const auto first = subscribe(400);
    first->next();
    for (int i = 0; i < 3; ++i) {
        CHECK(subscribe(400)->state() == Subscription::State::failed);
    }
    CHECK(first->state() == Subscription::State::open);
    const auto smaller = subscribe(300);
    CHECK(smaller->state() == Subscription::State::open);
    // Not continued from its cursor: all would be owed again.
    CHECK(first->state() == Subscription::State::failed);
    CHECK_FALSE(first->next());
    CHECK(first->cursor() == fsm::Cursor{3});
    CHECK(take(*smaller).size() == 302);
    CHECK(bench.statistics.queued_bytes.value() == 0);
}

TEST_CASE("stream queues: who gives up a replay gets on by a message") {
    StreamLimits limits;
    limits.queued_bytes_max = 100'000;
    StreamBench bench(limits);
    bench.index = 5000;
    for (fsm::Index index = 11; index <= 2000; ++index) {
        bench.replay.push_back(created_event("p", index, "x"));
    }
    const auto events =
        bench.hub.subscribe(stream_request(Kind::watch, "p", false, fsm::Cursor{10}));
    CHECK(events->state() == Subscription::State::open);  // the newest is all that a watch tells
    StreamRequest request = stream_request(Kind::events, "p", false, fsm::Cursor{10});
    request.is_continued = true;
    const auto part = bench.hub.subscribe(request);
    CHECK(bench.statistics.queued_bytes.value() <= limits.queued_bytes_max);
    CHECK(part->next());
    CHECK(part->cursor() == fsm::Cursor{11});
    CHECK_FALSE(part->next());
    CHECK(part->state() == Subscription::State::overflowed);
}

}  // namespace cairn::server
