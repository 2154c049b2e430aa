#include "server/tools/tools.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>

#include "raft/disk/shared_lock.h"
#include "server/base/printable.h"
#include "server/tools/verify.h"
#include "server/tools/verify_report.h"

namespace cairn::server {
namespace {

int refuse(const std::string& reason) {
    std::fprintf(stderr, "cairn: %s\n", printable(reason).c_str());
    return 2;
}

// Whether all that was printed has got out.
int finish(int status) {
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
        return refuse(std::string("can't write to standard output: ") + std::strerror(errno));
    }
    return status;
}

}  // namespace

int run_verify(const VerifyOptions& options) {
    std::string refusal;
    const std::unique_ptr<raft::SharedLock> lock =
        raft::SharedLock::acquire(options.data_dir, refusal);
    if (!lock) {
        return refuse(refusal);
    }
    const std::optional<VerifyReport> report =
        verify_data_directory(raft::posix_file_system(), options.data_dir, refusal);
    if (!report) {
        return refuse(refusal);
    }
    const std::string text = options.json ? verify_json(*report) : verify_text(*report);
    std::fwrite(text.data(), 1, text.size(), stdout);
    return finish(report->is_sound() ? 0 : 1);
}

int run_dump(const DumpOptions& options) {
    std::string refusal;
    const std::unique_ptr<raft::SharedLock> lock =
        raft::SharedLock::acquire(options.data_dir, refusal);
    if (!lock) {
        return refuse(refusal);
    }
    const auto print = [](const std::string& line) {
        std::fwrite(line.data(), 1, line.size(), stdout);
    };
    switch (dump_data_directory(raft::posix_file_system(), options, print, refusal)) {
        case DumpOutcome::whole:
            return finish(0);
        case DumpOutcome::damaged:
            return finish(1);
        case DumpOutcome::refused:
            break;
    }
    return refuse(refusal);
}

}  // namespace cairn::server
