// Virtual time: what is to happen, in the order (time, number of the request).
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace cairn::sim {

class EventQueue {
 public:
    std::int64_t now_ns() const { return now_ns_; }
    std::uint64_t events() const { return events_; }
    std::size_t waiting() const { return heap_.size(); }

    void after(std::int64_t delay_ns, std::function<void()> action) {
        heap_.push_back(
            {now_ns_ + std::max<std::int64_t>(delay_ns, 0), ++sequence_, std::move(action)});
        std::push_heap(heap_.begin(), heap_.end(), Later{});
    }

    // False when nothing is left to happen.
    bool run_next() {
        if (heap_.empty()) {
            return false;
        }
        std::pop_heap(heap_.begin(), heap_.end(), Later{});
        Event event = std::move(heap_.back());
        heap_.pop_back();
        now_ns_ = event.at_ns;
        ++events_;
        event.action();
        return true;
    }

 private:
    struct Event {
        std::int64_t at_ns = 0;
        std::uint64_t sequence = 0;
        std::function<void()> action;
    };
    struct Later {
        bool operator()(const Event& a, const Event& b) const {
            return a.at_ns != b.at_ns ? a.at_ns > b.at_ns : a.sequence > b.sequence;
        }
    };

    std::int64_t now_ns_ = 0;
    std::uint64_t sequence_ = 0;
    std::uint64_t events_ = 0;
    std::vector<Event> heap_;
};

}  // namespace cairn::sim
