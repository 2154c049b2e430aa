#include "tests/checker/idempotency_check.h"

#include <doctest/doctest.h>

using namespace cairn::checker;

namespace {

using Result = KeyedCommand::Result;

KeyedCommand command(std::uint64_t index, std::string key, Result result = Result::applied,
                     std::uint64_t first_index = 0) {
    KeyedCommand made;
    made.index = index;
    made.time_ns = static_cast<std::int64_t>(index) * 10;
    made.key = std::move(key);
    made.fingerprint = 1;
    made.result = result;
    made.first_index = first_index;
    made.outcome = 7;
    return made;
}

KeyedCommand other_request(KeyedCommand made) {
    made.fingerprint = 2;
    return made;
}

bool fails(const std::vector<KeyedCommand>& log, const std::string& text,
           const IdempotencyCheckOptions& options = {}) {
    const auto problems = check_idempotency(log, options);
    return problems.size() == 1 && problems.front().find(text) != std::string::npos;
}

}  // namespace

TEST_CASE("idempotency log: what is right") {
    CHECK(check_idempotency({}).empty());
    CHECK(check_idempotency({command(1, "k"), command(2, "l"), command(3, "k", Result::replayed, 1),
                             other_request(command(4, "k", Result::mismatch)),
                             command(5, "k", Result::replayed, 1)})
              .empty());
}

TEST_CASE("idempotency log: applied again") {
    CHECK(fails({command(1, "k"), command(3, "k")}, "applied again"));
    CHECK(fails({command(1, "k"), other_request(command(3, "k"))}, "another request was applied"));
}

TEST_CASE("idempotency log: a replay of something else") {
    CHECK(fails({command(1, "k"), command(3, "k", Result::replayed, 2)}, "another entry"));
    CHECK(fails({command(1, "k"), other_request(command(3, "k", Result::replayed, 1))},
                "got the first one's outcome"));
    KeyedCommand differs = command(3, "k", Result::replayed, 1);
    differs.outcome = 8;
    CHECK(fails({command(1, "k"), differs}, "another outcome"));
    CHECK(fails({command(1, "k"), command(3, "k", Result::mismatch)}, "refused as another"));
    CHECK(fails({command(3, "k", Result::replayed, 1)}, "no such key"));
    CHECK(fails({command(3, "k", Result::mismatch)}, "no such key"));
}

TEST_CASE("idempotency log: the window") {
    IdempotencyCheckOptions options;
    options.retention_ns = 50;
    CHECK(check_idempotency(
              {command(1, "k"), command(6, "k"), command(7, "k", Result::replayed, 6)}, options)
              .empty());
    CHECK(fails({command(1, "k"), command(5, "k")}, "applied again", options));
    CHECK(fails({command(1, "k"), command(6, "k", Result::replayed, 1)}, "no such key", options));
    options = {};
    options.kept_max = 2;
    CHECK(check_idempotency({command(1, "k"), command(2, "l"), command(3, "m"), command(4, "k")},
                            options)
              .empty());
    CHECK(fails({command(1, "k"), command(2, "l"), command(4, "k")}, "applied again", options));
}

TEST_CASE("idempotency log: in order") {
    CHECK(fails({command(2, "k"), command(2, "l")}, "goes back"));
    KeyedCommand early = command(3, "l");
    early.time_ns = 1;
    CHECK(fails({command(2, "k"), early}, "goes back"));
}
