#include "server/client/run.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>
#include <spdlog/fmt/fmt.h>

#include "server/base/printable.h"
#include "server/base/random_number.h"
#include "server/client/completion.h"
#include "server/client/curl.h"
#include "server/client/endpoints.h"
#include "server/client/follow.h"
#include "server/client/output.h"
#include "server/client/text.h"

namespace cairn::client {
namespace {

using Json = nlohmann::ordered_json;

Json parse(std::string_view text) {
    return Json::parse(text, nullptr, false);
}

std::string dump(const Json& json) {
    return json_line(json.dump(-1, ' ', false, Json::error_handler_t::replace));
}

int printed(std::string_view text, int status = exit_done) {
    return print(text) ? status : exit_refused;
}

// It isn't done. A program finds the whole problem where it looks for the answer.
int fail(const Options& options, const Asked& asked) {
    const Verdict& verdict = asked.verdict;
    if (options.json && asked.reply.failure.empty() && parse(asked.reply.body).is_object()) {
        print(json_line(asked.reply.body));
    }
    const std::string who = asked.address.text() + ": " + verdict.reason;
    if (verdict.unknown) {
        complain("it may or may not have been done: " + who);
    } else if (verdict.exit_status == exit_unavailable) {
        complain("no node could do it: " + who);
    } else {
        complain(verdict.reason);
    }
    return verdict.exit_status;
}

int foreign_answer(const Asked& asked) {
    complain(asked.address.text() + " answers what is not Cairn's");
    return exit_refused;
}

int deliver(const Options& options, std::string_view bytes) {
    if (!options.output.empty()) {
        const std::string wrong = write_file(options.output, bytes);
        if (!wrong.empty()) {
            complain(wrong);
        }
        return wrong.empty() ? exit_done : exit_refused;
    }
    if (options.json || !is_terminal()) {
        return printed(bytes);
    }
    const ShownValue shown = terminal_value(bytes);
    if (shown.is_escaped) {
        complain("this is escaped for the terminal; -o FILE or a pipe gets the bytes");
    }
    return printed(shown.text);
}

int run_get(const Options& options, Endpoints& endpoints) {
    const Asked asked = endpoints.ask(make_question(options, {}), Repeat::harmless, options.wait);
    if (asked.verdict.exit_status != exit_done) {
        return fail(options, asked);
    }
    if (options.json) {
        return deliver(options, json_line(asked.reply.body));
    }
    if (options.after_index.empty()) {
        return deliver(options, asked.reply.body);
    }
    const std::optional<std::string> bytes = value_bytes(parse(asked.reply.body));
    return bytes ? deliver(options, *bytes) : foreign_answer(asked);
}

int run_write(Options options, std::string value, Endpoints& endpoints) {
    const Repeat repeat = repeat_of(options.verb);
    if (repeat == Repeat::keyed && options.idempotency_key.empty()) {
        options.idempotency_key =
            fmt::format("{:016x}{:016x}", server::random_number(), server::random_number());
    }
    const Asked asked = endpoints.ask(make_question(options, std::move(value)), repeat);
    if (asked.verdict.exit_status != exit_done) {
        return fail(options, asked);
    }
    const nlohmann::json answer = nlohmann::json::parse(asked.reply.body, nullptr, false);
    if (!answer.is_object()) {
        return foreign_answer(asked);
    }
    return printed(options.json ? json_line(asked.reply.body)
                                : written_text(options.verb, asked.reply.status, answer));
}

std::string names_text(const Json& page) {
    std::string text;
    for (const Json& value : page["values"]) {
        const auto name = value.is_object() ? value.find("name") : value.end();
        if (name != value.end() && name->is_string()) {
            const auto& bytes = name->get_ref<const std::string&>();
            text += (is_terminal() ? server::printable(bytes) : bytes) + "\n";
        }
    }
    return text;
}

std::string page_text(const Options& options, const Json& page, bool is_first) {
    if (options.json) {
        std::string text;
        for (const Json& value : page["values"]) {
            text += dump(value);
        }
        return text;
    }
    return options.keys_only ? names_text(page) : list_text(nlohmann::json(page), is_first);
}

int run_list(Options options, Endpoints& endpoints) {
    const bool is_limited = options.limit != 0;
    for (bool is_first = true;; is_first = false) {
        const Asked asked = endpoints.ask(make_question(options, {}), Repeat::harmless);
        if (asked.verdict.exit_status != exit_done) {
            return fail(options, asked);
        }
        const Json page = parse(asked.reply.body);
        if (!page.is_object() || !page.contains("values") || !page["values"].is_array()) {
            return foreign_answer(asked);
        }
        if (!print(page_text(options, page, is_first))) {
            return exit_refused;
        }
        const std::uint64_t size = page["values"].size();
        if (is_limited && size >= options.limit) {
            return exit_done;
        }
        options.limit -= is_limited ? size : 0;
        if (!page.contains("next")) {
            return exit_done;
        }
        const Json& next = page["next"];
        // Names grow, or it would never end.
        if (!next.is_string() || next.get_ref<const std::string&>() <= options.after_name) {
            return foreign_answer(asked);
        }
        options.after_name = next.get<std::string>();
        // All pages show one moment, whatever is written meanwhile.
        if (is_first && page.contains("index") && page["index"].is_number_unsigned()) {
            options.at_index = std::to_string(page["index"].get<std::uint64_t>());
        }
    }
}

std::uint64_t number_of(const nlohmann::json& object, const char* key) {
    const auto found = object.is_object() ? object.find(key) : object.end();
    return found != object.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

// How far each member is, only the leader knows.
nlohmann::json leaders_view(const nlohmann::json& cluster, std::chrono::milliseconds patience) {
    const std::uint64_t leader = number_of(cluster, "leader");
    if (leader == 0 || number_of(cluster, "node") == leader) {
        return cluster;
    }
    for (const nlohmann::json& member : cluster["members"]) {
        if (number_of(member, "id") != leader || !member.contains("http") ||
            !member["http"].is_string()) {
            continue;
        }
        const server::ParseResult<server::Address> address = server::parse_address(
            member["http"].get_ref<const std::string&>(), server::PortZero::refused);
        if (!address || address->is_wildcard()) {
            continue;
        }
        const server::HttpReply reply =
            server::http_ask(*address, {.target = "/v1/cluster"}, {.timeout = patience});
        nlohmann::json seen = nlohmann::json::parse(reply.body, nullptr, false);
        if (reply.failure.empty() && reply.status == 200 && seen.is_object()) {
            return seen;
        }
    }
    return cluster;
}

int run_status(const Options& options, Endpoints& endpoints) {
    const Asked asked = endpoints.ask(make_question(options, {}), Repeat::harmless);
    if (asked.verdict.exit_status != exit_done) {
        return fail(options, asked);
    }
    const nlohmann::json cluster = nlohmann::json::parse(asked.reply.body, nullptr, false);
    if (number_of(cluster, "node") == 0 || !cluster.contains("members") ||
        !cluster["members"].is_array()) {
        return foreign_answer(asked);
    }
    const int status = number_of(cluster, "leader") == 0 ? exit_unavailable : exit_done;
    if (options.json) {
        return printed(json_line(asked.reply.body), status);
    }
    const nlohmann::json seen = leaders_view(cluster, endpoints.attempt());
    return printed(options.verb == Verb::status ? status_text(seen) : members_text(seen), status);
}

// For a shell that waits for words: quick, or nothing.
int run_complete(Options options, Endpoints& endpoints) {
    options.verb = Verb::list;
    const Asked asked = endpoints.ask(make_question(options, {}), Repeat::harmless);
    const Json page = parse(asked.reply.body);
    if (asked.verdict.exit_status != exit_done || !page.is_object() || !page.contains("values")) {
        return exit_unavailable;
    }
    return printed(names_text(page));
}

}  // namespace

int run(const Options& options) {
    if (options.verb == Verb::completion) {
        return printed(completion_script(options.shell));
    }
    if (options.curl) {
        return printed(curl_line(options, options.endpoints.front(), make_question(options, {})));
    }
    std::string value;
    if (takes_value(options.verb)) {
        server::ParseResult<std::string> read = read_value(options);
        if (!read) {
            complain(read.error().text);
            return exit_usage;
        }
        value = *std::move(read);
    }
    Endpoints endpoints(options.endpoints, options.timeout);
    switch (options.verb) {
        case Verb::get:
            return run_get(options, endpoints);
        case Verb::list:
            return run_list(options, endpoints);
        case Verb::watch:
        case Verb::events:
            return follow(options, endpoints);
        case Verb::status:
        case Verb::members:
            return run_status(options, endpoints);
        case Verb::complete:
            return run_complete(options, endpoints);
        default:
            return run_write(options, std::move(value), endpoints);
    }
}

}  // namespace cairn::client
