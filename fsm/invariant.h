// FSM_INVARIANT: what our own code promises, checked in every build; it prints the expression and
// the place and aborts. Never used on what a client or a peer sent. The state machine has its own,
// since it knows nothing of Raft.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace cairn::fsm {

[[noreturn]] inline void invariant_broken(const char* expression, const char* file, int line) {
    std::fprintf(stderr, "cairn: invariant broken: %s (%s:%d)\n", expression, file, line);
    std::abort();
}

}  // namespace cairn::fsm

#define FSM_INVARIANT(expression)                                            \
    do {                                                                     \
        if (!(expression)) [[unlikely]] {                                    \
            ::cairn::fsm::invariant_broken(#expression, __FILE__, __LINE__); \
        }                                                                    \
    } while (false)
