#include "server/base/duration.h"

#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "server/base/rfc3339.h"

namespace {

using namespace cairn::server;

constexpr std::int64_t s = 1'000'000'000;

TEST_CASE("duration: what is one") {
    const std::vector<std::pair<const char*, std::int64_t>> rows = {
        {"30s", 30 * s},
        {"1.5s", s + s / 2},
        {"500ms", s / 2},
        {"5m", 300 * s},
        {"1h", 3600 * s},
        {"100us", 100'000},
        {"1ns", 1},
        {"1h30m", 5400 * s},
        {"1h0m0s", 3600 * s},
        {"1m1ms", 60 * s + 1'000'000},
        {"1.50h", 5400 * s},
        {"0.5m", 30 * s},
        {"0.000000001s", 1},
        {"1.000000000000s", s},
        {"007s", 7 * s},
        {"876600h", duration_max_ns},
        {"3155760000s", duration_max_ns},
    };
    for (const auto& [text, ns] : rows) {
        CAPTURE(text);
        CHECK(parse_duration(text) == ns);
    }
}

TEST_CASE("duration: what is none") {
    for (const char* text : {"",
                             "0",
                             "0s",
                             "0h0m",
                             "-1s",
                             "+1s",
                             "1",
                             "s",
                             ".5s",
                             "1.s",
                             "1,5s",
                             "1 s",
                             " 1s",
                             "1s ",
                             "1S",
                             "1d",
                             "1w",
                             "1hour",
                             "1e3s",
                             "0x1s",
                             "1s1s",
                             "1m1h",
                             "1s1m",
                             "1..5s",
                             "1.5.5s",
                             "0.5ns",
                             "0.0000000001s",
                             "1.0000000001s",
                             "876601h",
                             "876600h1ns",
                             "3155760001s",
                             "99999999999999999999999s",
                             "9223372036854775807ns",
                             "18446744073709551617ns",
                             "inf",
                             "infs",
                             "nans",
                             "1m30",
                             "5\xc2\xb5s"}) {
        CAPTURE(text);
        CHECK_FALSE(parse_duration(text).has_value());
    }
    CHECK_FALSE(parse_duration(std::string_view("1s\0", 3)).has_value());
}

TEST_CASE("duration: format is read back") {
    const std::vector<std::pair<std::int64_t, const char*>> rows = {
        {30 * s, "30s"},       {s + s / 2, "1.5s"}, {5400 * s, "1h30m"},          {3600 * s, "1h"},
        {3601 * s, "1h1s"},    {s / 2, "500ms"},    {1'500'000, "1.5ms"},         {1, "1ns"},
        {60 * s + 1, "1m1ns"}, {1001, "1.001us"},   {duration_max_ns, "876600h"},
    };
    for (const auto& [ns, text] : rows) {
        CHECK(format_duration(ns) == text);
        CHECK(parse_duration(text) == ns);
    }
    std::uint64_t state = 1;
    for (int i = 0; i < 1000; ++i) {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        const auto ns = static_cast<std::int64_t>(state >> (i % 60 + 4)) % duration_max_ns + 1;
        CAPTURE(ns);
        CHECK(parse_duration(format_duration(ns)) == ns);
    }
}

TEST_CASE("rfc3339") {
    const auto format = [](std::int64_t ns) {
        std::string out;
        append_rfc3339(ns, out);
        return out;
    };
    CHECK(format(0) == "1970-01-01T00:00:00.000Z");
    CHECK(format(-5 * s) == "1970-01-01T00:00:00.000Z");
    CHECK(format(1'767'323'045'678'999'999) == "2026-01-02T03:04:05.678Z");
    CHECK(format(951'782'400 * s) == "2000-02-29T00:00:00.000Z");
    CHECK(format(1'709'251'199 * s + 999'999'999) == "2024-02-29T23:59:59.999Z");
    CHECK(format(INT64_MAX) == "2262-04-11T23:47:16.854Z");
}

}  // namespace
