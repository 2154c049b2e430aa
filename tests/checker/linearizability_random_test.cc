#include <algorithm>
#include <string>

#include <doctest/doctest.h>

#include "tests/checker/brute_force.h"
#include "tests/checker/linearizability.h"
#include "tests/checker/simulated_register.h"

using namespace cairn::checker;
using namespace cairn::checker::testing;

namespace {

// One answer becomes another, or a moment moves.
void corrupt(Random& random, History& history) {
    Operation& op = history[random.below(history.size())];
    const Operation& other = history[random.below(history.size())];
    switch (random.below(9)) {
        case 0:
            op.index += random.chance(50) ? 1 : 2;
            break;
        case 1:
            op.index -= op.index > 1 ? 1 : 0;
            break;
        case 2:
            op.returned_value = other.value;
            break;
        case 3:
            op.outcome = other.outcome;
            break;
        case 4:
            op.invoked_ns += 40;
            op.returned_ns = std::max(op.returned_ns, op.invoked_ns);
            break;
        case 5:
            op.returned_ns = std::max(op.invoked_ns, op.returned_ns - 40);
            break;
        case 6:
            op.previous_index = op.previous_index != 0 ? other.index : 0;
            break;
        case 7:
            op.prev_index =
                op.kind == OpKind::update || op.kind == OpKind::remove ? other.index : 0;
            break;
        default:
            op.returned_value = other.returned_value;
            op.index = other.index;
    }
    if (!is_answered(op)) {
        return;
    }
    // Only answers that have a form; what they say may be wrong.
    const bool tells_index =
        op.outcome == Outcome::conflict || (op.outcome == Outcome::ok && op.kind != OpKind::remove);
    if (tells_index && op.index == 0) {
        op.index = 1;
    }
    if (op.outcome == Outcome::not_found) {
        op.index = 0;
    }
    if (op.outcome != Outcome::ok || op.kind == OpKind::get) {
        op.previous = Previous::unreported;
        op.previous_index = 0;
    }
    if (op.previous_index != 0) {
        op.previous = Previous::present;
    }
}

std::string show(const History& history, const LinearizabilityReport& report) {
    Explanation all;
    all.name = "n0";
    all.operations = history;
    all.order.resize(history.size());
    LinearizabilityReport shown;
    shown.problems.push_back({"the history", all});
    return shown.format() + report.format();
}

// Both kinds must be frequent, else the comparison says little.
struct Tally {
    int legal = 0;
    int illegal = 0;
};

void compare(Random& random, const SimulatedOptions& options, int corruptions, Tally& tally) {
    History history = simulate(random, options);
    for (int i = 0; i < corruptions; ++i) {
        corrupt(random, history);
    }
    const bool legal = has_order_by_brute_force(history);
    const LinearizabilityReport report = check_linearizability(history);
    (legal ? tally.legal : tally.illegal) += 1;
    const Verdict expected = legal ? Verdict::linearizable : Verdict::violated;
    if (report.verdict != expected) {
        INFO(show(history, report));
        CHECK(report.verdict == expected);
    }
}

SimulatedOptions large() {
    SimulatedOptions options;
    options.operations = 2000;
    return options;
}

// Whether some write of another value of this name was answered between the two.
bool is_overwritten_between(const History& history, const Operation& first, const Operation& late) {
    return std::any_of(history.begin(), history.end(), [&](const Operation& op) {
        return op.kind == OpKind::set && op.outcome == Outcome::ok && op.name == late.name &&
               op.invoked_ns > first.returned_ns && op.returned_ns < late.invoked_ns;
    });
}

Operation* some_get(History& history, std::size_t from) {
    for (std::size_t i = from; i < history.size(); ++i) {
        if (history[i].kind == OpKind::get && history[i].outcome == Outcome::ok) {
            return &history[i];
        }
    }
    return nullptr;
}

}  // namespace

TEST_CASE("random histories: as brute force decides, unique values") {
    Random random(1);
    Tally tally;
    for (int round = 0; round < 60'000; ++round) {
        SimulatedOptions options;
        options.operations = 2 + random.below(5);
        options.clients = 1 + random.below(4);
        options.names = 1;
        options.unknown_percent = random.below(60);
        options.ttl_percent = random.below(60);
        compare(random, options, static_cast<int>(random.below(6)), tally);
    }
    CHECK(tally.legal > 5'000);
    CHECK(tally.illegal > 5'000);
}

TEST_CASE("random histories: as brute force decides, values written again and again") {
    Random random(2);
    Tally tally;
    for (int round = 0; round < 60'000; ++round) {
        SimulatedOptions options;
        options.operations = 3 + random.below(4);
        options.clients = 1 + random.below(4);
        options.names = 1;
        options.unknown_percent = random.below(90);
        options.ttl_percent = random.below(60);
        options.values = 1 + random.below(2);
        compare(random, options, static_cast<int>(random.below(6)), tally);
    }
    CHECK(tally.legal > 5'000);
    CHECK(tally.illegal > 5'000);
}

TEST_CASE("random histories: of a correct register, accepted") {
    Random random(3);
    for (int round = 0; round < 20; ++round) {
        SimulatedOptions options;
        options.operations = 500;
        options.names = 1 + random.below(6);
        options.clients = 2 + random.below(12);
        options.unknown_percent = random.below(40);
        options.ttl_percent = random.below(40);
        const LinearizabilityReport report = check_linearizability(simulate(random, options));
        INFO(report.format());
        CHECK(report.verdict == Verdict::linearizable);
    }
}

TEST_CASE("random histories: large ones are decided in few states") {
    Random random(4);
    SimulatedOptions options;
    options.operations = 10'000;
    options.names = 50;
    LinearizabilityReport report = check_linearizability(simulate(random, options));
    INFO(report.format());
    CHECK(report.verdict == Verdict::linearizable);
    CHECK(report.states < 6'000);
    options.names = 1;
    report = check_linearizability(simulate(random, options));
    CHECK(report.verdict == Verdict::linearizable);
    CHECK(report.states < 100'000);
}

TEST_CASE("random histories: one wrong answer is found") {
    Random random(5);
    int stale = 0;
    for (int round = 0; round < 20; ++round) {
        const History history = simulate(random, large());
        History wrong = history;
        Operation* read = some_get(wrong, 500 + random.below(1000));
        REQUIRE(read != nullptr);
        read->returned_value = "never written";
        CHECK(check_linearizability(wrong).verdict == Verdict::violated);

        wrong = history;
        read = some_get(wrong, 500 + random.below(1000));
        REQUIRE(read != nullptr);
        read->index += 1;
        CHECK(check_linearizability(wrong).verdict == Verdict::violated);

        wrong = history;
        read = some_get(wrong, 500 + random.below(1000));
        for (Operation& op : wrong) {
            if (op.name == read->name && op.value == read->returned_value) {
                op.outcome = Outcome::not_applied;
            }
        }
        CHECK(check_linearizability(wrong).verdict == Verdict::violated);

        wrong = history;
        read = some_get(wrong, 1000 + random.below(500));
        for (const Operation& op : wrong) {
            if (op.kind == OpKind::get && op.outcome == Outcome::ok && op.name == read->name &&
                is_overwritten_between(wrong, op, *read)) {
                read->returned_value = op.returned_value;
                read->index = op.index;
                ++stale;
                CHECK(check_linearizability(wrong).verdict == Verdict::violated);
                break;
            }
        }
    }
    CHECK(stale > 10);
}
