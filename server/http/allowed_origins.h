// Whose pages may use this node from a browser: the configured origins, and the pages that the
// members themselves serve, so that the dashboard of one node can speak with the others.
//
// MemberAddresses is written by the raft thread and read by the gateways' threads, behind a lock
// that only requests with an Origin take. AllowedOrigins is a value that any thread may read. A
// node's own page isn't asked for here: that is a matter of the request's Host (host_check.h).
#pragma once

#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::server {

class MemberAddresses {
 public:
    // The members' HTTP addresses as they tell them, HOST:PORT; empty ones are passed over.
    void set(std::vector<std::string> addresses);
    // HOST:PORT, as an origin has it. All names of the loopback interface are one host: who opens
    // http://localhost:8080 has the page of the node that listens on 127.0.0.1:8080.
    bool contain(std::string_view address) const;

 private:
    mutable std::mutex mutex_;
    std::vector<std::string> addresses_;
};

struct AllowedOrigins {
    std::vector<std::string> configured;       // as browsers write them
    const MemberAddresses* members = nullptr;  // none: only those that are configured

    // `origin` is a header's value, whatever is in it.
    bool contain(std::string_view origin) const;
};

}  // namespace cairn::server
