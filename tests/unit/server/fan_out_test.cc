#include "server/streams/fan_out.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "server/streams/stream_hub.h"
#include "tests/unit/server/played_node.h"

namespace cairn::server {
namespace {

using Kind = StreamRequest::Kind;
using Indexes = std::vector<fsm::Index>;

// The hub's event loop is the test: turns are taken when it says so. Streams are opened at once.
struct Bench {
    explicit Bench(const StreamLimits& limits = {})
        : hub(node, limits, statistics, [this] { ++turns_asked_for; }) {
        node.on_open = [this](StreamOpen& open) {
            open.applied_index = index;
            open.present = present;
            open.replay = replay;
            open.on_done();
        };
    }

    std::shared_ptr<Subscription> subscribe(Kind kind, std::string name, bool prefix = false,
                                            std::optional<fsm::Cursor> cursor = std::nullopt) {
        auto subscription = hub.subscribe(stream_request(kind, std::move(name), prefix, cursor));
        while (subscription->next()) {
        }
        return subscription;
    }

    std::vector<std::shared_ptr<Subscription>> subscribe_many(std::size_t count, Kind kind,
                                                              const std::string& name,
                                                              bool prefix = false) {
        std::vector<std::shared_ptr<Subscription>> all(count);
        std::generate(all.begin(), all.end(), [&] { return subscribe(kind, name, prefix); });
        return all;
    }

    // One event an entry, with this name.
    void publish(const std::vector<std::string>& names, std::size_t bytes = 1) {
        std::vector<fsm::Event> events;
        for (const std::string& name : names) {
            events.push_back(created_event(name, ++index, std::string(bytes, 'x')));
        }
        node.publish(std::move(events), index);
    }

    // False when no turn was asked for.
    bool turn() {
        if (turns_asked_for == 0) {
            return false;
        }
        --turns_asked_for;
        hub.run_turn();
        return true;
    }
    void run() {
        while (turn()) {
        }
    }

