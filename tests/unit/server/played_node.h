// The node behind a gateway or a hub of streams, played by the test: what is asked of it waits, to
// be answered when the test says so.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/api/exchange.h"
#include "server/base/clock.h"
#include "server/node/backend.h"

namespace cairn::server {

inline fsm::Value value_of(const std::string& bytes, fsm::Index index) {
    return {std::make_shared<const std::string>(bytes), index, 0};
}

// That a value was created, by an entry of its own.
inline fsm::Event created_event(const std::string& name, fsm::Index index,
                                const std::string& bytes) {
    fsm::Event event;
    event.kind = fsm::Event::Kind::created;
    event.at_index = index;
    event.last_of_index = true;
    event.name = name;
    event.value = value_of(bytes, index);
    return event;
}

inline StreamRequest stream_request(StreamRequest::Kind kind, std::string name, bool prefix = false,
                                    std::optional<fsm::Cursor> cursor = std::nullopt) {
    StreamRequest request;
    request.kind = kind;
    request.name = std::move(name);
    request.prefix = prefix;
    request.cursor = cursor;
    return request;
}

class PlayedNode : public Backend {
 public:
    void submit(std::shared_ptr<Operation> operation) override {
        operations.push_back(operation);
        if (on_submit) {
            on_submit(*operation);
        }
    }
    void open_stream(std::shared_ptr<StreamOpen> open) override {
        opens.push_back(open);
        if (on_open) {
            on_open(*open);
        }
    }
    void set_listener(EventListener* new_listener) override { listener = new_listener; }
    const NodeView& view() const override { return node_view; }

    // Answers a get with these bytes.
    static void answer(Operation& operation, const std::string& bytes, fsm::Index index = 42) {
        operation.output.status = fsm::Status::ok;
        operation.output.kind = fsm::Output::Kind::get;
        operation.output.index = index;
        operation.output.value = value_of(bytes, index);
        operation.served_index = index;
        operation.on_done();
    }

    // Answers a set.
    static void answer_set(Operation& operation, fsm::Index index = 42) {
        operation.output.status = fsm::Status::ok;
        operation.output.kind = fsm::Output::Kind::set;
        operation.output.created = true;
        operation.output.index = index;
        operation.served_index = index;
        operation.on_done();
    }

    void publish(std::vector<fsm::Event> events, fsm::Index applied_index) {
        auto batch = std::make_shared<EventBatch>();
        batch->events = std::move(events);
        batch->applied_index = applied_index;
        batch->applied_ns = system_clock().steady_ns();
        listener->on_events(batch);
    }
    void publish(const std::string& name, const std::string& bytes, fsm::Index index) {
        publish({created_event(name, index, bytes)}, index);
    }

    std::function<void(Operation&)> on_submit;
    std::function<void(StreamOpen&)> on_open;
    std::vector<std::shared_ptr<Operation>> operations;
    std::vector<std::shared_ptr<StreamOpen>> opens;
    EventListener* listener = nullptr;
    NodeView node_view;
};

}  // namespace cairn::server
