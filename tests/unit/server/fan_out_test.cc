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

#include "tests/unit/server/stream_bench.h"

namespace cairn::server {
namespace {

using Kind = StreamRequest::Kind;

std::size_t count_reached(const std::vector<std::shared_ptr<Subscription>>& readers) {
    return static_cast<std::size_t>(std::count_if(
        readers.begin(), readers.end(), [](const auto& reader) { return reader->has_next(); }));
}

}  // namespace

TEST_CASE("fan out: an event reaches a bounded number of readers in a turn, and all in the end") {
    StreamBench bench;
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
    StreamBench bench;
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
    StreamBench bench;
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
    StreamBench bench;
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
    StreamBench bench;
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
        StreamBench bench;
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
    StreamBench bench;
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
        StreamBench bench;
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
    StreamBench bench;
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
    StreamBench bench;
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
    StreamBench bench;
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
    StreamBench bench;
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

}  // namespace cairn::server
