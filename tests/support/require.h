// What the support of the Raft tests checks by the million: cheaper than a doctest assertion.
#pragma once

#include <sstream>

#include <doctest/doctest.h>

#include "raft/core/types.h"

namespace cairn::raft::testing {

inline bool same(const Entry& a, const Entry& b) {
    return a.index == b.index && a.term == b.term && a.stamp_ns == b.stamp_ns && a.kind == b.kind &&
           a.payload.view() == b.payload.view();
}

// Fails the running test case, with these words, unless it holds.
template <class... Parts>
void require(bool holds, const Parts&... parts) {
    if (!holds) [[unlikely]] {
        std::ostringstream text;
        (text << ... << parts);
        FAIL(text.str());
    }
}

}  // namespace cairn::raft::testing
