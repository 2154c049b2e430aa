#include "server/api/members_api.h"

#include <optional>
#include <string>

#include "server/api/cluster_json.h"
#include "server/api/json_body.h"
#include "server/api/value_api.h"
#include "server/base/address.h"
#include "server/base/json_text.h"
#include "server/settings/initial_cluster.h"

namespace cairn::server {

namespace {

struct NewMember {
    std::uint64_t id = 0;
    std::string address;
    bool stays_learner = false;
};

// {"id":N,"raft":"HOST:PORT","learner":BOOL}, or what is wrong with it.
std::optional<std::string> parse_new_member(std::string_view body, NewMember& member) {
    std::string fault;
    const nlohmann::json json = parse_json_body(body, fault);
    if (!fault.empty()) {
        return "The body " + fault + ".";
    }
    if (!json.is_object()) {
        return "The body is {\"id\":N,\"raft\":\"HOST:PORT\"}, and \"learner\":true for one that "
               "is not to vote.";
    }
    for (const auto& [key, value] : json.items()) {
        if (key != "id" && key != "raft" && key != "learner") {
            return "The body has a member " + shown(key) + " that this request doesn't know.";
        }
    }
    const auto id = json.find("id");
    if (id == json.end() || !id->is_number_unsigned() || id->get<std::uint64_t>() == 0 ||
        id->get<std::uint64_t>() > node_id_max) {
        return "\"id\" is the new member's id, a number from 1 to " + std::to_string(node_id_max) +
               ".";
    }
    const auto raft = json.find("raft");
    if (raft == json.end() || !raft->is_string()) {
        return "\"raft\" is where the new member's Raft can be reached, \"HOST:PORT\".";
    }
    const ParseResult<Address> address =
        parse_address(raft->get_ref<const std::string&>(), PortZero::refused);
    if (!address) {
        return "\"raft\": " + address.error().text + ".";
    }
    if (address->is_wildcard()) {
        return "\"raft\" is an address that other nodes can't dial.";
    }
    const auto learner = json.find("learner");
    if (learner != json.end() && !learner->is_boolean()) {
        return "\"learner\" is true or false.";
    }
    member.id = id->get<std::uint64_t>();
    member.address = address->text();
    member.stays_learner = learner != json.end() && learner->get<bool>();
    return std::nullopt;
}

bool respond_refusal(const Operation& operation, Exchange& exchange) {
    if (operation.membership == MembershipOutcome::conflict) {
        ProblemExtras extras;
        extras.status = 409;
        respond_problem(exchange, Code::conflict, operation.error, extras);
        return true;
    }
    if (operation.membership == MembershipOutcome::not_found) {
        respond_problem(exchange, Code::not_found, operation.error);
        return true;
    }
    return false;
}

}  // namespace

Decision decide_add_member(const HttpRequest& request, std::string_view query,
                           const ApiOptions& options, Operation& operation, Exchange& exchange) {
    if (const auto error = parse_parameters(query, Known::timeout, exchange.parameters)) {
        return respond_invalid(exchange, *error);
    }
    if (!equal_ignoring_case(media_type(request.header("Content-Type")), "application/json")) {
        return respond_problem(exchange, Code::unsupported_media_type,
                               "The body is JSON, with Content-Type: application/json.");
    }
    NewMember member;
    if (const auto error = parse_new_member(request.body, member)) {
        return respond_invalid(exchange, *error);
    }
    exchange.answer = Exchange::Answer::member_added;
    begin_operation(exchange, options, Operation::Kind::add_member, operation);
    operation.member = member.id;
    operation.member_address = std::move(member.address);
    operation.stays_learner = member.stays_learner;
    return Decision::operate;
}

Decision decide_remove_member(std::string_view query, std::string_view encoded_id,
                              const ApiOptions& options, Operation& operation, Exchange& exchange) {
    if (const auto error = parse_parameters(query, Known::timeout, exchange.parameters)) {
        return respond_invalid(exchange, *error);
    }
    const ParseResult<std::uint64_t> id = parse_node_id(encoded_id);
    if (!id) {
        return respond_invalid(exchange, "The path ends with a member's id: " + id.error().text);
    }
    exchange.answer = Exchange::Answer::member_removed;
    begin_operation(exchange, options, Operation::Kind::remove_member, operation);
    operation.member = *id;
    return Decision::operate;
}

void render_member_added(const Operation& operation, Exchange& exchange) {
    if (respond_refusal(operation, exchange)) {
        return;
    }
    exchange.response.status = operation.membership == MembershipOutcome::done ? 201 : 200;
    std::string& body = exchange.response.body;
    body = "{\"id\":" + std::to_string(operation.member) + ",\"raft\":";
    append_json_string(operation.member_address, body);
    body += ",\"cluster\":";
    append_cluster_json(operation.cluster, body);
    body += '}';
}

void render_member_removed(const Operation& operation, Exchange& exchange) {
    if (respond_refusal(operation, exchange)) {
        return;
    }
    std::string& body = exchange.response.body;
    body = "{\"id\":" + std::to_string(operation.member) + ",\"cluster\":";
    append_cluster_json(operation.cluster, body);
    body += '}';
}

}  // namespace cairn::server
