// check_history FILE [--html OUT]: whether what was recorded in FILE (JSON lines, see recording.h)
// is linearizable, and its streams and keyed commands are as they must be. Prints why not. Exit
// status: 0 all is well, 1 it isn't, 2 bad arguments or file, 3 undecided.
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/checker/history_html.h"
#include "tests/checker/linearizability.h"
#include "tests/checker/recording.h"

namespace {

constexpr int status_bad = 2;

int fail(const std::string& text) {
    std::fprintf(stderr, "check_history: %s\n", text.c_str());
    return status_bad;
}

const char* verdict_text(cairn::checker::Verdict verdict) {
    switch (verdict) {
        case cairn::checker::Verdict::linearizable:
            return "linearizable";
        case cairn::checker::Verdict::violated:
            return "not linearizable";
        case cairn::checker::Verdict::undecided:
            return "undecided";
    }
    return "";
}

// What was judged besides operations; nothing when only they were recorded.
std::string summary(const cairn::checker::Recording& recording, std::size_t problems) {
    if (recording.events.empty() && recording.streams.empty() && recording.keyed.empty()) {
        return "";
    }
    std::size_t messages = 0;
    for (const auto& stream : recording.streams) {
        messages += stream.messages.size();
    }
    return std::to_string(recording.events.size()) + " events in the log, " +
           std::to_string(recording.streams.size()) + " streams with " + std::to_string(messages) +
           " messages, " + std::to_string(recording.keyed.size()) +
           " keyed commands: " + std::to_string(problems) + " problems\n";
}

}  // namespace

int main(int argc, char** argv) {
    using namespace cairn::checker;
    const bool wants_page = argc == 4 && std::string(argv[2]) == "--html";
    if (argc != 2 && !wants_page) {
        return fail("usage: check_history FILE [--html OUT]");
    }
    std::ifstream file(argv[1], std::ios::binary);
    std::ostringstream content;
    content << file.rdbuf();
    if (!file) {
        return fail(std::string("can't read ") + argv[1]);
    }
    std::string error;
    const std::optional<Recording> recording = parse_recording(content.str(), error);
    if (!recording) {
        return fail(std::string(argv[1]) + ": " + error);
    }
    LinearizabilityReport report = check_linearizability(recording->operations);
    const std::vector<std::string> problems = check_recording(*recording);
    for (const std::string& problem : problems) {
        std::printf("%s\n", problem.c_str());
    }
    std::printf("%s%s%s: %zu operations on %zu names, %zu states\n", report.format().c_str(),
                summary(*recording, problems.size()).c_str(), verdict_text(report.verdict),
                recording->operations.size(), report.names, report.states);
    if (wants_page) {
        for (const std::string& problem : problems) {
            report.problems.push_back({problem, {}});
        }
        std::ofstream page(argv[3], std::ios::binary);
        page << history_page(report) << std::flush;
        if (!page) {
            return fail(std::string("can't write ") + argv[3]);
        }
    }
    switch (report.verdict) {
        case Verdict::linearizable:
            return problems.empty() ? 0 : 1;
        case Verdict::violated:
            return 1;
        case Verdict::undecided:
            return problems.empty() ? 3 : 1;
    }
    return status_bad;
}
