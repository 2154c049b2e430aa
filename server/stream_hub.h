// All streams of one gateway: hears each batch of events once, renders each event once in
// each encoding that is wanted, and hands the same bytes to every subscription that wants them.
//
// Owned by the gateway thread. Subscriptions are found by exact name and by prefix in time that
// does not depend on how many there are. A subscription becomes active when the backend's answer to
// its opening arrives, which is atomic with the batches; from then on it hears everything. Slow
// readers cost a bounded amount of memory and nothing else (see Subscription). The hub writes to no
// socket and has no timer: the gateway calls tick().
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "fsm/name_hash.h"
#include "server/backend.h"
#include "server/subscription.h"

namespace cairn::server {

class StreamHub : public EventListener {
 public:
    // Registers itself as the backend's listener until it is destroyed.
    // What it counts goes to `statistics`, if there are any.
    StreamHub(Backend& backend, const StreamLimits& limits, StreamStatistics* statistics = nullptr);
    ~StreamHub() override;
    StreamHub(const StreamHub&) = delete;
    StreamHub& operator=(const StreamHub&) = delete;

    // Null when there are as many subscriptions as allowed. Otherwise the subscription is being
    // opened; when the answer is there at once, the state says so already.
    std::shared_ptr<Subscription> subscribe(StreamRequest request);
    // Forgets the subscription, whatever its state; its on_ready is not called any more.
    // Unknown ones are ignored.
    void unsubscribe(Subscription& subscription);

    std::size_t size() const { return subscriptions_.size(); }

    void on_events(const std::shared_ptr<const EventBatch>& batch) override;

    // Tells quiet streams how far they have come. To be called a few times per second.
    void tick(std::chrono::steady_clock::time_point now);

 private:
    using Readers = std::vector<Subscription*>;
    using ReadersByName = std::unordered_map<std::string, Readers, fsm::NameHash, std::equal_to<>>;

    struct Entry {
        std::shared_ptr<Subscription> subscription;
        std::shared_ptr<StreamOpen> opening;  // while that is under way
    };

    void opened(Subscription& subscription, StreamOpen& answer);
    void add_reader(Subscription& subscription);
    void remove_reader(Subscription& subscription);
    void count_open(const Subscription& subscription, bool opened);
    void deliver(const fsm::Event& event, std::int64_t utc_offset_ns);

    Backend& backend_;
    StreamLimits limits_;
    StreamStatistics own_statistics_;
    StreamStatistics& statistics_;
    std::unordered_map<Subscription*, Entry> subscriptions_;
    ReadersByName by_name_;
    ReadersByName by_prefix_;
    // How many prefixes of each length there are: the lengths to try on a name. Sorted.
    std::vector<std::pair<std::size_t, std::size_t>> prefix_lengths_;
    fsm::Index applied_index_ = 0;  // of the newest batch
};

}  // namespace cairn::server
