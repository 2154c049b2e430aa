#include "server/client/flags.h"

#include <algorithm>
#include <charconv>

#include <CLI/CLI.hpp>

#include "fsm/name.h"
#include "server/base/duration.h"
#include "server/base/printable.h"
#include "server/settings/flag_reading.h"
#include "server/settings/initial_cluster.h"

namespace cairn::client {
namespace {

using server::add_flag;
using server::add_switch;
using server::add_word;
using server::in_quotes;
using server::is_given;
using server::ParseResult;
using server::read_text;

constexpr std::size_t endpoints_max = 16;
constexpr std::int64_t ns_per_ms = 1'000'000;
// Shorter than outcomes are kept, so that asking again stays safe to the end.
constexpr std::int64_t timeout_ms_max = 300'000;
constexpr std::int64_t wait_ms_max = 60'000;

constexpr const char* exit_statuses =
    "Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 not found, 4 the condition\n"
    "doesn't hold, 5 no node could do it in time and nothing was changed, 6 it may or may\n"
    "not have been done.";

void add_name(CLI::App& app) {
    add_word(app, "NAME", "The value's name").required();
}

void add_value(CLI::App& app) {
    add_word(app, "VALUE", "The value; - for standard input");
    add_flag(app, "file", "FILE", "Take the value from this file");
    add_flag(app, "ttl", "DURATION", "Let it end after 30s, 1.5s, 5m, …");
}

void add_key(CLI::App& app) {
    add_flag(app, "idempotency-key", "KEY",
             "Do it once, however often it is run with this key\n[one of its own for each run]");
}

std::string parse_ms(const CLI::App& app, const std::string& name, std::int64_t ms_max,
                     std::chrono::milliseconds& out) {
    std::string text;
    if (std::string wrong = read_text(app, name, text); !wrong.empty() || !is_given(app, name)) {
        return wrong;
    }
    const std::optional<std::int64_t> ns = server::parse_duration(text);
    if (!ns || *ns < ns_per_ms || *ns > ms_max * ns_per_ms) {
        return "--" + name + ": " + in_quotes(text) + " is not a duration from 1ms to " +
               server::format_duration(ms_max * ns_per_ms);
    }
    out = std::chrono::milliseconds(*ns / ns_per_ms);
    return {};
}

// An index, kept as text.
std::string read_index(const CLI::App& app, const std::string& name, std::string& text) {
    std::uint64_t number = 0;
    if (std::string wrong = server::read_number(app, name, number);
        !wrong.empty() || !is_given(app, name)) {
        return wrong;
    }
    text = std::to_string(number);
    return {};
}

std::string read_word(const CLI::App& app, const std::string& name, std::string& word) {
    const std::vector<std::string> given = app.get_option(name)->results();
    if (given.size() > 1) {
        return "one " + name + ", not " + in_quotes(given[1]) + " too";
    }
    word = given.empty() ? std::string() : given.front();
    return {};
}

std::string read_name(const CLI::App& app, Options& options) {
    if (std::string wrong = read_word(app, "NAME", options.name); !wrong.empty()) {
        return wrong;
    }
    if (!options.is_prefix && !fsm::valid_name(options.name)) {
        return in_quotes(options.name) +
               " is not a name: 1 to 512 bytes of UTF-8 without control characters, no part "
               "between slashes empty, \".\" or \"..\"";
    }
    return {};
}

std::string read_value(const CLI::App& app, Options& options) {
    if (std::string wrong = read_word(app, "VALUE", options.value); !wrong.empty()) {
        return wrong;
    }
    const bool has_word = !app.get_option("VALUE")->results().empty();
    if (has_word == is_given(app, "file")) {
        return has_word ? "VALUE and --file exclude each other"
                        : "VALUE is missing: text, - for standard input, or --file FILE";
    }
    if (has_word) {
        options.source = options.value == "-" ? ValueSource::standard_input : ValueSource::text;
    } else {
        options.source = ValueSource::file;
        if (std::string wrong = read_text(app, "file", options.value); !wrong.empty()) {
            return wrong;
        }
    }
    if (std::string wrong = read_text(app, "ttl", options.ttl); !wrong.empty()) {
        return wrong;
    }
    return is_given(app, "ttl") && !server::parse_duration(options.ttl)
               ? "--ttl: " + in_quotes(options.ttl) + " is not a duration such as 30s"
               : "";
}

std::string read_key(const CLI::App& app, Options& options) {
    if (std::string wrong = read_text(app, "idempotency-key", options.idempotency_key);
        !wrong.empty() || !is_given(app, "idempotency-key")) {
        return wrong;
    }
    const std::string& key = options.idempotency_key;
    const bool visible =
        std::ranges::all_of(key, [](char letter) { return letter > ' ' && letter < 0x7f; });
    return key.empty() || key.size() > 255 || !visible
               ? "--idempotency-key: 1 to 255 visible ASCII characters"
               : "";
}

std::string read_write(const CLI::App& app, Options& options) {
    if (std::string wrong = read_key(app, options); !wrong.empty()) {
        return wrong;
    }
    if (options.verb == Verb::set) {
        options.create = is_given(app, "create");
        return {};
    }
    if (std::string wrong = read_index(app, "index", options.if_match); !wrong.empty()) {
        return wrong;
    }
    if (options.if_match == "0") {
        return "--index: no value has the index 0";
    }
    if (options.verb == Verb::update && options.if_match.empty()) {
        options.if_match = "*";
    }
    return {};
}

std::string read_consistency(const CLI::App& app, Options& options) {
    if (std::string wrong = read_text(app, "consistency", options.consistency);
        !wrong.empty() || !is_given(app, "consistency")) {
        return wrong;
    }
    const std::string& text = options.consistency;
    return text == "linearizable" || text == "local" || text == "lease"
               ? ""
               : "--consistency: linearizable, local or lease, not " + in_quotes(text);
}

std::string read_get(const CLI::App& app, Options& options) {
    for (const std::string& wrong :
         {read_text(app, "output", options.output), read_index(app, "after", options.after_index),
          parse_ms(app, "wait", wait_ms_max, options.wait)}) {
        if (!wrong.empty()) {
            return wrong;
        }
    }
    if (is_given(app, "output") && options.output.empty()) {
        return "--output: empty";
    }
    return is_given(app, "after") != is_given(app, "wait")
               ? "--after and --wait go together: wait so long for another index than that"
               : "";
}

std::string read_stream(const CLI::App& app, Options& options) {
    if (std::string wrong = server::read_number(app, "count", options.limit); !wrong.empty()) {
        return wrong;
    }
    return read_text(app, "cursor", options.cursor);
}

std::string read_list(const CLI::App& app, Options& options) {
    options.is_prefix = true;
    options.keys_only = is_given(app, "keys-only");
    if (std::string wrong = read_word(app, "PREFIX", options.name); !wrong.empty()) {
        return wrong;
    }
    return server::read_number(app, "limit", options.limit);
}

std::string read_member(const CLI::App& app, Options& options) {
    if (std::string wrong = read_word(app, "ID", options.member_id); !wrong.empty()) {
        return wrong;
    }
    const ParseResult<std::uint64_t> id = server::parse_node_id(options.member_id);
    if (!id) {
        return "ID: " + id.error().text;
    }
    options.member_id = std::to_string(*id);
    if (options.verb != Verb::add_member) {
        return {};
    }
    options.learner = is_given(app, "learner");
    if (std::string wrong = read_word(app, "ADDRESS", options.member_address); !wrong.empty()) {
        return wrong;
    }
    const ParseResult<server::Address> address =
        server::parse_address(options.member_address, server::PortZero::refused);
    if (!address) {
        return "ADDRESS: " + address.error().text;
    }
    options.member_address = address->text();
    return {};
}

std::string read_shell(const CLI::App& app, Options& options) {
    if (std::string wrong = read_word(app, "SHELL", options.shell); !wrong.empty()) {
        return wrong;
    }
    return options.shell == "bash" || options.shell == "zsh" || options.shell == "fish"
               ? ""
               : "completion for bash, zsh or fish, not " + in_quotes(options.shell);
}

std::string read_common(const CLI::App& app, const server::EnvironmentLookup& environment,
                        Options& options) {
    std::vector<std::string> given = app.get_option("--endpoint")->results();
    std::string source = "--endpoint";
    if (given.empty()) {
        source = "CAIRN_ENDPOINT";
        if (std::optional<std::string> told = server::told_by(environment, "endpoint")) {
            given.push_back(*std::move(told));
        }
    }
    if (!given.empty()) {
        options.endpoints.clear();
    }
    for (const std::string& text : given) {
        const ParseResult<std::vector<server::Address>> endpoints = parse_endpoints(text);
        if (!endpoints) {
            return source + ": " + endpoints.error().text;
        }
        options.endpoints.insert(options.endpoints.end(), endpoints->begin(), endpoints->end());
    }
    if (options.endpoints.size() > endpoints_max) {
        return source + ": more than " + std::to_string(endpoints_max);
    }
    options.json = is_given(app, "json");
    options.curl = is_given(app, "curl");
    if (options.verb == Verb::watch || options.verb == Verb::events) {
        options.timeout = std::chrono::milliseconds(60'000);
    }
    return parse_ms(app, "timeout", timeout_ms_max, options.timeout);
}

std::string read_verb(const CLI::App& app, Options& options) {
    switch (options.verb) {
        case Verb::get:
        case Verb::list:
            if (std::string wrong = read_consistency(app, options); !wrong.empty()) {
                return wrong;
            }
            if (std::string wrong = read_index(app, "min-index", options.min_index);
                !wrong.empty()) {
                return wrong;
            }
            if (options.verb == Verb::list) {
                return read_list(app, options);
            }
            if (std::string wrong = read_name(app, options); !wrong.empty()) {
                return wrong;
            }
            return read_get(app, options);
        case Verb::set:
        case Verb::update:
            if (std::string wrong = read_name(app, options); !wrong.empty()) {
                return wrong;
            }
            if (std::string wrong = read_value(app, options); !wrong.empty()) {
                return wrong;
            }
            return read_write(app, options);
        case Verb::remove:
            if (std::string wrong = read_name(app, options); !wrong.empty()) {
                return wrong;
            }
            return read_write(app, options);
        case Verb::watch:
        case Verb::events:
            options.is_prefix = is_given(app, "prefix");
            if (std::string wrong = read_name(app, options); !wrong.empty()) {
                return wrong;
            }
            return read_stream(app, options);
        case Verb::add_member:
        case Verb::remove_member:
        case Verb::lead:
            return read_member(app, options);
        case Verb::completion:
        case Verb::status:
        case Verb::members:
        case Verb::complete:
            break;
    }
    return {};
}

}  // namespace

Flags::Flags(CLI::App& app) {
    add_values(app);
    add_streams(app);
    add_cluster(app);
    CLI::App& completion =
        *app.add_subcommand("completion", "Print what completes words in a shell")->group("Shell");
    completion.footer(
        "bash: source <(cairn completion bash)    (in ~/.bashrc)\n"
        "zsh:  source <(cairn completion zsh)     (in ~/.zshrc, after compinit)\n"
        "fish: cairn completion fish | source     (in ~/.config/fish/config.fish)");
    add_word(completion, "SHELL", "For which").type_name("bash|zsh|fish")->required();
    verbs_.emplace_back(Verb::completion, &completion);
}

CLI::App& Flags::add(Verb verb, CLI::App& parent, const std::string& name,
                     const std::string& help) {
    CLI::App& app = *parent.add_subcommand(name, help);
    app.footer(exit_statuses);
    app.get_formatter()->column_width(34);
    add_flag(app, "endpoint", "HOST:PORT",
             "A node to ask; several, here or joined by commas: the next is\n"
             "asked when one can't\n[CAIRN_ENDPOINT, 127.0.0.1:8080]");
    add_flag(app, "timeout", "DURATION",
             verb == Verb::watch || verb == Verb::events
                 ? std::string("How long to look for a node that can go on\n[60s]")
                 : std::string("For all of it\n[10s]"));
    add_switch(app, "json", "Print JSON, one object a line");
    add_switch(app, "curl", "Print a curl line that does it, and don't do it");
    verbs_.emplace_back(verb, &app);
    return app;
}

void Flags::add_values(CLI::App& app) {
    const auto add_read = [](CLI::App& read) {
        add_flag(read, "consistency", "linearizable|local|lease", "How a read is made sure of");
        add_flag(read, "min-index", "INDEX", "Wait until the node has applied this index");
    };
    CLI::App& get = add(Verb::get, app, "get", "Print a value");
    add_name(get);
    add_read(get);
    add_flag(get, "output,-o", "FILE", "Write the bytes to this file");
    add_flag(get, "after", "INDEX", "Wait until the value has another index than this");
    add_flag(get, "wait", "DURATION", "How long; exit status 4 when it doesn't");
    CLI::App& set = add(Verb::set, app, "set", "Set a value, whatever was there");
    CLI::App& update = add(Verb::update, app, "update", "Set a value if there is one");
    for (CLI::App* write : {&set, &update}) {
        add_name(*write);
        add_value(*write);
        add_key(*write);
        write->footer("A VALUE that begins with a dash stands behind --.\n" +
                      std::string(exit_statuses));
    }
    add_switch(set, "create", "Only if there is none");
    add_flag(update, "index", "INDEX", "Only if this is its index");
    CLI::App& remove = add(Verb::remove, app, "delete", "Delete a value");
    add_name(remove);
    add_flag(remove, "index", "INDEX", "Only if this is its index");
    add_key(remove);
    CLI::App& list = add(Verb::list, app, "list", "List values in the order of their names");
    add_word(list, "PREFIX", "How the names begin");
    add_read(list);
    add_flag(list, "limit", "N", "At most so many\n[all]");
    add_switch(list, "keys-only", "The names alone");
    for (CLI::App* command : {&get, &set, &update, &remove, &list}) {
        command->group("Values");
    }
}

void Flags::add_streams(CLI::App& app) {
    CLI::App& watch = add(Verb::watch, app, "watch", "Print a value, and each new one");
    CLI::App& events = add(Verb::events, app, "events", "Print what happens to a value");
    for (CLI::App* stream : {&watch, &events}) {
        stream->group("Values");
        add_word(*stream, "NAME", "The value's name").required();
        add_switch(*stream, "prefix", "All values whose names begin with NAME, which may be ''");
        add_flag(*stream, "cursor", "CURSOR", "Go on after the message with this cursor");
        add_flag(*stream, "count", "N", "End after so many values or events\n[never]");
    }
}

void Flags::add_cluster(CLI::App& app) {
    add(Verb::status, app, "status", "Show the nodes, who leads, and how far each is")
        .group("Cluster");
    CLI::App& members = add(Verb::members, app, "members", "List, add and remove members");
    members.group("Cluster")->require_subcommand(0, 1);
    CLI::App& added = add(Verb::add_member, members, "add", "Add a member");
    CLI::App& removed = add(Verb::remove_member, members, "remove", "Remove a member");
    CLI::App& lead = add(Verb::lead, members, "lead", "Hand leadership to a member");
    for (CLI::App* command : {&added, &removed, &lead}) {
        add_word(*command, "ID", "The member's id").required();
    }
    add_word(added, "ADDRESS", "HOST:PORT where its Raft can be reached").required();
    add_switch(added, "learner", "It isn't to vote");
}

const CLI::App* Flags::parsed() const {
    const CLI::App* found = nullptr;
    // The innermost: `members` is there with `members add` too, and before it.
    for (const auto& [verb, app] : verbs_) {
        found = app->parsed() ? app : found;
    }
    return found;
}

std::string Flags::read(const server::EnvironmentLookup& environment, Options& options) const {
    const CLI::App& app = *parsed();
    for (const auto& [verb, candidate] : verbs_) {
        options.verb = candidate == &app ? verb : options.verb;
    }
    if (options.verb == Verb::completion) {
        return read_shell(app, options);
    }
    for (const char* name : {"endpoint", "timeout", "json", "curl"}) {
        const CLI::App* parent = app.get_parent();
        if (parent->get_option_no_throw("--" + std::string(name)) != nullptr &&
            is_given(*parent, name)) {
            return "--" + std::string(name) + " stands behind " + app.get_name();
        }
    }
    if (std::string wrong = read_common(app, environment, options); !wrong.empty()) {
        return wrong;
    }
    return read_verb(app, options);
}

ParseResult<std::vector<server::Address>> parse_endpoints(std::string_view text) {
    std::vector<server::Address> endpoints;
    while (true) {
        const std::size_t comma = std::min(text.find(','), text.size());
        std::string_view part = text.substr(0, comma);
        constexpr std::string_view scheme = "http://";
        if (part.starts_with(scheme)) {
            part.remove_prefix(scheme.size());
            part.remove_suffix(part.ends_with('/') ? 1 : 0);
        }
        ParseResult<server::Address> address =
            server::parse_address(part, server::PortZero::refused);
        if (!address) {
            return server::parse_error(address.error().text);
        }
        endpoints.push_back(*std::move(address));
        if (comma == text.size()) {
            return endpoints;
        }
        text.remove_prefix(comma + 1);
    }
}

}  // namespace cairn::client
