#include "server/api/routes.h"

#include <algorithm>
#include <iterator>

#include "server/api/gateway_statistics.h"
#include "server/api/parameters.h"

namespace cairn::server {
namespace {

constexpr std::string_view json = "application/json";
constexpr std::string_view bytes = "application/octet-stream";
constexpr std::string_view protobuf = "application/x-protobuf";

constexpr std::uint32_t read = Known::read | Known::lease;
constexpr std::uint32_t get_headers = KnownHeader::if_match | KnownHeader::if_none_match;
constexpr std::uint32_t write_headers = KnownHeader::if_match | KnownHeader::idempotency_key;
constexpr std::uint32_t put_headers = write_headers | KnownHeader::if_none_match;

constexpr std::uint32_t tag = AnswerHeader::entity_tag;
constexpr std::uint32_t maybe_tag = AnswerHeader::maybe_entity_tag;
constexpr std::string_view unchanged =
    "It is the one that the request names, or nothing came while a long poll waited.";

// Bytes are taken whatever they are said to be.
constexpr RouteBody bytes_bodies[] = {{bytes, ""}, {"*/*", ""}};
constexpr std::span<const RouteBody> no_body;
constexpr RouteBody put_bodies[] = {{json, "PutRequest"}};
constexpr RouteBody post_bodies[] = {{json, "AtomicValueInput"}, {protobuf, ""}};
constexpr RouteBody leader_bodies[] = {{json, "LeaderRequest"}};
constexpr RouteBody member_bodies[] = {{json, "MemberRequest"}};

constexpr RouteAnswer value_answers[] = {
    {200, "The value.", json, "Value", tag},
    {304, unchanged, "", "", maybe_tag},
};
constexpr RouteAnswer bytes_answers[] = {
    {200, "The value's bytes.", bytes, "", tag},
    {304, unchanged, "", "", maybe_tag},
};
constexpr RouteAnswer put_answers[] = {
    {200, "It replaced a value.", json, "Written", tag},
    {201, "It created the value.", json, "Written", tag},
};
constexpr RouteAnswer delete_answers[] = {{200, "What was deleted.", json, "DeletedValue", tag}};
constexpr RouteAnswer delete_bytes_answers[] = {
    {200, "The bytes of what was deleted.", bytes, "", tag}};
constexpr RouteAnswer post_answers[] = {
    {200, "The state machine's answer.", json, "AtomicValueOutput",
     maybe_tag | AnswerHeader::maybe_consistency},
    {200, "", protobuf, ""},
};
constexpr RouteAnswer list_answers[] = {{200, "Values in name order.", json, "List"}};
constexpr RouteAnswer stream_answers[] = {
    {101, "The stream, as WebSocket messages.", "", ""},
    {200, "The stream: a JSON object a line, or server-sent events with one each.",
     "application/x-ndjson", "StreamMessage"},
    {200, "", "text/event-stream", "StreamMessage"},
};
constexpr RouteAnswer socket_answers[] = {
    {101, "A WebSocket: SocketRequest from the client, SocketMessage from the node.", "", ""}};
constexpr RouteAnswer cluster_answers[] = {{200, "As this node sees it.", json, "Cluster"}};
constexpr RouteAnswer snapshot_answers[] = {{200, "It is taken.", json, "SnapshotTaken"}};
constexpr RouteAnswer transfer_answers[] = {{200, "It leads.", json, "LeadershipTransferred"}};
constexpr RouteAnswer add_answers[] = {
    {200, "It is a member already.", json, "MemberAdded"},
    {201, "It is a member now.", json, "MemberAdded"},
};
constexpr RouteAnswer remove_answers[] = {{200, "It is a member no more.", json, "MemberRemoved"}};
constexpr RouteAnswer backup_answers[] = {
    {200, "One file with everything, of one moment.", bytes, "", AnswerHeader::download}};
constexpr RouteAnswer metrics_answers[] = {{200, "Prometheus' text format.", "text/plain", ""}};
constexpr RouteAnswer health_answers[] = {{200, "Yes.", json, "Health"}};
constexpr RouteAnswer document_answers[] = {{200, "This document.", json, "OpenApi"}};
constexpr std::uint32_t file_tag = AnswerHeader::file_tag;
constexpr std::string_view same_file = "It is the one that If-None-Match names.";
constexpr RouteAnswer page_answers[] = {
    {200, "The dashboard, or without it a page that says how to get it.", "text/html", "",
     file_tag},
    {304, same_file, "", "", file_tag},
};
constexpr RouteAnswer file_answers[] = {
    {200, "The file.", "text/javascript", "", file_tag},
    {200, "", "text/css", ""},
    {200, "", "image/svg+xml", ""},
    {304, same_file, "", "", file_tag},
};

constexpr std::span<const int> no_problems;
constexpr int file_problems[] = {404};
constexpr int read_problems[] = {404, 412, 503, 504};
constexpr int list_problems[] = {410, 503, 504};
constexpr int write_problems[] = {404, 412, 413, 415, 422, 503, 504, 507};
constexpr int delete_problems[] = {404, 412, 422, 503, 504};
constexpr int stream_problems[] = {403, 426, 503};
constexpr int socket_problems[] = {403, 426, 503};
constexpr int cluster_problems[] = {503, 504};
constexpr int transfer_problems[] = {404, 415, 503, 504};
constexpr int add_problems[] = {409, 415, 503, 504};
constexpr int remove_problems[] = {404, 409, 503, 504};

constexpr RouteOperation value_operations[] = {
    {"GET", "getValue", "Reads a value; with `after` waits until it is another.",
     read | Known::poll, get_headers, no_body, value_answers, read_problems},
    {"PUT", "putValue", "Sets a value, or only if a precondition holds.", Known::timeout,
     put_headers, put_bodies, put_answers, write_problems},
    {"DELETE", "deleteValue", "Deletes a value, or only if a precondition holds.", Known::timeout,
     write_headers, no_body, delete_answers, delete_problems},
    {"POST", "postValue", "Any input of the AtomicValue state machine, as it is.", Known::timeout,
     KnownHeader::idempotency_key, post_bodies, post_answers, write_problems},
};
constexpr RouteOperation raw_operations[] = {
    {"GET", "getBytes", "Reads a value's bytes as they are; with `after` waits.",
     read | Known::poll, get_headers, no_body, bytes_answers, read_problems},
    {"PUT", "putBytes", "Sets a value to the bytes of the body, or only if a precondition holds.",
     Known::timeout | Known::ttl, put_headers, bytes_bodies, put_answers, write_problems},
    {"DELETE", "deleteBytes", "Deletes a value, or only if a precondition holds.", Known::timeout,
     write_headers, no_body, delete_bytes_answers, delete_problems},
};
constexpr RouteOperation list_operations[] = {
    {"GET", "listValues", "Lists values, a page at a time.", Known::list | Known::lease, 0, no_body,
     list_answers, list_problems},
};
constexpr RouteOperation watch_operations[] = {
    {"GET", "watch", "The present value, then each new one.", Known::stream,
     KnownHeader::last_event_id, no_body, stream_answers, stream_problems},
};
constexpr RouteOperation events_operations[] = {
    {"GET", "events", "Everything that happens to a value.", Known::stream,
     KnownHeader::last_event_id, no_body, stream_answers, stream_problems},
};
constexpr RouteOperation socket_operations[] = {
    {"GET", "stream", "One WebSocket for many streams and commands.", 0, 0, no_body, socket_answers,
     socket_problems},
};
constexpr RouteOperation cluster_operations[] = {
    {"GET", "getCluster", "The members, the leader, and how far each is.", Known::timeout, 0,
     no_body, cluster_answers, cluster_problems},
};
constexpr RouteOperation snapshot_operations[] = {
    {"POST", "takeSnapshot", "Takes a snapshot now and trims the log.", Known::timeout, 0, no_body,
     snapshot_answers, cluster_problems},
};
constexpr RouteOperation backup_operations[] = {
    {"GET", "getBackup", "A consistent backup as one file.", Known::read, 0, no_body,
     backup_answers, cluster_problems},
};
constexpr RouteOperation leader_operations[] = {
    {"POST", "transferLeadership", "Hands leadership to a member.", Known::timeout, 0,
     leader_bodies, transfer_answers, transfer_problems},
};
constexpr RouteOperation members_operations[] = {
    {"POST", "addMember", "Adds a member.", Known::timeout, 0, member_bodies, add_answers,
     add_problems},
};
constexpr RouteOperation member_operations[] = {
    {"DELETE", "removeMember", "Removes a member.", Known::timeout, 0, no_body, remove_answers,
     remove_problems},
};
constexpr RouteOperation metrics_operations[] = {
    {"GET", "getMetrics", "What this node has counted.", Known::timeout, 0, no_body,
     metrics_answers, cluster_problems},
};
constexpr RouteOperation livez_operations[] = {
    {"GET", "getLivez", "Whether the process runs.", 0, 0, no_body, health_answers, no_problems},
};
constexpr RouteOperation readyz_operations[] = {
    {"GET", "getReadyz", "Whether it has a leader, has caught up and can write.", Known::timeout, 0,
     no_body, health_answers, cluster_problems},
};
constexpr RouteOperation openapi_operations[] = {
    {"GET", "getOpenApi", "This document.", 0, 0, no_body, document_answers, no_problems},
};
constexpr RouteOperation page_operations[] = {
    {"GET", "getPage", "A page for the browser.", 0, 0, no_body, page_answers, cluster_problems},
};
constexpr RouteOperation file_operations[] = {
    {"GET", "getDashboardFile", "What that page loads.", 0, 0, no_body, file_answers,
     file_problems},
};

constexpr std::string_view get = "GET, HEAD, OPTIONS";

constexpr Route routes[] = {
    {"/v1/values/", Resource::value, "GET, HEAD, PUT, DELETE, POST, OPTIONS", "/v1/values/{name}",
     value_operations},
    {"/v1/raw/", Resource::raw, "GET, HEAD, PUT, DELETE, OPTIONS", "/v1/raw/{name}",
     raw_operations},
    {"/v1/values", Resource::list, get, "/v1/values", list_operations},
    {"/v1/watch/", Resource::watch, "GET, OPTIONS", "/v1/watch/{name}", watch_operations},
    {"/v1/events/", Resource::events, "GET, OPTIONS", "/v1/events/{name}", events_operations},
    {"/v1/stream", Resource::multiplexed, "GET, OPTIONS", "/v1/stream", socket_operations},
    {"/v1/cluster", Resource::cluster, get, "/v1/cluster", cluster_operations},
    {"/v1/cluster/snapshot", Resource::take_snapshot, "POST, OPTIONS", "/v1/cluster/snapshot",
     snapshot_operations},
    {"/v1/cluster/backup", Resource::backup, "GET, OPTIONS", "/v1/cluster/backup",
     backup_operations},
    {"/v1/cluster/leader", Resource::transfer, "POST, OPTIONS", "/v1/cluster/leader",
     leader_operations},
    {"/v1/cluster/members", Resource::members, "POST, OPTIONS", "/v1/cluster/members",
     members_operations},
    {"/v1/cluster/members/", Resource::member, "DELETE, OPTIONS", "/v1/cluster/members/{id}",
     member_operations},
    {"/metrics", Resource::metrics, get, "/metrics", metrics_operations},
    {"/livez", Resource::livez, get, "/livez", livez_operations},
    {"/readyz", Resource::readyz, get, "/readyz", readyz_operations},
    {"/openapi.json", Resource::openapi, get, "/openapi.json", openapi_operations},
    {"/", Resource::page, get, "/", page_operations},
    {"/dashboard/", Resource::file, get, "/dashboard/{file}", file_operations},
    {"*", Resource::server, "GET, HEAD, PUT, DELETE, POST, OPTIONS", "*", {}},
};

static_assert(std::size(routes) < route_count_max);

}  // namespace

std::span<const Route> all_routes() {
    return routes;
}

const Route* find_route(std::string_view path, std::string_view& encoded_name) {
    for (const auto& route : routes) {
        const bool named = route.path.size() > 1 && route.path.back() == '/';
        if (named ? path.substr(0, route.path.size()) == route.path : path == route.path) {
            encoded_name = path.substr(route.path.size());
            return &route;
        }
    }
    return nullptr;
}

bool is_allowed(const Route& route, std::string_view method) {
    std::string_view rest = route.allow;
    while (!rest.empty()) {
        const auto end = std::min(rest.find(','), rest.size());
        if (rest.substr(0, end) == method) {
            return true;
        }
        rest.remove_prefix(std::min(end + 2, rest.size()));
    }
    return false;
}

bool takes_body(const Route& route, std::string_view method) {
    return std::ranges::any_of(route.operations, [method](const RouteOperation& operation) {
        return operation.method == method && !operation.bodies.empty();
    });
}

}  // namespace cairn::server
