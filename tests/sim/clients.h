// The clients: each does one thing after the other at whatever node it picks, remembers what it was
// told, and holds every answer against what the cluster has agreed on.
//
// A write with an idempotency key whose outcome is open is sent again, elsewhere, until it isn't
// open any more. A client that doesn't learn an outcome goes on as another client.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/node/backend.h"
#include "tests/sim/client_history.h"
#include "tests/sim/node.h"

namespace cairn::sim {

using Nodes = std::map<raft::NodeId, std::unique_ptr<SimNode>>;

class Clients {
 public:
    Clients(Surroundings surroundings, Nodes& nodes);

    void start();
    void on_down(raft::NodeId node);
    // No new operations but one last one each, which must succeed.
    void finish();
    bool is_done() const { return finished_ == clients_.size(); }
    std::string describe_waiting() const;
    // What was answered as not applied isn't in the log, and so on; at the end.
    void check_at_end() const;

    const History& history() const { return history_; }
    std::uint64_t answered() const { return answered_; }

 private:
    struct Client {
        std::uint64_t id = 0;
        Random random{0};
        std::size_t operation = 0;  // in history_
        std::string command;        // of the write under way
        bool keyed = false;
        bool misuses_key = false;  // that of a write that was done
        std::string key;
        std::string used_key;
        bool maybe_applied = false;
        bool waits = false;  // for an answer
        bool last = false;
        bool done = false;
        std::uint64_t attempt = 0;
        raft::NodeId at = 0;
        server::Consistency consistency = server::Consistency::linearizable;
        std::uint64_t min_index = 0;
        bool lists = false;
        // When it was asked, the newest index that anybody had been told of.
        std::uint64_t floor_index = 0;
        std::shared_ptr<server::Operation> asked;
        std::map<std::string, std::uint64_t> known_indexes;
        std::uint64_t seen_index = 0;
    };

    void next(Client& client);
    void think(Client& client);
    void begin_write(Client& client, HistoryOperation& operation);
    void begin_read(Client& client, HistoryOperation& operation);
    HistoryOperation::Kind draw_kind(Client& client, bool& local, bool& lease);
    void attempt(Client& client);
    void attempt_later(Client& client, std::int64_t mean_ns);
    void on_answer(Client& client);
    void on_no_answer(Client& client);
    void on_write_answer(Client& client, const server::Operation& answer);
    void on_read_answer(Client& client, const server::Operation& answer);
    void check_write(Client& client, const server::Operation& answer);
    void check_list(const server::Operation& answer) const;
    void end(Client& client, HistoryOperation::Outcome outcome);
    void become_another(Client& client);

    Surroundings world_;
    Nodes& nodes_;
    std::vector<Client> clients_;
    std::vector<std::uint64_t> payload_hashes_;  // of history_; 0: not unique
    std::vector<bool> keyed_;                    // of history_
    History history_;
    std::uint64_t next_id_ = 0;
    std::uint64_t values_ = 0;
    std::uint64_t answered_ = 0;
    std::uint64_t newest_told_index_ = 0;
    std::size_t finished_ = 0;
    bool finishing_ = false;
};

}  // namespace cairn::sim
