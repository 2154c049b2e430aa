#include "server/log/access_log.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/base/printable.h"
#include "server/base/rfc3339.h"
#include "server/http/http_types.h"

namespace cairn::server {
namespace {

// Lines gather so long before they are written: one wake-up and one write for many.
constexpr auto gather_time = std::chrono::milliseconds(20);
constexpr auto stop_time = std::chrono::seconds(1);
constexpr int poll_ms = 100;
// What a pipe takes without waiting once it says that it is writable.
constexpr std::size_t pipe_write_bytes = 4096;
constexpr std::size_t file_write_bytes = std::size_t{256} << 10;
constexpr auto failure_interval = std::chrono::minutes(1);

int open_file(const std::string& path) {
    if (path == "-") {
        return STDOUT_FILENO;
    }
    // Not to wait for a pipe's reader; a file takes no notice.
    return ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0640);
}

void append_milliseconds(std::int64_t ns, std::string& out) {
    const auto us = static_cast<std::uint64_t>(std::max<std::int64_t>(ns, 0) / 1000);
    append_number(us / 1000, out);
    out += '.';
    out += static_cast<char>('0' + us / 100 % 10);
    out += static_cast<char>('0' + us / 10 % 10);
    out += static_cast<char>('0' + us % 10);
}

std::int64_t utc_ns(std::chrono::system_clock::time_point time) {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count();
}

void append_json_line(const AccessLine& line, std::string& out) {
    const auto text = [&out](std::string_view key, std::string_view value) {
        out += ",\"";
        out += key;
        out += "\":";
        append_printable_json(value, out);
    };
    const auto number = [&out](std::string_view key, std::uint64_t value) {
        out += ",\"";
        out += key;
        out += "\":";
        append_number(value, out);
    };
    out += "{\"time\":\"";
    append_rfc3339(utc_ns(line.time), out);
    out += '"';
    text("request_id", line.request_id);
    if (!line.trace_id.empty()) {
        text("trace_id", line.trace_id);
    }
    text("remote", line.remote);
    text("method", line.method);
    text("route", line.route);
    text("target", line.target);
    number("status", static_cast<std::uint64_t>(line.status));
    number("bytes", line.bytes);
    out += ",\"duration_ms\":";
    append_milliseconds(line.duration_ns, out);
    number("node", line.node);
    number("index", line.index);
    out += "}\n";
}

void append_text_line(const AccessLine& line, std::string& out) {
    append_rfc3339(utc_ns(line.time), out);
    out += ' ';
    out += line.remote;
    out += ' ';
    out += in_quotes(line.method, 32);
    out += ' ';
    out += in_quotes(line.target, 8192);
    out += ' ';
    append_number(static_cast<std::uint64_t>(line.status), out);
    out += " bytes=";
    append_number(line.bytes, out);
    out += " ms=";
    append_milliseconds(line.duration_ns, out);
    out += " route=";
    out += line.route;
    out += " node=";
    append_number(line.node, out);
    out += " index=";
    append_number(line.index, out);
    out += " request_id=";
    out += line.request_id;
    if (!line.trace_id.empty()) {
        out += " trace_id=";
        out += line.trace_id;
    }
    out += '\n';
}

}  // namespace

void append_access_line(LogFormat format, const AccessLine& line, std::string& out) {
    if (format == LogFormat::json) {
        append_json_line(line, out);
    } else {
        append_text_line(line, out);
    }
}

std::unique_ptr<AccessLog> AccessLog::open(const std::string& path, LogFormat format,
                                           std::string& error) {
    const int file = open_file(path);
    if (file < 0) {
        error = "can't open the access log " + in_quotes(path) + ": " + std::strerror(errno);
        return nullptr;
    }
    return std::unique_ptr<AccessLog>(new AccessLog(path, format, file));
}

AccessLog::AccessLog(std::string path, LogFormat format, int file)
    : path_(std::move(path)), format_(format), file_(file) {
    struct stat facts{};
    is_file_ = ::fstat(file_, &facts) == 0 && S_ISREG(facts.st_mode);
    thread_ = std::thread([this] { run(); });
}

AccessLog::~AccessLog() {
    stop();
    if (file_ >= 0 && file_ != STDOUT_FILENO) {
        ::close(file_);
    }
}

