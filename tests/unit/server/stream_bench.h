// A hub of streams over a node that the test plays, for the tests of how events come to streams and
// of what waits for them.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/streams/stream_hub.h"
#include "tests/unit/server/played_node.h"

namespace cairn::server {

using Indexes = std::vector<fsm::Index>;

// The hub's event loop is the test: turns are taken when it says so. Streams are opened at once.
struct StreamBench {
    explicit StreamBench(const StreamLimits& limits = {})
        : hub(node, limits, statistics, [this] { ++turns_asked_for; }) {
        node.on_open = [this](StreamOpen& open) {
            open.applied_index = index;
            open.present = present;
            open.replay = replay;
            open.gap = gap;
            open.on_done();
        };
    }

    std::shared_ptr<Subscription> subscribe(StreamRequest::Kind kind, std::string name,
                                            bool prefix = false,
                                            std::optional<fsm::Cursor> cursor = std::nullopt) {
        auto subscription = hub.subscribe(stream_request(kind, std::move(name), prefix, cursor));
        while (subscription->next()) {
        }
        return subscription;
    }

    std::vector<std::shared_ptr<Subscription>> subscribe_many(std::size_t count,
                                                              StreamRequest::Kind kind,
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
    bool gap = false;
    StreamHub hub;
};

inline Indexes take(Subscription& subscription) {
    Indexes indexes;
    while (subscription.next()) {
        indexes.push_back(subscription.cursor()->index);
    }
    return indexes;
}

}  // namespace cairn::server
