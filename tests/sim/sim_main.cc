// cairn_sim: runs simulations. Each is determined by its seed; the exit status is 1 when one of
// them found a violation, and the last line says how to see it again.
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <string>

#include <spdlog/spdlog.h>
#include <unistd.h>

#include "tests/checker/history_html.h"
#include "tests/sim/world.h"

namespace {

using namespace cairn::sim;
using std::chrono::steady_clock;

char reproduction[256];

// An invariant of the code under test ends the program: say which seed it was.
void on_abort(int /*signal*/) {
    (void)!::write(STDERR_FILENO, reproduction, std::strlen(reproduction));
    std::_Exit(1);
}

struct Totals {
    std::uint64_t runs = 0;
    std::uint64_t events = 0;
    std::uint64_t entries = 0;
    std::uint64_t operations = 0;
    std::int64_t simulated_ns = 0;
    std::uint64_t undecided = 0;  // names whose history was too much to search
    std::map<std::string, std::uint64_t> counters;
};

struct Options {
    std::uint64_t seed = 0;
    bool has_seed = false;
    std::uint64_t base = 1;
    long seconds = 0;
    std::uint64_t runs_max = ~std::uint64_t{0};
    std::string file;
    std::size_t lines = 60;
    std::uint64_t hash_secret = 0;
    std::string page;  // where a history that can't be is drawn
    bool verbose = false;
    bool keep_going = false;
};

// What a set of runs must have seen, or it proves less than it should.
const char* const wanted[] = {
    "leader elected",       "leader stepped down", "log truncated",
    "snapshot installed",   "torn tail cut",       "damaged node repaired",
    "member added",         "member removed",      "lease read served",
    "idempotent replay",    "value expired",       "stream resumed",
    "stream told of a gap", "disk full",           "disk failed",
    "disk stalled",         "write unknown",       "leadership transferred",
    "process paused",       "partition",           "digest compared",
    "message doubled",      "message overtaken",   "power lost",
    "core alone healed",    "leader trapped",      "idempotency key refused",
};

bool run_one(std::uint64_t seed, const Options& options, Totals& totals) {
    std::snprintf(reproduction, sizeof reproduction, "reproduce: cairn_sim --seed %llu\n",
                  static_cast<unsigned long long>(seed));
    Overrides overrides;
    overrides.hash_secret = {options.hash_secret, options.hash_secret};
    const Report report = run(seed, overrides);
    ++totals.runs;
    totals.events += report.events;
    totals.entries += report.entries;
    totals.operations += report.operations;
    totals.simulated_ns += report.simulated_ns;
    totals.undecided += report.verdict.undecided_names.size();
    for (const auto& [what, times] : report.counters) {
        totals.counters[what] += times;
    }
    if (options.verbose) {
        std::printf(
            "seed %llu hash %016llx %.1f s simulated, %llu events, %llu entries, %llu "
            "answers%s\n",
            static_cast<unsigned long long>(seed), static_cast<unsigned long long>(report.hash),
            static_cast<double>(report.simulated_ns) / 1e9,
            static_cast<unsigned long long>(report.events),
            static_cast<unsigned long long>(report.entries),
            static_cast<unsigned long long>(report.operations),
            report.violation.empty() ? "" : " VIOLATION");
        std::fflush(stdout);
    }
    if (report.violation.empty()) {
        return true;
    }
    const std::size_t first =
        report.last_events.size() - std::min(report.last_events.size(), options.lines);
    for (std::size_t i = first; i < report.last_events.size(); ++i) {
        std::printf("  %s\n", report.last_events[i].c_str());
    }
    for (const std::string& node : report.nodes) {
        std::printf("  %s\n", node.c_str());
    }
    if (!options.page.empty() && report.verdict.verdict == cairn::checker::Verdict::violated) {
        std::ofstream(options.page) << cairn::checker::history_page(report.verdict);
    }
    std::printf("violation: %s\n%s", report.violation.c_str(), reproduction);
    std::fflush(stdout);
    return false;
}

bool parse(int count, char** arguments, Options& options) {
    for (int i = 1; i < count; ++i) {
        const std::string name = arguments[i];
        if (name == "--verbose" || name == "--keep-going") {
            (name == "--verbose" ? options.verbose : options.keep_going) = true;
            continue;
        }
        if (i + 1 == count) {
            return false;
        }
        const std::string value = arguments[++i];
        if (name == "--seed") {
            options.seed = std::strtoull(value.c_str(), nullptr, 10);
            options.has_seed = true;
        } else if (name == "--base") {
            options.base = std::strtoull(value.c_str(), nullptr, 10);
        } else if (name == "--seconds") {
            options.seconds = std::strtol(value.c_str(), nullptr, 10);
        } else if (name == "--runs") {
            options.runs_max = std::strtoull(value.c_str(), nullptr, 10);
        } else if (name == "--seeds") {
            options.file = value;
        } else if (name == "--hash-secret") {
            options.hash_secret = std::strtoull(value.c_str(), nullptr, 10);
        } else if (name == "--html") {
            options.page = value;
        } else if (name == "--lines") {
            options.lines = std::strtoull(value.c_str(), nullptr, 10);
        } else {
            return false;
        }
    }
    return options.has_seed || options.seconds > 0 || !options.file.empty() ||
           options.runs_max != ~std::uint64_t{0};
}

void print(const Totals& totals, double real_seconds) {
    std::printf(
        "%llu seeds in %.1f s (%.0f a minute), %.0f s simulated (%.0f times real time), "
        "%llu events, %llu entries, %llu answers\n",
        static_cast<unsigned long long>(totals.runs), real_seconds,
        static_cast<double>(totals.runs) * 60 / real_seconds,
        static_cast<double>(totals.simulated_ns) / 1e9,
        static_cast<double>(totals.simulated_ns) / 1e9 / real_seconds,
        static_cast<unsigned long long>(totals.events),
        static_cast<unsigned long long>(totals.entries),
        static_cast<unsigned long long>(totals.operations));
    std::printf("  %-36s %llu\n", "names with an undecided history",
                static_cast<unsigned long long>(totals.undecided));
    for (const auto& [what, times] : totals.counters) {
        std::printf("  %-36s %llu\n", what.c_str(), static_cast<unsigned long long>(times));
    }
    for (const char* what : wanted) {
        if (!totals.counters.contains(what)) {
            std::printf("never seen: %s\n", what);
        }
    }
}

bool run_all(const Options& options, Totals& totals) {
    bool good = true;
    if (!options.file.empty()) {
        std::ifstream file(options.file);
        std::uint64_t seed = 0;
        while ((good || options.keep_going) && file >> seed) {
            good = run_one(seed, options, totals) && good;
        }
        return good;
    }
    const auto end = steady_clock::now() + std::chrono::seconds(options.seconds);
    for (std::uint64_t i = 0; i < options.runs_max && (good || options.keep_going); ++i) {
        if (options.seconds > 0 && steady_clock::now() >= end) {
            break;
        }
        good = run_one(options.base + i, options, totals) && good;
    }
    return good;
}

}  // namespace

int main(int count, char** arguments) {
    Options options;
    if (!parse(count, arguments, options)) {
        std::fprintf(stderr,
                     "usage: cairn_sim --seed N | --seeds FILE | --seconds S [--base N] | --runs N "
                     "[--base N]\n       [--verbose] [--lines N] [--keep-going] [--html FILE]\n"
                     "       [--hash-secret N]\n");
        return 2;
    }
    spdlog::set_level(options.has_seed && options.verbose ? spdlog::level::info
                                                          : spdlog::level::off);
    std::signal(SIGABRT, on_abort);
    const auto begin = steady_clock::now();
    Totals totals;
    bool good = true;
    if (options.has_seed) {
        options.verbose = true;
        good = run_one(options.seed, options, totals);
    } else {
        good = run_all(options, totals);
    }
    print(totals, std::chrono::duration<double>(steady_clock::now() - begin).count());
    return good ? 0 : 1;
}
