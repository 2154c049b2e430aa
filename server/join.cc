#include "server/join.h"

#include <charconv>
#include <chrono>
#include <thread>

#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "server/coroutine.h"
#include "server/printable.h"

namespace cairn::server {

namespace {

namespace beast = boost::beast;
namespace http = beast::http;
using std::chrono::steady_clock;

constexpr auto patience = std::chrono::seconds(60);
constexpr auto attempt_timeout = std::chrono::seconds(10);
constexpr auto pause = std::chrono::milliseconds(500);
constexpr std::size_t answer_bytes_max = std::size_t{1} << 20;

struct Attempt {
    std::string failure;  // of the connection; empty: there is an answer
    unsigned status = 0;
    std::string body;
};

using Stream = beast::basic_stream<net::ip::tcp, Executor>;

Task ask(Stream& stream, const Address& member, const std::string& body, Attempt& attempt) {
    net::ip::basic_resolver<net::ip::tcp, Executor> resolver(stream.get_executor());
    stream.expires_after(attempt_timeout);
    const auto [resolve_error, endpoints] =
        co_await resolver.async_resolve(member.host, std::to_string(member.port), token);
    if (resolve_error) {
        attempt.failure = resolve_error.message();
        co_return;
    }
    for (const auto& endpoint : endpoints) {
        const auto [connect_error] = co_await stream.async_connect(endpoint.endpoint(), token);
        attempt.failure = connect_error ? connect_error.message() : std::string();
        if (!connect_error) {
            break;
        }
    }
    if (!attempt.failure.empty()) {
        co_return;
    }
    http::request<http::string_body> request{http::verb::post, "/v1/cluster/members?timeout=5s",
                                             11};
    request.set(http::field::host, member.text());
    request.set(http::field::content_type, "application/json");
    request.set(http::field::connection, "close");
    request.body() = body;
    request.prepare_payload();
    const auto [write_error, written] = co_await http::async_write(stream, request, token);
    if (write_error) {
        attempt.failure = write_error.message();
        co_return;
    }
    beast::flat_buffer buffer;
    http::response_parser<http::string_body> parser;
    parser.body_limit(answer_bytes_max);
    const auto [read_error, read] = co_await http::async_read(stream, buffer, parser, token);
    if (read_error) {
        attempt.failure = read_error.message();
        co_return;
    }
    attempt.status = parser.get().result_int();
    attempt.body = std::move(parser.get().body());
}

Attempt ask_once(const Address& member, const std::string& body) {
    Attempt attempt;
    net::io_context context(1);
    Stream stream(context.get_executor());
    spawn(context.get_executor(), ask(stream, member, body, attempt), "asking to join");
    context.run();
    if (attempt.failure.empty() && attempt.status == 0) {
        attempt.failure = "no answer";
    }
    return attempt;
}

std::string detail_of(const Attempt& attempt) {
    const nlohmann::json json = nlohmann::json::parse(attempt.body, nullptr, false);
    const bool told = json.is_object() && json.contains("detail") && json["detail"].is_string();
    return told ? printable(json["detail"].get<std::string>())
                : "status " + std::to_string(attempt.status);
}

// What the answer says of one member, or false.
bool parse_member(const nlohmann::json& json, raft::Identity& identity, bool& is_voter) {
    if (!json.is_object() || !json.contains("id") || !json["id"].is_number_unsigned() ||
        !json.contains("raft") || !json["raft"].is_string()) {
        return false;
    }
    const auto id = json["id"].get<std::uint64_t>();
    const ParseResult<Address> address =
        parse_address(json["raft"].get_ref<const std::string&>(), PortZero::refused);
    if (id == 0 || !address) {
        return false;
    }
    identity.members.emplace_back(id, address->text());
    is_voter = is_voter || (id == identity.node_id && json.value("role", "") == "voter");
    return true;
}

}  // namespace

std::string parse_join_answer(std::string_view body, raft::Identity& identity) {
    const std::string foreign = "it isn't the answer of a member";
    const nlohmann::json json = nlohmann::json::parse(body, nullptr, false);
    if (!json.is_object() || !json.contains("cluster") || !json["cluster"].is_object()) {
        return foreign;
    }
    const nlohmann::json& cluster = json["cluster"];
    if (!cluster.contains("cluster_id") || !cluster["cluster_id"].is_string() ||
        !cluster.contains("members") || !cluster["members"].is_array()) {
        return foreign;
    }
    const auto& digits = cluster["cluster_id"].get_ref<const std::string&>();
    const char* end = digits.data() + digits.size();
    const std::from_chars_result read =
        std::from_chars(digits.data(), end, identity.cluster_id, 16);
    if (read.ec != std::errc() || read.ptr != end || identity.cluster_id == 0) {
        return foreign;
    }
    identity.members.clear();
    bool is_voter = false;
    for (const nlohmann::json& member : cluster["members"]) {
        if (!parse_member(member, identity, is_voter)) {
            return foreign;
        }
    }
    if (is_voter) {
        return "node " + std::to_string(identity.node_id) +
               " is a voter of this cluster already, with another data directory; where that is "
               "lost, remove the member and join with a new id";
    }
    return {};
}

std::optional<StartRefusal> join_cluster(const ServeOptions& options, raft::Identity& identity) {
    const nlohmann::json request{{"id", options.id}, {"raft", options.raft.text()}};
    const std::string body = request.dump();
    const auto give_up_at = steady_clock::now() + patience;
    std::string last_failure;
    while (true) {
        const Attempt attempt = ask_once(*options.join, body);
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
            if (attempt.status < 500) {
                return StartRefusal{2, "can't join by " + options.join->text() + ": " + failure};
            }
        }
        if (steady_clock::now() + pause >= give_up_at) {
            return StartRefusal{1, "can't join by " + options.join->text() + ": " + failure};
        }
        if (failure != last_failure) {
            spdlog::warn("can't join by {} yet: {}; trying again", options.join->text(), failure);
            last_failure = failure;
        }
        std::this_thread::sleep_for(pause);
    }
}

}  // namespace cairn::server
