#include "server/streams/fan_out.h"

#include <algorithm>
#include <utility>

namespace cairn::server {
namespace {

// The same message, whose bytes are counted until nobody has it any more.
SharedMessage counted(SharedMessage message, raft::Counter& bytes) {
    const StreamMessage* plain = message.get();
    bytes.add(plain->size());
    return SharedMessage(plain, [message = std::move(message), &bytes](const StreamMessage*) {
        bytes.set(bytes.value() - message->size());
    });
}

}  // namespace

FannedEvent::FannedEvent(const EventBatch& batch, const fsm::Event& event)
    : event_(event),
      place_(fsm::Cursor::after(event)),
      utc_offset_ns_(batch.utc_offset_ns),
      applied_ns_(batch.applied_ns) {}

std::size_t FannedEvent::bytes() const {
    return event_.name.size() + event_.value.bytes->size() +
           (event_.prev_value ? event_.prev_value->bytes->size() : 0);
}

const SharedMessage& FannedEvent::message(bool is_watch, StreamEncoding encoding,
                                          StreamStatistics& statistics) {
    SharedMessage& message = messages_[2 * static_cast<std::size_t>(encoding) + (is_watch ? 1 : 0)];
    if (!message) {
        message = counted(is_watch ? watch_message(event_, utc_offset_ns_, encoding)
                                   : event_message(event_, utc_offset_ns_, encoding),
                          statistics.queued_bytes);
    }
    return message;
}

// The readers that were visited stay in front, and no other gets among them.
void Topic::remove(const Subscription& reader) {
    auto place = std::find(readers_.begin(), readers_.end(), &reader);
    if (place < readers_.begin() + static_cast<std::ptrdiff_t>(next_reader_)) {
        --next_reader_;
        *place = readers_[next_reader_];
        place = readers_.begin() + static_cast<std::ptrdiff_t>(next_reader_);
    }
    *place = readers_.back();
    readers_.pop_back();
}

void FanOut::put(Topic& topic, const std::shared_ptr<FannedEvent>& event) {
    topic.waiting_.push_back(event);
    ++waiting_events_;
    waiting_bytes_ += event->bytes();
    if (!std::exchange(topic.is_active_, true)) {
        active_.push_back(&topic);
    }
    while (waiting_events_ > waiting_events_max || waiting_bytes_ > waiting_bytes_max) {
        turn();
    }
}

void FanOut::start() {
    if (!is_scheduled_) {
        turn();
        schedule();
    }
}

void FanOut::run() {
    is_scheduled_ = false;
    turn();
    schedule();
}

void FanOut::schedule() {
    if (!active_.empty() && !is_scheduled_) {
        is_scheduled_ = true;
        schedule_();
    }
}

void FanOut::turn() {
    std::size_t work = 0;
    while (work < work_per_turn && !active_.empty()) {
        Topic& topic = *active_.front();
        active_.pop_front();
        if (topic.next_reader_ == 0) {
            topic.round_events_ = topic.waiting_.size();
        }
        while (work < work_per_turn && topic.next_reader_ < topic.readers_.size()) {
            visit(topic, *topic.readers_[topic.next_reader_++], work);
        }
        if (topic.next_reader_ >= topic.readers_.size()) {
            end_round(topic);
        }
        topic.is_active_ = !topic.waiting_.empty();
        if (topic.is_active_) {
            active_.push_back(&topic);  // the other topics come first
        }
    }
}

void FanOut::visit(Topic& topic, Subscription& reader, std::size_t& work) {
    ++work;
    const auto& waiting = topic.waiting_;
    auto next = waiting.end();
    while (next != waiting.begin() && reader.may_owe((*std::prev(next))->place())) {
        --next;
    }
    for (; next != waiting.end(); ++next) {
        reader.note_replaced((*next)->event(), kept_);
    }
    while (next != waiting.begin() && reader.wants((*std::prev(next))->place())) {
        --next;
    }
    if (next != waiting.end() && reader.is_watch() && !reader.request().prefix) {
        const auto newest = std::prev(waiting.end());
        statistics_.conflated.add(static_cast<std::uint64_t>(newest - next));
        next = newest;
    }
    for (; next != waiting.end() && reader.state() == Subscription::State::open; ++next) {
        FannedEvent& event = **next;
        reader.push(event.event().name,
                    event.message(reader.is_watch(), reader.request().encoding, statistics_),
                    event.place(), event.applied_ns());
        ++work;
    }
}

// Everybody has what waited when the round began. What came later is not known to those who were
// visited before it came.
void FanOut::end_round(Topic& topic) {
    for (; topic.round_events_ != 0; --topic.round_events_) {
        --waiting_events_;
        waiting_bytes_ -= topic.waiting_.front()->bytes();
        topic.waiting_.pop_front();
    }
    topic.next_reader_ = 0;
}

void FanOut::forget(Topic& topic) {
    topic.round_events_ = topic.waiting_.size();
    end_round(topic);
    if (std::exchange(topic.is_active_, false)) {
        active_.erase(std::find(active_.begin(), active_.end(), &topic));
    }
}

}  // namespace cairn::server
