// Puts what the clients and the readers of streams were told, and what the log made of idempotency
// keys, before the checkers that know nothing of the cluster.
//
// Beside the checks that the clients make themselves, against the log: these would also find a
// log that is wrong in a way the reference shares.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "fsm/types.h"
#include "tests/checker/idempotency_check.h"
#include "tests/checker/linearizability.h"
#include "tests/checker/stream_check.h"
#include "tests/sim/client_history.h"

namespace cairn::sim {

// `drift_per_mille`: how much the rates of the nodes' clocks may differ from that of the history.
checker::LinearizabilityReport judge(const History& history, int drift_per_mille);

// One reader's stream, over all its connections.
struct StreamRecord {
    std::string prefix;
    std::vector<checker::Received> received;
};

checker::Received received_event(const fsm::Event& event);
checker::Received received_value(const fsm::ListItem& item);

// All streams against all events; `complete_up_to` when they had time to come so far. What is wrong
// first, or empty.
std::string judge_streams(const std::vector<fsm::Event>& events,
                          const std::vector<StreamRecord>& streams,
                          std::optional<checker::Place> complete_up_to);
std::string judge_keyed(const std::vector<checker::KeyedCommand>& log);

}  // namespace cairn::sim
