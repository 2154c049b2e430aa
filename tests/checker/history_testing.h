// Makes operations for the tests of the checkers, in few words.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "tests/checker/history.h"

namespace cairn::checker::testing {

struct Span {
    std::int64_t from = 0;
    std::int64_t to = 0;
};

inline Operation request(OpKind kind, Span span, std::string value = {}) {
    Operation op;
    op.kind = kind;
    op.name = "a";
    op.value = std::move(value);
    op.invoked_ns = span.from;
    op.returned_ns = span.to;
    op.outcome = Outcome::ok;
    return op;
}

inline Operation set(Span span, std::string value, std::uint64_t index) {
    Operation op = request(OpKind::set, span, std::move(value));
    op.index = index;
    return op;
}

inline Operation create(Span span, std::string value, std::uint64_t index) {
    Operation op = set(span, std::move(value), index);
    op.kind = OpKind::create;
    return op;
}

// Succeeds on `prev_index` when that isn't 0.
inline Operation update(Span span, std::string value, std::uint64_t prev_index,
                        std::uint64_t index) {
    Operation op = set(span, std::move(value), index);
    op.kind = OpKind::update;
    op.prev_index = prev_index;
    op.previous = Previous::present;
    return op;
}

inline Operation remove(Span span, std::uint64_t prev_index = 0) {
    Operation op = request(OpKind::remove, span);
    op.prev_index = prev_index;
    return op;
}

inline Operation get(Span span, std::string value, std::uint64_t index) {
    Operation op = request(OpKind::get, span);
    op.returned_value = std::move(value);
    op.index = index;
    return op;
}

inline Operation get_nothing(Span span) {
    Operation op = request(OpKind::get, span);
    op.outcome = Outcome::not_found;
    return op;
}

inline Operation with(Operation op, Outcome outcome, std::uint64_t index = 0) {
    op.outcome = outcome;
    op.index = index;
    if (outcome != Outcome::ok) {
        op.previous = Previous::unreported;
    }
    return op;
}

inline Operation with_ttl(Operation op, std::int64_t ttl_ns) {
    op.ttl_ns = ttl_ns;
    return op;
}

inline Operation by(Operation op, std::uint64_t client, std::uint64_t node = 0) {
    op.client = client;
    op.node = node;
    return op;
}

inline Operation on(Operation op, std::string name) {
    op.name = std::move(name);
    return op;
}

}  // namespace cairn::checker::testing
