#include "fsm/past_list.h"

#include <map>
#include <random>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "fsm/command.h"

namespace cairn::fsm {
namespace {

using Names = std::vector<std::pair<std::string, Index>>;

// A machine and its history as the replica keeps them.
struct Kept {
    explicit Kept(const HistoryOptions& options = {}) : history(options) {}

    void apply(std::string_view command, std::int64_t stamp_ns) {
        std::vector<Event> events;
        machine.apply(machine.applied_index() + 1, stamp_ns, command, events);
        history.append(events);
        if (machine.has_overdue()) {
            history.note_overdue(machine.applied_index(), machine.time_ns());
        }
    }
    void set(std::string_view name, std::int64_t stamp_ns = 0,
             std::optional<std::int64_t> ttl_ns = {}) {
        std::string command;
        encode_set(name, "v", ttl_ns, false, command);
        apply(command, stamp_ns);
    }
    void remove(std::string_view name, std::int64_t stamp_ns = 0) {
        std::string command;
        encode_delete(name, 0, command);
        apply(command, stamp_ns);
    }
    Names present() const {
        bool has_more = false;
        return names(machine.list({}, {}, SIZE_MAX, has_more));
    }
    std::optional<Names> past(Index at, std::string_view prefix = {}, std::string_view after = {},
                              std::size_t limit = 1000) {
        const auto items = list_at(machine, history, at, prefix, after, limit, more, looked_at);
        return items ? std::optional(names(*items)) : std::nullopt;
    }
    static Names names(const std::vector<ListItem>& items) {
        Names names;
        for (const ListItem& item : items) {
            names.emplace_back(item.name, item.value.index);
        }
        return names;
    }

    StateMachine machine;
    History history;
    bool more = false;
    std::size_t looked_at = 0;
};

}  // namespace

TEST_CASE("past list: what was there, what wasn't, and what has changed") {
    Kept kept;
    kept.set("a");
    kept.set("b");
    kept.set("c");
    const Names then = kept.present();
    kept.remove("a");
    kept.set("b");
    kept.set("bb");
    kept.set("b");
    kept.remove("c");
    kept.set("c");
    CHECK(kept.past(3) == then);
    CHECK_FALSE(kept.more);
    CHECK(kept.past(3, {}, "a", 1) == Names{{"b", 2}});
    CHECK(kept.more);
    CHECK(kept.past(3, "b") == Names{{"b", 2}});
    CHECK(kept.past(3, {}, "c") == Names{});
    CHECK(kept.past(1) == Names{{"a", 1}});
    CHECK(kept.past(0) == Names{});
    CHECK(kept.past(9) == kept.present());
}

TEST_CASE("past list: none when the history doesn't go back so far") {
    Kept kept(HistoryOptions{2, 1U << 20U});
    for (int i = 0; i < 5; ++i) {
        kept.set("a");
    }
    CHECK_FALSE(kept.past(2));
    CHECK(kept.past(3) == Names{{"a", 3}});
    CHECK(kept.past(5) == Names{{"a", 5}});
    kept.history.reset(5);
    CHECK_FALSE(kept.past(4));
    CHECK(kept.past(5) == Names{{"a", 5}});
}

TEST_CASE("past list: none when too much has changed, which bounds the time it takes") {
    Kept kept;
    kept.set("z");
    for (std::size_t i = 0; i < past_changes_max; ++i) {
        kept.set("n" + std::to_string(i));
    }
    CHECK(kept.past(1) == Names{{"z", 1}});
    kept.set("o");
    CHECK_FALSE(kept.past(1));
    CHECK(kept.past(1, "z") == Names{{"z", 1}});
    CHECK(kept.past(1, {}, "n99") == Names{{"z", 1}});
}

// More than one entry may expire: those left were not to be seen, and are not in the past either.
TEST_CASE("past list: values that the bound on expiries left") {
    Kept kept;
    for (std::size_t i = 0; i < expiries_per_entry_max + 5; ++i) {
        kept.set("n" + std::to_string(i), 0, 100);
    }
    kept.set("z");
    const Index before = kept.machine.applied_index();
    const Names then = kept.present();
    kept.apply({}, 200);  // leaves five
    REQUIRE(kept.machine.has_overdue());
    CHECK(kept.present() == Names{{"z", before}});
    CHECK(kept.past(before, {}, {}, SIZE_MAX - 1) == then);
    CHECK(kept.past(before + 1) == kept.present());
    kept.set("y", 200);
    REQUIRE_FALSE(kept.machine.has_overdue());
    CHECK(kept.past(before + 1) == Names{{"z", before}});
    CHECK(kept.past(before, {}, {}, SIZE_MAX - 1) == then);
}

TEST_CASE("past list: random histories, against what was noted then") {
    for (unsigned seed = 1; seed <= 20; ++seed) {
        std::mt19937 random(seed);
        const auto pick = [&](unsigned count) { return random() % count; };
        const auto name = [&] {
            return std::string(1, static_cast<char>('a' + pick(3))) + std::to_string(pick(12));
        };
        Kept kept(HistoryOptions{120, 1U << 20U});
        std::map<Index, Names> noted;
        std::int64_t now_ns = 0;
        std::size_t answered = 0;
        for (int step = 0; step < 400; ++step) {
            now_ns += pick(20);
            if (pick(3) == 0) {
                kept.remove(name(), now_ns);
            } else {
                kept.set(name(), now_ns,
                         pick(2) == 0 ? std::nullopt : std::optional<std::int64_t>(1 + pick(200)));
            }
            noted[kept.machine.applied_index()] = kept.present();
            const Index at = 1 + pick(static_cast<unsigned>(kept.machine.applied_index()));
            const std::string prefix = pick(2) == 0 ? "" : std::string(1, "abc"[pick(3)]);
            // All pages of it, whatever their size.
            std::string after;
            Names pages;
            bool kept_it = true;
            do {
                const auto page = kept.past(at, prefix, after, 1 + pick(9));
                kept_it = page.has_value();
                if (kept_it) {
                    pages.insert(pages.end(), page->begin(), page->end());
                    after = page->empty() ? after : page->back().first;
                }
            } while (kept_it && kept.more);
            CHECK(kept_it == (Cursor{at} >= kept.history.oldest()));
            if (kept_it) {
                Names expected = noted[at];
                std::erase_if(expected,
                              [&](const auto& item) { return !item.first.starts_with(prefix); });
                CHECK(pages == expected);
                ++answered;
            }
        }
        CHECK(answered > 100);
    }
}

}  // namespace cairn::fsm
