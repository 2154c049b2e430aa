#include "server/api/value_body.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include "fsm/utf8.h"
#include "server/base/base64.h"
#include "server/base/duration.h"
#include "server/http/problem.h"

namespace cairn::server {
namespace {

using Json = nlohmann::json;

enum class Member : std::uint8_t { none, value, value_base64, ttl, prev_index };

struct KnownMember {
    std::string_view name;
    Member member;
    std::string_view type;
};

constexpr KnownMember known_members[] = {
    {"value", Member::value, "a string"},
    {"value_base64", Member::value_base64, "a string"},
    {"ttl", Member::ttl, "a string"},
    {"prev_index", Member::prev_index, "a whole number from 0 to 18446744073709551615"},
};

// Takes the parser's events: no tree is built, and depth is bounded by refusing any nesting.
// The member functions' names and the bool (whether to go on) are nlohmann's.
class PutBodyReader {
 public:
    explicit PutBodyReader(PutBody& body) : body_(body) {}

    bool null() { return wrong_type(); }
    bool boolean(bool) { return wrong_type(); }
    bool number_integer(Json::number_integer_t) { return wrong_type(); }
    bool number_float(Json::number_float_t, const std::string&) { return wrong_type(); }
    bool binary(Json::binary_t&) { return wrong_type(); }
    bool start_array(std::size_t) { return wrong_type(); }
    bool end_array() { return wrong_type(); }
    bool end_object() { return true; }

    bool start_object(std::size_t) {
        if (in_object_) {
            return wrong_type();
        }
        in_object_ = true;
        return true;
    }

    bool key(std::string& name) {
        for (const auto& known : known_members) {
            if (name == known.name) {
                return take_member(known);
            }
        }
        return fail("The body has an unknown member " + shown(name) +
                    "; known are value, value_base64, ttl and prev_index.");
    }

    bool number_unsigned(Json::number_unsigned_t number) {
        if (current_ == nullptr || current_->member != Member::prev_index) {
            return wrong_type();
        }
        body_.prev_index = number;
        return true;
    }

    bool string(std::string& text) {
        if (current_ == nullptr) {
            return wrong_type();
        }
        switch (current_->member) {
            case Member::value:
                body_.value = std::move(text);
                return true;
            case Member::value_base64:
                body_.value.clear();
                return decode_base64(text, body_.value) ||
                       fail("\"value_base64\" is not base64 (standard alphabet, with padding).");
            case Member::ttl:
                body_.ttl_ns = parse_duration(text);
                return body_.ttl_ns.has_value() || fail(ttl_error(text));
            default:
                return wrong_type();
        }
    }

    bool parse_error(std::size_t position, const std::string&, const Json::exception&) {
        return fail("The body is not valid JSON in UTF-8 (at byte " + std::to_string(position) +
                    ").");
    }

    std::optional<std::string> finish() {
        if (error_.empty() && !has(Member::value) && !has(Member::value_base64)) {
            error_ = "The body has no \"value\" (text) and no \"value_base64\" (any bytes).";
        }
        return error_.empty() ? std::nullopt : std::optional(std::move(error_));
    }

 private:
    static unsigned bit(Member member) { return 1U << static_cast<unsigned>(member); }
    bool has(Member member) const { return (seen_ & bit(member)) != 0; }

    bool fail(std::string error) {
        error_ = std::move(error);
        return false;
    }

    bool wrong_type() {
        if (current_ == nullptr) {
            return fail("The body must be a JSON object.");
        }
        return fail(shown(current_->name) + " must be " + std::string(current_->type) + ".");
    }

    bool take_member(const KnownMember& known) {
        if (has(known.member)) {
            return fail(shown(known.name) + " is there more than once.");
        }
        seen_ |= bit(known.member);
        if (has(Member::value) && has(Member::value_base64)) {
            return fail("The body has both \"value\" and \"value_base64\"; one is enough.");
        }
        current_ = &known;
        return true;
    }

    PutBody& body_;
    const KnownMember* current_ = nullptr;  // whose value comes next
    unsigned seen_ = 0;
    bool in_object_ = false;
    std::string error_;
};

void skip_space(std::string_view& text) {
    text.remove_prefix(std::min(text.find_first_not_of(" \t\n\r"), text.size()));
}

// Takes `token` and the white space behind it off the front.
bool take(std::string_view& text, std::string_view token) {
    if (text.substr(0, token.size()) != token) {
        return false;
    }
    text.remove_prefix(token.size());
    skip_space(text);
    return true;
}

// The body of nearly every write, {"value":"text without escapes"}, without the parser and its
// dozen allocations. False, which says nothing about the body, when it is anything else.
bool parse_plain_body(std::string_view body, std::string& value) {
    skip_space(body);
    if (!take(body, "{") || !take(body, "\"value\"") || !take(body, ":") || body.empty() ||
        body.front() != '"') {
        return false;
    }
    body.remove_prefix(1);
    const auto end = std::find_if(body.begin(), body.end(), [](char c) {
        return c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20;
    });
    const auto text = body.substr(0, static_cast<std::size_t>(end - body.begin()));
    body.remove_prefix(text.size());
    if (!take(body, "\"") || !take(body, "}") || !body.empty() || !fsm::is_valid_utf8(text)) {
        return false;
    }
    value.assign(text);
    return true;
}

}  // namespace

std::optional<std::string> parse_put_body(std::string_view body, PutBody& result) {
    result.value.clear();
    result.ttl_ns.reset();
    result.prev_index.reset();
    if (parse_plain_body(body, result.value)) {
        return std::nullopt;
    }
    if (body.empty()) {
        return "The body is empty; it must be a JSON object such as {\"value\":\"text\"}.";
    }
    // The parser takes a NUL for the end of its input and would not see what follows.
    if (body.find('\0') != std::string_view::npos) {
        return "The body is not valid JSON: it holds a NUL byte.";
    }
    PutBodyReader reader(result);
    Json::sax_parse(body.begin(), body.end(), &reader);
    return reader.finish();
}

std::string ttl_error(std::string_view text) {
    return "The ttl " + shown(text) +
           " is not a duration of more than zero and at most 100 years, such as \"30s\", \"1.5s\", "
           "\"500ms\" or \"1h30m\".";
}

}  // namespace cairn::server
