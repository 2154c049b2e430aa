#include "server/client/output.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include <unistd.h>

#include "server/base/printable.h"

namespace cairn::client {
namespace {

// More than any node takes: what is beyond is refused here, before all of it is in memory.
constexpr std::size_t value_bytes_max = std::size_t{1} << 30U;

struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, Close>;

std::string system_error(const std::string& what) {
    return server::printable(what) + ": " + std::strerror(errno);
}

server::ParseResult<std::string> read_all(std::FILE* file, const std::string& what) {
    std::string bytes;
    std::array<char, 65536> piece;
    while (true) {
        errno = 0;
        const std::size_t got = std::fread(piece.data(), 1, piece.size(), file);
        bytes.append(piece.data(), got);
        if (std::ferror(file) != 0) {
            return server::parse_error(system_error(what));
        }
        if (got == 0) {
            return bytes;
        }
        if (bytes.size() > value_bytes_max) {
            return server::parse_error(server::printable(what) + ": more than any value may be");
        }
    }
}

}  // namespace

bool is_terminal() {
    return isatty(STDOUT_FILENO) == 1;
}

bool print(std::string_view text) {
    errno = 0;
    std::fwrite(text.data(), 1, text.size(), stdout);
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) {
        return true;
    }
    complain(system_error("can't write to standard output"));
    return false;
}

void complain(const std::string& reason) {
    std::fprintf(stderr, "cairn: %s\n", reason.c_str());
}

std::string write_file(const std::string& path, std::string_view bytes) {
    File file(std::fopen(path.c_str(), "wb"));
    if (!file || std::fwrite(bytes.data(), 1, bytes.size(), file.get()) != bytes.size() ||
        std::fflush(file.get()) != 0) {
        return system_error(path);
    }
    return std::fclose(file.release()) == 0 ? "" : system_error(path);
}

server::ParseResult<std::string> read_value(const Options& options) {
    switch (options.source) {
        case ValueSource::text:
            return options.value;
        case ValueSource::standard_input:
            return read_all(stdin, "standard input");
        case ValueSource::file:
            break;
    }
    const File file(std::fopen(options.value.c_str(), "rb"));
    if (!file) {
        return server::parse_error(system_error(options.value));
    }
    return read_all(file.get(), options.value);
}

}  // namespace cairn::client
