// Hash of a sequence of numbers and byte strings, the same on every platform and for however many
// parts a string comes in. Plain, for any thread.
//
// Not against an attacker: it shows that replicas agree, and that a snapshot arrived as it was.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace cairn::fsm {

class Digest {
 public:
    void add(std::uint64_t number) {
        hash_ = (hash_ ^ number) * 0x9fb21c651e98df25;
        hash_ ^= hash_ >> 32;
    }

    // The size tells a last word's padding from zero bytes, and one string from two.
    void add(std::string_view bytes) {
        add(bytes.size());
        add_part(bytes);
    }

    // A part of a string whose size was added before: a multiple of 8 bytes, but for the last part.
    void add_part(std::string_view bytes) {
        for (; bytes.size() >= 8; bytes.remove_prefix(8)) {
            add(little_endian(bytes.data(), 8));
        }
        if (!bytes.empty()) {
            add(little_endian(bytes.data(), bytes.size()));
        }
    }

    std::uint64_t value() const { return hash_; }

 private:
    static std::uint64_t little_endian(const char* bytes, std::size_t count) {
        std::uint64_t word = 0;
        for (std::size_t i = 0; i < count; ++i) {
            word |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
        }
        return word;
    }

    std::uint64_t hash_ = 0xcbf29ce484222325;
};

}  // namespace cairn::fsm
