// Sees everything at once, after every step of every node, and says what must never be: the
// properties of the paper's figure 3, what a commit needs, what a restart must not forget, what a
// message may say, one and the same state everywhere.
//
// Outside of the code under test; it only reads.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "raft/core/core.h"
#include "server/node/replica.h"
#include "tests/sim/disk.h"
#include "tests/sim/reference.h"
#include "tests/sim/trace.h"

namespace cairn::sim {

class Observer {
 public:
    Observer(EventQueue& queue, Trace& trace, const Swarm& swarm)
        : queue_(queue), trace_(trace), swarm_(swarm), reference_(trace) {}

    // A process begins with what it found on its disk.
    void on_start(raft::NodeId id, const raft::CoreStart& start, const Durable& durable);
    void on_stop(raft::NodeId id) { nodes_[id].running = false; }
    // What was on its disk is lost, though it may have been promised.
    void on_disk_lost(raft::NodeId id, const Durable& durable);
    void on_step(raft::NodeId id, const server::Replica& replica, std::int64_t steady_ns);
    // A node applied an entry; `state` digests its whole state, where that is due.
    void on_applied(raft::NodeId id, const raft::Entry& entry, const fsm::Output& output,
                    std::span<const fsm::Event> events, const fsm::StateMachine& machine);
    void on_send(raft::NodeId id, const raft::Core& core, const raft::Message& message);
    // At the end: everybody's state is that of the reference.
    void check_same_state(raft::NodeId id, const server::Replica& replica);

    Reference& reference() { return reference_; }
    const Reference& reference() const { return reference_; }
    raft::Term newest_term() const { return leaders_.empty() ? 0 : leaders_.rbegin()->first; }

 private:
    struct Applied {
        raft::Index index = 0;
        std::uint64_t outcome = 0;
        std::optional<std::uint64_t> state;
    };
    struct Watched {
        bool running = false;
        const Durable* durable = nullptr;
        std::vector<Durable> lost;
        raft::Term term = 0;
        raft::Index commit = 0;
        raft::Index applied = 0;
        std::vector<Applied> newly_applied;  // since the last step
        bool leading = false;
        raft::Index last_index = 0;
        std::uint64_t truncations = 0;
        raft::Configuration configuration;
        std::uint64_t configuration_version = 0;
        // Whom it has promised not to vote for another, and until when at least; over restarts.
        raft::NodeId promised_to = 0;
        std::int64_t promised_until_ns = 0;
    };
    struct Appended {
        std::uint64_t digest = 0;
        raft::Term previous_term = 0;
    };

    void check_leadership(Watched& one, const raft::Core& core);
    void check_log(Watched& one, const raft::Core& core);
    void check_commit(Watched& one, const raft::Core& core);
    void check_bounds(const server::Replica& replica);
    void check_applied(Watched& one, const server::Replica& replica);
    void check_promise(raft::NodeId id, const raft::Message& message);
    bool durable_on_quorum(const raft::Entry& entry, const raft::Configuration& configuration);

    EventQueue& queue_;
    Trace& trace_;
    const Swarm& swarm_;
    Reference reference_;
    std::map<raft::NodeId, Watched> nodes_;
    std::map<raft::Term, raft::NodeId> leaders_;
    std::map<std::pair<raft::Index, raft::Term>, Appended> appended_;
    std::map<raft::Index, raft::Configuration> configurations_;  // committed
    // When a leader's round was first heard of, by term and round; and who campaigned in which term
    // because its leader wished so.
    std::map<std::pair<raft::Term, raft::ReadId>, std::int64_t> rounds_;
    std::set<std::pair<raft::Term, raft::NodeId>> transfers_;
};

}  // namespace cairn::sim
