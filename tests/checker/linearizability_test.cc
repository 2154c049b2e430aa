#include "tests/checker/linearizability.h"

#include <doctest/doctest.h>

#include "tests/checker/history_html.h"
#include "tests/checker/history_testing.h"

using namespace cairn::checker;
using namespace cairn::checker::testing;

namespace {

Verdict verdict(const History& history, const LinearizabilityOptions& options = {}) {
    return check_linearizability(history, options).verdict;
}

bool holds(const History& history, const LinearizabilityOptions& options = {}) {
    const LinearizabilityReport report = check_linearizability(history, options);
    INFO(report.format());
    return report.verdict == Verdict::linearizable;
}

bool fails(const History& history, const LinearizabilityOptions& options = {}) {
    return verdict(history, options) == Verdict::violated;
}

// Broken by the order of operations, not only by what indexes say.
bool has_no_order(const History& history) {
    for (const Problem& problem : check_linearizability(history).problems) {
        if (!problem.explanation.operations.empty()) {
            return true;
        }
    }
    return false;
}

bool says(const History& history, const std::string& text) {
    return check_linearizability(history).format().find(text) != std::string::npos;
}

}  // namespace

TEST_CASE("linearizability: one after the other") {
    CHECK(holds({}));
    CHECK(holds({get_nothing({0, 1}), set({2, 3}, "x", 5), get({4, 5}, "x", 5),
                 update({6, 7}, "y", 5, 6), get({8, 9}, "y", 6), remove({10, 11}, 6),
                 get_nothing({12, 13}), create({14, 15}, "z", 9), get({16, 17}, "z", 9)}));
    CHECK(holds({set({0, 1}, "x", 5), with(create({2, 3}, "y", 0), Outcome::already_exists, 5),
                 with(update({4, 5}, "y", 4, 0), Outcome::conflict, 5),
                 with(remove({6, 7}, 3), Outcome::conflict, 5), remove({8, 9}),
                 with(remove({10, 11}), Outcome::not_found),
                 with(update({12, 13}, "y", 5, 0), Outcome::not_found)}));
}

TEST_CASE("linearizability: overlap lets either be first") {
    CHECK(holds({set({0, 10}, "x", 5), get_nothing({1, 2}), get({3, 4}, "x", 5)}));
    CHECK(holds({set({0, 10}, "x", 6), set({0, 10}, "y", 5), get({11, 12}, "x", 6)}));
    CHECK(fails({set({0, 10}, "x", 5), get({1, 2}, "x", 5), get_nothing({3, 4})}));
    CHECK(holds({set({0, 5}, "x", 5), get_nothing({5, 6})}));  // the same moment overlaps
    CHECK(fails({set({0, 5}, "x", 5), get_nothing({6, 7})}));
}

TEST_CASE("linearizability: a stale read") {
    CHECK(has_no_order({set({0, 1}, "x", 5), set({2, 3}, "y", 6), get({4, 5}, "x", 5)}));
    CHECK(holds({set({0, 1}, "x", 5), set({2, 6}, "y", 6), get({4, 5}, "x", 5)}));
    CHECK(has_no_order(
        {set({0, 1}, "x", 5), set({2, 9}, "y", 6), get({3, 4}, "y", 6), get({5, 6}, "x", 5)}));
}

TEST_CASE("linearizability: a lost update") {
    CHECK(
        has_no_order({set({0, 1}, "x", 5), update({2, 9}, "y", 5, 6), update({2, 9}, "z", 5, 7)}));
    CHECK(holds({set({0, 1}, "x", 5), update({2, 9}, "y", 5, 6),
                 with(update({2, 9}, "z", 5, 0), Outcome::conflict, 6)}));
    Operation blind = update({4, 5}, "z", 0, 7);
    blind.previous_index = 5;
    blind.previous_value = "x";
    CHECK(has_no_order({set({0, 1}, "x", 5), set({2, 3}, "y", 6), blind}));
}

