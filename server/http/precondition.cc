#include "server/http/precondition.h"

#include <algorithm>
#include <charconv>

namespace cairn::server {
namespace {

struct Tag {
    fsm::Index index = never_index;
    bool weak = false;
};

void skip_space(std::string_view& text) {
    text.remove_prefix(std::min(text.find_first_not_of(" \t"), text.size()));
}

// The index that entity_tag() wrote so, or never_index.
fsm::Index index_of(std::string_view opaque) {
    if (opaque.empty() || opaque.front() == '0') {
        return never_index;
    }
    fsm::Index index = 0;
    const auto [end, error] = std::from_chars(opaque.data(), opaque.data() + opaque.size(), index);
    return error == std::errc() && end == opaque.data() + opaque.size() ? index : never_index;
}

// Takes one entity tag off the front of `text`.
bool take_tag(std::string_view& text, Tag& tag) {
    tag.weak = text.substr(0, 2) == "W/";
    if (tag.weak) {
        text.remove_prefix(2);
    }
    if (text.empty() || text.front() != '"') {
        return false;
    }
    const auto end = text.find('"', 1);
    if (end == std::string_view::npos) {
        return false;
    }
    const auto opaque = text.substr(1, end - 1);
    if (std::any_of(opaque.begin(), opaque.end(), [](char c) {
            const auto byte = static_cast<unsigned char>(c);
            return byte <= 0x20 || byte == 0x7f;
        })) {
        return false;
    }
    tag.index = index_of(opaque);
    text.remove_prefix(end + 1);
    return true;
}

// Calls `take(tag)` for each of a comma-separated list. RFC 9110 §5.6.1: empty elements are
// allowed, but not nothing else.
template <typename Take>
bool for_each_tag(std::string_view field, Take take) {
    bool any = false;
    while (true) {
        skip_space(field);
        if (!field.empty() && field.front() != ',') {
            Tag tag;
            if (!take_tag(field, tag)) {
                return false;
            }
            take(tag);
            any = true;
            skip_space(field);
        }
        if (field.empty()) {
            return any;
        }
        if (field.front() != ',') {
            return false;
        }
        field.remove_prefix(1);
    }
}

}  // namespace

IfMatch parse_if_match(std::string_view field) {
    if (field.data() == nullptr) {
        return {};
    }
    if (field == "*") {
        return {IfMatch::Kind::any, 0};
    }
    IfMatch match{IfMatch::Kind::malformed, 0};
    const bool well_formed = for_each_tag(field, [&match](const Tag& tag) {
        match.kind =
            match.kind == IfMatch::Kind::malformed ? IfMatch::Kind::index : IfMatch::Kind::several;
        match.index = tag.weak ? never_index : tag.index;
    });
    return well_formed ? match : IfMatch{IfMatch::Kind::malformed, 0};
}

bool IfNoneMatch::names(fsm::Index index) const {
    return kind == Kind::any || (kind == Kind::tags &&
                                 std::find(indexes.begin(), indexes.end(), index) != indexes.end());
}

void parse_if_none_match(std::string_view field, IfNoneMatch& result) {
    result.indexes.clear();
    if (field.data() == nullptr) {
        result.kind = IfNoneMatch::Kind::absent;
        return;
    }
    if (field == "*") {
        result.kind = IfNoneMatch::Kind::any;
        return;
    }
    const bool well_formed = for_each_tag(field, [&result](const Tag& tag) {
        if (tag.index != never_index) {
            result.indexes.push_back(tag.index);
        }
    });
    result.kind = well_formed ? IfNoneMatch::Kind::tags : IfNoneMatch::Kind::malformed;
}

}  // namespace cairn::server
