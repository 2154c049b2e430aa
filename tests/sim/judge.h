// Puts what the clients were told before the checker that knows nothing of the cluster.
//
// Beside the checks that the clients make themselves, against the log: this one would also find a
// log that is wrong in a way the reference shares.
#pragma once

#include "tests/checker/linearizability.h"
#include "tests/sim/client_history.h"

namespace cairn::sim {

// `drift_per_mille`: how much the rates of the nodes' clocks may differ from that of the history.
checker::LinearizabilityReport judge(const History& history, int drift_per_mille);

}  // namespace cairn::sim
