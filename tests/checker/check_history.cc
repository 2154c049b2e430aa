// check_history FILE [--html OUT]: whether the history in FILE (JSON lines, see history_json.h) is
// linearizable. Prints why not. Exit status: 0 it is, 1 it isn't, 2 bad arguments or file,
// 3 undecided.
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/checker/history_html.h"
#include "tests/checker/history_json.h"
#include "tests/checker/linearizability.h"

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
    const std::optional<History> history = parse_history(content.str(), error);
    if (!history) {
        return fail(std::string(argv[1]) + ": " + error);
    }
    const LinearizabilityReport report = check_linearizability(*history);
    std::printf("%s%s: %zu operations on %zu names, %zu states\n", report.format().c_str(),
                verdict_text(report.verdict), history->size(), report.names, report.states);
    if (wants_page) {
        std::ofstream page(argv[3], std::ios::binary);
        page << history_page(report) << std::flush;
        if (!page) {
            return fail(std::string("can't write ") + argv[3]);
        }
    }
    switch (report.verdict) {
        case Verdict::linearizable:
            return 0;
        case Verdict::violated:
            return 1;
        case Verdict::undecided:
            return 3;
    }
    return status_bad;
}
