// A page that shows on a time line why a history is not linearizable.
//
// Pure. The page is whole in itself: no script, nothing from elsewhere. One row per client, one bar
// per operation, the place in the longest order found on it; where the search got stuck is marked.
#pragma once

#include <string>

#include "tests/checker/linearizability.h"

namespace cairn::checker {

std::string history_page(const LinearizabilityReport& report);

}  // namespace cairn::checker
