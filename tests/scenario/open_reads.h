// The reads that a random scenario has under way: each must see at least what was committed when it
// was asked.
#pragma once

#include <vector>

#include <doctest/doctest.h>

#include "tests/support/core_cluster.h"

namespace cairn::raft::testing {

class OpenReads {
 public:
    explicit OpenReads(CoreCluster& cluster) : cluster_(cluster) {}

    void ask(NodeId id) {
        if (!cluster_.is_up(id)) {
            return;
        }
        if (const ReadId read = cluster_.read_index(id); read != 0) {
            open_.push_back({id, read, cluster_.committed().size()});
        }
    }

    void check_answered() {
        std::erase_if(open_, [this](const OpenRead& open) {
            const ReadState* state = cluster_.read(open.node, open.read);
            if (state != nullptr && state->ok) {
                REQUIRE(state->read_index >= open.committed);
            }
            return state != nullptr;
        });
    }

    // At the end: none is left open.
    void check_all_answered() {
        check_answered();
        REQUIRE(open_.empty());
    }

    void forget_those_of(NodeId id) {
        std::erase_if(open_, [id](const OpenRead& open) { return open.node == id; });
    }

 private:
    struct OpenRead {
        NodeId node = 0;
        ReadId read = 0;
        Index committed = 0;
    };
    CoreCluster& cluster_;
    std::vector<OpenRead> open_;
};

}  // namespace cairn::raft::testing