TEST_CASE("linearizability: a write that was visible and then gone") {
    CHECK(has_no_order(
        {with(set({0, 1}, "x", 0), Outcome::unknown), get({2, 3}, "x", 5), get_nothing({4, 5})}));
    CHECK(has_no_order({set({0, 1}, "w", 3), with(set({2, 3}, "x", 0), Outcome::unknown),
                        get({4, 5}, "x", 5), get({6, 7}, "w", 3)}));
}

TEST_CASE("linearizability: applied twice") {
    const History twice = {with(set({0, 1}, "x", 0), Outcome::unknown), get({2, 3}, "x", 5),
                           set({4, 5}, "y", 6), get({6, 7}, "x", 7)};
    CHECK(has_no_order(twice));
    CHECK(says(twice, "shows at 2 indexes"));
    CHECK(fails({set({0, 1}, "x", 5), set({2, 3}, "y", 6), get({4, 5}, "x", 7)}));
}

TEST_CASE("linearizability: values from nowhere") {
    CHECK(says({get({0, 1}, "x", 5)}, "nobody wrote"));
    CHECK(has_no_order({get({0, 1}, "x", 5)}));
    CHECK(says({get({0, 1}, "x", 5), set({2, 3}, "x", 5)}, "before it was written"));
    CHECK(fails({on(set({0, 1}, "x", 5), "b"), get({2, 3}, "x", 5)}));
    CHECK(fails({set({0, 1}, "x", 5), get({2, 3}, "x", 6)}));
    CHECK(fails({set({0, 1}, "x", 5), get({2, 3}, "y", 5)}));
}

TEST_CASE("linearizability: deleted and made again is another") {
    const Operation first = set({0, 1}, "x", 5);
    const Operation gone = remove({2, 3});
    const Operation again = set({4, 5}, "x", 8);
    CHECK(has_no_order({first, gone, again, update({6, 7}, "y", 5, 9)}));
    CHECK(holds({first, gone, again, update({6, 7}, "y", 8, 9)}));
    CHECK(has_no_order({first, gone, again, get({6, 7}, "x", 5)}));
    CHECK(fails({first, gone, set({4, 5}, "x", 5)}));
    CHECK(fails({first, gone, set({4, 5}, "x", 4)}));
    CHECK(has_no_order({first, gone, get({4, 5}, "x", 5)}));
}

TEST_CASE("linearizability: conditions") {
    CHECK(has_no_order({set({0, 1}, "x", 5), update({2, 3}, "y", 4, 6)}));
    CHECK(has_no_order({set({0, 1}, "x", 5), remove({2, 3}, 4)}));
    CHECK(has_no_order({set({0, 1}, "x", 5), create({2, 3}, "y", 6)}));
    CHECK(has_no_order({update({0, 1}, "y", 0, 6)}));
    CHECK(has_no_order({remove({0, 1})}));
    CHECK(has_no_order({with(create({0, 1}, "y", 0), Outcome::already_exists)}));
    CHECK(has_no_order(
        {set({0, 1}, "x", 5), with(create({2, 3}, "y", 0), Outcome::already_exists, 4)}));
    CHECK(
        has_no_order({set({0, 1}, "x", 5), with(update({2, 3}, "y", 4, 0), Outcome::conflict, 3)}));
    CHECK(has_no_order({set({0, 1}, "x", 5), with(update({2, 3}, "y", 5, 0), Outcome::conflict)}));
    CHECK(has_no_order({set({0, 1}, "x", 5), with(remove({2, 3}), Outcome::not_found)}));
    Operation made = set({0, 1}, "x", 5);
    made.previous = Previous::present;
    CHECK(has_no_order({made}));
    made.previous = Previous::absent;
    CHECK(holds({made}));
}

