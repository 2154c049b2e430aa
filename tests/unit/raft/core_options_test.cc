#include <functional>
#include <vector>

#include <doctest/doctest.h>

#include "raft/core/options.h"
#include "raft/core/read_lease.h"

namespace {

using namespace cairn::raft;

TEST_CASE("core options: the defaults need only an id") {
    CoreOptions options;
    CHECK_FALSE(validate(options).empty());
    options.id = 1;
    CHECK(validate(options) == "");
}

TEST_CASE("core options: the election timeout leaves room for two heartbeats") {
    CoreOptions options;
    options.id = 1;
    options.heartbeat_ticks = 5;
    options.election_timeout_ticks = 10;
    CHECK(validate(options) == "");
    options.election_timeout_ticks = 9;
    CHECK_FALSE(validate(options).empty());
    options.election_timeout_ticks = 10;
    options.heartbeat_ticks = 0;
    CHECK_FALSE(validate(options).empty());
    options.heartbeat_ticks = -1;
    CHECK_FALSE(validate(options).empty());
}

TEST_CASE("core options: a promise not to vote is no longer than makes sense") {
    CoreOptions options;
    options.id = 1;
    options.vote_promise_ns = vote_promise_ns_max;
    CHECK(validate(options) == "");
    options.vote_promise_ns = vote_promise_ns_max + 1;
    CHECK_FALSE(validate(options).empty());
    options.vote_promise_ns = -1;
    CHECK_FALSE(validate(options).empty());
}

TEST_CASE("core options: every bound must be at least 1") {
    const std::vector<std::size_t CoreOptions::*> bounds{
        &CoreOptions::append_entries_max,      &CoreOptions::append_bytes_max,
        &CoreOptions::inflight_messages_max,   &CoreOptions::inflight_bytes_max,
        &CoreOptions::uncommitted_entries_max, &CoreOptions::uncommitted_bytes_max,
        &CoreOptions::pending_reads_max,       &CoreOptions::committed_entries_max,
        &CoreOptions::persist_bytes_max};
    for (const auto bound : bounds) {
        CoreOptions options;
        options.id = 1;
        options.*bound = 1;
        CHECK(validate(options) == "");
        options.*bound = 0;
        CHECK_FALSE(validate(options).empty());
    }
}

}  // namespace
