// All streams of one gateway: hears each batch of events once, renders each event once in
// each encoding that is wanted, and hands the same bytes to every subscription that wants them.
//
// Owned by the gateway thread. Subscriptions are found by exact name and by prefix in time that
// does not depend on how many there are, and hear of an event in turns (fan_out.h). A subscription
// becomes active when the backend's answer to its opening arrives, which is atomic with the
// batches; from then on it hears everything. Slow readers cost a bounded amount of memory and
// nothing else (see Subscription). The hub writes to no socket and has no timer: the gateway calls
// tick(), and run_turn() when the hub asked for it.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "fsm/name_hash.h"
#include "server/node/backend.h"
#include "server/streams/fan_out.h"
#include "server/streams/subscription.h"

namespace cairn::server {

class StreamHub : public EventListener {
 public:
    // Registers itself as the backend's listener until it is destroyed.
    // `schedule` makes run_turn() be called, once, later, from the event loop.
    StreamHub(Backend& backend, const StreamLimits& limits, StreamStatistics& statistics,
              std::function<void()> schedule);
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

    void run_turn();

    // Tells quiet streams how far they have come, in turns as well. To be called a few times per
    // second.
    void tick(std::chrono::steady_clock::time_point now);

    static constexpr std::size_t quiet_per_turn = 64;  // are looked at

 private:
    using Topics = std::unordered_map<std::string, Topic, fsm::NameHash, std::equal_to<>>;

    struct Entry {
        std::shared_ptr<Subscription> subscription;
        std::shared_ptr<StreamOpen> opening;  // while that is under way
        Topic* topic = nullptr;               // once it is open
    };

    void opened(Subscription& subscription, StreamOpen& answer);
    Topic& add_reader(Subscription& subscription);
    void remove_reader(Subscription& subscription, Topic& topic);
    void count_open(const Subscription& subscription, bool opened);
    void put(const EventBatch& batch, const fsm::Event& event);
    void relieve(const Subscription* newest = nullptr);
    void schedule_turn();
    void tell_quiet();
    void tell_if_quiet(Subscription& subscription, const Entry& entry,
                       std::array<SharedMessage, 2>& at_newest);

    Backend& backend_;
    StreamLimits limits_;
    StreamStatistics& statistics_;
    std::function<void()> schedule_;
    bool is_scheduled_ = false;
    const std::shared_ptr<KeptValues> kept_;
    std::map<Subscription*, Entry> subscriptions_;  // a round over them can go on where it was
    Topics by_name_;
    Topics by_prefix_;
    FanOut fan_out_;
    // How many prefixes of each length there are: the lengths to try on a name. Sorted.
    std::vector<std::pair<std::size_t, std::size_t>> prefix_lengths_;
    fsm::Index applied_index_ = 0;                 // of the newest batch
    fsm::Cursor history_oldest_;                   // likewise
    std::size_t relieve_above_;                    // queued bytes
    std::chrono::steady_clock::time_point now_{};  // of the newest tick
    bool is_telling_ = false;
    Subscription* looked_at_ = nullptr;  // the last one, in this round
};

}  // namespace cairn::server
