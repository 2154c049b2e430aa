// A line for every request, written elsewhere: on a disk or into a pipe that may be slow, so never
// by who answers requests.
//
// write() and reopen() are called from any thread and never wait for the disk: lines gather in
// memory, up to a bound, and a thread of this writes them. What doesn't fit, or can't be written,
// is dropped and counted; the log says so now and then. stop() writes what it can within a second.
// A line holds names of values and addresses of clients: who may read the file may know them.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

#include "server/log/logging.h"

namespace cairn::server {

struct AccessLine {
    std::chrono::system_clock::time_point time;
    std::string_view remote;  // address and port
    std::string_view method;
    std::string_view target;  // as sent
    std::string_view route;
    int status = 0;
    std::uint64_t bytes = 0;  // of the answer's body
    std::int64_t duration_ns = 0;
    std::uint64_t node = 0;
    std::uint64_t index = 0;
    std::string_view request_id;
    std::string_view trace_id;  // empty: none
};

// With its line end. What the client sent is escaped as in the log (printable.h).
void append_access_line(LogFormat format, const AccessLine& line, std::string& out);

class AccessLog {
 public:
    static constexpr std::size_t buffered_bytes_max = std::size_t{4} << 20;

    // Opens `path` for appending, or standard output for "-". Null, and why, when it can't.
    static std::unique_ptr<AccessLog> open(const std::string& path, LogFormat format,
                                           std::string& error);
    ~AccessLog();
    AccessLog(const AccessLog&) = delete;
    AccessLog& operator=(const AccessLog&) = delete;

    void write(const AccessLine& line);
    // After a rotation: goes on in a file of the old name.
    void reopen();
    void stop();

    std::uint64_t lines() const;
    std::uint64_t dropped_lines() const;

 private:
    AccessLog(std::string path, LogFormat format, int file);

    void run();
    bool wait_for_lines(std::string& lines, std::uint64_t& count, bool& reopen);
    void write_out(std::string_view lines, std::uint64_t count);
    bool write_some(std::string_view& rest);
    bool gives_up() const;
    void open_again();
    void note_failure(const std::string& what);

    const std::string path_;
    const LogFormat format_;
    int file_;             // the thread's
    bool is_file_ = true;  // not a pipe or terminal

    mutable std::mutex mutex_;
    std::condition_variable wake_;
    std::string waiting_;  // guarded by mutex_
    std::uint64_t waiting_lines_ = 0;
    std::uint64_t lines_ = 0;
    std::uint64_t dropped_ = 0;
    bool reopen_ = false;
    bool stopping_ = false;
    std::chrono::steady_clock::time_point stop_at_ = std::chrono::steady_clock::time_point::max();

    std::chrono::steady_clock::time_point failure_told_{};  // the thread's
    std::thread thread_;
};

}  // namespace cairn::server
