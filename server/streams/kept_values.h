// Values that only streams still keep: replaced in the state, or dropped from the history, since
// the stream that owes them was opened.
//
// Owned by the StreamHub and by whoever keeps such a value, on the gateway thread. Until then a
// value that is owed costs nothing; from then on its bytes count as queued, once for all streams
// that owe it, until the last of them has told it.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include "fsm/types.h"
#include "server/api/gateway_statistics.h"

namespace cairn::server {

class KeptValues : public std::enable_shared_from_this<KeptValues> {
 public:
    explicit KeptValues(StreamStatistics& statistics) : statistics_(statistics) {}

    // The same bytes, which count for as long as anybody has what this returned.
    fsm::Bytes keep(const fsm::Bytes& bytes);

 private:
    StreamStatistics& statistics_;
    // order-free: iterated nowhere.
    std::unordered_map<const std::string*, std::weak_ptr<const std::string>> kept_;
};

}  // namespace cairn::server
