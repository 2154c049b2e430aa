// The program's log: one line per message on stderr, as text or as JSON.
//
// setup_logging() belongs to main, once, before other threads start; afterwards any thread logs
// with spdlog's functions (spdlog::info(...)). A message is one line whatever is in it: control
// characters are escaped, so that a name sent by a client can't forge a line of its own. Lines are
// written at once and never dropped: log what operators need, not what happens per request.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace spdlog {
class logger;
namespace sinks {
class sink;
}
}  // namespace spdlog

namespace cairn::server {

enum class LogLevel : std::uint8_t { trace, debug, info, warn, error };
enum class LogFormat : std::uint8_t { text, json };

std::optional<LogLevel> parse_log_level(std::string_view text);
std::optional<LogFormat> parse_log_format(std::string_view text);

// One line without its end: `2026-01-31T12:00:00.250Z warn  message`, or
// `{"time":"2026-01-31T12:00:00.250Z","level":"warn","message":"message"}`.
std::string format_log_line(LogFormat format, std::string_view level,
                            std::chrono::system_clock::time_point time, std::string_view message);

// A logger that writes such lines into `sink`.
std::shared_ptr<spdlog::logger> make_logger(LogLevel level, LogFormat format,
                                            std::shared_ptr<spdlog::sinks::sink> sink);

// Makes spdlog's default logger one that writes to stderr.
void setup_logging(LogLevel level, LogFormat format);

}  // namespace cairn::server
