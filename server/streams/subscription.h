// One reader of a stream: what it asked for, and what waits to be sent to it.
//
// Owned by the gateway thread; shared by the StreamHub, which puts messages in, and one connection,
// which takes them out. The messages form a whole: first what the opening owes (an acknowledgement,
// a gap, replayed events or present values), then what happened since, in order, and no message is
// sent twice. Whoever stops after a message and resumes from its cursor misses nothing. There is
// always a first message, which says that the subscription stands.
// The queue is bounded. A watch keeps only the newest value per name; a queue that overflows all
// the same is emptied, and the subscription ends as `overflowed` once what it owes is taken. When
// all subscriptions together keep too much, the hub makes those give up that keep the most; also
// one that has just been opened.
//
// What the opening owes is rendered when it is taken, so that it shares its bytes with the state
// machine and the history, and counts once they have dropped them; what happens later is rendered
// once by the hub and shared by all subscriptions. This class writes to no socket.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "fsm/history.h"
#include "fsm/name_hash.h"
#include "server/api/exchange.h"
#include "server/api/gateway_statistics.h"
#include "server/node/backend.h"
#include "server/streams/kept_values.h"
#include "server/streams/stream_message.h"

namespace cairn::server {

struct StreamLimits {
    std::size_t subscriptions_max = 20'000;
    // Per subscription, of what happened since it was opened and is not yet sent.
    std::size_t queued_bytes_max = std::size_t{512} << 20;  // of all, as the statistics count it
    std::size_t events_queue_messages_max = 4096;
    std::size_t events_queue_bytes_max = std::size_t{8} << 20;
    std::size_t watch_queue_names_max = 65'536;
    std::size_t watch_queue_bytes_max = std::size_t{16} << 20;
    std::size_t replay_part_max = 4096;  // events, of a replay that comes in parts
    // A stream with nothing to say for so long says how far it has come.
    int progress_interval_ms = 9000;
};

class Subscription {
 public:
    enum class State : std::uint8_t {
        opening,
        open,
        failed,  // it couldn't be opened, or what it owes be kept: failure(), and nothing more
        // What is still owed is the last of it: go on with a new one from cursor(). The reader is
        // too slow, or this was only a part of the replay (StreamRequest::in_parts).
        overflowed,
    };

    Subscription(StreamRequest request, const StreamLimits& limits, StreamStatistics& statistics);
    ~Subscription();
    Subscription(const Subscription&) = delete;
    Subscription& operator=(const Subscription&) = delete;

    const StreamRequest& request() const { return request_; }
    bool is_watch() const { return request_.kind == StreamRequest::Kind::watch; }
    State state() const { return state_; }
    Failure failure() const { return failure_; }

    // The next message to send, or null when there is none now.
    SharedMessage next();
    bool has_next() const { return owed_taken_ < owed_.size() || !queue_.empty(); }

    // The place after the last message taken; where to resume. None before the first one of a
    // stream that began without a cursor.
    const std::optional<fsm::Cursor>& cursor() const { return cursor_; }

    bool history_lost() const { return history_lost_; }

    // Called when there is something to take, or the state has changed. It must not call the hub.
    std::function<void()> on_ready;

