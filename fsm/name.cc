#include "fsm/name.h"

#include "fsm/utf8.h"

namespace cairn::fsm {

namespace {

// C0, DEL, and C1 (U+0080 to U+009F), in bytes that are valid UTF-8.
bool has_control_character(std::string_view text) {
    unsigned char before = 0;
    for (const char character : text) {
        const auto byte = static_cast<unsigned char>(character);
        if (byte < 0x20 || byte == 0x7f || (before == 0xc2 && byte <= 0x9f)) {
            return true;
        }
        before = byte;
    }
    return false;
}

bool has_bad_segment(std::string_view name) {
    for (;;) {
        const std::size_t slash = name.find('/');
        const std::string_view segment = name.substr(0, slash);
        if (segment.empty() || segment == "." || segment == "..") {
            return true;
        }
        if (slash == std::string_view::npos) {
            return false;
        }
        name.remove_prefix(slash + 1);
    }
}

}  // namespace

bool valid_name(std::string_view name) {
    return !name.empty() && name.size() <= name_bytes_max && !has_bad_segment(name) &&
           is_valid_utf8(name) && !has_control_character(name);
}

}  // namespace cairn::fsm
