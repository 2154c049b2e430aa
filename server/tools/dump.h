// Shows what is in the log or the newest snapshot of a data directory that no node uses.
//
// On one thread, any. Reads and changes nothing; shows the log as it lies on the disk, entries that
// were replaced later among it, one segment in memory at a time, and what of a damaged log can be
// read. A snapshot's state is loaded whole. Whether it all is sound and fits together is
// verify.h's.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <string>

#include "raft/core/types.h"
#include "raft/disk/file_system.h"

namespace cairn::server {

struct DumpOptions {
    std::string data_dir = "./cairn-data";
    // With either of them only entries are shown, those from..to.
    raft::Index from = 0;
    raft::Index to = std::numeric_limits<raft::Index>::max();
    std::uint64_t limit = std::numeric_limits<std::uint64_t>::max();  // records or values
    bool snapshot = false;                                            // instead of the log
    bool values = false;                                              // also their first bytes
    bool json = false;                                                // an object a line
};

enum class DumpOutcome {
    whole,    // as far as it was asked for
    damaged,  // something couldn't be read; what was is among the lines
    refused,  // no data directory
};

// Gives `line`, with its end, for each thing shown. When refused says why in `refusal`.
DumpOutcome dump_data_directory(raft::FileSystem& files, const DumpOptions& options,
                                const std::function<void(const std::string&)>& line,
                                std::string& refusal);

}  // namespace cairn::server
