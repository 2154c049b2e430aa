// One run: a cluster, its clients and what goes wrong, all from one seed. First faults come and go;
// then they stop, everything is healed, and it must come to rest within a bound: one leader, one
// state everywhere, every client answered, every stream complete, nothing overdue.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "fsm/name_hash.h"
#include "tests/sim/clients.h"
#include "tests/sim/faults.h"
#include "tests/sim/judge.h"
#include "tests/sim/watchers.h"

namespace cairn::sim {

struct Report {
    std::uint64_t seed = 0;
    std::uint64_t hash = 0;
    std::string violation;  // empty: none
    std::int64_t simulated_ns = 0;
    std::uint64_t events = 0;
    std::uint64_t entries = 0;
    std::uint64_t operations = 0;
    std::map<std::string, std::uint64_t> counters;
    std::vector<std::string> last_events;  // as the next: with a violation only
    std::vector<std::string> nodes;
    History history;
    checker::LinearizabilityReport verdict;
    std::vector<fsm::Event> agreed_events;
    std::vector<StreamRecord> streams;
    std::vector<checker::KeyedCommand> keyed;
};

// Changes what the seed drew; for the tests of the simulation.
struct Overrides {
    std::function<void(Swarm&)> change_swarm;
    bool break_storage = false;
    bool mischief_goes_on = false;
    // Another order in every table of names; must not change anything.
    fsm::HashSecret hash_secret;
};

Report run(std::uint64_t seed, const Overrides& overrides = {});

class World final : public BatchListener {
 public:
    World(std::uint64_t seed, const Overrides& overrides);

    // Throws Violation.
    void run();
    void fill(Report& report) const;
    int drift_per_mille() const { return swarm_.drift_per_mille; }

    void on_batch(raft::NodeId node, const server::EventBatch& batch) override {
        watchers_.on_batch(node, batch);
    }
    void on_down(raft::NodeId node) override {
        clients_.on_down(node);
        watchers_.on_down(node);
    }

 private:
    Surroundings surroundings() { return {queue_, trace_, swarm_, network_, observer_, random_}; }
    void found_cluster();
    void run_until(std::int64_t time_ns);
    const SimNode* leader() const;
    std::string what_is_not_at_rest();
    bool is_overdue(const SimNode& leading) const;
    void check_at_end();
    std::vector<std::string> describe_nodes() const;

    const Overrides overrides_;
    Swarm swarm_;
    Random random_;
    EventQueue queue_;
    Trace trace_{queue_};
    Network network_;
    Observer observer_{queue_, trace_, swarm_};
    Nodes nodes_;
    Clients clients_;
    Watchers watchers_;
    Faults faults_;
};

}  // namespace cairn::sim
