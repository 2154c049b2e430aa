// What happened, as a running hash (two runs of a seed must agree) and the last events in words.
// Also how a violation is reported.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/event_queue.h"
#include "tests/sim/random.h"

namespace cairn::sim {

// Something that must never be.
class Violation : public std::runtime_error {
 public:
    using std::runtime_error::runtime_error;
};

template <class... Parts>
void require(bool holds, const Parts&... parts) {
    if (!holds) [[unlikely]] {
        std::ostringstream text;
        (text << ... << parts);
        throw Violation(text.str());
    }
}

class Trace {
 public:
    explicit Trace(const EventQueue& queue) : queue_(queue) {}

    // `kind` must be a string literal.
    void note(std::uint64_t node, const char* kind, std::uint64_t a = 0, std::uint64_t b = 0) {
        const std::int64_t now_ns = queue_.now_ns();
        for (const std::uint64_t word :
             {static_cast<std::uint64_t>(now_ns), node, hash_of(kind), a, b}) {
            hash_ = mix(hash_ ^ word) + 0x9e3779b97f4a7c15U;
        }
        last_[noted_++ % last_.size()] = {now_ns, node, kind, a, b};
    }
    // Takes the bytes into the hash; no event of its own.
    void note_bytes(std::string_view bytes) {
        std::uint64_t word = 0;
        std::uint64_t hash = bytes.size();
        for (; bytes.size() >= sizeof word; bytes.remove_prefix(sizeof word)) {
            std::memcpy(&word, bytes.data(), sizeof word);
            hash = mix(hash ^ word) + 0x9e3779b97f4a7c15U;
        }
        hash_ = mix(hash_ ^ hash ^ hash_of(bytes)) + 0x9e3779b97f4a7c15U;
    }
    // Something worth having seen in a set of runs.
    void sometimes(const char* what, std::uint64_t times = 1) { counters_[what] += times; }

    std::uint64_t hash() const { return hash_; }
    const std::map<std::string, std::uint64_t>& counters() const { return counters_; }

    // The newest events, oldest first.
    std::vector<std::string> last(std::size_t count) const {
        std::vector<std::string> lines;
        const std::uint64_t kept = std::min<std::uint64_t>({noted_, last_.size(), count});
        for (std::uint64_t i = noted_ - kept; i < noted_; ++i) {
            const Line& line = last_[i % last_.size()];
            std::ostringstream text;
            text << line.at_ns / 1000 << "us node " << line.node << " " << line.kind << " "
                 << line.a << " " << line.b;
            lines.push_back(text.str());
        }
        return lines;
    }

 private:
    struct Line {
        std::int64_t at_ns = 0;
        std::uint64_t node = 0;
        const char* kind = "";
        std::uint64_t a = 0;
        std::uint64_t b = 0;
    };

    const EventQueue& queue_;
    std::uint64_t hash_ = 0;
    std::uint64_t noted_ = 0;
    std::array<Line, 1U << 16> last_{};
    std::map<std::string, std::uint64_t> counters_;
};

}  // namespace cairn::sim
