#include "server/gateway/gateway_port.h"

#include <string>
#include <thread>
#include <vector>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <doctest/doctest.h>

#include "tests/unit/server/replica_testing.h"

namespace {

using namespace cairn;
using namespace cairn::server;
using namespace cairn::server::test;
namespace net = boost::asio;

class NoRunner final : public SnapshotRunner {
 public:
    bool run(std::function<void(raft::SnapshotStore&)> /*work*/,
             std::function<void()> /*done*/) override {
        return false;
    }
};

// A replica on a context: local reads are answered by the turn that they ask for.
struct Rig {
    explicit Rig(net::io_context& context)
        : replica(raft::Core(core_options(), {{}, raft::configuration_of({1, 2, 3}), {}, {}}), {},
                  storage, transport, runner, {}, view, clock, [this, &context] {
                      if (!turn_wanted) {
                          turn_wanted = true;
                          net::post(context, [this] {
                              turn_wanted = false;
                              ++turns;
                              replica.turn();
                          });
                      }
                  }) {}

    FakeClock clock;
    FakeStorage storage;
    FakeTransport transport;
    NoRunner runner;
    NodeView view;
    bool turn_wanted = false;
    int turns = 0;
    Replica replica;
};

struct Listener final : EventListener {
    void on_events(const std::shared_ptr<const EventBatch>& batch) override {
        batches.push_back(batch);
    }
    std::vector<std::shared_ptr<const EventBatch>> batches;
};

std::shared_ptr<Operation> local_read(std::function<void()> on_done) {
    auto operation = std::make_shared<Operation>();
    operation->consistency = Consistency::local;
    operation->on_done = std::move(on_done);
    return operation;
}

TEST_CASE("gateway port: a burst takes one wake-up there and one back, and keeps its order") {
    net::io_context gateway(1);
    net::io_context raft(1);
    Rig rig(raft);
    GatewayPort port(gateway, raft, rig.replica, rig.view);
    rig.replica.add_port(port);
    std::vector<int> answered;
    for (int i = 0; i < 100; ++i) {
        if (i == 50) {
            auto open = std::make_shared<StreamOpen>();
            open->after_index = 0;
            open->on_done = [&answered] { answered.push_back(-1); };
            port.open_stream(open);
        }
        port.submit(local_read([&answered, i] { answered.push_back(i); }));
    }
    CHECK(raft.poll() == 2);  // the questions, then the turn
    CHECK(rig.turns == 1);
    CHECK(answered.empty());
    CHECK(gateway.poll() == 1);
    REQUIRE(answered.size() == 101);
    CHECK(answered[50] == -1);
    std::erase(answered, -1);
    for (int i = 0; i < 100; ++i) {
        CHECK(answered[static_cast<std::size_t>(i)] == i);
    }
}

TEST_CASE("gateway port: what an answer asks in turn is answered too, on one thread and on two") {
    for (const bool same_thread : {true, false}) {
        CAPTURE(same_thread);
        net::io_context raft(1);
        net::io_context other(1);
        net::io_context& gateway = same_thread ? raft : other;
        Rig rig(raft);
        GatewayPort port(gateway, raft, rig.replica, rig.view);
        rig.replica.add_port(port);
        int answered = 0;
        std::function<void()> again = [&] {
            if (++answered < 10) {
                port.submit(local_read(again));
                port.submit(local_read([&answered] { ++answered; }));
            }
        };
        port.submit(local_read(again));
        while (raft.poll() + other.poll() > 0) {
            raft.restart();
            other.restart();
        }
        CHECK(answered >= 10);
        CHECK_FALSE(rig.turn_wanted);
    }
}

TEST_CASE("gateway port: batches reach the listener in place among the answers; none, no harm") {
    net::io_context gateway(1);
    net::io_context raft(1);
    Rig rig(raft);
    GatewayPort port(gateway, raft, rig.replica, rig.view);
    const auto batch = std::make_shared<const EventBatch>();
    port.published(batch);
    port.flush();
    CHECK(gateway.poll() == 1);  // nobody listens yet
    Listener listener;
    port.set_listener(&listener);
    std::size_t heard_before = 99;
    port.finished(local_read([&] { heard_before = listener.batches.size(); }));
    port.published(batch);
    port.finished(local_read({}));  // its asker is gone
    port.flush();
    port.flush();
    gateway.restart();
    CHECK(gateway.poll() == 1);
    CHECK(heard_before == 0);
    REQUIRE(listener.batches.size() == 1);
    CHECK(listener.batches[0] == batch);
}

TEST_CASE("gateway port: two threads, many bursts: every question is answered once, in order") {
    constexpr int bursts = 200;
    constexpr int burst = 25;
    net::io_context gateway(1);
    net::io_context raft(1);
    Rig rig(raft);
    GatewayPort port(gateway, raft, rig.replica, rig.view);
    rig.replica.add_port(port);
    std::vector<int> answered;  // gateway thread
    auto raft_work = net::make_work_guard(raft);
    auto gateway_work = net::make_work_guard(gateway);
    std::thread raft_thread([&raft] { raft.run(); });
    std::thread gateway_thread([&gateway] { gateway.run(); });
    int asked = 0;  // gateway thread
    std::function<void()> next_burst = [&] {
        for (int i = 0; i < burst; ++i) {
            port.submit(local_read([&, number = asked++] {
                answered.push_back(number);
                if (answered.size() == static_cast<std::size_t>(bursts * burst)) {
                    gateway_work.reset();
                    raft_work.reset();
                }
            }));
        }
        if (asked < bursts * burst) {
            net::post(gateway, next_burst);
        }
    };
    net::post(gateway, next_burst);
    gateway_thread.join();
    raft_thread.join();
    REQUIRE(answered.size() == static_cast<std::size_t>(bursts * burst));
    for (int i = 0; i < bursts * burst; ++i) {
        REQUIRE(answered[static_cast<std::size_t>(i)] == i);
    }
    CHECK(rig.turns <= bursts * burst);
}

}  // namespace