TEST_CASE("linearizability: answers that a request can't have") {
    CHECK(fails({set({0, 1}, "x", 5), with(update({2, 3}, "y", 5, 0), Outcome::conflict, 5)}));
    CHECK(fails({set({0, 1}, "x", 5), with(update({2, 3}, "y", 0, 0), Outcome::conflict, 5)}));
    CHECK(fails({with(set({2, 3}, "y", 0), Outcome::not_found)}));
    CHECK(fails({with(create({2, 3}, "y", 0), Outcome::not_found)}));
    CHECK(fails({set({0, 1}, "x", 5), with(set({2, 3}, "y", 0), Outcome::already_exists, 5)}));
    Operation wrong = update({2, 3}, "y", 5, 6);
    wrong.previous_index = 4;
    wrong.previous_value = "w";
    CHECK(says({set({0, 1}, "w", 4), wrong}, "another index than the one asked for"));
    CHECK(fails({set({3, 2}, "x", 5)}));
    Operation on_nothing = update({2, 3}, "y", 0, 6);
    on_nothing.previous = Previous::absent;
    CHECK(says({on_nothing}, "what it must refuse"));
}

TEST_CASE("linearizability: an unknown write happens late, or never") {
    const Operation unknown = with(set({2, 3}, "y", 0), Outcome::unknown);
    const Operation first = set({0, 1}, "x", 5);
    CHECK(holds({first, unknown, get({4, 5}, "x", 5), get({6, 7}, "x", 5)}));
    CHECK(holds({first, unknown, get({4, 5}, "x", 5), get({6, 7}, "y", 9)}));
    CHECK(holds({first, unknown, set({4, 5}, "z", 6), get({6, 7}, "z", 6), get({8, 9}, "y", 7)}));
    CHECK(holds(
        {first, with(remove({2, 3}), Outcome::unknown), get({4, 5}, "x", 5), get_nothing({6, 7})}));
    CHECK(has_no_order({get_nothing({0, 1}), with(remove({2, 3}), Outcome::unknown), first}) ==
          false);
    CHECK(fails({get({0, 1}, "y", 5), unknown}));
    // Its value was never read; its index was.
    CHECK(holds({first, unknown, with(update({4, 5}, "z", 5, 0), Outcome::conflict, 7)}));
    CHECK(fails({first, unknown, with(update({4, 5}, "z", 5, 0), Outcome::conflict, 7),
                 with(remove({6, 7}, 5), Outcome::conflict, 8)}));
    CHECK(fails({first, unknown, with(update({4, 5}, "z", 2, 0), Outcome::conflict, 4)}));
    CHECK(holds({unknown, with(create({4, 5}, "z", 0), Outcome::already_exists)}));
    // An index that had been told before it began is not its own.
    CHECK(fails({on(set({0, 1}, "w", 6), "b"), unknown,
                 with(update({4, 5}, "z", 3, 0), Outcome::conflict, 5)}));
    CHECK(holds({on(set({0, 1}, "w", 6), "b"), unknown,
                 with(update({4, 5}, "z", 3, 0), Outcome::conflict, 7)}));
    // A condition of its own.
    const Operation doubtful = with(update({2, 3}, "y", 4, 0), Outcome::unknown);
    CHECK(has_no_order({first, doubtful, get({4, 5}, "y", 9)}));
    CHECK(holds({set({0, 1}, "x", 4), doubtful, get({4, 5}, "y", 9)}));
}

TEST_CASE("linearizability: unknown writes that need each other") {
    const auto unknown = [](Operation op) { return with(std::move(op), Outcome::unknown); };
    // u at 7, which is removed, then v made: only v is ever seen.
    CHECK(holds({set({0, 1}, "x", 5), unknown(remove({2, 3}, 7)), unknown(set({2, 3}, "u", 0)),
                 unknown(create({4, 5}, "v", 0)), unknown(create({4, 5}, "v", 0)),
                 get({6, 7}, "v", 9)}));
    CHECK(fails({set({0, 1}, "x", 5), unknown(remove({2, 3}, 7)), unknown(create({4, 5}, "v", 0)),
                 unknown(create({4, 5}, "v", 0)), get({6, 7}, "v", 9)}));
    // Of two that nobody saw, the one that expires had the index that was seen.
    CHECK(
        holds({unknown(set({0, 1}, "u", 0)), unknown(with_ttl(update({2, 3}, "w", 2, 0), 10)),
               with(create({20, 30}, "z", 0), Outcome::already_exists, 3), get_nothing({40, 50})}));
    CHECK(
        fails({unknown(set({0, 1}, "u", 0)), unknown(update({2, 3}, "w", 2, 0)),
               with(create({20, 30}, "z", 0), Outcome::already_exists, 3), get_nothing({40, 50})}));
    // Two that are wanted at once, the one begun later first.
    CHECK(holds({unknown(set({0, 1}, "v", 0)), unknown(set({0, 1}, "v", 0)),
                 unknown(set({2, 3}, "w", 0)), unknown(set({2, 3}, "w", 0)), get({10, 20}, "v", 8),
                 get({10, 20}, "w", 6)}));
}

