#include "server/log/logging.h"

#include <cstdio>
#include <ctime>
#include <utility>

#include <spdlog/formatter.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include "server/base/printable.h"

namespace cairn::server {
namespace {

spdlog::level::level_enum spdlog_level(LogLevel level) {
    switch (level) {
        case LogLevel::trace:
            return spdlog::level::trace;
        case LogLevel::debug:
            return spdlog::level::debug;
        case LogLevel::info:
            return spdlog::level::info;
        case LogLevel::warn:
            return spdlog::level::warn;
        case LogLevel::error:
            break;
    }
    return spdlog::level::err;
}

// As in --log-level, where spdlog says "warning".
std::string_view level_name(spdlog::level::level_enum level) {
    switch (level) {
        case spdlog::level::trace:
            return "trace";
        case spdlog::level::debug:
            return "debug";
        case spdlog::level::info:
            return "info";
        case spdlog::level::warn:
            return "warn";
        case spdlog::level::err:
            return "error";
        default:
            return "critical";
    }
}

void append_time(std::chrono::system_clock::time_point time, std::string& out) {
    const auto whole_seconds = std::chrono::floor<std::chrono::seconds>(time);
    const auto milliseconds =
        std::chrono::duration_cast<std::chrono::milliseconds>(time - whole_seconds).count();
    const std::time_t seconds = std::chrono::system_clock::to_time_t(whole_seconds);
    std::tm utc{};
    gmtime_r(&seconds, &utc);
    char buffer[64];
    const std::size_t size = std::strftime(buffer, sizeof buffer, "%Y-%m-%dT%H:%M:%S", &utc);
    out.append(buffer, size);
    const int fraction =
        std::snprintf(buffer, sizeof buffer, ".%03dZ", static_cast<int>(milliseconds));
    out.append(buffer, static_cast<std::size_t>(fraction));
}

class LineFormatter final : public spdlog::formatter {
 public:
    explicit LineFormatter(LogFormat format) : format_(format) {}

    void format(const spdlog::details::log_msg& message, spdlog::memory_buf_t& out) override {
        std::string line =
            format_log_line(format_, level_name(message.level), message.time,
                            std::string_view(message.payload.data(), message.payload.size()));
        line.push_back('\n');
        out.append(line.data(), line.data() + line.size());
    }

    std::unique_ptr<spdlog::formatter> clone() const override {
        return std::make_unique<LineFormatter>(format_);
    }

 private:
    LogFormat format_;
};

}  // namespace

std::optional<LogLevel> parse_log_level(std::string_view text) {
    for (const LogLevel level :
         {LogLevel::trace, LogLevel::debug, LogLevel::info, LogLevel::warn, LogLevel::error}) {
        if (level_name(spdlog_level(level)) == text) {
            return level;
        }
    }
    return std::nullopt;
}

std::optional<LogFormat> parse_log_format(std::string_view text) {
    if (text == "text") {
        return LogFormat::text;
    }
    if (text == "json") {
        return LogFormat::json;
    }
    return std::nullopt;
}

std::string format_log_line(LogFormat format, std::string_view level,
                            std::chrono::system_clock::time_point time, std::string_view message) {
    std::string line;
    line.reserve(message.size() + 80);
    if (format == LogFormat::json) {
        line += "{\"time\":\"";
        append_time(time, line);
        line += "\",\"level\":";
        append_printable_json(level, line);
        line += ",\"message\":";
        append_printable_json(message, line);
        line += '}';
        return line;
    }
    append_time(time, line);
    line += ' ';
    line += level;
    line.append(level.size() < 6 ? 6 - level.size() : 1, ' ');
    line += printable(message);
    return line;
}

std::shared_ptr<spdlog::logger> make_logger(LogLevel level, LogFormat format,
                                            std::shared_ptr<spdlog::sinks::sink> sink) {
    auto logger = std::make_shared<spdlog::logger>("cairn", std::move(sink));
    logger->set_formatter(std::make_unique<LineFormatter>(format));
    logger->set_level(spdlog_level(level));
    // There is little to flush, and the last lines before a crash are the ones that matter.
    logger->flush_on(spdlog::level::trace);
    return logger;
}

void setup_logging(LogLevel level, LogFormat format) {
    spdlog::set_default_logger(
        make_logger(level, format, std::make_shared<spdlog::sinks::stderr_sink_mt>()));
}

}  // namespace cairn::server
