#include "fsm/name_hash.h"

#include <bit>
#include <cstring>

namespace cairn::fsm {
namespace {

HashSecret process_secret;

struct SipState {
    std::uint64_t v0 = 0;
    std::uint64_t v1 = 0;
    std::uint64_t v2 = 0;
    std::uint64_t v3 = 0;

    template <int rounds>
    void mix() {
        for (int i = 0; i < rounds; ++i) {
            v0 += v1;
            v1 = std::rotl(v1, 13) ^ v0;
            v0 = std::rotl(v0, 32);
            v2 += v3;
            v3 = std::rotl(v3, 16) ^ v2;
            v0 += v3;
            v3 = std::rotl(v3, 21) ^ v0;
            v2 += v1;
            v1 = std::rotl(v1, 17) ^ v2;
            v2 = std::rotl(v2, 32);
        }
    }
};

}  // namespace

template <int word_rounds, int end_rounds>
std::uint64_t siphash(const HashSecret& secret, std::string_view bytes) {
    SipState state{secret.low ^ 0x736f6d6570736575U, secret.high ^ 0x646f72616e646f6dU,
                   secret.low ^ 0x6c7967656e657261U, secret.high ^ 0x7465646279746573U};
    const auto take = [&state](std::uint64_t word) {
        state.v3 ^= word;
        state.mix<word_rounds>();
        state.v0 ^= word;
    };
    std::size_t at = 0;
    for (; bytes.size() - at >= sizeof(std::uint64_t); at += sizeof(std::uint64_t)) {
        static_assert(std::endian::native == std::endian::little);
        std::uint64_t word = 0;
        std::memcpy(&word, bytes.data() + at, sizeof word);
        take(word);
    }
    std::uint64_t last = static_cast<std::uint64_t>(bytes.size()) << 56U;
    for (std::size_t i = 0; at + i < bytes.size(); ++i) {
        last |= std::uint64_t{static_cast<unsigned char>(bytes[at + i])} << (8 * i);
    }
    take(last);
    state.v2 ^= 0xffU;
    state.mix<end_rounds>();
    return state.v0 ^ state.v1 ^ state.v2 ^ state.v3;
}

template std::uint64_t siphash<1, 3>(const HashSecret&, std::string_view);
template std::uint64_t siphash<2, 4>(const HashSecret&, std::string_view);

void set_hash_secret(const HashSecret& secret) {
    process_secret = secret;
}

HashSecret hash_secret() {
    return process_secret;
}

}  // namespace cairn::fsm