TEST_CASE("linearizability: what was not applied has no effect") {
    const Operation refused = with(set({2, 3}, "y", 0), Outcome::not_applied);
    const Operation first = set({0, 1}, "x", 5);
    CHECK(holds({first, refused, get({4, 5}, "x", 5)}));
    CHECK(has_no_order({first, refused, get({4, 5}, "y", 6)}));
    CHECK(has_no_order({first, with(remove({2, 3}), Outcome::not_applied), get_nothing({4, 5})}));
}

TEST_CASE("linearizability: expiry, late but not early") {
    const Operation first = with_ttl(set({0, 1}, "x", 5), 100);
    CHECK(holds({first, get({50, 60}, "x", 5), get_nothing({150, 160})}));
    CHECK(holds({first, get({550, 560}, "x", 5)}));
    CHECK(holds({first, get_nothing({90, 100})}));
    CHECK(has_no_order({first, get_nothing({90, 99})}));
    CHECK(has_no_order({first, get_nothing({150, 160}), get({170, 180}, "x", 5)}));
    CHECK(has_no_order({first, set({2, 3}, "y", 6), get_nothing({150, 160})}));
    CHECK(holds({first, create({150, 160}, "y", 9), get({170, 180}, "y", 9)}));
    CHECK(has_no_order({first, create({50, 60}, "y", 9)}));
    // What is over at 150 can't precede an answer given at 99.
    CHECK(has_no_order(
        {first, get_nothing({50, 150}), get({120, 130}, "x", 5), get_nothing({51, 119})}));
    LinearizabilityOptions bounds;
    bounds.early_ns = 5;
    CHECK(holds({first, get_nothing({90, 95})}, bounds));
    CHECK(fails({first, get_nothing({90, 94})}, bounds));
    bounds = {};
    bounds.clock_drift = 0.1;
    CHECK(holds({first, get_nothing({80, 90})}, bounds));
    CHECK(fails({first, get_nothing({80, 89})}, bounds));
    // One that nobody saw takes another with it.
    CHECK(holds({set({0, 1}, "x", 5), with(with_ttl(set({2, 3}, "y", 0), 10), Outcome::unknown),
                 get_nothing({13, 14})}));
    CHECK(fails({set({0, 1}, "x", 5), with(with_ttl(set({2, 3}, "y", 0), 10), Outcome::unknown),
                 get_nothing({8, 11})}));
}

