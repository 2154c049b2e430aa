// `cairn recover` and `cairn restore`: what they need of the operating system around recover.h and
// restore.h: the lock, random numbers, standard output.
//
// For main, on the main thread. Exit status: 0 it was done; 1 what it was to be made from is
// damaged; 2 nothing was done, or not all of it: wrong usage, the directory is in use or not new,
// the disk said no, or (recover) it was not confirmed. The reason is one line on standard error.
#pragma once

#include <cstdint>
#include <string>

#include "server/settings/initial_cluster.h"
#include "server/tools/recover.h"

namespace cairn::server {

struct RestoreOptions {
    std::string file;
    std::string data_dir = "./cairn-data";
    std::uint64_t id = 1;
    InitialCluster founders;  // contains id
};

int run_recover(const RecoverOptions& options);
int run_restore(const RestoreOptions& options);

}  // namespace cairn::server
