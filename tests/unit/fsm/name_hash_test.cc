#include "fsm/name_hash.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <vector>

#include <doctest/doctest.h>

#include "fsm/command.h"
#include "fsm/state_machine.h"

using namespace cairn::fsm;

namespace {

std::string counting(std::size_t size) {
    std::string bytes;
    for (std::size_t i = 0; i < size; ++i) {
        bytes.push_back(static_cast<char>(i));
    }
    return bytes;
}

// The secret is the process's: back to none, whatever happens.
class WithSecret {
 public:
    explicit WithSecret(const HashSecret& secret) { set_hash_secret(secret); }
    WithSecret(const WithSecret&) = delete;
    WithSecret& operator=(const WithSecret&) = delete;
    ~WithSecret() { set_hash_secret({}); }
};

using Numbers = std::unordered_map<std::string, int, NameHash, std::equal_to<>>;

std::vector<std::string> order_of(const Numbers& numbers) {
    std::vector<std::string> names;
    for (const auto& [name, number] : numbers) {
        names.push_back(name);
    }
    return names;
}

Numbers some_names(int count) {
    Numbers numbers;
    for (int i = 0; i < count; ++i) {
        numbers.emplace("name-" + std::to_string(i), i);
    }
    return numbers;
}

}  // namespace

TEST_CASE("name hash: the vectors of the paper, and of another implementation") {
    const HashSecret counted{0x0706050403020100U, 0x0f0e0d0c0b0a0908U};
    // Aumasson and Bernstein, "SipHash: a fast short-input PRF", appendix A.
    CHECK(siphash<2, 4>(counted, counting(15)) == 0xa129ca6149be45e5U);
    // Their reference code's first ones.
    CHECK(siphash<2, 4>(counted, "") == 0x726fdb47dd0e0e31U);
    CHECK(siphash<2, 4>(counted, counting(1)) == 0x74f839c593dc67fdU);
    // CPython 3.11, hash() of bytes with PYTHONHASHSEED=0.
    CHECK(siphash<1, 3>({}, counting(1)) == 0x68a914128e01e473U);
    CHECK(siphash<1, 3>({}, counting(2)) == 0x010bac45c41e3669U);
    CHECK(siphash<1, 3>({}, counting(7)) == 0x2f098ab0c751325aU);
    CHECK(siphash<1, 3>({}, counting(8)) == 0xead411e67ebe2eeaU);
    CHECK(siphash<1, 3>({}, counting(9)) == 0x75927f9d95124362U);
    CHECK(siphash<1, 3>({}, counting(15)) == 0xf30eb725bb91c9eaU);
    CHECK(siphash<1, 3>({}, counting(16)) == 0x8972188433a5c5b7U);
    CHECK(siphash<1, 3>({}, counting(63)) == 0x385d3e39e5f37359U);
}

TEST_CASE("name hash: each half of the secret and each byte matters, high ones too") {
    CHECK(siphash<1, 3>({1, 0}, "name") != siphash<1, 3>({0, 0}, "name"));
    CHECK(siphash<1, 3>({0, 1}, "name") != siphash<1, 3>({0, 0}, "name"));
    CHECK(siphash<1, 3>({}, "name\xff") != siphash<1, 3>({}, "name\x7f"));
    CHECK(siphash<1, 3>({}, std::string("a\0", 2)) != siphash<1, 3>({}, "a"));
}

TEST_CASE("name hash: another secret is another order, and containers keep theirs") {
    const WithSecret first({1, 2});
    const Numbers numbers = some_names(50);
    set_hash_secret({3, 4});
    const Numbers others = some_names(50);
    CHECK(order_of(numbers) != order_of(others));
    for (int i = 0; i < 50; ++i) {
        CHECK(numbers.contains("name-" + std::to_string(i)));
    }
    Numbers moved = numbers;
    moved.emplace("more", 50);
    CHECK(moved.contains("more"));
    CHECK(moved.contains("name-7"));
}

TEST_CASE("name hash: the state is the same with another secret") {
    std::vector<std::uint64_t> digests;
    std::vector<std::string> snapshots;
    for (const HashSecret secret : {HashSecret{}, HashSecret{5, 6}, HashSecret{7, 8}}) {
        const WithSecret with(secret);
        StateMachine machine;
        std::vector<Event> events;
        for (Index index = 1; index <= 200; ++index) {
            std::string command;
            const std::string name = "name-" + std::to_string(index % 60);
            const std::string text = index % 3 == 0 ? "key-" + std::to_string(index / 2) : "";
            const Idempotency key{text, index};
            if (index % 5 == 0) {
                encode_delete(name, 0, command, key);
            } else {
                encode_set(name, "value",
                           index % 7 == 0 ? std::optional<std::int64_t>(40) : std::nullopt, false,
                           command, key);
            }
            machine.apply(index, static_cast<std::int64_t>(index), command, events);
        }
        std::string& bytes = snapshots.emplace_back();
        machine.begin_snapshot();
        while (machine.read_snapshot(1000, bytes)) {
        }
        digests.push_back(machine.digest());
    }
    CHECK(digests == std::vector(3, digests.front()));
    CHECK(snapshots == std::vector(3, snapshots.front()));
}
