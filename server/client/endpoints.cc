#include "server/client/endpoints.h"

#include <algorithm>
#include <thread>
#include <utility>

namespace cairn::client {
namespace {

using std::chrono::milliseconds;

// Of what a node sends in one answer: a page of the largest values there may be.
constexpr std::size_t answer_bytes_max = std::size_t{1} << 31U;
constexpr milliseconds attempt_max{5'000};
constexpr milliseconds attempt_min{500};

// Earlier than ours, so that the node can still say what became of it.
milliseconds server_deadline(milliseconds attempt) {
    return std::max({attempt - milliseconds(250), attempt / 2, milliseconds(1)});
}

}  // namespace

milliseconds attempt_time(milliseconds timeout, std::size_t endpoints) {
    const auto shares = static_cast<std::int64_t>(std::clamp<std::size_t>(endpoints, 1, 3));
    return std::min({timeout, attempt_max, std::max(timeout / shares, attempt_min)});
}

milliseconds round_pause(unsigned round) {
    return std::min(milliseconds(50) * (1U << std::min(round, 10U)), milliseconds(1'000));
}

Endpoints::Endpoints(std::vector<server::Address> addresses, milliseconds timeout)
    : addresses_(std::move(addresses)),
      timeout_(timeout),
      attempt_(attempt_time(timeout, addresses_.size())) {
    begin();
}

void Endpoints::begin() {
    tried_ = 0;
    give_up_at_ = Clock::now() + timeout_;
}

bool Endpoints::next() {
    current_ = (current_ + 1) % addresses_.size();
    ++tried_;
    if (tried_ % addresses_.size() == 0) {
        const auto round = static_cast<unsigned>(tried_ / addresses_.size() - 1);
        const auto left = std::chrono::duration_cast<milliseconds>(give_up_at_ - Clock::now());
        std::this_thread::sleep_for(std::min(round_pause(round), left));
    }
    return !is_over();
}

Asked Endpoints::ask(const server::HttpQuestion& question, Repeat repeat, milliseconds extra) {
    begin();
    give_up_at_ += extra;
    Asked asked;
    while (true) {
        const auto left = std::chrono::duration_cast<milliseconds>(give_up_at_ - Clock::now());
        const milliseconds patience = std::max(std::min(attempt_ + extra, left), milliseconds(1));
        server::HttpQuestion sent = question;
        if (extra.count() == 0) {
            add_deadline(server_deadline(patience), sent);
        }
        asked.address = current();
        asked.reply = server::http_ask(asked.address, sent,
                                       {.timeout = patience, .answer_bytes_max = answer_bytes_max});
        asked.verdict = judge(asked.reply, repeat, asked.verdict.unknown);
        if (!asked.verdict.again || !next()) {
            return asked;
        }
    }
}

}  // namespace cairn::client
