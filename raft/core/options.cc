#include "raft/core/options.h"

#include "raft/core/read_lease.h"

namespace cairn::raft {

std::string validate(const CoreOptions& options) {
    if (options.id == 0) {
        return "the node id must not be 0";
    }
    if (options.heartbeat_ticks < 1) {
        return "the heartbeat interval must be at least one tick";
    }
    if (options.election_timeout_ticks < 2 * options.heartbeat_ticks) {
        return "the election timeout must be at least two heartbeat intervals";
    }
    if (options.vote_promise_ns < 0 || options.vote_promise_ns > vote_promise_ns_max) {
        return "a promise not to vote must not be negative or longer than an hour";
    }
    if (options.append_entries_max == 0 || options.append_bytes_max == 0 ||
        options.inflight_messages_max == 0 || options.inflight_bytes_max == 0 ||
        options.uncommitted_entries_max == 0 || options.uncommitted_bytes_max == 0 ||
        options.pending_reads_max == 0 || options.committed_entries_max == 0 ||
        options.persist_bytes_max == 0) {
        return "every bound must be at least 1";
    }
    return {};
}

}  // namespace cairn::raft
