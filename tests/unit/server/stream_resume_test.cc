#include "server/node/stream_resume.h"

#include <memory>
#include <string>

#include <doctest/doctest.h>

namespace cairn::server {

TEST_CASE("stream resume: nothing happened to a value that was written before the place") {
    const fsm::Value value{std::make_shared<const std::string>("x"), 50, 0};
    CHECK(is_unchanged_since(value, {50}, 50));
    CHECK(is_unchanged_since(value, {50}, 1'000'000'000));
    CHECK(is_unchanged_since(value, {70, 3}, 90));
    CHECK_FALSE(is_unchanged_since(value, {49}, 90));
    CHECK_FALSE(is_unchanged_since(value, {50, 1}, 90));
}

TEST_CASE("stream resume: a place in the life of the old cluster says nothing of the new one") {
    const fsm::Value value{std::make_shared<const std::string>("x"), 50, 0};
    CHECK_FALSE(is_unchanged_since(value, {60}, 50 + index_leap));
    CHECK_FALSE(is_unchanged_since(value, {1'000'000}, 50 + 3 * index_leap));
    CHECK(is_unchanged_since(value, {50 + index_leap}, 90 + index_leap));
}

}  // namespace cairn::server
