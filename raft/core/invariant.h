// RAFT_ASSERT: an invariant of our own code, checked in every build. It prints the expression and
// the place and aborts: a node that broke its own rules must not go on. Never used on what a peer
// or a client sent.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace cairn::raft {

[[noreturn]] inline void assertion_failed(const char* expression, const char* file, int line) {
    std::fprintf(stderr, "cairn: invariant broken: %s (%s:%d)\n", expression, file, line);
    std::abort();
}

}  // namespace cairn::raft

#define RAFT_ASSERT(expression)                                               \
    do {                                                                      \
        if (!(expression)) [[unlikely]] {                                     \
            ::cairn::raft::assertion_failed(#expression, __FILE__, __LINE__); \
        }                                                                     \
    } while (false)
