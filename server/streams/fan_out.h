// Brings events to the subscriptions that want them, a bounded number at a time: with ten thousand
// watchers of one value, the thread looks after everything else between two turns.
//
// Owned by the StreamHub, on the gateway thread. A Topic is what was subscribed to, a name or a
// prefix, with its readers; an event is put to the topics that it concerns and waits there until
// each reader was visited. A visit gives a reader all that waits and is new to it, in order, so
// that what came during a round costs no round of its own; a watch of one name gets only the newest
// of it. Readers may come and go between turns: who comes has its own place in the history and gets
// what is behind it. What waits is bounded: beyond that turns are taken at once, and the writers
// wait. It has no clock and no thread: the first turn is taken when the events are put, the others
// when what `schedule` asked for calls run().
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <vector>

#include "fsm/history.h"
#include "server/api/gateway_statistics.h"
#include "server/node/backend.h"
#include "server/streams/stream_message.h"
#include "server/streams/subscription.h"

namespace cairn::server {

// An event on its way to the subscriptions. Each is rendered for the first who wants it so.
class FannedEvent {
 public:
    FannedEvent(const EventBatch& batch, const fsm::Event& event);

    const fsm::Event& event() const { return event_; }
    const fsm::Cursor& place() const { return place_; }
    std::int64_t applied_ns() const { return applied_ns_; }
    std::size_t bytes() const;
    // It counts as queued for as long as anybody has it.
    const SharedMessage& message(bool is_watch, StreamEncoding encoding,
                                 StreamStatistics& statistics);

 private:
    fsm::Event event_;  // not all of its batch
    fsm::Cursor place_;
    std::int64_t utc_offset_ns_;
    std::int64_t applied_ns_;
    std::array<SharedMessage, 4> messages_;
};

// A name or a prefix that somebody subscribed to.
class Topic {
 public:
    void add(Subscription& reader) { readers_.push_back(&reader); }
    void remove(const Subscription& reader);
    bool empty() const { return readers_.empty(); }
    // Whether the reader has everything that was put here, so that it can be told how far the
    // history has come.
    bool is_complete(const Subscription& reader) const {
        return waiting_.empty() || !reader.wants(waiting_.back()->place());
    }

 private:
    friend class FanOut;

    std::vector<Subscription*> readers_;  // those before next_reader_ were visited in this round
    std::size_t next_reader_ = 0;
    std::deque<std::shared_ptr<FannedEvent>> waiting_;
    std::size_t round_events_ = 0;  // of them, how many waited when the round began
    bool is_active_ = false;        // stands in FanOut::active_
};

class FanOut {
 public:
    // Pushes of a turn, and one more for each visit; the last visit is made in full.
    static constexpr std::size_t work_per_turn = 16;
    static constexpr std::size_t waiting_events_max = 256;
    static constexpr std::size_t waiting_bytes_max = std::size_t{8} << 20;

    // `schedule` makes run() be called, once, later, from the event loop.
    FanOut(StreamStatistics& statistics, KeptValues& kept, std::function<void()> schedule)
        : statistics_(statistics), kept_(kept), schedule_(std::move(schedule)) {}

    // To a topic with readers, in the order of the history. To be followed by start().
    void put(Topic& topic, const std::shared_ptr<FannedEvent>& event);
    void start();
    void run();
    // What waits there goes to nobody: the topic has no readers any more, or they have ended.
    void forget(Topic& topic);

 private:
    void turn();
    void visit(Topic& topic, Subscription& reader, std::size_t& work);
    void end_round(Topic& topic);
    void schedule();

    StreamStatistics& statistics_;
    KeptValues& kept_;
    std::function<void()> schedule_;
    std::deque<Topic*> active_;  // where something waits, each once
    std::size_t waiting_events_ = 0;
    std::size_t waiting_bytes_ = 0;
    bool is_scheduled_ = false;
};

}  // namespace cairn::server
