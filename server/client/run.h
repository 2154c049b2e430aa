// Doing what `cairn get`, `set`, `watch` and the other commands say.
//
// For main, on the main thread; blocks until it is done. Answers the exit status, which is one of
// enum Exit.
#pragma once

#include "server/client/options.h"

namespace cairn::client {

int run(const Options& options);

}  // namespace cairn::client
