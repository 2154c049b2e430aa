// Keeps what strangers and broken peers can provoke out of the log after its first line.
//
// A set of keys, bounded and forgotten every hour, so that a lasting trouble is mentioned again.
// While the set is full nothing new is admitted: the log grows by a bounded number of lines an hour
// whatever arrives. The caller tells the time.
#pragma once

#include <chrono>
#include <cstddef>
#include <set>
#include <string>
#include <string_view>

namespace cairn::raft {

class LogOnce {
 public:
    explicit LogOnce(std::size_t keys_max) : keys_max_(keys_max) {}

    // Whether a line about `key` should be written now.
    bool admits(std::string_view key, std::chrono::steady_clock::time_point now) {
        if (now >= forget_at_) {
            keys_.clear();
            forget_at_ = now + std::chrono::hours(1);
        }
        return keys_.size() < keys_max_ && keys_.emplace(key).second;
    }

    void clear() { keys_.clear(); }

 private:
    std::size_t keys_max_;
    std::set<std::string> keys_;
    std::chrono::steady_clock::time_point forget_at_{};
};

}  // namespace cairn::raft
