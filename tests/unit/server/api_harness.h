// A node for tests of the gateway's pure parts: the real router in front of the real state machine,
// without Raft, threads or sockets.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "fsm/state_machine.h"
#include "server/api/router.h"

namespace cairn::server {

using Headers = std::vector<std::pair<std::string_view, std::string_view>>;

class ApiHarness {
 public:
    ApiOptions options;
    Operation operation;
    Exchange exchange;
    NodeView view;
    fsm::StateMachine machine;
    std::vector<fsm::Event> events;
    std::int64_t now_ns = 1'000'000'000;
    std::int64_t utc_offset_ns = 0;
    Failure failure = Failure::none;  // what the node does instead of carrying out
    ClusterStatus cluster;
    MembershipOutcome membership = MembershipOutcome::done;
    std::string membership_error;
    std::shared_ptr<const Download> download;
    bool upgrade_websocket = false;
    Decision decision = Decision::respond;

    ApiHarness() {
        view.node = 1;
        view.leader = 2;
    }

    const HttpResponse& send(std::string_view method, std::string_view target,
                             const Headers& headers = {}, std::string_view body = {}) {
        HttpRequest request;
        request.method = method;
        request.target = target;
        request.headers = {{"Host", "localhost:8080"}};
        request.headers.insert(request.headers.end(), headers.begin(), headers.end());
        request.body = body;
        request.upgrade_websocket = upgrade_websocket;
        if (upgrade_websocket) {
            request.headers.emplace_back("Sec-WebSocket-Version", "13");
        }
        decision = decide(request, options, operation, exchange);
        const bool operates = decision == Decision::operate;
        if (operates) {
            execute();
            render(operation, view, exchange);
        }
        append_standard_headers(view, operates ? &operation : nullptr, exchange);
        return exchange.response;
    }

    int status(std::string_view method, std::string_view target, const Headers& headers = {},
               std::string_view body = {}) {
        return send(method, target, headers, body).status;
    }

    // PUT of a text, which must succeed; the index it got.
    fsm::Index put(std::string_view name, std::string_view text) {
        const std::string body = nlohmann::json{{"value", text}}.dump();
        send("PUT", "/v1/values/" + std::string(name), {}, body);
        return json()["index"].get<fsm::Index>();
    }

    nlohmann::json json() const { return nlohmann::json::parse(exchange.response.body); }
    std::string code() const { return json()["code"].get<std::string>(); }

    std::string header(std::string_view name) const {
        std::string found;
        for (const auto& [field, value] : exchange.response.headers) {
            if (field == name) {
                found += found.empty() ? value : "," + value;
            }
        }
        return found;
    }

    // The text stored under a name, or "(none)".
    std::string stored(std::string_view name) const {
        const fsm::Value* value = machine.get(name);
        return value == nullptr ? "(none)" : *value->bytes;
    }

 private:
    void execute() {
        operation.failure = failure;
        operation.served_index = machine.applied_index();
        operation.utc_offset_ns = utc_offset_ns;
        if (failure != Failure::none) {
            return;
        }
        switch (operation.kind) {
            case Operation::Kind::write:
                operation.output =
                    machine.apply(machine.applied_index() + 1, now_ns, operation.command, events);
                break;
            case Operation::Kind::get:
                operation.output.kind = fsm::Output::Kind::get;
                operation.output.status = fsm::Status::not_found;
                if (const fsm::Value* value = machine.get(operation.name)) {
                    operation.output.status = fsm::Status::ok;
                    operation.output.index = value->index;
                    operation.output.value = *value;
                }
                operation.unchanged =
                    operation.wait_ms > 0 && operation.output.index == operation.known_index;
                break;
            case Operation::Kind::list:
                operation.items =
                    machine.list(operation.name, operation.after, operation.limit, operation.more);
                break;
            case Operation::Kind::cluster_status:
                operation.cluster = cluster;
                break;
            case Operation::Kind::take_snapshot:
                operation.snapshot_index = machine.applied_index();
                break;
            case Operation::Kind::transfer_leadership:
                operation.error = operation.member == 1 ? "" : "There is no voter with this id.";
                break;
            case Operation::Kind::backup:
                operation.download = download;
                operation.error = download ? "" : "the disk said no";
                break;
            case Operation::Kind::next_piece:
            case Operation::Kind::end_wait:
                break;
            case Operation::Kind::metrics:
                operation.piece = "cairn_test 1\n";
                break;
            case Operation::Kind::add_member:
            case Operation::Kind::remove_member:
                operation.membership = membership;
                operation.error = membership_error;
                operation.cluster = cluster;
                break;
        }
        operation.served_index = machine.applied_index();
        view.applied_index = machine.applied_index();
    }
};

}  // namespace cairn::server