TEST_CASE("indexes: they grow in real time over all names") {
    CHECK(holds({set({0, 5}, "x", 6), on(set({4, 9}, "y", 5), "b")}));
    CHECK(says({set({0, 1}, "x", 6), on(set({2, 3}, "y", 5), "b")}, "had been told before"));
    CHECK(fails({set({0, 1}, "x", 6), on(set({2, 3}, "y", 6), "b")}));
    CHECK(says({set({0, 9}, "x", 6), on(set({0, 9}, "y", 6), "b")}, "index 6 is of two values"));
    Operation removed = remove({2, 9});
    removed.index = 7;
    CHECK(holds({set({0, 1}, "x", 6), removed, on(set({2, 9}, "y", 8), "b")}));
    CHECK(says({set({0, 1}, "x", 6), removed, on(set({2, 9}, "y", 7), "b")}, "two writes"));
    CHECK(says({set({0, 1}, "x", 6), set({0, 1}, "x", 6)}, "two writes"));
    CHECK(says({set({0, 9}, "x", 6), on(set({0, 9}, "x", 6), "b")}, "index 6 is of two values"));
    CHECK(says(
        {set({0, 9}, "x", 6), with(set({0, 9}, "y", 0), Outcome::unknown), get({0, 9}, "y", 6)},
        "index 6 is of two values"));
    CHECK(says({set({0, 1}, "x", 6), removed, on(with(set({2, 9}, "y", 0), Outcome::unknown), "b"),
                on(get({2, 9}, "y", 7), "b")},
               "two writes"));
    // A refusal tells an index too, and so does the state a read was served from.
    CHECK(fails({on(set({0, 1}, "y", 3), "b"),
                 on(with(update({2, 3}, "z", 2, 0), Outcome::conflict, 3), "b"),
                 set({4, 5}, "x", 3)}));
    Operation seen = get_nothing({0, 1});
    seen.applied_index = 9;
    CHECK(fails({seen, on(set({2, 3}, "y", 8), "b")}));
    CHECK(holds({seen, on(set({2, 3}, "y", 10), "b")}));
    // An unknown write whose index was passed before it began.
    CHECK(says({set({0, 1}, "x", 6), on(with(set({2, 3}, "y", 0), Outcome::unknown), "b"),
                on(get({4, 5}, "y", 5), "b")},
               "passed before the write began"));
}

TEST_CASE("indexes: a read is served from what was told before") {
    Operation read = get_nothing({2, 3});
    read.applied_index = 5;
    const Operation other = on(set({0, 1}, "y", 6), "b");
    CHECK(says({other, read}, "served at 5"));
    read.applied_index = 6;
    CHECK(holds({other, read}));
    read.kind = OpKind::local_get;
    read.applied_index = 5;
    CHECK(holds({other, read}));
    Operation old = get({2, 3}, "x", 6);
    old.applied_index = 5;
    CHECK(says({set({0, 1}, "x", 6), old}, "older than the value"));
}

TEST_CASE("local reads: may be stale, may not go back on a node") {
    const auto local = [](Operation op, std::uint64_t client, std::uint64_t node) {
        op.kind = OpKind::local_get;
        return by(op, client, node);
    };
    const History writes = {set({0, 1}, "x", 5), set({2, 3}, "y", 6), remove({4, 5}),
                            set({6, 7}, "z", 8)};
    const auto reads = [&](std::vector<Operation> more) {
        History history = writes;
        history.insert(history.end(), more.begin(), more.end());
        return history;
    };
    const Operation nothing = get_nothing({30, 31});
    CHECK(holds(reads({local(get_nothing({10, 11}), 1, 1), local(get({12, 13}, "x", 5), 1, 1),
                       local(get({14, 15}, "x", 5), 1, 1), local(get({16, 17}, "y", 6), 1, 1),
                       local(nothing, 1, 1), local(get({40, 41}, "z", 8), 1, 1)})));
    CHECK(says(reads({local(get({12, 13}, "y", 6), 1, 1), local(get({14, 15}, "x", 5), 1, 1)}),
               "went back"));
    CHECK(holds(reads({local(get({12, 13}, "y", 6), 1, 1), local(get({14, 15}, "x", 5), 1, 2),
                       local(get({14, 15}, "x", 5), 2, 1)})));
    CHECK(says(reads({local(get({12, 13}, "y", 6), 1, 1), local(nothing, 1, 1),
                      local(get({34, 35}, "y", 6), 1, 1)}),
               "went back"));
    Operation restarted = local(get({14, 15}, "x", 5), 1, 1);
    restarted.incarnation = 1;
    CHECK(holds(reads({local(get({12, 13}, "y", 6), 1, 1), restarted})));
    CHECK(says(reads({local(get({12, 13}, "w", 7), 1, 1)}), "nobody wrote"));
    CHECK(fails(reads({local(get({12, 13}, "x", 6), 1, 1)})));
    Operation first = local(get_nothing({20, 21}), 1, 1);
    Operation second = local(get_nothing({22, 23}), 1, 1);
    first.applied_index = 9;
    second.applied_index = 8;
    CHECK(says(reads({first, second}), "went back"));
}

