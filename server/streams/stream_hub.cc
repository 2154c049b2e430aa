#include "server/streams/stream_hub.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace cairn::server {
namespace {

// Calls `use` for each topic whose prefix `name` begins with.
template <typename Map, typename Lengths, typename Use>
void for_each_prefix(Map& by_prefix, const Lengths& lengths, std::string_view name, Use use) {
    for (const auto& [length, count] : lengths) {
        if (length > name.size()) {
            return;
        }
        const auto found = by_prefix.find(name.substr(0, length));
        if (found != by_prefix.end()) {
            use(found->second);
        }
    }
}

}  // namespace

StreamHub::StreamHub(Backend& backend, const StreamLimits& limits, StreamStatistics& statistics,
                     std::function<void()> schedule)
    : backend_(backend),
      limits_(limits),
      statistics_(statistics),
      schedule_(std::move(schedule)),
      kept_(std::make_shared<KeptValues>(statistics)),
      fan_out_(statistics, *kept_, [this] { schedule_turn(); }),
      relieve_above_(limits.queued_bytes_max) {
    statistics_.queued_bytes_max.set(limits_.queued_bytes_max);
    backend_.set_listener(this);
}

StreamHub::~StreamHub() {
    backend_.set_listener(nullptr);
    for (auto& [subscription, entry] : subscriptions_) {
        subscription->on_ready = nullptr;
        if (entry.opening) {
            entry.opening->on_done = nullptr;
        }
    }
}

std::shared_ptr<Subscription> StreamHub::subscribe(StreamRequest request) {
    if (subscriptions_.size() >= limits_.subscriptions_max) {
        return nullptr;
    }
    auto open = std::make_shared<StreamOpen>();
    open->name = request.name;
    open->prefix = request.prefix;
    open->wants_present = request.kind == StreamRequest::Kind::watch;
    if (request.cursor) {
        open->after_index = request.cursor->index;
        open->after_position = request.cursor->position;
    }
    auto subscription = std::make_shared<Subscription>(std::move(request), limits_, statistics_);
    open->replay_max = subscription->replay_max();
    open->on_done = [this, reader = subscription.get(), answer = open.get()] {
        opened(*reader, *answer);
    };
    subscriptions_.emplace(subscription.get(), Entry{subscription, open});
    backend_.open_stream(open);
    return subscription;
}

void StreamHub::opened(Subscription& subscription, StreamOpen& answer) {
    // Kept alive by its entry, which unsubscribe() removes together with on_done.
    Entry& entry = subscriptions_.find(&subscription)->second;
    entry.opening.reset();
    if (answer.failure != Failure::none) {
        subscription.fail(answer.failure);
        return;
    }
    entry.topic = &add_reader(subscription);
    count_open(subscription, true);
    subscription.start(answer);
    relieve(&subscription);
}

void StreamHub::unsubscribe(Subscription& subscription) {
    const auto found = subscriptions_.find(&subscription);
    if (found == subscriptions_.end()) {
        return;
    }
    subscription.on_ready = nullptr;
    if (found->second.opening) {
        found->second.opening->on_done = nullptr;
    } else if (found->second.topic != nullptr) {
        remove_reader(subscription, *found->second.topic);
        count_open(subscription, false);
    }
    subscriptions_.erase(found);
}

Topic& StreamHub::add_reader(Subscription& subscription) {
    const StreamRequest& request = subscription.request();
    Topic& topic = (request.prefix ? by_prefix_ : by_name_)[request.name];
    if (request.prefix && topic.empty()) {
        const std::size_t length = request.name.size();
        const auto place = std::lower_bound(prefix_lengths_.begin(), prefix_lengths_.end(),
                                            std::pair(length, std::size_t{0}));
        if (place != prefix_lengths_.end() && place->first == length) {
            ++place->second;
        } else {
            prefix_lengths_.insert(place, {length, 1});
        }
    }
    topic.add(subscription);
    return topic;
}

void StreamHub::count_open(const Subscription& subscription, bool opened) {
    const StreamRequest& request = subscription.request();
    raft::Counter& open = statistics_.open[static_cast<std::size_t>(request.kind)]
                                          [static_cast<std::size_t>(request.transport)];
    open.set(opened ? open.value() + 1 : open.value() - 1);
}

void StreamHub::remove_reader(Subscription& subscription, Topic& topic) {
    topic.remove(subscription);
    if (!topic.empty()) {
        return;
    }
    fan_out_.forget(topic);
    const StreamRequest& request = subscription.request();
    (request.prefix ? by_prefix_ : by_name_).erase(request.name);
    if (request.prefix) {
        const auto place = std::lower_bound(prefix_lengths_.begin(), prefix_lengths_.end(),
                                            std::pair(request.name.size(), std::size_t{0}));
        if (--place->second == 0) {
            prefix_lengths_.erase(place);
        }
    }
}

