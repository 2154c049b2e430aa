#include "server/program/join.h"

#include <algorithm>
#include <charconv>
#include <thread>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "raft/core/configuration.h"
#include "server/base/printable.h"
#include "server/client/http_client.h"
#include "server/settings/initial_cluster.h"

namespace cairn::server {

namespace {

using std::chrono::steady_clock;

constexpr std::size_t detail_bytes_max = 500;
constexpr unsigned status_timeout = 408;
constexpr unsigned status_too_many = 429;
constexpr unsigned status_server_error = 500;

HttpReply ask_once(const Address& member, const std::string& body,
                   std::chrono::milliseconds timeout) {
    return http_ask(member,
                    {.method = "POST",
                     .target = "/v1/cluster/members?timeout=5s",
                     .headers = {{"Content-Type", "application/json"}},
                     .body = body,
                     .has_body = true},
                    {.timeout = timeout});
}

std::string detail_of(const HttpReply& attempt) {
    const nlohmann::json json = nlohmann::json::parse(attempt.body, nullptr, false);
    const bool told = json.is_object() && json.contains("detail") && json["detail"].is_string();
    return told ? printable(json["detail"].get<std::string>().substr(0, detail_bytes_max))
                : "status " + std::to_string(attempt.status);
}

using Members = std::vector<std::pair<raft::NodeId, std::string>>;

bool has_text(const nlohmann::json& json, const char* key) {
    return json.contains(key) && json[key].is_string();
}

// What the answer says of one member, or false.
bool parse_member(const nlohmann::json& json, Members& members) {
    if (!json.is_object() || !json.contains("id") || !json["id"].is_number_unsigned() ||
        !has_text(json, "raft")) {
        return false;
    }
    const auto id = json["id"].get<std::uint64_t>();
    const ParseResult<Address> address =
        parse_address(json["raft"].get_ref<const std::string&>(), PortZero::refused);
    const bool twice = std::any_of(members.begin(), members.end(),
                                   [id](const auto& member) { return member.first == id; });
    if (id == 0 || id > node_id_max || !address || twice) {
        return false;
    }
    members.emplace_back(id, address->text());
    return true;
}

bool is_voter(const nlohmann::json& members, raft::NodeId id) {
    return std::any_of(members.begin(), members.end(), [id](const nlohmann::json& member) {
        return member["id"].get<std::uint64_t>() == id && has_text(member, "role") &&
               member["role"].get_ref<const std::string&>() == "voter";
    });
}

bool may_be_otherwise_later(unsigned status) {
    return status >= status_server_error || status == status_timeout || status == status_too_many;
}

}  // namespace

std::string parse_join_answer(std::string_view body, raft::Identity& identity) {
    const std::string foreign = "it isn't the answer of a member";
    const nlohmann::json json = nlohmann::json::parse(body, nullptr, false);
    if (!json.is_object() || !json.contains("cluster") || !json["cluster"].is_object()) {
        return foreign;
    }
    const nlohmann::json& cluster = json["cluster"];
    constexpr std::size_t members_max = 2 * raft::voters_max + raft::learners_max;
    if (!has_text(cluster, "cluster_id") || !cluster.contains("members") ||
        !cluster["members"].is_array() || cluster["members"].empty() ||
        cluster["members"].size() > members_max) {
        return foreign;
    }
    const auto& digits = cluster["cluster_id"].get_ref<const std::string&>();
    const char* end = digits.data() + digits.size();
    std::uint64_t cluster_id = 0;
    const std::from_chars_result read = std::from_chars(digits.data(), end, cluster_id, 16);
    if (read.ec != std::errc() || read.ptr != end || cluster_id == 0) {
        return foreign;
    }
    Members members;
    for (const nlohmann::json& member : cluster["members"]) {
        if (!parse_member(member, members)) {
            return foreign;
        }
    }
    if (is_voter(cluster["members"], identity.node_id)) {
        return "node " + std::to_string(identity.node_id) +
               " is a voter of this cluster already, with another data directory; where that is "
               "lost, remove the member and join with a new id";
    }
    identity.cluster_id = cluster_id;
    identity.members = std::move(members);
    return {};
}

std::optional<StartRefusal> join_cluster(const ServeOptions& options, raft::Identity& identity,
                                         const JoinPatience& patience) {
    const nlohmann::json request{{"id", options.id}, {"raft", options.raft.text()}};
    const std::string body = request.dump();
    const auto give_up_at = steady_clock::now() + patience.altogether;
    std::string last_failure;
    while (true) {
        const HttpReply attempt = ask_once(*options.join, body, patience.attempt);
        std::string failure = attempt.failure;
        if (failure.empty() && (attempt.status == 200 || attempt.status == 201)) {
            failure = parse_join_answer(attempt.body, identity);
            return failure.empty()
                       ? std::nullopt
                       : std::optional(StartRefusal{
                             2, "can't join by " + options.join->text() + ": " + failure});
        }
        if (failure.empty()) {
            failure = detail_of(attempt);
            if (!may_be_otherwise_later(attempt.status)) {
                return StartRefusal{2, "can't join by " + options.join->text() + ": " + failure};
            }
        }
        if (steady_clock::now() + patience.pause >= give_up_at) {
            return StartRefusal{1, "can't join by " + options.join->text() + ": " + failure};
        }
        if (failure != last_failure) {
            spdlog::warn("can't join by {} yet: {}; trying again", options.join->text(), failure);
            last_failure = failure;
        }
        std::this_thread::sleep_for(patience.pause);
    }
}

}  // namespace cairn::server
