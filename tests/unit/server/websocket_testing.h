// Frames as a WebSocket client makes them, right or wrong, for tests.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "server/streams/websocket_frame.h"

namespace cairn::server {

inline std::string client_frame(Opcode opcode, std::string_view payload, bool is_final = true) {
    const std::string_view mask = "\x37\xfa\x21\x3d";
    std::string frame;
    frame += static_cast<char>((is_final ? 0x80U : 0U) | static_cast<unsigned>(opcode));
    const std::size_t length_bytes = payload.size() < 126 ? 0 : payload.size() <= 0xffff ? 2 : 8;
    frame += static_cast<char>(0x80U | (length_bytes == 0   ? payload.size()
                                        : length_bytes == 2 ? 126U
                                                            : 127U));
    for (std::size_t i = length_bytes; i-- > 0;) {
        frame += static_cast<char>(payload.size() >> (8 * i));
    }
    frame += mask;
    for (std::size_t i = 0; i < payload.size(); ++i) {
        frame += static_cast<char>(payload[i] ^ mask[i % 4]);
    }
    return frame;
}

inline std::string with_first_byte(std::string frame, unsigned byte) {
    frame[0] = static_cast<char>(byte);
    return frame;
}

}  // namespace cairn::server