TEST_CASE("linearizability: one request, sent again") {
    const auto keyed = [](Operation op) {
        op.idempotency_key = "k";
        return op;
    };
    const Operation lost = keyed(with(set({0, 1}, "x", 0), Outcome::unknown));
    CHECK(holds({lost, set({2, 3}, "y", 6), keyed(set({4, 5}, "x", 5)), get({6, 7}, "y", 6)}));
    CHECK(
        has_no_order({lost, set({2, 3}, "y", 6), keyed(set({4, 5}, "x", 5)), get({6, 7}, "x", 5)}));
    CHECK(says({keyed(set({0, 1}, "x", 5)), keyed(set({2, 3}, "x", 6))}, "two answers"));
    CHECK(says({keyed(set({0, 1}, "x", 5)), keyed(set({2, 3}, "y", 6))}, "two requests"));
    CHECK(holds({keyed(set({0, 1}, "x", 5)), keyed(set({2, 3}, "x", 5)), get({2, 3}, "x", 5)}));
    CHECK(holds({keyed(with(set({0, 1}, "x", 0), Outcome::not_applied)), keyed(set({2, 3}, "x", 5)),
                 get({4, 5}, "x", 5)}));
    // The attempt that was refused didn't do it.
    CHECK(fails({keyed(with(set({0, 1}, "x", 0), Outcome::not_applied)), get({2, 3}, "x", 5),
                 keyed(set({4, 5}, "x", 5))}));
    // It was done before its first answer, not its second.
    CHECK(fails({keyed(set({0, 1}, "x", 5)), get_nothing({2, 3}), keyed(set({4, 5}, "x", 5))}));
}

TEST_CASE("linearizability: a search that grows too large says so") {
    History history;
    for (std::int64_t i = 0; i < 50; ++i) {
        history.push_back(
            set({2 * i, 2 * i + 1}, std::to_string(i), static_cast<std::uint64_t>(i + 1)));
    }
    CHECK(holds(history));
    LinearizabilityOptions options;
    options.states_max = 40;
    const LinearizabilityReport report = check_linearizability(history, options);
    CHECK(report.verdict == Verdict::undecided);
    CHECK(report.undecided_names == std::vector<std::string>{"a"});
    CHECK(report.format().find("undecided") != std::string::npos);
}

TEST_CASE("linearizability: the explanation is short and shows the place") {
    History history = {set({0, 1}, "x", 5),    on(set({0, 1}, "q", 4), "b"),
                       set({2, 3}, "y<&>", 6), with(set({2, 3}, "u", 0), Outcome::unknown),
                       get({4, 5}, "x", 5),    set({6, 7}, "z", 7),
                       get({8, 9}, "z", 7)};
    for (std::int64_t i = 10; i < 50; ++i) {
        history.push_back(get({i * 10, i * 10 + 1}, "z", 7));
    }
    const LinearizabilityReport report = check_linearizability(history);
    REQUIRE(report.problems.size() == 1);
    const Explanation& explanation = report.problems.front().explanation;
    CHECK(explanation.name == "a");
    CHECK(explanation.operations.size() == 4);
    REQUIRE(explanation.stuck.size() == 1);
    CHECK(explanation.operations[explanation.stuck.front()].invoked_ns == 4);
    CHECK(explanation.order == std::vector<std::size_t>{1, 2, 0, 0});
    const std::string text = report.format();
    CHECK(text.find(">>     -") != std::string::npos);
    CHECK(text.find("another value") != std::string::npos);
    const std::string page = history_page(report);
    CHECK(page.find("Not linearizable") != std::string::npos);
    CHECK(page.find("y&lt;&amp;&gt;") != std::string::npos);
    CHECK(page.find("<script") == std::string::npos);
    CHECK(page.find("http") == std::string::npos);
    CHECK(page.find(" stuck\"") != std::string::npos);
    CHECK(page.find("class=\"edge\"") != std::string::npos);
    CHECK(history_page({}).find("<h1>Linearizable") != std::string::npos);
}