void StreamHub::put(const EventBatch& batch, const fsm::Event& event) {
    std::shared_ptr<FannedEvent> fanned;
    const auto give = [&](Topic& topic) {
        if (!fanned) {
            fanned = std::make_shared<FannedEvent>(batch, event);
        }
        fan_out_.put(topic, fanned);
    };
    const auto exact = by_name_.find(event.name);
    if (exact != by_name_.end()) {
        give(exact->second);
    }
    for_each_prefix(by_prefix_, prefix_lengths_, event.name, give);
}

void StreamHub::on_events(const std::shared_ptr<const EventBatch>& batch) {
    applied_index_ = std::max(applied_index_, batch->applied_index);
    history_oldest_ = batch->history_oldest;
    if (batch->history_lost) {
        for (auto& [subscription, entry] : subscriptions_) {
            subscription->note_all_dropped(*kept_);
            subscription->lose_history();
        }
    }
    if (by_name_.empty() && by_prefix_.empty()) {
        return;
    }
    for (const fsm::Event& event : batch->events) {
        put(*batch, event);
    }
    fan_out_.start();
    relieve();
}

void StreamHub::run_turn() {
    is_scheduled_ = false;
    fan_out_.run();
    relieve();
    tell_quiet();
}

void StreamHub::schedule_turn() {
    if (!std::exchange(is_scheduled_, true)) {
        schedule_();
    }
}

// Those who keep the most go first, and of equals the newest; with some room to spare, so that this
// is rare. Where that doesn't help, since all keep the same, it is tried again when there is more,
// or at the next tick.
void StreamHub::relieve(const Subscription* newest) {
    const raft::Counter& queued = statistics_.queued_bytes;
    if (queued.value() <= relieve_above_) {
        return;
    }
    std::vector<std::tuple<std::size_t, bool, Subscription*>> readers;
    for (const auto& [subscription, entry] : subscriptions_) {
        if (subscription->has_next()) {
            readers.emplace_back(subscription->queued_bytes(), subscription == newest,
                                 subscription);
        }
    }
    std::sort(readers.begin(), readers.end(), std::greater<>());
    const std::size_t margin = limits_.queued_bytes_max / 8;
    for (const auto& [bytes, is_newest, reader] : readers) {
        if (queued.value() <= limits_.queued_bytes_max - margin) {
            break;
        }
        reader->give_up();
    }
    relieve_above_ = std::max(limits_.queued_bytes_max, queued.value() + margin);
}

void StreamHub::tick(std::chrono::steady_clock::time_point now) {
    relieve_above_ = limits_.queued_bytes_max;
    relieve();
    now_ = now;
    if (!std::exchange(is_telling_, true)) {
        tell_quiet();
    }
}

// Ten thousand streams that had the same event are quiet since the same moment.
void StreamHub::tell_quiet() {
    if (!is_telling_) {
        return;
    }
    std::array<SharedMessage, 2> at_newest;
    auto next = subscriptions_.upper_bound(looked_at_);
    for (std::size_t i = 0; i < quiet_per_turn && next != subscriptions_.end(); ++i, ++next) {
        looked_at_ = next->first;
        looked_at_->note_dropped(history_oldest_, *kept_);
        tell_if_quiet(*looked_at_, next->second, at_newest);
    }
    if (next == subscriptions_.end()) {
        is_telling_ = false;
        looked_at_ = nullptr;
    } else {
        schedule_turn();
    }
}

void StreamHub::tell_if_quiet(Subscription& subscription, const Entry& entry,
                              std::array<SharedMessage, 2>& at_newest) {
    if (subscription.state() != Subscription::State::open) {
        return;
    }
    if (!subscription.was_quiet() || subscription.has_next() ||
        !entry.topic->is_complete(subscription)) {
        subscription.quiet_since = now_;
        return;
    }
    if (now_ - subscription.quiet_since < std::chrono::milliseconds(limits_.progress_interval_ms)) {
        return;
    }
    const StreamEncoding encoding = subscription.request().encoding;
    const fsm::Cursor newest{applied_index_};
    if (subscription.seen() > newest) {
        subscription.push_progress(progress_message(subscription.seen(), encoding),
                                   subscription.seen());
        return;
    }
    SharedMessage& message = at_newest[static_cast<std::size_t>(encoding)];
    if (!message) {
        message = progress_message(newest, encoding);
    }
    subscription.push_progress(message, newest);
}

}  // namespace cairn::server
