#include "raft/core/progress.h"

#include <doctest/doctest.h>

namespace {

using namespace cairn::raft;

CoreOptions window(std::size_t messages, std::size_t bytes) {
    CoreOptions options;
    options.inflight_messages_max = messages;
    options.inflight_bytes_max = bytes;
    return options;
}

TEST_CASE("progress: the window counts messages") {
    const CoreOptions options = window(2, 1000);
    Progress progress;
    progress.become_replicate();
    CHECK_FALSE(progress.window_full(options));
    progress.sent(1, 0);
    CHECK_FALSE(progress.window_full(options));
    progress.sent(2, 0);
    CHECK(progress.window_full(options));
    CHECK(progress.acknowledged(1));
    CHECK_FALSE(progress.window_full(options));
    CHECK(progress.inflight_messages() == 1);
}

TEST_CASE("progress: the window counts bytes") {
    const CoreOptions options = window(100, 10);
    Progress progress;
    progress.become_replicate();
    progress.sent(1, 9);
    CHECK_FALSE(progress.window_full(options));
    progress.sent(2, 5);
    CHECK(progress.window_full(options));
    progress.acknowledged(1);
    CHECK_FALSE(progress.window_full(options));
    progress.acknowledged(2);
    progress.sent(3, 10);
    CHECK(progress.window_full(options));
}

TEST_CASE("progress: one acknowledgement frees all that it covers, and only that") {
    Progress progress;
    progress.become_replicate();
    progress.sent(3, 1);
    progress.sent(6, 1);
    progress.sent(9, 1);
    CHECK(progress.acknowledged(7));  // in the middle of the third
    CHECK(progress.inflight_messages() == 1);
    CHECK(progress.match_index == 7);
    CHECK(progress.next_index == 8);
}

TEST_CASE("progress: old acknowledgements are no news and move nothing back") {
    Progress progress;
    progress.become_replicate();
    progress.next_index = 11;
    CHECK(progress.acknowledged(5));
    CHECK(progress.next_index == 11);
    CHECK_FALSE(progress.acknowledged(5));
    CHECK_FALSE(progress.acknowledged(3));
    CHECK(progress.match_index == 5);
}

TEST_CASE("progress: probing begins behind what is known and forgets what was on its way") {
    const CoreOptions options = window(1, 1);
    Progress progress;
    progress.become_replicate();
    progress.next_index = 20;
    progress.acknowledged(4);
    progress.sent(19, 100);
    CHECK(progress.window_full(options));
    progress.probe_sent = true;
    progress.become_probe();
    CHECK(progress.state == Progress::State::probe);
    CHECK(progress.next_index == 5);
    CHECK_FALSE(progress.probe_sent);
    CHECK_FALSE(progress.window_full(options));
    // The answer to what had been sent may still come.
    CHECK(progress.acknowledged(19));
    CHECK(progress.next_index == 20);
}

TEST_CASE("progress: replicating goes on where the probe was, never below the match") {
    Progress progress;
    progress.next_index = 7;
    progress.probe_sent = true;
    progress.become_replicate();
    CHECK(progress.state == Progress::State::replicate);
    CHECK(progress.next_index == 7);
    CHECK_FALSE(progress.probe_sent);
    progress.match_index = 9;
    progress.become_replicate();
    CHECK(progress.next_index == 10);
}

TEST_CASE("progress: getting a snapshot forgets what was on its way, not what is known") {
    const CoreOptions options = window(1, 1);
    Progress progress;
    progress.become_replicate();
    progress.next_index = 20;
    progress.acknowledged(4);
    progress.sent(19, 100);
    progress.probe_sent = true;
    progress.snapshot_index = 15;  // of an earlier one
    progress.become_snapshot();
    CHECK(progress.state == Progress::State::snapshot);
    CHECK(progress.match_index == 4);
    CHECK(progress.snapshot_index == 0);
    CHECK_FALSE(progress.probe_sent);
    CHECK_FALSE(progress.window_full(options));
    CHECK(progress.inflight_messages() == 0);
    CHECK(progress.acknowledged(30));
    progress.become_replicate();
    CHECK(progress.next_index == 31);
    progress.become_snapshot();
    progress.become_probe();
    CHECK(progress.next_index == 31);
}

}  // namespace