void AccessLog::write(const AccessLine& line) {
    thread_local std::string text;
    text.clear();
    append_access_line(format_, line, text);
    bool wake = false;
    {
        const std::lock_guard lock(mutex_);
        if (stopping_ || waiting_.size() + text.size() > buffered_bytes_max) {
            ++dropped_;
            return;
        }
        wake = waiting_.empty();
        waiting_ += text;
        ++waiting_lines_;
    }
    if (wake) {
        wake_.notify_one();
    }
}

void AccessLog::reopen() {
    {
        const std::lock_guard lock(mutex_);
        reopen_ = true;
    }
    wake_.notify_one();
}

void AccessLog::stop() {
    {
        const std::lock_guard lock(mutex_);
        if (!stopping_) {
            stop_at_ = std::chrono::steady_clock::now() + stop_time;
        }
        stopping_ = true;
    }
    wake_.notify_one();
    if (thread_.joinable()) {
        thread_.join();
    }
}

std::uint64_t AccessLog::lines() const {
    const std::lock_guard lock(mutex_);
    return lines_;
}

std::uint64_t AccessLog::dropped_lines() const {
    const std::lock_guard lock(mutex_);
    return dropped_;
}

bool AccessLog::gives_up() const {
    const std::lock_guard lock(mutex_);
    return std::chrono::steady_clock::now() >= stop_at_;
}

// False when it is time to end.
bool AccessLog::wait_for_lines(std::string& lines, std::uint64_t& count, bool& reopen) {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return stopping_ || reopen_ || !waiting_.empty(); });
    if (!stopping_ && !reopen_) {
        wake_.wait_for(lock, gather_time, [this] { return stopping_ || reopen_; });
    }
    reopen = std::exchange(reopen_, false);
    lines.clear();
    std::swap(lines, waiting_);
    count = std::exchange(waiting_lines_, 0);
    return !stopping_ || !lines.empty();
}

void AccessLog::run() {
    pthread_setname_np(pthread_self(), "cairn-access");
    // A pipe that nobody reads any more is an error of write(), not the end of the program.
    sigset_t broken_pipe;
    sigemptyset(&broken_pipe);
    sigaddset(&broken_pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
    std::string lines;
    std::uint64_t count = 0;
    bool reopen = false;
    while (wait_for_lines(lines, count, reopen)) {
        // What was gathered before the rotation belongs to the old file.
        write_out(lines, count);
        if (reopen) {
            open_again();
        }
    }
}

void AccessLog::write_out(std::string_view lines, std::uint64_t count) {
    std::string_view rest = lines;
    while (!rest.empty() && !gives_up()) {
        if (!write_some(rest)) {
            break;
        }
    }
    const auto lost = static_cast<std::uint64_t>(std::ranges::count(rest, '\n'));
    const std::lock_guard lock(mutex_);
    lines_ += count - lost;
    dropped_ += lost;
}

// False when what is left can't be written.
bool AccessLog::write_some(std::string_view& rest) {
    if (file_ < 0) {
        return false;
    }
    if (!is_file_) {
        pollfd wanted{.fd = file_, .events = POLLOUT, .revents = 0};
        if (::poll(&wanted, 1, poll_ms) <= 0) {
            return true;  // not yet
        }
    }
    const std::size_t bytes = std::min(rest.size(), is_file_ ? file_write_bytes : pipe_write_bytes);
    const ssize_t written = ::write(file_, rest.data(), bytes);
    if (written >= 0) {
        rest.remove_prefix(static_cast<std::size_t>(written));
        return true;
    }
    if (errno == EINTR || errno == EAGAIN) {
        return true;
    }
    note_failure(std::strerror(errno));
    return false;
}

void AccessLog::open_again() {
    if (file_ == STDOUT_FILENO) {
        return;
    }
    const int opened = open_file(path_);
    if (opened < 0) {
        note_failure(std::strerror(errno));
        return;  // the old one is better than none
    }
    ::close(file_);
    file_ = opened;
}

void AccessLog::note_failure(const std::string& what) {
    const auto now = std::chrono::steady_clock::now();
    if (failure_told_ == std::chrono::steady_clock::time_point{} ||
        now - failure_told_ >= failure_interval) {
        failure_told_ = now;
        spdlog::warn("access log {}: {}; lines are lost", path_, what);
    }
}

}  // namespace cairn::server
