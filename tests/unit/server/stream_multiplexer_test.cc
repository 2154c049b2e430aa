#include "server/streams/stream_multiplexer.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "cairn/server/v1/stream.pb.h"
#include "fsm/command.h"
#include "fsm/state_machine.h"

namespace cairn::server {
namespace {

using json = nlohmann::json;

// The real state machine at once, or what the test says later.
class MachineBackend : public Backend {
 public:
    void submit(std::shared_ptr<Operation> operation) override {
        submitted.push_back(operation);
        if (!is_holding) {
            carry_out(*operation);
        }
    }
    void carry_out(Operation& operation) {
        operation.failure = failure;
        if (failure == Failure::none && operation.kind == Operation::Kind::write) {
            operation.output = machine.apply(machine.applied_index() + 1, 1'000'000'000,
                                             operation.command, events);
        } else if (failure == Failure::none) {
            operation.output.kind = fsm::Output::Kind::get;
            operation.output.status = fsm::Status::not_found;
            if (const fsm::Value* value = machine.get(operation.name)) {
                operation.output.status = fsm::Status::ok;
                operation.output.index = value->index;
                operation.output.value = *value;
            }
        }
        if (operation.on_done) {
            operation.on_done();
        }
    }
    void open_stream(std::shared_ptr<StreamOpen> open) override {
        opened.push_back(open);
        if (is_holding) {
            return;
        }
        open->failure = failure;
        open->applied_index = machine.applied_index();
        bool more = false;
        open->present = machine.list(open->name, "", open->prefix ? 100 : 1, more);
        if (!open->prefix && machine.get(open->name) == nullptr) {
            open->present.clear();
        }
        open->on_done();
    }
    void set_listener(EventListener* new_listener) override { listener = new_listener; }
    const NodeView& view() const override { return node_view; }

    // Tells the streams what was written since.
    void publish() {
        auto batch = std::make_shared<EventBatch>();
        batch->events = std::exchange(events, {});
        batch->applied_index = machine.applied_index();
        listener->on_events(batch);
    }

    fsm::StateMachine machine;
    std::vector<fsm::Event> events;
    std::vector<std::shared_ptr<Operation>> submitted;
    std::vector<std::shared_ptr<StreamOpen>> opened;
    EventListener* listener = nullptr;
    NodeView node_view;
    Failure failure = Failure::none;
    bool is_holding = false;
};

struct Played {
    explicit Played(const MultiplexLimits& limits = {},
                    StreamEncoding encoding = StreamEncoding::json,
                    const StreamLimits& stream_limits = {})
        : hub(backend, stream_limits, statistics, [] {}),
          multiplexer(hub, backend, api, limits, encoding) {
        multiplexer.on_ready = [this] { ++wakes; };
    }
    ~Played() { multiplexer.detach(&hub); }

    void say(const std::string& text) { CHECK_FALSE(multiplexer.receive(text, true).has_value()); }

    std::vector<std::string> take_payloads() {
        std::vector<std::string> all;
        while (const auto frame = multiplexer.take()) {
            const std::string bytes = std::string(frame->own()) + std::string(frame->shared());
            CHECK(frame->size() == bytes.size());
            const unsigned length = static_cast<unsigned char>(bytes[1]);
            REQUIRE(length < 127);
            const std::size_t header_bytes = length == 126 ? 4 : 2;
            const std::size_t told =
                length < 126
                    ? length
                    : static_cast<std::size_t>(static_cast<unsigned char>(bytes[2])) << 8U |
                          static_cast<unsigned char>(bytes[3]);
            CHECK(told == bytes.size() - header_bytes);
            all.push_back(bytes.substr(header_bytes));
        }
        return all;
    }

    std::vector<json> take() {
        std::vector<json> all;
        for (const std::string& payload : take_payloads()) {
            all.push_back(json::parse(payload));
        }
        return all;
    }

    json ask(const std::string& text) {
        say(text);
        const std::vector<json> all = take();
        REQUIRE(all.size() == 1);
        return all.front();
    }

