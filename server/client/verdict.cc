#include "server/client/verdict.h"

#include <nlohmann/json.hpp>

#include "server/base/printable.h"

namespace cairn::client {
namespace {

constexpr std::size_t detail_bytes_max = 500;

struct Problem {
    std::string code;
    std::string detail;
    std::string outcome;
};

std::string text_of(const nlohmann::json& json, const char* key) {
    const auto found = json.find(key);
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Problem parse_problem(const server::HttpReply& reply) {
    const nlohmann::json json = nlohmann::json::parse(reply.body, nullptr, false);
    if (!json.is_object()) {
        return {};
    }
    return {text_of(json, "code"), text_of(json, "detail"), text_of(json, "outcome")};
}

bool may_be_otherwise_later(unsigned status) {
    return status == 408 || status == 429 || status == 500 || (status >= 502 && status <= 504) ||
           status == 507;
}

// Whether the log itself has decided, so that it holds for earlier attempts with the same key too.
bool is_decided(unsigned status) {
    return status == 404 || status == 412;
}

int exit_status_of(unsigned status, const Problem& problem) {
    if (status == 304) {
        return exit_condition;
    }
    if (status == 404 || (status == 412 && problem.code == "NOT_FOUND")) {
        return exit_not_found;
    }
    if (status == 412) {
        return exit_condition;
    }
    return may_be_otherwise_later(status) ? exit_unavailable : exit_refused;
}

std::string reason_of(const server::HttpReply& reply, const Problem& problem) {
    if (!reply.failure.empty()) {
        return server::printable(reply.failure);
    }
    if (reply.status == 304) {
        return "it has the same index still";
    }
    return problem.detail.empty() ? "status " + std::to_string(reply.status)
                                  : server::printable(problem.detail.substr(0, detail_bytes_max));
}

}  // namespace

Verdict judge(const server::HttpReply& reply, Repeat repeat, bool unknown_before) {
    Verdict verdict;
    const bool is_whole = reply.failure.empty();
    if (is_whole && (reply.status == 200 || reply.status == 201)) {
        return verdict;
    }
    const Problem problem = is_whole ? parse_problem(reply) : Problem{};
    verdict.reason = reason_of(reply, problem);
    // A server's error that doesn't say what became of a write says that it doesn't know.
    const bool unsaid = is_whole ? may_be_otherwise_later(reply.status) && reply.status != 429 &&
                                       problem.outcome != "not_applied"
                                 : reply.may_have_arrived;
    verdict.unknown =
        repeat != Repeat::harmless && (unsaid || problem.outcome == "unknown" ||
                                       (unknown_before && !(is_whole && is_decided(reply.status))));
    verdict.again = (!is_whole || may_be_otherwise_later(reply.status)) &&
                    (repeat != Repeat::unsafe || !verdict.unknown);
    if (verdict.unknown) {
        verdict.exit_status = exit_unknown;
    } else {
        verdict.exit_status = is_whole ? exit_status_of(reply.status, problem) : exit_unavailable;
    }
    return verdict;
}

}  // namespace cairn::client
