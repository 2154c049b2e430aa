#include "tests/checker/history_json.h"

#include <algorithm>
#include <map>

#include <nlohmann/json.hpp>

#include "tests/checker/json_members.h"

namespace cairn::checker {
namespace {

using nlohmann::json;

const std::map<std::string_view, OpKind> kinds = {
    {"get", OpKind::get},       {"local_get", OpKind::local_get}, {"set", OpKind::set},
    {"create", OpKind::create}, {"update", OpKind::update},       {"delete", OpKind::remove}};

const std::map<std::string_view, Outcome> outcomes = {{"ok", Outcome::ok},
                                                      {"not_found", Outcome::not_found},
                                                      {"conflict", Outcome::conflict},
                                                      {"already_exists", Outcome::already_exists},
                                                      {"not_applied", Outcome::not_applied},
                                                      {"unknown", Outcome::unknown}};

const std::map<std::string_view, Previous> previouses = {{"unreported", Previous::unreported},
                                                         {"absent", Previous::absent},
                                                         {"present", Previous::present}};

bool read_member(const std::string& key, const json& value, Operation& op) {
    const std::map<std::string_view, std::uint64_t*> numbers = {
        {"client", &op.client},
        {"node", &op.node},
        {"incarnation", &op.incarnation},
        {"prev_index", &op.prev_index},
        {"index", &op.index},
        {"previous_index", &op.previous_index},
        {"applied_index", &op.applied_index}};
    const std::map<std::string_view, std::string*> texts = {
        {"name", &op.name},
        {"value", &op.value},
        {"idempotency_key", &op.idempotency_key},
        {"returned_value", &op.returned_value},
        {"previous_value", &op.previous_value}};
    const std::map<std::string_view, std::int64_t*> times = {
        {"ttl_ns", &op.ttl_ns}, {"invoked_ns", &op.invoked_ns}, {"returned_ns", &op.returned_ns}};
    if (const auto found = numbers.find(key); found != numbers.end()) {
        return read_number(value, *found->second);
    }
    if (const auto found = texts.find(key); found != texts.end()) {
        return read_text(value, *found->second);
    }
    if (const auto found = times.find(key); found != times.end()) {
        return read_time(value, *found->second);
    }
    if (key == "kind") {
        return read_word(value, kinds, op.kind);
    }
    if (key == "outcome") {
        return read_word(value, outcomes, op.outcome);
    }
    return key == "previous" && read_word(value, previouses, op.previous);
}

}  // namespace

std::optional<std::string> read_operation(std::string_view line, Operation& op) {
    const json object = json::parse(line, nullptr, false);
    if (!object.is_object()) {
        return "not a JSON object";
    }
    for (const char* needed : {"kind", "name", "outcome", "invoked_ns"}) {
        if (!object.contains(needed)) {
            return "no member \"" + std::string(needed) + "\"";
        }
    }
    for (const auto& [key, value] : object.items()) {
        if (!read_member(key, value, op)) {
            return "bad member \"" + key + "\"";
        }
    }
    if (op.outcome != Outcome::unknown && !object.contains("returned_ns")) {
        return "an answer without \"returned_ns\"";
    }
    return std::nullopt;
}

bool read_lines(std::string_view lines,
                const std::function<std::optional<std::string>(std::string_view line)>& read_line,
                std::string& error) {
    std::size_t number = 0;
    while (!lines.empty()) {
        const std::string_view line = lines.substr(0, lines.find('\n'));
        lines.remove_prefix(std::min(line.size() + 1, lines.size()));
        ++number;
        if (line.empty()) {
            continue;
        }
        if (const std::optional<std::string> wrong = read_line(line)) {
            error = "line " + std::to_string(number) + ": " + *wrong;
            return false;
        }
    }
    return true;
}

std::optional<History> parse_history(std::string_view lines, std::string& error) {
    History history;
    const auto read_line = [&](std::string_view line) {
        return read_operation(line, history.emplace_back());
    };
    return read_lines(lines, read_line, error) ? std::optional(std::move(history)) : std::nullopt;
}

}  // namespace cairn::checker
