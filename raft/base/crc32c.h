// CRC32C (Castagnoli), the checksum of records on disk and frames on the wire.
//
// A pure function of any thread, by ISA-L, which picks the processor's fastest way. It detects
// damage; it is no protection against somebody who forges bytes.
#pragma once

#include <cstdint>
#include <string_view>

namespace cairn::raft {

// Checksum of `bytes`. Pieces are chained: crc32c(b, crc32c(a)) is the checksum of a followed by b.
// `previous` also serves as a seed.
std::uint32_t crc32c(std::string_view bytes, std::uint32_t previous = 0);

}  // namespace cairn::raft
