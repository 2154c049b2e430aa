// Checks from the applied log that requests with one idempotency key did their work once.
//
// Pure. The log is that of one node, in order, of commands that came with a key and were decided (a
// command that was refused as malformed keeps nothing and is left out). The caller checks that all
// nodes agree on it. Only the rule is checked, within its bounds: a key may do its work again once
// it is forgotten, after `retention_ns` of log time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace cairn::checker {

struct KeyedCommand {
    enum class Result : std::uint8_t {
        applied,   // did its work, or was refused by a precondition, for the first time
        replayed,  // gave the first outcome again
        mismatch,  // refused: the key is another request's
    };
    std::uint64_t index = 0;   // of the entry
    std::int64_t time_ns = 0;  // log time there
    std::string key;
    std::uint64_t fingerprint = 0;  // of the request without its key
    Result result = Result::applied;
    std::uint64_t first_index = 0;  // replayed: the entry whose outcome it gave
    std::uint64_t outcome = 0;      // a digest of what was answered, but for "replayed"
};

struct IdempotencyCheckOptions {
    std::int64_t retention_ns = std::int64_t{600} * 1'000'000'000;
    // How many keys may be kept at once; with more, the oldest may be forgotten early.
    std::size_t kept_max = 1'000'000;
};

// What is wrong, one line each; empty when all is well.
std::vector<std::string> check_idempotency(const std::vector<KeyedCommand>& log,
                                           const IdempotencyCheckOptions& options = {});

}  // namespace cairn::checker
