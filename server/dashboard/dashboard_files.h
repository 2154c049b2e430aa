// The dashboard's files as they were bundled into the program; none in a build without npm.
//
// Constant data, made at build time by server/dashboard/bundle.
#pragma once

#include <iterator>
#include <span>
#include <string_view>

namespace cairn::server {

struct DashboardFile {
    std::string_view name;  // "index.html" is the page itself
    std::string_view content_type;
    std::string_view entity_tag;  // with its quotes
    std::string_view bytes;
    std::string_view gzip_bytes;  // the same, compressed
};

std::span<const DashboardFile> dashboard_files();

}  // namespace cairn::server
