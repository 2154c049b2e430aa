// Items from one thread to another: one lock and one wake-up for a burst, never one per item.
//
// put() is called on the sending thread, take_all() on the receiving one. It has no bound of its
// own: what goes through it is bounded by whoever sends (operations by connections, and by what
// those may buffer; batches by turns).
#pragma once

#include <algorithm>
#include <iterator>
#include <mutex>
#include <utility>
#include <vector>

namespace cairn::server {

template <class Item>
class Mailbox {
 public:
    // Returns whether the receiver must be woken: the box was empty.
    bool put(Item item) {
        const std::lock_guard lock(mutex_);
        items_.push_back(std::move(item));
        return items_.size() == 1;
    }

    // All of `items` (left empty, with its memory); as put().
    bool put_all(std::vector<Item>& items) {
        const std::lock_guard lock(mutex_);
        const bool was_empty = items_.empty();
        if (was_empty) {
            std::swap(items_, items);
        } else {
            std::move(items.begin(), items.end(), std::back_inserter(items_));
        }
        items.clear();
        return was_empty;
    }

    // Swaps everything into `items`, which must be empty.
    void take_all(std::vector<Item>& items) {
        const std::lock_guard lock(mutex_);
        std::swap(items_, items);
    }

 private:
    std::mutex mutex_;
    std::vector<Item> items_;
};

}  // namespace cairn::server
