#include "tests/checker/history_html.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <vector>

#include "tests/checker/history_text.h"

namespace cairn::checker {
namespace {

constexpr int row_height = 26;
constexpr int left = 110;
constexpr int width_max = 12'000;
constexpr int width_per_operation = 70;
constexpr int bar_width_min = 6;

constexpr const char* style =
    "body{font:14px/1.4 sans-serif;margin:2em;color:#222;background:#fff}"
    "pre{background:#f5f5f5;padding:1em;overflow:auto}"
    ".line{overflow:auto;border:1px solid #ccc}"
    "text{font:11px sans-serif}"
    ".read{fill:#bcd6f0}.write{fill:#c5e5bf}.refused{fill:#e6e0c8}.unknown{fill:#ddd}"
    ".stuck{stroke:#c00;stroke-width:3}.unplaced{stroke:#888;stroke-dasharray:3}"
    ".edge{stroke:#c00;stroke-dasharray:5;stroke-width:2}";

std::string escaped(const std::string& text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
            case '&':
                out += "&amp;";
                break;
            case '<':
                out += "&lt;";
                break;
            case '>':
                out += "&gt;";
                break;
            case '"':
                out += "&quot;";
                break;
            default:
                out += c;
        }
    }
    return out;
}

const char* css_class(const Operation& op) {
    if (op.outcome == Outcome::unknown) {
        return "unknown";
    }
    if (is_read(op.kind)) {
        return "read";
    }
    return op.outcome == Outcome::ok ? "write" : "refused";
}

// Where moments are on the page. Order is what matters, so that every distinct moment gets the
// same room: a pause of a minute and a race of microseconds can both be read.
class TimeLine {
 public:
    explicit TimeLine(const History& ops) {
        for (const Operation& op : ops) {
            moments_[op.invoked_ns] = 0;
            if (op.outcome != Outcome::unknown) {
                moments_[op.returned_ns] = 0;
            }
        }
        width_ = std::min(width_max, width_per_operation * static_cast<int>(ops.size()) + 100);
        int place = 0;
        for (auto& [moment, x] : moments_) {
            x = left + width_ * place / static_cast<int>(moments_.size());
            ++place;
        }
    }

    int at(std::int64_t moment_ns) const { return moments_.at(moment_ns); }
    int end() const { return left + width_; }

 private:
    std::map<std::int64_t, int> moments_;
    int width_ = 0;
};

std::string bar(const Explanation& explanation, std::size_t i, const TimeLine& line, int y) {
    const Operation& op = explanation.operations[i];
    const int from = line.at(op.invoked_ns);
    const int to = op.outcome == Outcome::unknown ? line.end() : line.at(op.returned_ns);
    const bool is_stuck =
        std::find(explanation.stuck.begin(), explanation.stuck.end(), i) != explanation.stuck.end();
    const char* mark = is_stuck ? " stuck" : explanation.order[i] == 0 ? " unplaced" : "";
    const std::string title = describe_with_times(op, explanation.operations.front().invoked_ns);
    std::string text = describe(op);
    text.erase(0, text.find(": ") + 2);
    if (explanation.order[i] != 0) {
        text.insert(0, "#" + std::to_string(explanation.order[i]) + " ");
    }
    return "<g><title>" + escaped(title) + "</title><rect class=\"" + css_class(op) + mark +
           "\" x=\"" + std::to_string(from) + "\" y=\"" + std::to_string(y) + "\" width=\"" +
           std::to_string(std::max(bar_width_min, to - from)) + "\" height=\"" +
           std::to_string(row_height - 6) + "\"/><text x=\"" + std::to_string(from + 3) +
           "\" y=\"" + std::to_string(y + 14) + "\">" + escaped(text) + "</text></g>\n";
}

std::string time_line(const Explanation& explanation) {
    const History& ops = explanation.operations;
    const TimeLine line(ops);
    // One client may have several operations at once when it gave some of them up: a row for each
    // that is still open.
    std::map<std::uint64_t, std::vector<std::int64_t>> open_until;
    std::map<std::pair<std::uint64_t, std::size_t>, int> rows;
    std::vector<std::pair<std::uint64_t, std::size_t>> lanes(ops.size());
    for (std::size_t i = 0; i < ops.size(); ++i) {
        std::vector<std::int64_t>& ends = open_until[ops[i].client];
        const auto free = std::find_if(ends.begin(), ends.end(),
                                       [&](std::int64_t end) { return end <= ops[i].invoked_ns; });
        const auto lane = static_cast<std::size_t>(free - ends.begin());
        const std::int64_t end = ops[i].outcome == Outcome::unknown ? never_ns : ops[i].returned_ns;
        if (free == ends.end()) {
            ends.push_back(end);
        } else {
            *free = end;
        }
        lanes[i] = {ops[i].client, lane};
        rows[lanes[i]] = 0;
    }
    int y = 8;
    std::string labels;
    for (auto& [lane, row] : rows) {
        row = y;
        labels += "<text x=\"6\" y=\"" + std::to_string(y + 14) + "\">client " +
                  std::to_string(lane.first) + "</text>\n";
        y += row_height;
    }
    std::string svg = "<div class=\"line\"><svg width=\"" + std::to_string(line.end() + 20) +
                      "\" height=\"" + std::to_string(y + 8) + "\">\n" + labels;
    for (std::size_t i = 0; i < ops.size(); ++i) {
        svg += bar(explanation, i, line, rows[lanes[i]]);
    }
    std::int64_t stuck_ns = never_ns;
    for (const std::size_t i : explanation.stuck) {
        if (ops[i].outcome != Outcome::unknown) {
            stuck_ns = std::min(stuck_ns, ops[i].returned_ns);
        }
    }
    if (stuck_ns != never_ns) {
        const std::string x = std::to_string(line.at(stuck_ns));
        svg += "<line class=\"edge\" x1=\"" + x + "\" y1=\"0\" x2=\"" + x + "\" y2=\"" +
               std::to_string(y) + "\"><title>the search got stuck before this</title></line>\n";
    }
    return svg + "</svg></div>\n";
}

}  // namespace

std::string history_page(const LinearizabilityReport& report) {
    std::string page =
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>History</title>"
        "<style>" +
        std::string(style) + "</style></head><body>\n<h1>" +
        (report.verdict == Verdict::linearizable ? "Linearizable"
         : report.verdict == Verdict::violated   ? "Not linearizable"
                                                 : "Undecided") +
        "</h1>\n<p>" + std::to_string(report.names) + " names, " + std::to_string(report.states) +
        " states visited.</p>\n";
    for (const std::string& name : report.undecided_names) {
        page += "<p>Too many orders to try: " + escaped(quoted(name)) + "</p>\n";
    }
    for (const Problem& problem : report.problems) {
        page += "<h2>" + escaped(problem.text) + "</h2>\n";
        if (problem.explanation.operations.empty()) {
            continue;
        }
        page +=
            "<p>Time goes to the right, one step per event. # is the place in the longest order "
            "found. Red: had to come next and can't. Dashed: in no order.</p>\n" +
            time_line(problem.explanation) + "<pre>" +
            escaped(format_explanation(problem.explanation)) + "</pre>\n";
    }
    return page + "</body></html>\n";
}

}  // namespace cairn::checker
