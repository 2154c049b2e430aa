#include "raft/base/crc32c.h"

#include <algorithm>

#include <isa-l/crc.h>

namespace cairn::raft {

std::uint32_t crc32c(std::string_view bytes, std::uint32_t previous) {
    // ISA-L takes the length as an int and neither inverts what it is given nor what it returns.
    constexpr std::size_t piece_bytes_max = std::size_t{1} << 30;
    std::uint32_t crc = ~previous;
    while (!bytes.empty()) {
        const std::string_view piece = bytes.substr(0, piece_bytes_max);
        // ISA-L only reads, its declaration merely lacks the const.
        auto* data = reinterpret_cast<unsigned char*>(const_cast<char*>(piece.data()));
        crc = crc32_iscsi(data, static_cast<int>(piece.size()), crc);
        bytes.remove_prefix(piece.size());
    }
    return ~crc;
}

}  // namespace cairn::raft
