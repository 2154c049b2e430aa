// Asking nodes in turn until one answers, or time is up.
//
// For the main thread; blocks. Begins with the first endpoint and stays with the one that answered
// last. Whether to ask again is decided in verdict.h; here is who, when, and for how long.
#pragma once

#include <chrono>
#include <vector>

#include "server/client/verdict.h"

namespace cairn::client {

struct Asked {
    server::HttpReply reply;
    Verdict verdict;
    server::Address address;  // who answered, or was asked last
};

// How long one attempt may take, so that there is time for others.
std::chrono::milliseconds attempt_time(std::chrono::milliseconds timeout, std::size_t endpoints);

// How long to wait after a round in which nobody could answer, the first round being 0.
std::chrono::milliseconds round_pause(unsigned round);

class Endpoints {
 public:
    using Clock = std::chrono::steady_clock;

    Endpoints(std::vector<server::Address> addresses, std::chrono::milliseconds timeout);

    const server::Address& current() const { return addresses_[current_]; }

    // From now on: how long until it is given up.
    void begin();
    bool is_over() const { return Clock::now() >= give_up_at_; }

    // Goes to the next one; after the last, pauses. False: time is up.
    bool next();

    // `extra` is what the server may take on top, waiting because it was asked to.
    Asked ask(const server::HttpQuestion& question, Repeat repeat,
              std::chrono::milliseconds extra = std::chrono::milliseconds(0));

    std::chrono::milliseconds attempt() const { return attempt_; }

 private:
    std::vector<server::Address> addresses_;
    std::chrono::milliseconds timeout_;
    std::chrono::milliseconds attempt_;
    std::size_t current_ = 0;
    std::size_t tried_ = 0;  // since begin()
    Clock::time_point give_up_at_;
};

}  // namespace cairn::client
