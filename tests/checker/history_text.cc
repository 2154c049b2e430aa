#include "tests/checker/history_text.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace cairn::checker {
namespace {

constexpr std::size_t shown_bytes_max = 40;
constexpr std::size_t shown_operations_max = 60;

std::string milliseconds(std::int64_t ns) {
    std::array<char, 48> text{};
    std::snprintf(text.data(), text.size(), "%.6f", static_cast<double>(ns) / 1e6);
    return text.data();
}

std::string describe_request(const Operation& op) {
    std::string text = "client " + std::to_string(op.client);
    if (op.node != 0) {
        text += " at node " + std::to_string(op.node);
    }
    constexpr std::array<const char*, 6> kinds = {"get",    "local get", "set",
                                                  "create", "update",    "delete"};
    text += std::string(": ") + kinds.at(static_cast<std::size_t>(op.kind)) + " " + quoted(op.name);
    if (!is_read(op.kind) && op.kind != OpKind::remove) {
        text += " = " + quoted(op.value);
    }
    if (op.prev_index != 0) {
        text += " if " + std::to_string(op.prev_index);
    }
    if (op.ttl_ns != 0) {
        text += " for " + milliseconds(op.ttl_ns) + " ms";
    }
    return text;
}

std::string describe_answer(const Operation& op) {
    constexpr std::array<const char*, 6> outcomes = {
        "ok", "not found", "conflict", "already exists", "not applied", "unknown"};
    std::string text = outcomes.at(static_cast<std::size_t>(op.outcome));
    if (!is_answered(op)) {
        return text;
    }
    if (is_read(op.kind) && op.outcome == Outcome::ok) {
        text += " " + quoted(op.returned_value);
    }
    if (op.index != 0) {
        text += ", index " + std::to_string(op.index);
    }
    if (op.previous == Previous::absent) {
        text += ", was not set";
    } else if (op.previous_index != 0) {
        text +=
            ", was " + quoted(op.previous_value) + ", index " + std::to_string(op.previous_index);
    } else if (op.previous == Previous::present) {
        text += ", was set";
    }
    return text;
}

}  // namespace

std::string quoted(const std::string& bytes) {
    std::string text = "\"";
    for (std::size_t i = 0; i < bytes.size() && i < shown_bytes_max; ++i) {
        const auto byte = static_cast<unsigned char>(bytes[i]);
        if (byte < 0x20 || byte >= 0x7f || byte == '"' || byte == '\\') {
            std::array<char, 8> escaped{};
            std::snprintf(escaped.data(), escaped.size(), "\\x%02x", byte);
            text += escaped.data();
        } else {
            text += bytes[i];
        }
    }
    text += bytes.size() > shown_bytes_max ? "…\"" : "\"";
    return text;
}

std::string describe(const Operation& op) {
    return describe_request(op) + " -> " + describe_answer(op);
}

std::string describe_with_times(const Operation& op, std::int64_t origin_ns) {
    const bool is_open = op.outcome == Outcome::unknown;
    return "[" + milliseconds(op.invoked_ns - origin_ns) + ", " +
           (is_open ? std::string("…") : milliseconds(op.returned_ns - origin_ns)) + "] " +
           describe(op);
}

std::string format_explanation(const Explanation& explanation) {
    const History& ops = explanation.operations;
    if (ops.empty()) {
        return {};
    }
    const std::int64_t origin_ns = ops.front().invoked_ns;
    const std::size_t first =
        ops.size() > shown_operations_max ? ops.size() - shown_operations_max : 0;
    std::string text = "  name " + quoted(explanation.name) + ", " + std::to_string(ops.size()) +
                       " operations up to the first answer that no order explains" +
                       (first > 0 ? ", the last of them:" : ":") + "\n";
    for (std::size_t i = first; i < ops.size(); ++i) {
        std::string place = explanation.order[i] != 0 ? std::to_string(explanation.order[i]) : "-";
        const bool is_stuck = std::find(explanation.stuck.begin(), explanation.stuck.end(), i) !=
                              explanation.stuck.end();
        place.insert(0, 6 - std::min<std::size_t>(place.size(), 6), ' ');
        text +=
            (is_stuck ? ">>" : "  ") + place + "  " + describe_with_times(ops[i], origin_ns) + "\n";
    }
    text += "  the longest order found (numbers) ends with: " + explanation.state + "\n";
    for (std::size_t i = 0; i < explanation.stuck.size(); ++i) {
        text += "  not next: " + describe(ops[explanation.stuck[i]]) + ": " +
                explanation.reasons[i] + "\n";
    }
    return text;
}

}  // namespace cairn::checker
