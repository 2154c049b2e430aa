// The dashboard in the browser: `/` is its page, `/dashboard/FILE` what the page loads.
//
// Pure functions around the files that are part of the program (dashboard_files.h); no file system
// is asked. What they answer can't be framed, runs no script but its own and speaks with no host
// but this node and the members it is told of. In a build without the dashboard `/` is a plain page
// that says how to get it.
#pragma once

#include <span>
#include <string_view>

#include "server/api/exchange.h"
#include "server/dashboard/dashboard_files.h"

namespace cairn::server {

// What the page's answer needs of its request, which is gone when that answer is made.
void remember_page_request(const HttpRequest& request, Exchange& exchange);

// The page may speak with the members that `status` names, beside its own node.
void render_page(std::span<const DashboardFile> files, const ClusterStatus& status,
                 Exchange& exchange);

// `name`: what stands behind /dashboard/. 404 for anything that isn't one of the files.
void respond_dashboard_file(std::span<const DashboardFile> files, const HttpRequest& request,
                            std::string_view name, Exchange& exchange);

// Whether a client takes gzip (RFC 9110 §12.5.3): named, or by *, and not with q=0.
bool accepts_gzip(const HttpRequest& request);

}  // namespace cairn::server