    PlayedNode node;
    StreamStatistics statistics;
    fsm::Index index = 1;
    int turns_asked_for = 0;
    std::vector<fsm::ListItem> present;
    std::vector<fsm::Event> replay;
    StreamHub hub;
};

Indexes take(Subscription& subscription) {
    Indexes indexes;
    while (subscription.next()) {
        indexes.push_back(subscription.cursor()->index);
    }
    return indexes;
}

std::size_t count_reached(const std::vector<std::shared_ptr<Subscription>>& readers) {
    return static_cast<std::size_t>(std::count_if(
        readers.begin(), readers.end(), [](const auto& reader) { return reader->has_next(); }));
}

}  // namespace

TEST_CASE("fan out: an event reaches a bounded number of readers in a turn, and all in the end") {
    Bench bench;
    const std::size_t count = 10 * FanOut::work_per_turn;
    const auto readers = bench.subscribe_many(count, Kind::watch, "a");
    bench.publish({"a"});
    std::size_t reached = count_reached(readers);
    CHECK(reached > 0);  // who is alone waits for no turn
    std::size_t turns = 1;
    while (bench.turn()) {
        const std::size_t now = count_reached(readers);
        CHECK(now - reached <= FanOut::work_per_turn);
        CHECK(bench.turns_asked_for <= 1);
        reached = now;
        ++turns;
    }
    CHECK(reached == count);
    CHECK(turns >= 10);
    for (const auto& reader : readers) {
        CHECK(take(*reader) == Indexes{2});
    }
}

TEST_CASE("fan out: what many events cost is bounded as well") {
    Bench bench;
    const auto readers = bench.subscribe_many(100, Kind::events, "", true);
    bench.publish(std::vector<std::string>(20, "a"));
    std::size_t reached = count_reached(readers);
    CHECK(reached <= FanOut::work_per_turn / 20 + 1);
    while (bench.turn()) {
        const std::size_t now = count_reached(readers);
        CHECK(now - reached <= FanOut::work_per_turn / 20 + 1);
        reached = now;
    }
    for (const auto& reader : readers) {
        CHECK(take(*reader).size() == 20);
    }
}

TEST_CASE("fan out: few readers of one topic don't wait for the many of another") {
    Bench bench;
    const auto many = bench.subscribe_many(20 * FanOut::work_per_turn, Kind::watch, "a");
    const auto one = bench.subscribe(Kind::watch, "b");
    bench.publish({"a"});
    bench.publish({"b"});
    bench.turn();
    bench.turn();
    CHECK(one->has_next());
    CHECK(count_reached(many) < many.size());
    bench.run();
    CHECK(count_reached(many) == many.size());
}

TEST_CASE("fan out: a watch of a name is brought only the newest of what waits") {
    Bench bench;
    const auto readers = bench.subscribe_many(4 * FanOut::work_per_turn, Kind::watch, "a");
    bench.publish({"a"});
    for (int i = 0; i < 9; ++i) {
        bench.publish({"a"});
    }
    bench.run();
    for (const auto& reader : readers) {
        CHECK(take(*reader) == Indexes{11});
    }
    // Nine older ones of each, wherever they were left out.
    CHECK(bench.statistics.conflated.value() == 9 * readers.size());
}

TEST_CASE("fan out: who comes while an event is under way gets what is behind its place, once") {
    Bench bench;
    auto readers = bench.subscribe_many(4 * FanOut::work_per_turn, Kind::events, "a");
    bench.publish({"a"});
    const auto late = bench.subscribe(Kind::events, "a");
    const auto ahead = bench.subscribe(Kind::events, "a", false, fsm::Cursor{3});
    CHECK_FALSE(late->has_next());
    bench.publish({"a", "a"});
    bench.run();
    CHECK(take(*late) == Indexes{3, 4});
    CHECK(take(*ahead) == Indexes{4});
    for (const auto& reader : readers) {
        CHECK(take(*reader) == Indexes{2, 3, 4});
    }
}

TEST_CASE("fan out: when readers go, the others miss nothing") {
    for (const std::size_t gone : {0UL, 1UL, 63UL, 64UL, 65UL, 128UL, 255UL}) {
        CAPTURE(gone);
        Bench bench;
        auto readers = bench.subscribe_many(256, Kind::events, "a");
        bench.publish({"a"});
        const auto first = readers[gone];
        bench.hub.unsubscribe(*first);
        readers.erase(readers.begin() + static_cast<std::ptrdiff_t>(gone));
        bench.publish({"a"});
        bench.run();
        for (const auto& reader : readers) {
            CHECK(take(*reader) == Indexes{2, 3});
        }
    }
    Bench bench;
    // When all go, what was on its way to them is forgotten, and takes up no room.
    for (std::size_t i = 0; i < FanOut::waiting_events_max; ++i) {
        const auto readers = bench.subscribe_many(65, Kind::events, "a");
        bench.publish({"a"});
        for (const auto& reader : readers) {
            bench.hub.unsubscribe(*reader);
        }
    }
    const auto next = bench.subscribe_many(65, Kind::events, "a");
    bench.publish({"a"});
    CHECK(count_reached(next) < next.size());
    bench.run();
    CHECK(take(*next.back()) == Indexes{bench.index});
    CHECK(bench.turns_asked_for == 0);
}

// Against a model: each stream is its own list of what it is to hear.
TEST_CASE("fan out: in any interleaving each stream hears its events in order, each once") {
    struct Reader {
        std::shared_ptr<Subscription> subscription;
        std::string name;
        bool prefix = false;
        Indexes expected;
        Indexes heard;
    };
    const std::vector<std::string> names = {"a", "a/b", "c"};
    for (unsigned seed = 1; seed <= 30; ++seed) {
        CAPTURE(seed);
        std::mt19937 random(seed);
        const auto draw = [&](std::size_t below) { return random() % below; };
        Bench bench;
        std::vector<Reader> readers;
        for (int step = 0; step < 600; ++step) {
            const std::size_t action = draw(10);
            if (action < 4 && readers.size() < 300) {
                for (std::size_t count = draw(20); count > 0; --count) {
                    Reader reader;
                    reader.prefix = draw(2) == 0;
                    reader.name =
                        reader.prefix ? names[draw(2)].substr(0, draw(3)) : names[draw(3)];
                    const Kind kind = reader.prefix || draw(2) == 0 ? Kind::events : Kind::watch;
                    reader.subscription = bench.subscribe(kind, reader.name, reader.prefix);
                    readers.push_back(std::move(reader));
                }
            } else if (action < 5 && !readers.empty()) {
                const std::size_t gone = draw(readers.size());
                bench.hub.unsubscribe(*readers[gone].subscription);
                readers.erase(readers.begin() + static_cast<std::ptrdiff_t>(gone));
            } else if (action < 7) {
                const std::vector<std::string> written(1 + draw(4), names[draw(3)]);
                bench.publish(written);
                for (Reader& reader : readers) {
                    const bool hears = reader.prefix ? written[0].starts_with(reader.name)
                                                     : written[0] == reader.name;
                    for (fsm::Index i = bench.index - written.size(); hears && i < bench.index;) {
                        reader.expected.push_back(++i);
                    }
                }
            } else if (action < 9) {
                bench.turn();
            } else if (!readers.empty()) {
                Reader& reader = readers[draw(readers.size())];
                const Indexes taken = take(*reader.subscription);
                reader.heard.insert(reader.heard.end(), taken.begin(), taken.end());
            }
        }
        bench.run();
        for (Reader& reader : readers) {
            const Indexes taken = take(*reader.subscription);
            reader.heard.insert(reader.heard.end(), taken.begin(), taken.end());
            CHECK(std::is_sorted(reader.heard.begin(), reader.heard.end()));
            if (reader.subscription->is_watch()) {
                // The newest of each moment, and the last one in the end.
                CHECK(std::includes(reader.expected.begin(), reader.expected.end(),
                                    reader.heard.begin(), reader.heard.end()));
                CHECK(reader.heard.empty() == reader.expected.empty());
                CHECK((reader.heard.empty() || reader.heard.back() == reader.expected.back()));
            } else {
                CHECK(reader.heard == reader.expected);
            }
        }
    }
}

TEST_CASE("fan out: what waits is bounded in events and in bytes") {
    Bench bench;
    const auto readers = bench.subscribe_many(4 * FanOut::work_per_turn, Kind::events, "a");
    bench.publish(std::vector<std::string>(FanOut::waiting_events_max, "a"));
    CHECK(count_reached(readers) < readers.size());
    bench.publish(std::vector<std::string>(FanOut::waiting_events_max, "a"));
    CHECK(count_reached(readers) == readers.size());  // of the first ones, at least
    bench.run();
    for (const auto& reader : readers) {
        CHECK(take(*reader).size() == 2 * FanOut::waiting_events_max);
    }
    bench.publish({"a"}, FanOut::waiting_bytes_max);
    CHECK(count_reached(readers) == readers.size());
}

TEST_CASE("fan out: nobody is told to have come further than what was brought") {
    using std::chrono::hours;
    Bench bench;
    const auto readers = bench.subscribe_many(3 * FanOut::work_per_turn, Kind::events, "a");
    const std::chrono::steady_clock::time_point now{};
    bench.hub.tick(now);
    bench.hub.tick(now);
    bench.publish({"a"});
    const std::size_t reached = count_reached(readers);
    bench.hub.tick(now + hours(1));
    CHECK(count_reached(readers) == reached);
    bench.run();
    for (const auto& reader : readers) {
        CHECK(take(*reader) == Indexes{2});
    }
    // Then it is told again, also to those who wait for a place far ahead while others get events.
    const auto ahead = bench.subscribe(Kind::events, "a", false, fsm::Cursor{1000});
    bench.hub.tick(now + hours(2));
    bench.publish({"a"});
    bench.hub.tick(now + hours(3));
    CHECK(take(*ahead) == Indexes{1000});
}

TEST_CASE(
    "stream hub: many quiet streams are told how far it has come a bounded number at a time") {
    using std::chrono::hours;
    Bench bench;
    const std::size_t count = 10 * StreamHub::quiet_per_turn;
    auto readers = bench.subscribe_many(count, Kind::watch, "a");
    std::chrono::steady_clock::time_point now{};
    const auto tick = [&] {
        now += hours(1);
        bench.hub.tick(now);
    };
    tick();
    bench.run();  // that they are quiet
    CHECK(count_reached(readers) == 0);
    tick();
    std::size_t reached = 0;
    for (std::size_t turns = 1; reached < readers.size(); ++turns) {
        const std::size_t before = std::exchange(reached, count_reached(readers));
        REQUIRE(reached > before);
        CHECK(reached - before <= StreamHub::quiet_per_turn);
        CHECK(bench.turns_asked_for <= 1);
        if (turns == 2) {  // some go meanwhile, an event comes, and it is time again
            for (std::size_t i = 0; i < count; i += 3) {
                bench.hub.unsubscribe(*readers[i]);
                readers[i].reset();
            }
            std::erase(readers, nullptr);
            bench.publish({"b"});
            tick();
            reached = count_reached(readers);
        }
        bench.turn();
    }
    CHECK(bench.turns_asked_for == 0);
    for (const auto& reader : readers) {
        CHECK(take(*reader).size() == 1);
    }
}

TEST_CASE("fan out: streams whose history is lost end, wherever an event was on its way") {
    Bench bench;
    const auto readers = bench.subscribe_many(4 * FanOut::work_per_turn, Kind::events, "a");
    bench.publish({"a"});
    auto batch = std::make_shared<EventBatch>();
    batch->history_lost = true;
    bench.hub.on_events(batch);
    const auto next = bench.subscribe(Kind::events, "a");
    bench.publish({"a"});
    bench.run();
    for (const auto& reader : readers) {
        CHECK(reader->history_lost());
        CHECK_FALSE(reader->has_next());
    }
    CHECK(take(*next) == Indexes{3});
}

TEST_CASE("stream queues: a message counts once for all who wait, and until the last has it") {
    Bench bench;
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
    Bench bench(limits);
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
    Bench bench(limits);
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
    Bench bench(limits);
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
    Bench bench(limits);
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

TEST_CASE("stream queues: what an opening owes counts, and who gives it up gets on by a message") {
    StreamLimits limits;
    limits.queued_bytes_max = 100'000;
    Bench bench(limits);
    bench.index = 5000;
    for (fsm::Index index = 1; index <= 2000; ++index) {
        bench.present.push_back({"p" + std::to_string(index), value_of("x", index)});
    }
    const StreamRequest request = stream_request(Kind::watch, "p", true);
    const auto watch = bench.hub.subscribe(request);
    CHECK(bench.statistics.queued_bytes.value() <= limits.queued_bytes_max);
    CHECK(watch->next());
    CHECK(watch->cursor() == fsm::Cursor{1});
    CHECK_FALSE(watch->next());
    CHECK(watch->state() == Subscription::State::overflowed);
    bench.hub.unsubscribe(*watch);
    CHECK(bench.statistics.queued_bytes.value() == 0);
    // Where there is room it gets all.
    bench.present.resize(100);
    const auto next = bench.hub.subscribe(request);
    CHECK(bench.statistics.queued_bytes.value() > 100 * sizeof(fsm::ListItem));
    CHECK(take(*next).size() == 100);
    CHECK(bench.statistics.queued_bytes.value() == 0);
}

}  // namespace cairn::server
