// Reads that wait until their value changes: GET …?after=42&wait=30s.
//
// Owned by the replica, on the raft thread; no clock of its own. What waits has been read once, as
// its consistency asks, and was not new; it is looked at again only when an event names its value,
// so waiting costs nothing. What has passed between two looks is not told: only what is now.
// Bounded in number; answered exactly once: changed, unchanged at its deadline or when the gateway
// ends it, or failed when the node stops.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "server/node/port.h"

namespace cairn::server {

struct LongPoll {
    std::shared_ptr<Operation> operation;
    Port* port = nullptr;
    std::int64_t deadline_ns = 0;
};

class LongPolls {
 public:
    explicit LongPolls(std::size_t waiting_max) : waiting_max_(waiting_max) {}

    // Takes a read that is to wait; false, and nothing taken, when too many do.
    bool add(LongPoll& poll);
    // Appends to `names` each name that is waited for and that an event names, once.
    void take_changed(const std::vector<fsm::Event>& events, std::vector<std::string>& names) const;
    // All that wait for this value; or for any.
    void take_of(const std::string& name, std::vector<LongPoll>& taken);
    void take_all(std::vector<LongPoll>& taken);
    // What is past its deadline.
    void take_late(std::int64_t now_ns, std::vector<LongPoll>& taken);
    // The one that this is about; none when it doesn't wait (any more).
    void take(const Operation& operation, std::vector<LongPoll>& taken);

    std::size_t size() const { return polls_.size(); }
    bool empty() const { return polls_.empty(); }

 private:
    // Deadline, and a number that no other has.
    using Key = std::pair<std::int64_t, std::uint64_t>;
    using Polls = std::map<Key, LongPoll>;

    void take(Polls::iterator found, std::vector<LongPoll>& taken);

    std::size_t waiting_max_;
    std::uint64_t next_number_ = 1;
    Polls polls_;
    // order-free: iterated nowhere.
    std::unordered_map<std::string, std::set<Key>> by_name_;
    std::unordered_map<const Operation*, Key> by_operation_;
};

}  // namespace cairn::server
