#include "server/log/logging.h"

#include <chrono>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>
#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include "server/base/printable.h"

using namespace cairn::server;

namespace {

std::chrono::system_clock::time_point at_ms(std::int64_t milliseconds) {
    return std::chrono::system_clock::time_point(std::chrono::milliseconds(milliseconds));
}

std::vector<std::string> lines_of(const std::string& text) {
    std::vector<std::string> lines;
    std::istringstream stream(text);
    for (std::string line; std::getline(stream, line);) {
        lines.push_back(line);
    }
    return lines;
}

// Everything that a message from outside might hold.
std::string nasty() {
    std::string text = "a\"b\\c\n2026-01-01T00:00:00.000Z error forged\r\x1b[31m\x7f\t";
    text += std::string_view("\0", 1);
    text += "\xc2\x85 \xe2\x80\xa8 \xe2\x80\xae \xef\xbb\xbf ";      // NEL, LS, RLO, BOM
    text += "\xff \xc0\xaf \xed\xa0\x80 \xf4\x90\x80\x80 \xe2\x80";  // not UTF-8
    text += "\xc3\xbc \xf0\x9f\x98\x80";                             // cut above, good ones here
    return text;
}

}  // namespace

TEST_CASE("a line of text") {
    CHECK(format_log_line(LogFormat::text, "info", at_ms(1769860800250), "node 1 leads") ==
          "2026-01-31T12:00:00.250Z info  node 1 leads");
    CHECK(format_log_line(LogFormat::text, "error", at_ms(0), "") ==
          "1970-01-01T00:00:00.000Z error ");
    CHECK(format_log_line(LogFormat::text, "critical", at_ms(-1), "x") ==
          "1969-12-31T23:59:59.999Z critical x");
}

TEST_CASE("a line of JSON") {
    CHECK(format_log_line(LogFormat::json, "warn", at_ms(1769860800007), "say \"a\\b\"") ==
          R"({"time":"2026-01-31T12:00:00.007Z","level":"warn","message":"say \"a\\b\""})");
}

TEST_CASE("a message can't forge a line, nor speak to the terminal") {
    for (const LogFormat format : {LogFormat::text, LogFormat::json}) {
        std::string line = format_log_line(format, "info", at_ms(0), nasty());
        for (std::string_view rest = line; !rest.empty();) {
            const DecodedCharacter character = decode_utf8(rest);
            CHECK(character.valid);
            CHECK_FALSE(is_unprintable(character.code_point));
            rest.remove_prefix(character.size_bytes);
        }
    }
    CHECK(printable("a\nb\r\t\x1b[0m\x7f") == "a\\nb\\r\\t\\x1b[0m\\x7f");
    CHECK(printable(std::string_view("\0", 1)) == "\\x00");
    CHECK(printable("\xc2\x85\xe2\x80\xa8\xe2\x80\xae") == "\\u0085\\u2028\\u202e");
    CHECK(printable("\xff\xed\xa0\x80 gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80") ==
          "\\xff\\xed\\xa0\\x80 gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80");
    CHECK(printable("C:\\new") == "C:\\new");
}

TEST_CASE("JSON gives the message back") {
    const std::string message = "a\"b\\c\n\r\t\x1b\x7f \xc2\x85\xe2\x80\xa8 gr\xc3\xbc\xc3\x9f";
    const nlohmann::json line =
        nlohmann::json::parse(format_log_line(LogFormat::json, "info", at_ms(0), message));
    CHECK(line.at("message") == message);
    CHECK(line.size() == 3);

    const nlohmann::json bad =
        nlohmann::json::parse(format_log_line(LogFormat::json, "info", at_ms(0), "x\xff\xc3y"));
    CHECK(bad.at("message") == "x\xef\xbf\xbd\xef\xbf\xbdy");

    CHECK(nlohmann::json::accept(format_log_line(LogFormat::json, "info", at_ms(0), nasty())));
}

TEST_CASE("text in messages is cut between characters") {
    CHECK(in_quotes("abc", 3) == "\"abc\"");
    CHECK(in_quotes("abcd", 3) == "\"abc…\"");
    CHECK(in_quotes("a\xc3\xbc", 2) == "\"a…\"");
    CHECK(in_quotes("\x80\x80\x80\x80", 2) == "\"…\"");
}

TEST_CASE("a logger writes lines from its level on, at once") {
    std::ostringstream out;
    const auto logger = make_logger(LogLevel::warn, LogFormat::json,
                                    std::make_shared<spdlog::sinks::ostream_sink_mt>(out));
    logger->info("not heard");
    logger->warn("{} of {}", 1, 2);
    logger->error("line\nbreak");
    const std::vector<std::string> lines = lines_of(out.str());
    REQUIRE(lines.size() == 2);
    const nlohmann::json first = nlohmann::json::parse(lines[0]);
    CHECK(first.at("level") == "warn");
    CHECK(first.at("message") == "1 of 2");
    const nlohmann::json second = nlohmann::json::parse(lines[1]);
    CHECK(second.at("level") == "error");
    CHECK(second.at("message") == "line\nbreak");
}

TEST_CASE("text loggers too") {
    std::ostringstream out;
    const auto logger = make_logger(LogLevel::trace, LogFormat::text,
                                    std::make_shared<spdlog::sinks::ostream_sink_mt>(out));
    logger->trace("one\ntwo");
    logger->debug("");
    const std::vector<std::string> lines = lines_of(out.str());
    REQUIRE(lines.size() == 2);
    CHECK(lines[0].substr(24) == " trace one\\ntwo");
    CHECK(lines[1].substr(24) == " debug ");
}

TEST_CASE("threads don't mix their lines") {
    constexpr int threads_count = 4;
    constexpr int lines_each = 200;
    std::ostringstream out;
    const auto logger = make_logger(LogLevel::info, LogFormat::json,
                                    std::make_shared<spdlog::sinks::ostream_sink_mt>(out));
    std::vector<std::thread> threads;
    for (int t = 0; t < threads_count; ++t) {
        threads.emplace_back([&logger, t] {
            for (int i = 0; i < lines_each; ++i) {
                logger->info("thread {} line {}", t, i);
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    const std::vector<std::string> lines = lines_of(out.str());
    CHECK(lines.size() == threads_count * lines_each);
    for (const std::string& line : lines) {
        CHECK(nlohmann::json::accept(line));
    }
}

TEST_CASE("the default logger is ours") {
    const auto before = spdlog::default_logger();
    setup_logging(LogLevel::error, LogFormat::text);
    CHECK_FALSE(spdlog::should_log(spdlog::level::warn));
    CHECK(spdlog::should_log(spdlog::level::err));
    setup_logging(LogLevel::debug, LogFormat::json);  // a second time is no harm
    CHECK(spdlog::should_log(spdlog::level::debug));
    CHECK_FALSE(spdlog::should_log(spdlog::level::trace));
    spdlog::set_default_logger(before);
}

TEST_CASE("levels and formats by name") {
    CHECK(parse_log_level("trace") == LogLevel::trace);
    CHECK(parse_log_level("debug") == LogLevel::debug);
    CHECK(parse_log_level("info") == LogLevel::info);
    CHECK(parse_log_level("warn") == LogLevel::warn);
    CHECK(parse_log_level("error") == LogLevel::error);
    for (const char* text : {"", "INFO", "warning", "err", "critical", "off", "info "}) {
        CHECK_FALSE(parse_log_level(text));
    }
    CHECK(parse_log_format("text") == LogFormat::text);
    CHECK(parse_log_format("json") == LogFormat::json);
    CHECK_FALSE(parse_log_format("JSON"));
}
