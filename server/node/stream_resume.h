// Whether a stream of one name may go on from a place whose history is no longer kept.
//
// Pure, for the raft thread. Only of a single name that is set: what is not there may have been
// deleted since, and a prefix may have lost names that nobody can tell.
#pragma once

#include <cstdint>

#include "fsm/history.h"
#include "server/node/new_cluster.h"

namespace cairn::server {

// Nothing happened to a value after `place` if it was written before it: whatever would have
// happened had given it a later index. But a place from before a leap of the indexes is one in the
// life of the old cluster, which may have gone on after the state that this one began with.
inline bool is_unchanged_since(const fsm::Value& value, const fsm::Cursor& place,
                               fsm::Index applied_index) {
    const bool same_cluster =
        applied_index < place.index || applied_index - place.index < index_leap / 2;
    return same_cluster && fsm::Cursor{value.index} <= place;
}

}  // namespace cairn::server
