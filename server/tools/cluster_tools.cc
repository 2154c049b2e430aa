#include "server/tools/cluster_tools.h"

#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include <spdlog/fmt/fmt.h>

#include "raft/disk/data_directory.h"
#include "server/base/printable.h"
#include "server/base/random_number.h"
#include "server/node/new_cluster.h"
#include "server/tools/restore.h"
#include "server/tools/verify.h"

namespace cairn::server {
namespace {

int refuse(const std::string& reason, int status = 2) {
    std::fprintf(stderr, "cairn: %s\n", printable(reason).c_str());
    return status;
}

// What was done is done, whether or not anybody reads about it.
void print(const std::string& text) {
    std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
}

}  // namespace

int run_recover(const RecoverOptions& options) {
    raft::FileSystem& files = raft::posix_file_system();
    // Before anything is made there.
    if (const std::string refusal = refuse_directory(files, options.data_dir); !refusal.empty()) {
        return refuse(refusal);
    }
    std::string error;
    const std::unique_ptr<raft::DataDirectory> lock =
        raft::DataDirectory::open(files, options.data_dir, error);
    if (!lock) {
        return refuse(error);
    }
    const RecoverResult result = recover_data_directory(
        files, options, {random_number(), random_number(), random_number(), random_number()});
    print(result.text);
    if (!result.reason.empty()) {
        return refuse(result.reason, result.outcome == RecoverOutcome::damaged ? 1 : 2);
    }
    const std::string id =
        lock->identity() ? std::to_string(lock->identity()->node_id) : std::string("N");
    switch (result.outcome) {
        case RecoverOutcome::planned:
            return refuse("nothing was changed; with --yes it is done");
        case RecoverOutcome::done:
        case RecoverOutcome::finished:
            print("Done. Start it without --initial-cluster:\n    cairn serve --id " + id +
                  " --data-dir " + printable(options.data_dir) +
                  " ...\nand add new nodes, with new ids, by --join.\n");
            return 0;
        case RecoverOutcome::damaged:
        case RecoverOutcome::refused:
            break;
    }
    return 2;
}

int run_restore(const RestoreOptions& options) {
    raft::FileSystem& files = raft::posix_file_system();
    std::string error;
    const raft::IoResult<bool> exists = files.exists(options.file);
    if (!exists || !*exists) {
        return refuse(in_quotes(options.file, 1000) + ": " +
                      (exists ? "no such file" : exists.error().message()));
    }
    std::optional<Backup> backup = read_backup(files, options.file, error);
    if (!backup) {
        return refuse(error, 1);
    }
    const std::unique_ptr<raft::DataDirectory> directory =
        raft::DataDirectory::open(files, options.data_dir, error);
    if (!directory) {
        return refuse(error);
    }
    if (directory->identity()) {
        return refuse(in_quotes(options.data_dir, 1000) +
                      ": there is data of a node in it; restore into a new directory");
    }
    const raft::SnapshotMeta meta = backup->meta;
    const std::string text = fmt::format(
        "{}: sound, {} bytes, {} value{}, index {} of term {} of cluster {:016x}, digest "
        "{:016x}\n"
        "restored as node {} of cluster {:016x} ({}); its indexes go on from {}.\n",
        printable(options.file), backup->file_bytes, backup->state.size(),
        backup->state.size() == 1 ? "" : "s", meta.last_included_index, meta.last_included_term,
        meta.cluster_id, backup->state.digest(), options.id,
        restored_cluster_id(options.founders, meta, backup->content),
        initial_cluster_text(options.founders),
        after_leap({meta.last_included_index, meta.last_included_term, 0}).index + 1);
    error = restore_backup(files, options.data_dir, *std::move(backup), options.id,
                           options.founders, {random_number(), random_number(), random_number()});
    if (!error.empty()) {
        return refuse(error + "; the directory is not complete, remove it before another attempt");
    }
    print(text);
    return 0;
}

}  // namespace cairn::server
