// What an answer, or none, means for a command: whether to ask again, and the exit status.
//
// Pure functions, any thread. The rule: a write is never sent again where it could be done twice,
// and "nothing was changed" is only said when no attempt can have changed anything.
#pragma once

#include <string>

#include "server/client/http_client.h"
#include "server/client/options.h"
#include "server/client/request.h"

namespace cairn::client {

struct Verdict {
    bool again = false;    // another node, or this one later, may answer otherwise
    bool unknown = false;  // by this or an earlier attempt it may have been done
    int exit_status = exit_done;
    std::string reason;  // one printable line for people, when it isn't done
};

// `unknown_before` of the attempts before this one.
Verdict judge(const server::HttpReply& reply, Repeat repeat, bool unknown_before);

}  // namespace cairn::client
