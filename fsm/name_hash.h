// The hash of names and keys, which clients choose: keyed with a secret, so that nobody can make
// up names that collide and turn each look-up into a walk through them all.
//
// SipHash-1-3 (Aumasson and Bernstein, 2012), as the hash tables of other languages have it. The
// secret is the process's: whoever starts it sets one at random before there are other threads;
// without that it is zero, which tests and tools that read one file do with. A container keeps the
// secret it began with. No order that anybody sees depends on it, and no state: two nodes have two
// secrets, and the simulation plays the same run with another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace cairn::fsm {

struct HashSecret {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
};

// SipHash with so many rounds for each word, and at the end.
template <int word_rounds, int end_rounds>
std::uint64_t siphash(const HashSecret& secret, std::string_view bytes);

extern template std::uint64_t siphash<1, 3>(const HashSecret&, std::string_view);
extern template std::uint64_t siphash<2, 4>(const HashSecret&, std::string_view);

// For containers made from now on. Not while another thread makes one.
void set_hash_secret(const HashSecret& secret);
HashSecret hash_secret();

class NameHash {
 public:
    using is_transparent = void;
    // Not noexcept, so that libstdc++ keeps each name's hash beside it and compares that first.
    std::size_t operator()(std::string_view name) const { return siphash<1, 3>(secret_, name); }

 private:
    HashSecret secret_ = hash_secret();
};

}  // namespace cairn::fsm