    MachineBackend backend;
    StreamStatistics statistics;
    StreamHub hub;
    ApiOptions api;
    StreamMultiplexer multiplexer;
    int wakes = 0;
};

std::string code_of(const json& answer) {
    return answer.at("error").at("code");
}

}  // namespace

TEST_CASE("multiplexer: commands are those of POST, with their id") {
    Played socket;
    json answer = socket.ask(R"({"id":1,"name":"a","input":{"set":{"value":"aGk="}}})");
    CHECK(answer == json{{"id", 1}, {"output", {{"set", {{"index", "1"}}}}}});
    CHECK(socket.wakes > 0);
    answer = socket.ask(R"({"id":2,"name":"a","input":{"get":{}}})");
    CHECK(answer ==
          json{{"id", 2}, {"output", {{"get", {{"value", {{"value", "aGk="}, {"index", "1"}}}}}}}});
    answer =
        socket.ask(R"({"id":3,"name":"a","input":{"update":{"value":"aGk=","prevIndex":"7"}}})");
    CHECK(answer.at("id") == 3);
    CHECK(code_of(answer) == "CONFLICT");
    CHECK(answer.at("error").at("current_index") == 1);
    CHECK(answer.at("error").at("outcome") == "not_applied");
    CHECK(answer.count("output") == 0);
    answer = socket.ask(R"({"id":18446744073709551615,"name":"b","input":{"delete":{}}})");
    CHECK(answer.at("id") == UINT64_MAX);
    CHECK(code_of(answer) == "NOT_FOUND");
}

TEST_CASE("multiplexer: a bad message answers a problem under its id, and nothing ends") {
    Played socket;
    const struct {
        const char* text;
        json id;
    } cases[] = {
        {"", nullptr},
        {"no json", nullptr},
        {"[1]", nullptr},
        {"{}", nullptr},
        {R"({"name":"a","input":{"get":{}}})", nullptr},
        {R"({"id":"x","name":"a","input":{"get":{}}})", nullptr},
        {R"({"id":-1,"name":"a","input":{"get":{}}})", nullptr},
        {R"({"id":4})", 4},
        {R"({"id":4,"nonsense":{}})", 4},
        {R"({"id":4,"name":"a","input":{}})", 4},
        {R"({"id":4,"name":"a","input":{"set":{"value":"%%%"}}})", 4},
        {R"({"id":4,"name":"a","input":{"set":{"ttl":"-1s"}}})", 4},
        {R"({"id":4,"name":"a","input":{"watch":{}}})", 4},
        {R"({"id":4,"name":"a","input":{"events":{}}})", 4},
        {R"({"id":4,"input":{"get":{}}})", 4},
        {R"({"id":4,"name":"a/","input":{"get":{}}})", 4},
        {R"({"id":4,"name":"a","input":{"get":{}},"timeout":"soon"})", 4},
        {R"({"id":4,"name":"a","input":{"get":{}},"timeout":"2h"})", 4},
        {R"({"id":4,"name":"a","input":{"set":{}},"idempotency_key":"a b"})", 4},
        {R"({"id":4,"name":"a","input":{"set":{"value":""},"set":{"value":""}}})", 4},
        {R"({"name":"a","input":{"update":{"prevIndex":"1","prev_index":"5"}},"id":4})", 4},
        {R"({"id":4,"name":"a","input":{"set":{}},"name":"b"})", 4},
        {R"({"id":4,"name":"a","input":{"set":{}},"id":5})", nullptr},
        {R"({"nonsense":[{}],"id":4})", 4},
        {R"({"id":4,"name":"a","input":{"set":{}})", nullptr},
        {R"({"id":4,"subscribe":{"name":"a"}})", 4},
        {R"({"id":4,"subscribe":{"name":"a","kind":"wtch"}})", 4},
        {R"({"id":4,"subscribe":{"name":"","kind":"watch"}})", 4},
        {R"({"id":4,"subscribe":{"name":"../","kind":"watch","prefix":true}})", 4},
        {R"({"id":4,"subscribe":{"name":"a","kind":"watch","cursor":"x"}})", 4},
    };
    for (const auto& one : cases) {
        CAPTURE(one.text);
        const json answer = socket.ask(one.text);
        CHECK(answer.at("id") == one.id);
        CHECK(code_of(answer) == "INVALID");
        CHECK(answer.at("error").at("status") == 400);
    }
    CHECK(socket.backend.submitted.empty());
    CHECK(socket.hub.size() == 0);
    CHECK(code_of(socket.ask(R"({"id":4,"unsubscribe":{}})")) == "NOT_FOUND");
    CHECK(socket.ask(R"({"id":4,"name":"a","input":{"set":{"value":""}}})").count("output") == 1);
}

TEST_CASE("multiplexer: what is not the subprotocol's kind of message ends the socket") {
    Played text;
    CHECK(text.multiplexer.receive("{}", false)->code == close_code::unsupported_data);
    Played binary({}, StreamEncoding::protobuf);
    CHECK(binary.multiplexer.receive("{}", true)->code == close_code::unsupported_data);
}

TEST_CASE("multiplexer: subscriptions tell theirs under their id, until they are ended") {
    Played socket;
    socket.ask(R"({"id":1,"name":"a","input":{"set":{"value":"aGk="}}})");
    socket.backend.publish();
    json answer = socket.ask(R"({"id":5,"subscribe":{"name":"a","kind":"watch"}})");
    CHECK(answer == json{{"id", 5},
                         {"type", "value"},
                         {"name", "a"},
                         {"value", "hi"},
                         {"index", 1},
                         {"cursor", "1"}});
    answer = socket.ask(R"({"id":6,"subscribe":{"name":"","kind":"events","prefix":true}})");
    CHECK(answer == json{{"id", 6}, {"type", "subscribed"}, {"cursor", "1"}});
    socket.ask(R"({"id":1,"name":"a","input":{"set":{"value":"eW8="}}})");
    socket.ask(R"({"id":1,"name":"b","input":{"set":{"value":"eW8="}}})");
    socket.backend.publish();
    std::map<int, std::vector<std::string>> told;
    for (const json& message : socket.take()) {
        told[message.at("id")].push_back(message.at("type").get<std::string>() +
                                         message.at("name").get<std::string>());
    }
    CHECK(told ==
          std::map<int, std::vector<std::string>>{{5, {"valuea"}}, {6, {"updateda", "createdb"}}});
    answer = socket.ask(R"({"id":6,"unsubscribe":{}})");
    CHECK(answer == json{{"id", 6}, {"type", "unsubscribed"}, {"cursor", "3"}});
    CHECK(socket.hub.size() == 1);
    socket.ask(R"({"id":1,"name":"b","input":{"set":{"value":"eW8="}}})");
    socket.backend.publish();
    CHECK(socket.take().empty());
    // The id is free again, and the cursor resumes.
    socket.backend.is_holding = true;
    socket.say(R"({"id":6,"subscribe":{"name":"b","kind":"events","cursor":"3"}})");
    CHECK(socket.backend.opened.back()->after_index == 3);
}

TEST_CASE("multiplexer: an id in use is refused, and what it stands for goes on") {
    Played socket;
    socket.backend.is_holding = true;
    socket.say(R"({"id":1,"name":"a","input":{"set":{"value":"aGk="}}})");
    socket.say(R"({"id":2,"subscribe":{"name":"a","kind":"events"}})");
    for (const char* text : {R"({"id":1,"name":"a","input":{"get":{}}})",
                             R"({"id":1,"subscribe":{"name":"a","kind":"watch"}})",
                             R"({"id":2,"name":"a","input":{"get":{}}})",
                             R"({"id":2,"subscribe":{"name":"a","kind":"watch"}})"}) {
        CHECK(code_of(socket.ask(text)) == "INVALID");
    }
    CHECK(socket.backend.submitted.size() == 1);
    CHECK(socket.backend.opened.size() == 1);
    socket.backend.carry_out(*socket.backend.submitted[0]);
    CHECK(socket.take().at(0).at("id") == 1);
    socket.backend.opened[0]->applied_index = 1;
    socket.backend.opened[0]->on_done();
    CHECK(socket.take().at(0).at("type") == "subscribed");
}

TEST_CASE("multiplexer: the largest message may come in pieces of a usual size") {
    for (const std::size_t value_bytes : {1U, 1U << 20U, 64U << 20U}) {
        Played socket;
        socket.api.max_value_bytes = value_bytes;
        const FrameLimits limits = socket.multiplexer.frame_limits();
        CHECK(limits.message_bytes_max > value_bytes * 4 / 3 + 2000);
        CHECK(limits.fragments_max >= limits.message_bytes_max / 2048);
        CHECK(limits.fragments_max >= 1024);
    }
}

TEST_CASE("multiplexer: there are only so many subscriptions and commands") {
    MultiplexLimits limits;
    limits.subscriptions_max = 1;
    limits.commands_max = 1;
    Played socket(limits);
    socket.backend.is_holding = true;
    socket.say(R"({"id":1,"subscribe":{"name":"a","kind":"watch"}})");
    CHECK(code_of(socket.ask(R"({"id":2,"subscribe":{"name":"a","kind":"watch"}})")) ==
          "OVERLOADED");
    socket.say(R"({"id":3,"name":"a","input":{"set":{}}})");
    const json answer = socket.ask(R"({"id":4,"name":"a","input":{"set":{}}})");
    CHECK(code_of(answer) == "OVERLOADED");
    CHECK(answer.at("error").at("outcome") == "not_applied");
    // One that is done makes room.
    socket.backend.carry_out(*socket.backend.submitted[0]);
    CHECK(socket.take().at(0).at("id") == 3);
    socket.say(R"({"id":4,"name":"a","input":{"set":{}}})");
    CHECK(socket.take().empty());
    CHECK(socket.ask(R"({"id":1,"unsubscribe":{}})") == json{{"id", 1}, {"type", "unsubscribed"}});
    socket.say(R"({"id":2,"subscribe":{"name":"a","kind":"watch"}})");
    CHECK(socket.take().empty());
}

TEST_CASE("multiplexer: a subscription that is too slow ends alone, with its cursor") {
    StreamLimits stream_limits;
    stream_limits.events_queue_messages_max = 2;
    Played socket({}, StreamEncoding::json, stream_limits);
    socket.ask(R"({"id":1,"subscribe":{"name":"a","kind":"events"}})");
    socket.ask(R"({"id":2,"subscribe":{"name":"a","kind":"watch"}})");
    // Written beside this socket, so that nothing is taken meanwhile.
    for (int i = 0; i < 4; ++i) {
        std::string command;
        fsm::encode_set("a", std::to_string(i), std::nullopt, false, command);
        socket.backend.machine.apply(socket.backend.machine.applied_index() + 1, 1, command,
                                     socket.backend.events);
    }
    socket.backend.publish();
    std::map<int, json> told;
    for (json& message : socket.take()) {
        const int id = message.at("id");
        CHECK(told.count(id) == 0);
        told[id] = std::move(message);
    }
    CHECK(code_of(told.at(1)) == "OVERLOADED");
    CHECK(told.at(1).at("cursor") == "0");
    CHECK(told.at(2).at("value") == "3");
    CHECK(socket.hub.size() == 1);
}

TEST_CASE("multiplexer: a subscription that ends while it owes values gives those, then says so") {
    Played socket;
    for (const char* name : {"a/1", "a/2", "a/3"}) {
        std::string command;
        fsm::encode_set(name, "v", std::nullopt, false, command);
        socket.backend.machine.apply(socket.backend.machine.applied_index() + 1, 1, command,
                                     socket.backend.events);
    }
    socket.backend.events.clear();
    socket.say(R"({"id":1,"subscribe":{"name":"a/","prefix":true,"kind":"watch"}})");
    auto batch = std::make_shared<EventBatch>();
    batch->applied_index = 3;
    batch->history_lost = true;
    socket.backend.listener->on_events(batch);
    const std::vector<json> told = socket.take();
    REQUIRE(told.size() == 4);
    CHECK(told[2].at("name") == "a/3");
    CHECK(code_of(told[3]) == "OVERLOADED");
    CHECK(told[3].at("cursor") == "3");
    CHECK(socket.hub.size() == 0);
}

TEST_CASE("multiplexer: a stream that can't be opened is a problem under its id") {
    Played socket;
    socket.backend.failure = Failure::no_leader;
    const json answer = socket.ask(R"({"id":1,"subscribe":{"name":"a","kind":"watch"}})");
    CHECK(answer.at("id") == 1);
    CHECK(code_of(answer) == "UNAVAILABLE");
    CHECK(socket.hub.size() == 0);
    const json write = socket.ask(R"({"id":1,"name":"a","input":{"set":{}}})");
    CHECK(code_of(write) == "UNAVAILABLE");
}

TEST_CASE("multiplexer: an unknown outcome says so") {
    Played socket;
    socket.backend.failure = Failure::unknown;
    CHECK(socket.ask(R"({"id":1,"name":"a","input":{"set":{}}})").at("error").at("outcome") ==
          "unknown");
    CHECK(socket.ask(R"({"id":1,"name":"a","input":{"get":{}}})").at("error").count("outcome") ==
          0);
}

TEST_CASE("multiplexer: a command with an idempotency key is done once") {
    Played socket;
    const std::string text =
        R"({"id":1,"name":"a","input":{"set":{"value":"aGk="}},"idempotencyKey":"k"})";
    CHECK(socket.ask(text) == json{{"id", 1}, {"output", {{"set", {{"index", "1"}}}}}});
    CHECK(socket.ask(text) ==
          json{{"id", 1}, {"replayed", true}, {"output", {{"set", {{"index", "1"}}}}}});
    CHECK(code_of(socket.ask(R"({"id":1,"name":"b","input":{"set":{}},"idempotency_key":"k"})")) ==
          "IDEMPOTENCY_MISMATCH");
    socket.say(R"({"id":1,"name":"b","input":{"set":{}},"timeout":"1.5s"})");
    CHECK(socket.backend.submitted.back()->timeout_ms == 1500);
}

TEST_CASE("multiplexer: reads are refused while answers pile up, and nothing more is received") {
    MultiplexLimits limits;
    limits.answer_bytes_max = 100;
    Played socket(limits);
    socket.ask(R"({"id":1,"name":"a","input":{"set":{"value":"aGk="}}})");
    CHECK_FALSE(socket.multiplexer.is_full());
    for (int i = 0; i < 3; ++i) {
        socket.say(R"({"id":1,"name":"a","input":{"get":{}}})");
    }
    CHECK(socket.multiplexer.is_full());
    const std::vector<json> all = socket.take();
    REQUIRE(all.size() == 3);
    CHECK(all[0].count("output") == 1);
    CHECK(code_of(all[2]) == "OVERLOADED");
    CHECK_FALSE(socket.multiplexer.is_full());
}

TEST_CASE("multiplexer: subscriptions take turns") {
    Played socket;
    socket.say(R"({"id":1,"subscribe":{"name":"","kind":"events","prefix":true}})");
    socket.say(R"({"id":2,"subscribe":{"name":"","kind":"events","prefix":true}})");
    socket.take();
    for (int i = 0; i < 3; ++i) {
        socket.ask(R"({"id":9,"name":"a","input":{"set":{"value":"aGk="}}})");
    }
    socket.backend.publish();
    std::vector<int> ids;
    for (const json& message : socket.take()) {
        ids.push_back(message.at("id"));
    }
    CHECK(ids.size() == 6);
    CHECK(ids[0] != ids[1]);
    CHECK(ids[2] != ids[3]);
}

TEST_CASE("multiplexer: what is under way when the socket ends is forgotten") {
    auto socket = std::make_unique<Played>();
    socket->backend.is_holding = true;
    socket->say(R"({"id":1,"name":"a","input":{"set":{}}})");
    socket->say(R"({"id":2,"subscribe":{"name":"a","kind":"watch"}})");
    const auto operation = socket->backend.submitted[0];
    const auto open = socket->backend.opened[0];
    socket->multiplexer.detach(&socket->hub);
    CHECK_FALSE(operation->on_done);
    CHECK_FALSE(open->on_done);
    CHECK(socket->hub.size() == 0);
}

TEST_CASE("multiplexer: protobuf says the same") {
    Played socket({}, StreamEncoding::protobuf);
    const auto ask = [&](const v1::ClientMessage& message) {
        CHECK_FALSE(socket.multiplexer.receive(message.SerializeAsString(), false).has_value());
        const std::vector<std::string> all = socket.take_payloads();
        REQUIRE(all.size() == 1);
        v1::ServerMessage answer;
        REQUIRE(answer.ParseFromString(all[0]));
        return answer;
    };
    v1::ClientMessage set;
    set.set_id(300);
    set.set_name("a");
    set.mutable_input()->mutable_set()->set_value("hi");
    v1::ServerMessage answer = ask(set);
    CHECK(answer.id() == 300);
    CHECK(answer.output().set().index() == 1);
    v1::ClientMessage subscribe;
    subscribe.set_id(1'000'000);
    subscribe.mutable_subscribe()->set_name("a");
    subscribe.mutable_subscribe()->set_kind(v1::Subscribe::watch);
    answer = ask(subscribe);
    CHECK(answer.id() == 1'000'000);
    CHECK(answer.value().value() == "hi");
    CHECK(answer.cursor() == "1");
    v1::ClientMessage update = set;
    update.mutable_input()->mutable_update()->set_prev_index(7);
    answer = ask(update);
    CHECK(answer.error().code() == "CONFLICT");
    CHECK(answer.error().status() == 412);
    CHECK(answer.error().current_index() == 1);
    CHECK(answer.error().outcome() == "not_applied");
    v1::ClientMessage unsubscribe;
    unsubscribe.set_id(1'000'000);
    unsubscribe.mutable_unsubscribe();
    answer = ask(unsubscribe);
    CHECK(answer.has_unsubscribed());
    CHECK(answer.cursor() == "1");
    CHECK_FALSE(socket.multiplexer.receive("\xff\xff", false).has_value());
    CHECK(socket.take_payloads().size() == 1);
}

}  // namespace cairn::server
