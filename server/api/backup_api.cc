#include "server/api/backup_api.h"

#include <string>

#include <spdlog/fmt/fmt.h>

#include "server/api/parameters.h"
#include "server/api/router.h"
#include "server/base/base64.h"
#include "server/http/problem.h"

namespace cairn::server {
namespace {

constexpr int busy_retry_after_s = 10;

// RFC 9530; the four bytes of the CRC in network order.
std::string digest_field(std::uint32_t crc) {
    std::string bytes;
    for (int shift = 24; shift >= 0; shift -= 8) {
        bytes.push_back(static_cast<char>(crc >> shift));
    }
    std::string field = "crc32c=:";
    append_base64(bytes, field);
    return field + ":";
}

}  // namespace

Decision decide_backup(std::string_view query, const ApiOptions& options, Operation& operation,
                       Exchange& exchange) {
    if (const auto error = parse_parameters(query, Known::read, exchange.parameters)) {
        return respond_invalid(exchange, *error);
    }
    exchange.answer = Exchange::Answer::backup;
    exchange.is_read = true;
    begin_operation(exchange, options, Operation::Kind::backup, operation);
    return Decision::operate;
}

void render_backup(const Operation& operation, const NodeView& view, Exchange& exchange) {
    if (operation.failure == Failure::overloaded) {
        ProblemExtras extras;
        extras.retry_after_s = busy_retry_after_s;
        respond_problem(exchange, Code::overloaded,
                        "This node is sending as many backups as it does at a time.", extras);
        return;
    }
    if (operation.failure != Failure::none) {
        render_failure(operation.failure, view.leader.load(std::memory_order_relaxed), exchange);
        return;
    }
    if (!operation.download) {
        respond_problem(exchange, Code::internal, "There is no backup: " + operation.error + ".");
        return;
    }
    const Download& download = *operation.download;
    HttpResponse& response = exchange.response;
    response.content_type = "application/octet-stream";
    response.later_bytes = download.bytes;
    response.add_header("Content-Disposition",
                        fmt::format("attachment; filename=\"cairn-{:016x}-{}.backup\"",
                                    download.cluster_id, download.index));
    response.add_header("Repr-Digest", digest_field(download.crc));
    response.add_header("X-Content-Type-Options", "nosniff");
}

}  // namespace cairn::server
