// Decides linearizability of a few operations on one name by trying every order there is: slow and
// short, to check the real search against. It shares no rule with it but the format of histories.
#pragma once

#include "tests/checker/history.h"

namespace cairn::checker::testing {

bool has_order_by_brute_force(const History& history);

}  // namespace cairn::checker::testing
