#include "server/metrics/process_figures.h"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include <sys/resource.h>
#include <unistd.h>

namespace cairn::server {
namespace {

std::string contents_of(const char* path) {
    std::ifstream file(path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

// The fields of /proc/self/stat behind the name, which may hold anything; the first is the state,
// field 3 in proc(5).
std::vector<std::string> stat_fields() {
    const std::string text = contents_of("/proc/self/stat");
    const std::size_t name_end = text.rfind(')');
    std::vector<std::string> fields;
    if (name_end != std::string::npos) {
        std::istringstream rest(text.substr(name_end + 1));
        for (std::string field; rest >> field;) {
            fields.push_back(field);
        }
    }
    return fields;
}

double boot_time_s() {
    std::istringstream stat(contents_of("/proc/stat"));
    for (std::string line; std::getline(stat, line);) {
        if (line.starts_with("btime ")) {
            return std::strtod(line.c_str() + 6, nullptr);
        }
    }
    return 0;
}

std::uint64_t count_open_files() {
    std::uint64_t count = 0;
    std::error_code error;
    for (std::filesystem::directory_iterator it("/proc/self/fd", error), end; !error && it != end;
         it.increment(error)) {
        ++count;
    }
    return count == 0 ? 0 : count - 1;  // without the one that this took
}

}  // namespace

ProcessFigures process_figures() {
    constexpr std::size_t user_time = 14 - 3;
    constexpr std::size_t system_time = 15 - 3;
    constexpr std::size_t thread_count = 20 - 3;
    constexpr std::size_t start_time = 22 - 3;
    constexpr std::size_t virtual_size = 23 - 3;
    constexpr std::size_t resident_pages = 24 - 3;
    ProcessFigures figures;
    const std::vector<std::string> fields = stat_fields();
    if (fields.size() > resident_pages) {
        const auto number = [&](std::size_t field) {
            return std::strtoull(fields[field].c_str(), nullptr, 10);
        };
        const auto ticks_per_s = static_cast<double>(::sysconf(_SC_CLK_TCK));
        const auto ticks = static_cast<double>(number(user_time) + number(system_time));
        figures.cpu_seconds = ticks / ticks_per_s;
        figures.threads = number(thread_count);
        figures.virtual_bytes = number(virtual_size);
        figures.resident_bytes =
            number(resident_pages) * static_cast<std::uint64_t>(::sysconf(_SC_PAGE_SIZE));
        if (const double boot_s = boot_time_s(); boot_s > 0) {
            figures.start_time_s = boot_s + static_cast<double>(number(start_time)) / ticks_per_s;
        }
    }
    if (const std::uint64_t open = count_open_files(); open > 0) {
        figures.open_files = open;
    }
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        figures.open_files_max = limit.rlim_cur;
    }
    return figures;
}

}  // namespace cairn::server