    // For the hub.
    std::size_t replay_max() const {
        return request_.in_parts ? limits_.replay_part_max : SIZE_MAX;
    }
    void start(StreamOpen& answer);
    void fail(Failure failure);
    // Events that this stream was to tell are missing: it ends as one that overflowed does.
    void lose_history();
    // Ends it as one that overflowed; of what it owes one message stays, so that it gets on. But
    // who goes on after some of many present values is owed all of them again: one that owes those
    // fails.
    void give_up();
    // What it costs to keep what waits for it, and the messages.
    std::size_t queued_bytes() const { return own_bytes_ + queue_bytes_ + kept_bytes_; }
    // Whether an event at this place is new to this stream.
    bool wants(const fsm::Cursor& place) const { return state_ == State::open && seen_ < place; }
    // Whether it may owe a value that an event at this place replaced.
    bool may_owe(const fsm::Cursor& place) const { return !owed_.empty() && noted_ < place; }
    // That event: a value that it replaced and that is still owed is nobody else's any more.
    void note_replaced(const fsm::Event& event, KeptValues& kept);
    // Likewise of the events before `oldest`, which the history has dropped.
    void note_dropped(const fsm::Cursor& oldest, KeptValues& kept);
    // Likewise of all there is: the state is another one.
    void note_all_dropped(KeptValues& kept);
    // `applied_ns` is when that happened, by the replica's clock.
    void push(std::string_view name, SharedMessage message, const fsm::Cursor& place,
              std::int64_t applied_ns);
    void push_progress(SharedMessage message, const fsm::Cursor& place);
    // The place up to which this stream is complete once everything waiting is taken.
    const fsm::Cursor& seen() const { return seen_; }
    // Whether nothing was pushed or taken since the last call.
    bool was_quiet() { return !std::exchange(active_, false); }
    std::chrono::steady_clock::time_point quiet_since{};

 private:
    // What the opening owes, not rendered yet. `place` is the cursor the message carries.
    struct Subscribed {
        fsm::Cursor place;
    };
    struct Unchanged {
        fsm::Cursor place;
    };
    struct Gap {
        fsm::Cursor place;
    };
    struct Replayed {
        fsm::Event event;
        std::size_t kept_bytes = 0;  // of KeptValues
    };
    struct Present {
        fsm::ListItem item;  // without bytes: not set
        fsm::Cursor place;
        std::size_t kept_bytes = 0;
    };
    using Owed = std::variant<Subscribed, Unchanged, Gap, Replayed, Present>;

    struct Queued {
        std::string name;  // watch of a prefix: the key of newest_; else empty
        SharedMessage message;
        fsm::Cursor place;
        std::int64_t applied_ns = 0;  // 0: it tells of nothing that happened

        std::size_t own_bytes() const;  // without the message, which others may have, too
    };

    static std::size_t kept_bytes_of(const Owed& owed);
    void keep(fsm::Value& value, std::size_t& kept_bytes, KeptValues& kept);
    void keep(Replayed& replayed, KeptValues& kept);
    void owe_present(std::vector<fsm::ListItem>& present, const fsm::Cursor* all_but_last,
                     const fsm::Cursor& last);
    SharedMessage render(const Owed& owed, fsm::Cursor& place) const;
    void append(std::string_view name, SharedMessage message, const fsm::Cursor& place,
                std::int64_t applied_ns);
    void count_lag(std::int64_t applied_ns);
    void overflow();
    void clear_queue();
    void count_owed();
    void forget_owed();
    void count_bytes(std::size_t added, std::size_t removed);
    void signal();

    StreamRequest request_;
    StreamLimits limits_;
    StreamStatistics& statistics_;
    State state_ = State::opening;
    Failure failure_ = Failure::none;
    std::optional<fsm::Cursor> cursor_;
    fsm::Cursor seen_;
    bool active_ = true;
    bool history_lost_ = false;

    std::vector<Owed> owed_;
    std::size_t owed_taken_ = 0;
    std::size_t owed_bytes_ = 0;
    std::size_t first_present_ = SIZE_MAX;  // of owed_: from there on all are
    bool is_present_by_index_ = false;      // else by name
    std::size_t next_dropped_ = 0;          // of owed_: those before it have been looked at
    fsm::Cursor noted_;                     // up to where replaced values were noted
    std::int64_t utc_offset_ns_ = 0;

    std::list<Queued> queue_;
    std::size_t queue_bytes_ = 0;  // of the messages
    std::size_t own_bytes_ = 0;    // of what is owed, and of the queue without the messages
    std::size_t kept_bytes_ = 0;   // of the values that are owed
    // Watch of a prefix: the waiting message per name. order-free: iterated nowhere.
    std::unordered_map<std::string_view, std::list<Queued>::iterator, fsm::NameHash> newest_;
};

}  // namespace cairn::server
