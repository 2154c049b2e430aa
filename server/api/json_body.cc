#include "server/api/json_body.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "server/http/problem.h"

namespace cairn::server {
namespace {

using Json = nlohmann::json;

// No request has more than half of that.
constexpr std::size_t depth_max = 8;
constexpr std::size_t values_max = 64;

// prev_index is prevIndex by another name.
std::string json_name(std::string_view name) {
    std::string result;
    bool starts_word = false;
    for (const char c : name) {
        if (c != '_') {
            const bool is_lower = c >= 'a' && c <= 'z';
            result += starts_word && is_lower ? static_cast<char>(c - 'a' + 'A') : c;
        }
        starts_word = c == '_';
    }
    return result;
}

// Takes the parser's events. The member functions' names and the bool (whether to go on) are
// nlohmann's.
class JsonChecker {
 public:
    bool null() { return take_value(); }
    bool boolean(bool) { return take_value(); }
    bool number_integer(Json::number_integer_t) { return take_value(); }
    bool number_float(Json::number_float_t, const std::string&) { return take_value(); }
    bool string(std::string&) { return take_value(); }
    bool binary(Json::binary_t&) { return take_value(); }
    bool start_array(std::size_t) { return begin(); }
    bool end_array() { return end(); }
    bool start_object(std::size_t) { return begin(); }
    bool end_object() { return end(); }

    bool number_unsigned(Json::number_unsigned_t number) {
        if (is_id_ && open_.size() == 1) {
            result_.id = number;
        }
        return take_value();
    }

    bool key(std::string& name) {
        Member member{open_.back(), json_name(name)};
        const bool is_twice = std::ranges::find(members_, member) != members_.end();
        if (is_twice) {
            result_.fault = "has the member " + shown(name) + " twice";
        }
        const bool names_id = open_.size() == 1 && member.second == "id";
        if (names_id && is_twice) {
            result_.id.reset();
        }
        is_id_ = names_id && !is_twice;
        members_.push_back(std::move(member));
        return true;
    }

    bool parse_error(std::size_t position, const std::string&, const Json::exception&) {
        result_.id.reset();
        return fail("is not JSON in UTF-8 (at byte " + std::to_string(position) + ")");
    }

    CheckedJson finish() { return std::move(result_); }

 private:
    using Member = std::pair<std::size_t, std::string>;  // which object's, and its name

    bool fail(std::string fault) {
        result_.fault = std::move(fault);
        return false;
    }

    bool take_value() {
        return ++values_ <= values_max || fail("holds more than any request says");
    }

    bool begin() {
        if (open_.size() == depth_max) {
            return fail("is nested deeper than any request");
        }
        open_.push_back(values_);
        return take_value();
    }

    bool end() {
        open_.pop_back();
        return true;
    }

    CheckedJson result_;
    std::size_t values_ = 0;
    std::vector<std::size_t> open_;  // the objects and lists around, by the values before each
    std::vector<Member> members_;    // of all objects: there can't be many
    bool is_id_ = false;             // what comes next is the id
};

}  // namespace

CheckedJson check_json(std::string_view text) {
    // The parser takes a NUL for the end of its input and would not see what follows.
    if (text.find('\0') != std::string_view::npos) {
        return {"is not JSON: it holds a NUL byte", std::nullopt};
    }
    JsonChecker checker;
    Json::sax_parse(text.begin(), text.end(), &checker);
    return checker.finish();
}

Json parse_json_body(std::string_view body, std::string& fault) {
    fault = check_json(body).fault;
    return fault.empty() ? Json::parse(body) : Json(Json::value_t::discarded);
}

}  // namespace cairn::server
