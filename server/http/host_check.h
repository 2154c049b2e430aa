// Whether a request was meant for this node: the Host allow-list against DNS rebinding, and the
// Origin check against pages of other sites (they can send "simple" requests and open WebSockets
// without asking).
//
// Pure functions, owned by no thread. An IP address as Host is always let through: rebinding needs
// a name that the attacker can point elsewhere. This is no authentication: programs that aren't
// browsers write what they like.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "server/http/allowed_origins.h"
#include "server/http/http_types.h"

namespace cairn::server {

// `host` is a Host header that the gate let through: name or address, with or without a port. Names
// are compared without it, and without regard to case or one trailing dot. "localhost" is always
// allowed.
bool host_allowed(std::string_view host, const std::vector<std::string>& allowed_names);

// Without Origin (not a browser, unless Sec-Fetch-Site tells of another site), with the request's
// own host as the origin's host and port, or with one of the allowed ones.
bool origin_allowed(const HttpRequest& request, const AllowedOrigins& allowed);

}  // namespace cairn::server
