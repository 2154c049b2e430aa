// Who has something to send, and when it is their turn: a broadcast to ten thousand sockets is cut
// into slices, between which the thread looks after everything else.
//
// Owned by the gateway, on its thread. A sender waits in the line at most once. Each turn lets some
// of them send, then the thread's event loop goes round before the next one. With the gateway on
// the raft thread that keeps heartbeats and the log's business from waiting for watchers.
#pragma once

#include <cstddef>
#include <functional>
#include <utility>

namespace cairn::server {

// Leaves the line by itself when it ends.
class Sender {
 public:
    Sender() = default;
    virtual ~Sender() { leave(); }
    Sender(const Sender&) = delete;
    Sender& operator=(const Sender&) = delete;

    // Sends a bounded amount. It may line up again; it must not destroy a sender.
    virtual void send() = 0;

 private:
    friend class SendTurns;
    void leave();

    Sender* before_ = nullptr;  // a ring with the line's own end; null: not in it
    Sender* after_ = nullptr;
};

class SendTurns {
 public:
    static constexpr std::size_t sends_per_turn = 8;

    // `schedule` makes run() be called, once, later, from the event loop.
    explicit SendTurns(std::function<void()> schedule) : schedule_(std::move(schedule)) {}

    void line_up(Sender& sender);
    void run();
    bool empty() const { return line_.after_ == nullptr || line_.after_ == &line_; }

 private:
    class End : public Sender {
        void send() override {}
    };

    std::function<void()> schedule_;
    End line_;
    bool is_scheduled_ = false;
};

}  // namespace cairn::server
