// Readers of streams: each follows a prefix at some node, moves on to another one with its cursor
// when that goes down or for no reason, and holds what it is told against the events that the
// cluster has agreed on: all of them, in order, each once, unless it is told of a gap.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "fsm/history.h"
#include "server/node/backend.h"
#include "tests/sim/clients.h"
#include "tests/sim/judge.h"

namespace cairn::sim {

class Watchers {
 public:
    Watchers(Surroundings surroundings, Nodes& nodes);

    void start();
    void on_batch(raft::NodeId node, const server::EventBatch& batch);
    void on_down(raft::NodeId node);
    // From now on they look for nodes that are ready.
    void finish() { finishing_ = true; }
    // Everybody has come up to here.
    bool have_seen(raft::Index index) const;
    // What each was told, as it came.
    const std::vector<StreamRecord>& records() const { return records_; }

 private:
    struct Watcher {
        Random random{0};
        std::size_t number = 0;
        std::string prefix;
        raft::NodeId at = 0;  // 0: nowhere
        bool open = false;
        std::uint64_t attempt = 0;
        std::optional<fsm::Cursor> cursor;
    };

    void record(const Watcher& watcher, checker::Received::Kind kind,
                std::optional<fsm::Cursor> cursor = std::nullopt);
    void record_present(const Watcher& watcher, const server::StreamOpen& open);
    bool is_worth_a_try(const SimNode& node) const;
    void connect(Watcher& watcher);
    void connect_later(Watcher& watcher);
    void on_opened(Watcher& watcher, const server::StreamOpen& open);
    bool see_batch(Watcher& watcher, const server::EventBatch& batch);
    void see(Watcher& watcher, const fsm::Event& event);
    void see_all_up_to(Watcher& watcher, raft::Index index);

    Surroundings world_;
    Nodes& nodes_;
    std::vector<Watcher> watchers_;
    std::vector<StreamRecord> records_;  // of watchers_
    bool finishing_ = false;
};

}  // namespace cairn::sim
