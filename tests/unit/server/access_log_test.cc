#include "server/log/access_log.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>

#include <doctest/doctest.h>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

namespace cairn::server {
namespace {

AccessLine sample_line() {
    AccessLine line;
    line.time = std::chrono::system_clock::time_point(std::chrono::milliseconds(1'700'000'000'250));
    line.remote = "127.0.0.1:4711";
    line.method = "PUT";
    line.target = "/v1/values/a?x=1";
    line.route = "/v1/values/{name}";
    line.status = 201;
    line.bytes = 23;
    line.duration_ns = 1'234'567;
    line.node = 2;
    line.index = 42;
    line.request_id = "id-1";
    line.trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    return line;
}

std::string text_of(const std::string& path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

template <typename Condition>
bool comes_true(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition()) {
        if (std::chrono::steady_clock::now() > deadline) {
            return false;
        }
        std::this_thread::yield();
    }
    return true;
}

struct Directory {
    Directory() {
        char name[] = "/tmp/cairn-access-XXXXXX";
        REQUIRE(::mkdtemp(name) != nullptr);
        path = name;
    }
    ~Directory() { std::filesystem::remove_all(path); }
    std::string path;
};

TEST_CASE("a line of the access log as text and as JSON") {
    std::string text;
    append_access_line(LogFormat::text, sample_line(), text);
    CHECK(text ==
          "2023-11-14T22:13:20.250Z 127.0.0.1:4711 \"PUT\" \"/v1/values/a?x=1\" 201 bytes=23 "
          "ms=1.234 route=/v1/values/{name} node=2 index=42 request_id=id-1 "
          "trace_id=4bf92f3577b34da6a3ce929d0e0e4736\n");
    std::string json;
    append_access_line(LogFormat::json, sample_line(), json);
    CHECK(json.back() == '\n');
    CHECK(nlohmann::json::parse(json) ==
          nlohmann::json{{"time", "2023-11-14T22:13:20.250Z"},
                         {"request_id", "id-1"},
                         {"trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"},
                         {"remote", "127.0.0.1:4711"},
                         {"method", "PUT"},
                         {"route", "/v1/values/{name}"},
                         {"target", "/v1/values/a?x=1"},
                         {"status", 201},
                         {"bytes", 23},
                         {"duration_ms", 1.234},
                         {"node", 2},
                         {"index", 42}});
}

TEST_CASE("nothing that a client sends makes a second line, or ends a field") {
    AccessLine line = sample_line();
    line.method = "GE\nT";
    line.target = "/a\r\n2023 forged\x1b[2J\xff\" x";
    for (const LogFormat format : {LogFormat::text, LogFormat::json}) {
        std::string out;
        append_access_line(format, line, out);
        CHECK(out.find('\n') == out.size() - 1);
        CHECK(out.find('\r') == std::string::npos);
        CHECK(out.find('\x1b') == std::string::npos);
        if (format == LogFormat::json) {
            CHECK(nlohmann::json::accept(out));
        }
    }
}

TEST_CASE("lines reach the file, and after a rotation the new one") {
    const Directory directory;
    const std::string path = directory.path + "/log";
    std::string error;
    const auto log = AccessLog::open(path, LogFormat::text, error);
    REQUIRE(log);
    log->write(sample_line());
    CHECK(comes_true([&] { return log->lines() == 1; }));
    std::filesystem::rename(path, path + ".1");
    log->reopen();
    REQUIRE(comes_true([&] { return std::filesystem::exists(path); }));
    log->write(sample_line());
    log->write(sample_line());
    log->stop();
    CHECK(log->lines() == 3);
    CHECK(log->dropped_lines() == 0);
    const auto count = [](const std::string& text) {
        return std::count(text.begin(), text.end(), '\n');
    };
    CHECK(count(text_of(path + ".1")) == 1);
    CHECK(count(text_of(path)) == 2);
    log->write(sample_line());  // too late
    CHECK(log->dropped_lines() == 1);
}

TEST_CASE("a pipe that nobody reads costs lines, not memory, time or the program") {
    const Directory directory;
    const std::string path = directory.path + "/pipe";
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    const int reader = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    REQUIRE(reader >= 0);
    std::string error;
    const auto log = AccessLog::open(path, LogFormat::text, error);
    REQUIRE(log);
    AccessLine line = sample_line();
    const std::string target(2000, 'x');
    line.target = target;
    std::uint64_t written = 0;
    while (log->dropped_lines() == 0) {
        log->write(line);
        ++written;
        REQUIRE(written * target.size() < 4 * AccessLog::buffered_bytes_max);
    }
    CHECK(written * target.size() > AccessLog::buffered_bytes_max / 2);
    const auto began = std::chrono::steady_clock::now();
    log->stop();  // although the pipe is full
    CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds(10));
    CHECK(log->lines() + log->dropped_lines() == written);
    ::close(reader);
}

TEST_CASE("a pipe whose reader has gone costs lines, not the program") {
    const Directory directory;
    const std::string path = directory.path + "/pipe";
    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    std::string error;
    CHECK(!AccessLog::open(path, LogFormat::text, error));  // nobody reads: no waiting for that
    const int reader = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    REQUIRE(reader >= 0);
    const auto log = AccessLog::open(path, LogFormat::text, error);
    REQUIRE(log);
    log->write(sample_line());
    CHECK(comes_true([&] { return log->lines() == 1; }));
    ::close(reader);
    log->write(sample_line());
    CHECK(comes_true([&] { return log->dropped_lines() == 1; }));
}

TEST_CASE("a file that can't be opened is said") {
    std::string error;
    CHECK(!AccessLog::open("/nonexistent/log", LogFormat::text, error));
    CHECK(error.find("/nonexistent/log") != std::string::npos);
}

}  // namespace
}  // namespace cairn::server
